"""A simulated instrument that any program can open: on a pseudo-terminal or a TCP port.

The instrument outlives its clients: a client that goes away, or a fault that unplugs the line,
ends one connection; the next one finds the same instrument in the state it was left in.
"""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from readerd.driver.stream import LineSettings
from readerd.driver.virtual import Twin
from readerd.driver.wire import Wire
from readerd.errors import InputError, Mistake

# What a client may leave unread before the line drops bytes, as a serial port does.
MOST_WAITING_BYTES = 1 << 20
# How long a connection that is being closed may stand in the way of its successor.
TAKEOVER_S = 0.5


@asynccontextmanager
async def serve_pty(
    twin: Twin, line: LineSettings, *, path: str | None = None, time_scale: float = 1.0
) -> AsyncIterator[str]:
    """Serve on a pseudo-terminal; yields the port text (`serial:PATH`).

    `path` becomes a symbolic link to the terminal and is removed at the end; a file in its way is
    an InputError unless it is a dangling or older link.
    """
    served = _PtyServer(twin, line, Path(path) if path is not None else None, time_scale)
    served.plug_in()
    try:
        yield f"serial:{served.path}"
    finally:
        served.unplug()


@asynccontextmanager
async def serve_tcp(
    twin: Twin,
    line: LineSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    time_scale: float = 1.0,
) -> AsyncIterator[str]:
    """Serve one client at a time on a TCP port (0 = any); yields `tcp://HOST:PORT`."""
    loop = asyncio.get_running_loop()
    hub = _TcpHub(twin, line, time_scale)
    try:
        server = await loop.create_server(lambda: _TcpClient(hub), host, port)
    except OSError as error:
        what = error.strerror or str(error)
        raise InputError(f"{host}:{port}", Mistake("", what)) from error
    number = server.sockets[0].getsockname()[1]
    try:
        yield f"tcp://[{host}]:{number}" if ":" in host else f"tcp://{host}:{number}"
    finally:
        server.close()
        hub.drop()
        await server.wait_closed()


class _PtyServer:
    """The master's side. The slave stays open here, so that a client may come and go."""

    def __init__(
        self, twin: Twin, line: LineSettings, link: Path | None, time_scale: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._master = self._slave = -1
        self._waiting = bytearray()
        self._terminal = ""
        self._wire = Wire(
            twin, line, time_scale=time_scale, deliver=self._deliver, hang_up=self._replug
        )

    @property
    def path(self) -> str:
        return self._terminal if self._link is None else str(self._link)

    def plug_in(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._terminal = os.ttyname(self._slave)
        if self._link is not None:
            try:
                _point(self._link, self._terminal)
            except OSError as error:
                self._close()
                what = error.strerror or str(error)
                raise InputError(str(self._link), Mistake("", what)) from error
        self._loop.add_reader(self._master, self._readable)

    def unplug(self) -> None:
        """The line is gone; a client reads end-of-file. Idempotent."""
        if self._master < 0:
            return
        self._wire.stop()
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        if self._link is not None and self._link.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(self._link) == self._terminal:
                    self._link.unlink()
        self._close()

    def _close(self) -> None:
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._waiting.clear()

    def _replug(self) -> None:
        self.unplug()
        self.plug_in()

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wire.receive(os.read(self._master, 4096))

    def _deliver(self, data: bytes) -> None:
        self._waiting += data
        del self._waiting[:-MOST_WAITING_BYTES]
        self._flush()

    def _flush(self) -> None:
        try:
            written = os.write(self._master, self._waiting)
        except BlockingIOError:
            written = 0
        del self._waiting[:written]
        if self._waiting:
            self._loop.add_writer(self._master, self._flush)
        else:
            self._loop.remove_writer(self._master)


def _point(link: Path, terminal: str) -> None:
    """Make the link name this terminal at once; only a link may be replaced."""
    if link.exists() and not link.is_symlink():
        raise FileExistsError(17, "a file is in the way")
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    fresh.symlink_to(terminal)
    fresh.replace(link)


class _TcpHub:
    """The one instrument behind the port, and the one client who talks to it.

    A device server in raw mode has one client. A second one is kept waiting for a moment, because
    it may be the first one again whose old connection is not quite closed; then it is turned away.
    """

    def __init__(self, twin: Twin, line: LineSettings, time_scale: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._client: asyncio.Transport | None = None
        self._next: asyncio.Transport | None = None
        self._wire = Wire(
            twin, line, time_scale=time_scale, deliver=self._deliver, hang_up=self.drop
        )

    def arrive(self, client: asyncio.Transport) -> None:
        if self._client is None:
            self._client = client
        elif self._next is None:
            self._next = client
            client.pause_reading()
            self._loop.call_later(TAKEOVER_S, self._turn_away, client)
        else:
            client.abort()

    def leave(self, client: asyncio.Transport) -> None:
        if self._next is client:
            self._next = None
        elif self._client is client:
            self._client, self._next = self._next, None
            if self._client is not None:
                self._client.resume_reading()

    def receive(self, data: bytes) -> None:
        self._wire.receive(data)

    def drop(self) -> None:
        """The line is gone: hang up on the client."""
        self._wire.stop()
        for client in (self._client, self._next):
            if client is not None:
                client.close()

    def _turn_away(self, client: asyncio.Transport) -> None:
        if self._next is client:
            client.abort()

    def _deliver(self, data: bytes) -> None:
        client = self._client
        if client is not None and client.get_write_buffer_size() < MOST_WAITING_BYTES:
            client.write(data)


class _TcpClient(asyncio.Protocol):
    def __init__(self, hub: _TcpHub) -> None:
        self._hub = hub
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._hub.arrive(self._transport)

    def data_received(self, data: bytes) -> None:
        self._hub.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._hub.leave(self._transport)
