"""A serial port: one thread opens it, reads it and closes it; the loop only takes what it has.

Waiting for a serial port blocks, and closing a real adapter blocks while its output drains, so
neither may happen in the loop. Cancelling somebody who waits for bytes never touches the thread.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import serial

from readerd.driver.inbox import Inbox
from readerd.driver.stream import LineSettings
from readerd.errors import LinkLost

# Commands are short; a line that takes none of it for so long is blocked by its handshake.
WRITE_WITHIN_S = 5.0
# A real adapter may drain its output before it closes; afterwards the thread is left behind.
CLOSE_WITHIN_S = 5.0

# pyserial lets OSError through where the device vanishes between two of its own calls.
_GONE = (serial.SerialException, OSError)


class SerialStream:
    """A ByteStream over a serial device, locked against a second opener."""

    def __init__(self, path: str, line: LineSettings) -> None:
        self._path = path
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._port: serial.Serial | None = None
        self._writing: asyncio.Future[None] | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._finished = asyncio.Event()
        self._closing = threading.Event()
        self._wakeable = threading.Lock()
        self._writable = threading.Lock()
        self._thread = threading.Thread(target=self._pump, name=f"pump {path}", daemon=True)

    @classmethod
    async def open(cls, path: str, line: LineSettings) -> "SerialStream":
        """Open and lock the device; LinkLost with the reason when it does not open."""
        stream = cls(path, line)
        stream._thread.start()
        try:
            await asyncio.shield(stream._opened)
        except asyncio.CancelledError:
            stream._closing.set()
            stream._opened.add_done_callback(_retrieve)
            stream._opened.add_done_callback(lambda _: stream._wake())
            raise
        return stream

    async def receive(self) -> bytes:
        return await self._inbox.take()

    def discard(self) -> bytes:
        return self._inbox.discard()

    async def send(self, data: bytes) -> None:
        self._inbox.require_open()
        if self._writing is not None:  # by somebody who was cancelled; its bytes go first
            await asyncio.wait({self._writing})
        self._writing = self._loop.run_in_executor(None, self._write, data)
        self._writing.add_done_callback(_retrieve)
        try:
            await asyncio.shield(self._writing)
        except serial.SerialTimeoutException:
            raise LinkLost(f"{self._path}: the line takes no bytes (handshake?)") from None
        except _GONE as error:
            raise LinkLost(_reason(self._path, error)) from error

    def _write(self, data: bytes) -> None:
        """In a thread: a handshake may hold it up. The port cannot be closed under it."""
        with self._writable:
            port = self._port
            if port is None:
                raise LinkLost(f"{self._path}: closed")
            port.write(data)

    async def lost(self) -> str:
        return await self._inbox.lost()

    async def close(self) -> None:
        self._closing.set()
        self._wake()
        self._inbox.end(f"{self._path}: closed")
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._finished.wait()
        except TimeoutError:
            return  # the adapter hangs in its close; the daemon thread holds nothing we need

    def _wake(self) -> None:
        """Never after `close` began: its pipes may by then be somebody else's file numbers."""
        with self._wakeable:
            if self._port is not None:
                self._port.cancel_read()
                self._port.cancel_write()

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        """Run in the loop; a loop that has ended needs no news."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)

    def _pump(self) -> None:
        try:
            port = _open(self._path, self._line)
        except (*_GONE, ValueError) as error:
            self._tell(_fail, self._opened, LinkLost(_reason(self._path, error)))
            self._tell(self._finished.set)
            return
        self._port = port
        self._tell(_succeed, self._opened)
        reason = f"{self._path}: closed"
        try:
            while not self._closing.is_set():
                data = port.read(port.in_waiting or 1)
                if data:
                    self._tell(self._inbox.put, data)
        except _GONE as error:
            reason = _reason(self._path, error)
        self._tell(self._inbox.end, reason)
        with self._wakeable:
            self._port = None
        with self._writable, contextlib.suppress(*_GONE):
            port.close()
        self._tell(self._finished.set)


def _open(path: str, line: LineSettings) -> serial.Serial:
    """RTS and DTR are asserted by pyserial where the device has them and no handshake owns them."""
    return serial.Serial(
        path,
        baudrate=line.baud,
        bytesize=line.data_bits,
        parity=line.parity,
        stopbits=line.stop_bits,
        rtscts=line.rtscts,
        dsrdtr=line.dsrdtr,
        timeout=None,
        write_timeout=WRITE_WITHIN_S,
        exclusive=True,
    )


def _succeed(opened: "asyncio.Future[None]") -> None:
    if not opened.done():
        opened.set_result(None)


def _fail(opened: "asyncio.Future[None]", error: LinkLost) -> None:
    if not opened.done():
        opened.set_exception(error)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Nobody may be left to hear of the error."""
    if not future.cancelled():
        future.exception()


def _reason(path: str, error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if path in text else f"{path}: {text}"
