"""Where presses and scans come from: ports that are opened, read, and opened again for ever.

An input that is unplugged must not stop anything: it is opened again, 1 s later, then twice as long
up to 10 s: somebody stands there and plugs it in.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from readerd.driver.stream import LineSettings
from readerd.driver.transport import open_transport
from readerd.edge.button_settings import InputAddress
from readerd.edge.evdev import open_device
from readerd.errors import LinkLost
from readerd.run.outage import Outage

log = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 10.0
# An input that stood this long was a good one: its next loss is a first one.
STEADY_S: Final = 10.0
# Linux keeps at most a page of input events per reader.
_CHUNK: Final = 4096


class Source(Protocol):
    """Bytes from an input; `receive` is cancel-safe and raises LinkLost at the end."""

    async def receive(self) -> bytes: ...

    async def close(self) -> None: ...


OpenInput = Callable[[InputAddress, float], Awaitable[Source]]


class FdSource:
    """A file descriptor that the loop watches; `release` gives it back."""

    def __init__(self, name: str, fd: int, release: Callable[[], None]) -> None:
        os.set_blocking(fd, False)
        self._name = name
        self._fd = fd
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._is_open = True

    async def receive(self) -> bytes:
        while True:
            if not self._is_open:
                raise LinkLost(f"{self._name}: closed")
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                await self._readable()
                continue
            except OSError as error:
                text = "unplugged" if error.errno == errno.ENODEV else error.strerror
                raise LinkLost(f"{self._name}: {text}") from None
            if not data:
                raise LinkLost(f"{self._name}: the other side is gone")
            return data

    async def _readable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._fd, _resolve, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(self._fd)

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._release()


def _resolve(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


async def open_input(address: InputAddress, debounce_s: float) -> Source:
    """Open a device; LinkLost with the reason when it cannot be had."""
    if address.kind == "serial":
        return await open_transport(address.text, LineSettings())
    if address.kind == "evdev":
        fd = open_device(address.path)
        return FdSource(address.path, fd, lambda: os.close(fd))
    from readerd.edge.gpio import open_line

    line = open_line(address, debounce_s)
    return FdSource(address.text, line.fd, line.release)


async def keep_reading(
    open_source: Callable[[], Awaitable[Source]],
    take: Callable[[bytes], None],
    *,
    name: str,
    on_link: Callable[[str | None], None],
) -> None:
    """Hand all bytes to `take` until cancelled. `on_link` hears why it is lost; None: it is back.

    What `take` raises passes: a journal that fails must end the daemon.
    """
    loop, wait_s, outage = asyncio.get_running_loop(), FIRST_RETRY_S, Outage(log)
    while True:
        opened_s = loop.time()
        try:
            source = await open_source()
            outage.back(f"input={name} link=up")
            on_link(None)
            try:
                while True:
                    take(await source.receive())
            finally:
                await source.close()
        except LinkLost as error:
            if loop.time() - opened_s > STEADY_S:
                wait_s = FIRST_RETRY_S
            outage.lost(f"input={name} link=lost reason={error} retry_s={wait_s:g}")
            on_link(str(error))
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LAST_RETRY_S)
