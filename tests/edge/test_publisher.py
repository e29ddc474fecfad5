"""The publisher against brokers that refuse, fall silent and die: what is stored is not lost."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from readerd.demo.broker import (
    ACCEPT,
    SWALLOW,
    UNACKNOWLEDGED,
    Broker,
    refuse,
)
from readerd.demo.packets import Reason
from readerd.edge.drain import OutboxRow
from readerd.edge.publisher import Publisher
from readerd.errors import StoreError
from tests.edge.delivery import (
    ROOT,
    SHORT,
    Alarms,
    Journal,
    Links,
    Running,
    Tape,
    to,
    witnessing,
)


async def test_a_stored_row_is_delivered_and_closed(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running
) -> None:
    stored = journal.result("r1")
    async with publishing(to(broker.port)):
        await journal.settled()
    assert tape.payloads("result") == [stored]
    [message] = [one for one in tape.seen if one.topic == f"{ROOT}/result"]
    assert (message.qos, message.retain) == (1, False)


async def test_a_row_stored_while_connected_goes_at_once(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, links: Links
) -> None:
    async with publishing(to(broker.port)) as publisher:
        await links.times(1)
        stored = journal.note("started")
        publisher.wake()
        await journal.settled()
    assert tape.payloads("event") == [stored]


async def test_500_rows_keep_their_order_and_are_closed_in_batches(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running
) -> None:
    stored = [journal.note(f"n{number}") for number in range(500)]
    async with publishing(to(broker.port)):
        await journal.settled()
    assert tape.payloads("event") == stored
    assert journal.closed == list(range(1, 501))
    assert journal.commits <= 100


async def test_no_more_than_a_window_is_unanswered(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running
) -> None:
    stored = [journal.note(f"n{number}") for number in range(100)]
    tape.judge = lambda message: SWALLOW if "event" in message.topic else ACCEPT
    async with publishing(to(broker.port)) as publisher:
        await tape.until("event", 20)
        publisher.publish_progress(b"sent after the rows")
        await tape.until("progress", 1)
        assert tape.payloads("event") == stored[:20]


async def test_what_was_answered_is_closed_soon_though_the_backlog_stands_still(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, links: Links
) -> None:
    for number in range(100):
        journal.note(f"n{number}")
    verdicts = iter([ACCEPT] * 5)
    tape.judge = lambda message: next(verdicts, SWALLOW) if "event" in message.topic else ACCEPT
    patient = replace(SHORT, acknowledge_within_s=30.0)
    async with publishing(to(broker.port), timing=patient):
        await journal.until(lambda: journal.closed == [1, 2, 3, 4, 5])
        assert links.seen == [True]


async def test_a_refusal_in_a_backlog_is_followed_by_no_more_than_its_window(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    for number in range(300):
        journal.note(f"n{number}")
    verdicts = iter([ACCEPT] * 50)
    no = refuse(Reason.NOT_AUTHORIZED)
    tape.judge = lambda message: next(verdicts, no) if "event" in message.topic else ACCEPT
    patient = replace(SHORT, retry_first_s=30.0, retry_most_s=30.0, uniform=max)
    async with publishing(to(broker.port), timing=patient):
        await alarms.until(lambda: "publish-refused" in alarms.standing)
        assert len(tape.payloads("event")) <= 70
        await journal.until(lambda: journal.closed == list(range(1, 51)))


async def test_a_broker_that_dies_and_forgets_is_offered_the_same_bytes_again(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, links: Links
) -> None:
    """Twice in a row: the broker takes rows, says nothing, and dies."""
    stored = [journal.note(f"n{number}") for number in range(30)]
    tape.judge = lambda message: SWALLOW if "event" in message.topic else ACCEPT
    async with publishing(to(broker.port)):
        for time_around in (1, 2):
            await tape.until("event", 20 * time_around)
            await broker.kill()
            await links.times(time_around, connected=False)
            if time_around == 2:
                tape.judge = lambda message: ACCEPT
            await broker.start()
        await journal.settled()
    assert tape.payloads("event") == stored[:20] + stored[:20] + stored


async def test_a_swallowed_acknowledgement_ends_the_connection(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, links: Links
) -> None:
    """Twice in a row; the row arrives three times, with the same bytes, and is closed once."""
    stored = journal.note("only")
    verdicts = iter([UNACKNOWLEDGED, UNACKNOWLEDGED])
    tape.judge = lambda message: next(verdicts, ACCEPT) if "event" in message.topic else ACCEPT
    async with witnessing(broker.port) as lims, publishing(to(broker.port)):
        assert await lims.hear("event", 3) == [stored] * 3
        await journal.settled()
        await links.times(3)
        assert ("status", b"offline") in [
            (topic, json.loads(payload)["status"].encode())
            for topic, payload in lims.heard
            if topic == "status"
        ]
    assert journal.closed == [1]


async def test_a_status_that_is_not_acknowledged_ends_the_connection(
    broker: Broker, tape: Tape, publishing: Running, links: Links
) -> None:
    verdicts = iter([SWALLOW])
    tape.judge = lambda message: next(verdicts, ACCEPT)
    async with publishing(to(broker.port)):
        await links.times(2)
        await tape.until("status", 2)


async def test_a_refused_topic_keeps_its_rows_while_the_other_goes_on(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    results = [journal.result(f"r{number}") for number in range(30)]
    tape.judge = lambda message: (
        refuse(Reason.NOT_AUTHORIZED) if message.topic.endswith("/result") else ACCEPT
    )
    async with publishing(to(broker.port)) as publisher:
        await journal.until(lambda: len(journal.closed) == 60)
        assert "result (0x87)" in alarms.standing["publish-refused"]
        assert [row.payload for row in journal.store.outbox.pending(99)] == results
        refused = len(tape.payloads("result"))
        assert refused < 60  # a window at first, then one row after each rest
        await tape.until("result", refused + 2)
        assert set(tape.payloads("result")[refused:]) == {results[0]}
        tape.judge = lambda message: ACCEPT
        refused = len(tape.payloads("result"))
        await journal.settled()
        assert "publish-refused" not in alarms.standing
        assert tape.payloads("result")[refused:] == results
        publisher.publish_retained("health", b"{}")
        await tape.until("health", 1)


async def test_a_refused_status_is_told_and_the_rows_still_go(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    journal.note("n")
    tape.judge = lambda message: refuse() if message.topic.endswith("/status") else ACCEPT
    async with publishing(to(broker.port)):
        await journal.settled()
        await alarms.until(lambda: "publish-refused" in alarms.standing)
        assert "status (0x87)" in alarms.standing["publish-refused"]


async def test_a_refused_subscription_is_told_and_the_rows_still_go(
    broker: Broker, journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    journal.note("n")
    broker.on_subscribe = lambda topic_filter: Reason.NOT_AUTHORIZED
    async with publishing(to(broker.port)):
        await journal.settled()
        assert "status (0x87)" in alarms.standing["subscribe-refused"]


async def test_a_broken_journal_ends_the_publisher(broker: Broker) -> None:
    """What the journal raises passes through; nobody goes on without it."""

    class Full:
        def pending(self, limit: int, after_row_id: int = 0) -> Sequence[OutboxRow]:
            raise StoreError("database or disk is full")

        def broker_acked(self, row_ids: Sequence[int], at: str) -> None: ...

    publisher = Publisher(
        to(broker.port), ROOT, Full(), session=1, now=lambda: datetime.now(UTC), timing=SHORT
    )
    with pytest.raises(StoreError, match="full"):
        async with asyncio.timeout(10):
            await publisher.run(asyncio.Event())
