"""A TCP connection as a port, on asyncio: nothing waits in a thread."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from readerd.driver.inbox import Inbox
from readerd.errors import LinkLost

# A device server on the same network answers in milliseconds; a dead one never does.
CONNECT_WITHIN_S = 5.0
# Keepalive that finds a dead device server within 20 s while an instrument is silent.
KEEPALIVE_IDLE_S, KEEPALIVE_EVERY_S, KEEPALIVE_PROBES = 5, 5, 3
USER_TIMEOUT_MS = 20_000

# Bytes that came -> those for us, and what is to be sent at once.
Hear = Callable[[bytes], tuple[bytes, bytes]]


async def open_tcp(name: str, host: str, number: int, *, hear: Hear | None = None) -> "TcpStream":
    """Connect; LinkLost with the reason. `hear` parts what comes into ours and an answer to it."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            transport, stream = await loop.create_connection(
                lambda: TcpStream(name, hear), host, number
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


class TcpStream(asyncio.Protocol):
    """asyncio.Protocol on one side, ByteStream on the other."""

    def __init__(self, name: str, hear: Hear | None) -> None:
        self._name = name
        self._hear = hear
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        heard, said = (data, b"") if self._hear is None else self._hear(data)
        if heard:
            self._inbox.put(heard)
        if said and self._transport is not None:
            self._transport.write(said)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(f"{self._name}: {exc or 'closed by the other side'}")

    async def receive(self) -> bytes:
        return await self._inbox.take()

    def discard(self) -> bytes:
        return self._inbox.discard()

    async def send(self, data: bytes) -> None:
        self._inbox.require_open()
        self.write(data)

    def write(self, data: bytes) -> None:
        """Hand over without waiting; LinkLost when there is no line."""
        if self._transport is None or self._transport.is_closing():
            raise LinkLost(f"{self._name}: closed")
        self._transport.write(data)

    async def lost(self) -> str:
        return await self._inbox.lost()

    async def close(self) -> None:
        self._inbox.end(f"{self._name}: closed")
        if self._transport is not None:
            self._transport.abort()
