"""The LIMS side as a process: signals stop it, a line says what it did."""

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime

from readerd.collect.collector import Collector
from readerd.collect.settings import CollectSettings
from readerd.collect.shelf import open_shelf


def main(settings: CollectSettings, target: str, tell: Callable[[str], None]) -> None:
    """Collect until SIGTERM or SIGINT. InputError, StoreError."""
    shelf = open_shelf(target)
    try:
        asyncio.run(_run(Collector(settings, shelf, tell=tell, now=_now), tell))
    finally:
        shelf.close()


async def _run(collector: Collector, tell: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await collector.run(stop)
    counts = collector.counts
    tell(f"stopped: {counts['stored']} stored, {counts['duplicate']} duplicates")
    for stream, ranges in collector.missing().items():
        tell(f"still missing: {stream} {', '.join(f'{a}-{b}' for a, b in ranges[:10])}")


def _now() -> datetime:
    return datetime.now().astimezone()
