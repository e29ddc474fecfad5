"""Ports: the streams behind the texts that name them (`address.py` has the texts).

| port text | stream |
|---|---|
| `serial:PATH` | pyserial, locked against a second opener, one pump thread that opens and closes |
| `tcp://HOST:PORT` | a serial device server in raw mode, asyncio |
| `rfc2217://HOST:PORT` | a serial device server whose line we set, asyncio |
| `visa:RESOURCE[@BACKEND]` | pyvisa, one pump thread per resource, imported when first used |
| `twin:` | a simulated instrument in this loop, on this loop's clock |
"""

from collections.abc import Callable

from readerd.driver.address import PortAddress, parse_port
from readerd.driver.inbox import Inbox
from readerd.driver.pump import PumpedStream
from readerd.driver.stream import ByteStream, LineSettings
from readerd.driver.virtual import Twin
from readerd.driver.wire import Wire
from readerd.errors import ConfigError, Mistake

__all__ = [
    "ByteStream",
    "LineSettings",
    "PortAddress",
    "TwinStream",
    "open_transport",
    "parse_port",
]


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
    if address.kind != "twin":
        return await _open(address, address.line(line))
    if twin is None:
        raise ConfigError("port", (Mistake("reader.port", "twin: needs a simulated instrument"),))
    return TwinStream(Wire(twin(), line, time_scale=time_scale))


async def _open(address: PortAddress, line: LineSettings) -> ByteStream:
    """Each kind's library is imported when its first port is opened."""
    if address.kind == "serial":
        from readerd.driver.serialport import open_serial

        path = address.path
        return await PumpedStream.open(path, lambda: open_serial(path, line))
    if address.kind == "visa":
        from readerd.driver.visaport import open_visa

        return await PumpedStream.open(address.path, lambda: open_visa(address, line))
    if address.kind == "rfc2217":
        from readerd.driver.rfc2217 import open_rfc2217

        return await open_rfc2217(address, line)
    from readerd.driver.tcp import open_tcp

    return await open_tcp(f"tcp://{address.host}:{address.number}", address.host, address.number)


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
