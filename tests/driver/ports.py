"""A simulated instrument behind every kind of port, each with its real parts.

`plugged(kind, twin, …)` gives the port text: a pseudo-terminal, a TCP socket, an RFC 2217 server
(pyserial's, in a thread) in front of a pseudo-terminal, and VISA resources on the first two; the
terminal once more through a backend that is not pyvisa-py by name, and shows no file numbers.
"""

import contextlib
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import serial
from serial.rfc2217 import PortManager

from readerd.driver.conformance.plates import laid
from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.stream import LineSettings
from readerd.driver.virtual import Twin
from readerd.plate import FORMATS, OpticalDensity, Unread

KINDS = ("serial", "tcp", "rfc2217", "visa-asrl", "visa-socket", "visa-elsewhere", "twin")


# A VISA library under another name, found as pyvisa finds a vendor's.
_elsewhere: Any = ModuleType("pyvisa_elsewhere")
_elsewhere.WRAPPER_CLASS = type("Elsewhere", (import_module("pyvisa_py").WRAPPER_CLASS,), {})
sys.modules[_elsewhere.__name__] = _elsewhere


@asynccontextmanager
async def plugged(
    kind: str, twin: Twin, line: LineSettings, directory: Path, *, time_scale: float = 0.0
) -> AsyncIterator[str]:
    """The text of a port of this kind with the twin behind it; `twin:` for the twin in the loop."""
    path = str(directory / "line.pty")
    on_pty = serve_pty(twin, line, path=path, time_scale=time_scale)
    on_tcp = serve_tcp(twin, line, time_scale=time_scale)
    if kind == "twin":
        yield "twin:"
    elif kind == "serial":
        async with on_pty as port:
            yield port
    elif kind == "visa-asrl":
        async with on_pty:
            yield f"visa:ASRL{path}::INSTR"
    elif kind == "visa-elsewhere":
        async with on_pty:
            yield f"visa:ASRL{path}::INSTR@elsewhere"
    elif kind == "tcp":
        async with on_tcp as port:
            yield port
    elif kind == "visa-socket":
        async with on_tcp as port:
            host, number = port.removeprefix("tcp://").split(":")
            yield f"visa:TCPIP::{host}::{number}::SOCKET"
    else:
        async with on_pty:
            with rfc2217_server(path) as server:
                yield f"rfc2217://127.0.0.1:{server.number}"


class _Pty(serial.Serial):
    """A pseudo-terminal has no modem lines (ENOTTY), but the server asks for them."""

    cts = dsr = ri = cd = property(lambda self: True)

    def _update_rts_state(self) -> None:
        """There is none to set."""

    def _update_dtr_state(self) -> None:
        """There is none to set."""


class Rfc2217Server:
    """One client at a time, as a device server; every client finds the terminal anew."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.number: int = self._listening.getsockname()[1]
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="rfc2217 server")
        self._ended = False

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended = True
        for part in (self._listening, self._client):
            if part is not None:
                with contextlib.suppress(OSError):
                    part.shutdown(socket.SHUT_RDWR)
                part.close()
        self._thread.join(10)

    def write(self, data: bytes) -> None:
        """What the port manager answers."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(data)

    def _serve(self) -> None:
        while not self._ended:
            try:
                self._client, _ = self._listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), self._client:
                self._one_client(self._client)

    def _one_client(self, client: socket.socket) -> None:
        with _Pty(self._path, exclusive=True, timeout=None) as port:
            # the stubs name another class for both
            manager = PortManager(cast(Any, port), cast(Any, self))
            from_line = threading.Thread(target=self._from_line, args=(port, manager, client))
            from_line.start()
            try:
                while data := client.recv(4096):
                    port.write(b"".join(manager.filter(data)))
            finally:
                port.cancel_read()
                from_line.join(10)

    def _from_line(self, port: serial.Serial, manager: PortManager, client: socket.socket) -> None:
        """Bytes of the instrument, until the terminal is gone or the client is."""
        with contextlib.suppress(OSError):
            while data := port.read(port.in_waiting or 1):
                client.sendall(b"".join(manager.escape(data)))
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def rfc2217_server(path: str) -> Iterator[Rfc2217Server]:
    server = Rfc2217Server(path)
    server.start()
    try:
        yield server
    finally:
        server.end()


def plate_file(range_od: tuple[float, float]) -> str:
    """The kit's plate as `readerd twin --plate` takes it."""
    plates = laid(1, 96, range_od)
    rows = [
        f"{well},{','.join(_cell(plates[nm][index], range_od) for nm in plates)}"
        for index, well in enumerate(FORMATS[96].wells)
    ]
    return "\n".join((f"well,{','.join(map(str, plates))}", *rows))


def _cell(value: OpticalDensity, range_od: tuple[float, float]) -> str:
    if isinstance(value, Unread):
        return {Unread.SATURATED: "SAT", Unread.NOT_MEASURED: ""}[value]
    return "OVER" if value > range_od[1] else str(value)
