"""A real journal and a publisher on short real bounds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from edge.delivery import ROOT, SHORT, WITHIN_S, Alarms, Journal, Links, Running

from readerd.edge.broker import Connect
from readerd.edge.publisher import Publisher
from readerd.run.store import Store


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
