"""How often a result without a receipt goes out again, over virtual hours."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from readerd.edge.broker import Incoming
from readerd.edge.receipts import Receipts
from readerd.run.store import Store
from tests.edge.delivery import AT, ROOT, Journal
from tests.virtual_clock import run_virtual

PLATE_EVERY_S, HOUR_S = 1200.0, 3600.0


@dataclass
class Lims:
    """Takes all that is offered at once, and answers for what it likes."""

    journal: Journal
    answers: Callable[[str], bool]
    offers: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.receipts = Receipts(
            self.journal.store.outbox,
            now=lambda: datetime(2026, 3, 4, tzinfo=UTC),
            offer_again=self.take,
        )

    def take(self) -> None:
        rows = self.journal.store.outbox.pending(1000)
        self.journal.broker_acked([row.row_id for row in rows], AT)
        for row in rows:
            if row.topic != "result":
                continue
            self.offers[row.event_id] += 1
            if self.answers(row.event_id):
                payload = json.dumps({"event_id": row.event_id, "outcome": "stored"}).encode()
                topic = f"{ROOT}/receipt/lims"
                self.receipts(Incoming(topic=topic, payload=payload, retained=False))

    async def plates(self, first: int, last: int) -> None:
        for number in range(first, last):
            self.journal.result(f"r{number}")
            self.take()
            await asyncio.sleep(PLATE_EVERY_S)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Store(tmp_path / "journal.db", ("lims",))) as store:
        yield Journal(store)


def test_one_that_is_never_answered_for_does_not_bring_the_others_out(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    lims = Lims(journal, lambda event_id: not event_id.startswith(("r0", "r1-", "r2-")))

    async def day() -> None:
        looking = asyncio.create_task(lims.receipts.run())
        await lims.plates(0, 72)
        looking.cancel()

    caplog.set_level(logging.INFO, "readerd.edge.receipts")
    run_virtual(day())
    stuck = [count for name, count in lims.offers.items() if name.startswith(("r0", "r1-", "r2-"))]
    assert len(stuck) == 3
    assert all(24 <= count <= 32 for count in stuck)  # hourly, and quicker at the beginning
    assert sum(lims.offers.values()) == sum(stuck) + 69
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_lims_that_comes_back_has_all_of_it_soon(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    away = True
    lims = Lims(journal, lambda event_id: not away)

    async def night() -> None:
        nonlocal away
        looking = asyncio.create_task(lims.receipts.run())
        await lims.plates(0, 30)
        away = False
        await asyncio.sleep(HOUR_S + 120)
        looking.cancel()

    caplog.set_level(logging.INFO, "readerd.edge.receipts")
    run_virtual(night())
    assert journal.store.outbox.unsettled() == []
    assert max(lims.offers.values()) <= 18
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
