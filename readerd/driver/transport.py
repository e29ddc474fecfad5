"""Ports: the text that names one, and the streams behind it.

| port text | stream |
|---|---|
| `serial:PATH` | pyserial, locked against a second opener, one pump thread that opens and closes |
| `tcp://HOST:PORT` | a serial device server in raw mode, asyncio |
| `twin:` | a simulated instrument in this loop, on this loop's clock |
"""

import asyncio
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from readerd.driver.inbox import Inbox
from readerd.driver.pump import SerialStream
from readerd.driver.stream import ByteStream, LineSettings
from readerd.driver.virtual import Twin
from readerd.driver.wire import Wire
from readerd.errors import ConfigError, LinkLost, Mistake

__all__ = [
    "ByteStream",
    "LineSettings",
    "PortAddress",
    "TwinStream",
    "open_transport",
    "parse_port",
]

# A device server on the same network answers in milliseconds; a dead one never does.
CONNECT_WITHIN_S = 5.0
# Keepalive that finds a dead device server within 20 s while an instrument is silent.
KEEPALIVE_IDLE_S, KEEPALIVE_EVERY_S, KEEPALIVE_PROBES = 5, 5, 3
USER_TIMEOUT_MS = 20_000


@dataclass(frozen=True, slots=True)
class PortAddress:
    """A port's text, understood: a device path, or host and port number, or neither (twin)."""

    kind: Literal["serial", "tcp", "twin"]
    path: str = ""
    host: str = ""
    number: int = 0


_TCP = re.compile(
    r"tcp://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\[\]\s]+)):(?P<port>\d{1,5})/?"
)


def parse_port(text: str) -> PortAddress:
    """What a port text names; ValueError says what would be right."""
    if text == "twin:":
        return PortAddress("twin")
    if text.startswith("serial:") and text != "serial:":
        return PortAddress("serial", path=text.removeprefix("serial:"))
    match = _TCP.fullmatch(text)
    if match is not None and 1 <= int(match["port"]) <= 65535:
        return PortAddress("tcp", host=match["v6"] or match["host"], number=int(match["port"]))
    raise ValueError(f"{text!r} is no port: write serial:/dev/ttyUSB0, tcp://host:4001 or twin:")


async def open_transport(
    port: str,
    line: LineSettings,
    *,
    twin: Callable[[], Twin] | None = None,
    time_scale: float = 1.0,
) -> ByteStream:
    """Open a port. LinkLost when it does not open, ConfigError when the text names none.

    `twin` makes the instrument behind `twin:`; `time_scale` is for that port alone.
    """
    try:
        address = parse_port(port)
    except ValueError as error:
        raise ConfigError("port", (Mistake("reader.port", str(error)),)) from error
    if address.kind == "serial":
        return await SerialStream.open(address.path, line)
    if address.kind == "tcp":
        return await _open_tcp(address)
    if twin is None:
        raise ConfigError("port", (Mistake("reader.port", "twin: needs a simulated instrument"),))
    return TwinStream(Wire(twin(), line, time_scale=time_scale))


class TwinStream:
    """A twin as a port: its answers arrive in the loop's own time.

    Closing the port does not stop the instrument: a wire that is opened again delivers what the
    instrument says late.
    """

    def __init__(self, wire: Wire) -> None:
        self._inbox = Inbox()
        self._wire = wire
        self._closed = False
        wire.attach(self._inbox.put, lambda: self._inbox.end("twin: unplugged"))

    async def receive(self) -> bytes:
        return await self._inbox.take()

    def discard(self) -> bytes:
        return self._inbox.discard()

    async def send(self, data: bytes) -> None:
        self._inbox.require_open()
        self._wire.receive(data)

    async def lost(self) -> str:
        return await self._inbox.lost()

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._wire.detach()
            self._inbox.end("twin: closed")


async def _open_tcp(address: PortAddress) -> ByteStream:
    loop = asyncio.get_running_loop()
    name = f"tcp://{address.host}:{address.number}"
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            transport, stream = await loop.create_connection(
                lambda: _TcpStream(name), address.host, address.number
            )
    except TimeoutError:
        raise LinkLost(f"{name}: no connection within {CONNECT_WITHIN_S:g} s") from None
    except OSError as error:
        raise LinkLost(f"{name}: {error.strerror or error}") from error
    _watch(cast(socket.socket, transport.get_extra_info("socket")))
    return stream


def _watch(connection: socket.socket) -> None:
    """Find out about a peer that vanished without a word, and send small commands at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


class _TcpStream(asyncio.Protocol):
    """asyncio.Protocol on one side, ByteStream on the other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(f"{self._name}: {exc or 'closed by the other side'}")

    async def receive(self) -> bytes:
        return await self._inbox.take()

    def discard(self) -> bytes:
        return self._inbox.discard()

    async def send(self, data: bytes) -> None:
        self._inbox.require_open()
        if self._transport is None or self._transport.is_closing():
            raise LinkLost(f"{self._name}: closed")
        self._transport.write(data)

    async def lost(self) -> str:
        return await self._inbox.lost()

    async def close(self) -> None:
        self._inbox.end(f"{self._name}: closed")
        if self._transport is not None:
            self._transport.abort()
