"""Bytes that have come and wait to be taken: the receiving half of every stream."""

import asyncio

from readerd.errors import LinkLost

# Nobody asked for more than this: a 384-well plate at six wavelengths is under 100 kB.
MOST_UNREAD_BYTES = 1 << 20


class Inbox:
    """Filled from the loop, emptied by one reader. Cancelling `take` loses nothing.

    When nobody takes, the oldest bytes go: an instrument that babbles while nobody listens must
    not fill the memory.
    """

    def __init__(self) -> None:
        self._unread = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = asyncio.Event()
        self._reason = ""

    def put(self, data: bytes) -> None:
        if self._ended.is_set():
            return
        self._unread += data
        if len(self._unread) > MOST_UNREAD_BYTES:
            del self._unread[:-MOST_UNREAD_BYTES]
        self._stir()

    def end(self, reason: str) -> None:
        """Nothing more will come; the first reason stays."""
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()
            self._stir()

    def require_open(self) -> None:
        if self._ended.is_set():
            raise LinkLost(self._reason)

    async def take(self) -> bytes:
        """All that is unread, at least one byte; at the end LinkLost, every time."""
        while not self._unread:
            self.require_open()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self.discard()

    def discard(self) -> bytes:
        data = bytes(self._unread)
        self._unread.clear()
        return data

    def _stir(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def lost(self) -> str:
        await self._ended.wait()
        return self._reason
