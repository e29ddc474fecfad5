"""A port whose calls block: one thread opens, reads and closes it; the loop takes what it has.

Waiting for a port blocks, and closing a real adapter blocks while its output drains, so neither
may happen in the loop. Cancelling somebody who waits for bytes never touches the thread.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Protocol

from readerd.driver.inbox import Inbox
from readerd.errors import LinkLost

# A real adapter may drain its output before it closes; afterwards the thread is left behind.
CLOSE_WITHIN_S = 5.0


class BlockingPort(Protocol):
    """An open port. Everything but `wake` is called by one thread at a time; the end is OSError."""

    def read(self) -> bytes:
        """What has come; b"" after a while without any, or when woken."""
        ...

    def write(self, data: bytes) -> None:
        """Hand all bytes to the line; may be called while another thread reads."""
        ...

    def wake(self) -> None:
        """Let whoever reads or writes return soon; from any thread, never after `close`."""
        ...

    def give_up(self) -> None:
        """Nothing is read any more: whoever writes returns now, with an OSError."""
        ...

    def close(self) -> None: ...


class PumpedStream:
    """A ByteStream over a port that blocks. `open_port` runs in the thread and may block too."""

    def __init__(self, name: str, open_port: Callable[[], BlockingPort]) -> None:
        self._name = name
        self._open_port = open_port
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._port: BlockingPort | None = None
        self._writing: asyncio.Future[None] | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._finished = asyncio.Event()
        self._closing = threading.Event()
        self._wakeable = threading.Lock()
        self._writable = threading.Lock()
        self._thread = threading.Thread(target=self._pump, name=f"pump {name}", daemon=True)

    @classmethod
    async def open(cls, name: str, open_port: Callable[[], BlockingPort]) -> "PumpedStream":
        """Open the port; LinkLost with the reason when it does not open."""
        stream = cls(name, open_port)
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
        except OSError as error:
            raise LinkLost(_reason(self._name, error)) from error

    def _write(self, data: bytes) -> None:
        """In a thread: a handshake may hold it up. The port cannot be closed under it."""
        with self._writable:
            port = self._port
            if port is None:
                raise LinkLost(f"{self._name}: closed")
            port.write(data)

    async def lost(self) -> str:
        return await self._inbox.lost()

    async def close(self) -> None:
        self._closing.set()
        self._wake()
        self._inbox.end(f"{self._name}: closed")
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._finished.wait()
        except TimeoutError:
            return  # the adapter hangs in its close; the daemon thread holds nothing we need

    def _wake(self) -> None:
        """Never after `close` began: its pipes may by then be somebody else's file numbers."""
        with self._wakeable:
            if self._port is not None:
                self._port.wake()

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        """Run in the loop; a loop that has ended needs no news."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)

    def _pump(self) -> None:
        try:
            port = self._open_port()
        except (OSError, ValueError, LinkLost) as error:
            self._tell(_fail, self._opened, LinkLost(_reason(self._name, error)))
            self._tell(self._finished.set)
            return
        self._port = port
        self._tell(_succeed, self._opened)
        reason = f"{self._name}: closed"
        try:
            while not self._closing.is_set():
                data = port.read()
                if data:
                    self._tell(self._inbox.put, data)
        except OSError as error:
            reason = _reason(self._name, error)
        self._tell(self._inbox.end, reason)
        port.give_up()
        with self._wakeable:
            self._port = None
        with self._writable, contextlib.suppress(OSError):
            port.close()
        self._tell(self._finished.set)


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


def _reason(name: str, error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if name in text else f"{name}: {text}"
