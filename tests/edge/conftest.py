"""A real journal and a publisher on short real bounds."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any, cast

import pytest

from readerd.demo.broker import Broker
from readerd.edge.broker import Connect
from readerd.edge.publisher import Publisher
from readerd.run.store import Store
from tests.edge.delivery import (
    ROOT,
    SHORT,
    WITHIN_S,
    Alarms,
    Journal,
    Links,
    LogLines,
    Running,
    Tape,
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    store = Store(tmp_path / "journal.db")
    yield Journal(store)
    store.close()


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.fixture
def links() -> Links:
    return Links()


@pytest.fixture
def publishing(journal: Journal, alarms: Alarms, links: Links) -> Running:
    """`async with publishing(connect) as publisher:` runs one and stops it in order."""

    @asynccontextmanager
    async def running(connect: Connect, **more: Any) -> AsyncIterator[Publisher]:
        arguments = {"session": 7, "timing": SHORT, "on_alarm": alarms, "on_link": links, **more}
        publisher = Publisher(
            connect, ROOT, journal, now=lambda: datetime(2026, 3, 4, tzinfo=UTC), **arguments
        )
        stop = asyncio.Event()
        run = asyncio.create_task(publisher.run(stop))
        try:
            yield publisher
        finally:
            stop.set()
            async with asyncio.timeout(WITHIN_S):
                await run

    return running


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    """`await log_lines(text)` is the publisher's next log line with this text in it."""
    lines: asyncio.Queue[logging.LogRecord] = asyncio.Queue()
    handler = QueueHandler(cast("Any", lines))
    logger = logging.getLogger("readerd.edge.publisher")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)

    async def following(text: str) -> logging.LogRecord:
        async with asyncio.timeout(WITHIN_S):
            while text not in (line := await lines.get()).getMessage():
                pass
        return line

    yield following
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def tape(broker: Broker) -> Tape:
    return Tape(broker)
