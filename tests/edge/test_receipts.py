"""Delivered means that the LIMS has it: receipts, echoes, and what no broker would take."""

import asyncio
import itertools
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from readerd.demo.broker import ACCEPT, Broker, refuse
from readerd.demo.packets import V311
from readerd.edge.broker import Connect, Incoming
from readerd.edge.publisher import Publisher
from readerd.edge.receipts import Receipts
from readerd.run.store import Store
from tests.conftest import StartMosquitto
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

QUICK = replace(SHORT, echo_within_s=0.2, receipt_first_s=0.2, receipt_most_s=0.8)


def at() -> datetime:
    return datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def wanting(tmp_path: Path) -> Iterator[Journal]:
    """A journal whose results are settled by receipts of `lims`."""
    store = Store(tmp_path / "wanting.db", ("lims",))
    yield Journal(store)
    store.close()


@asynccontextmanager
async def delivering(
    connect: Connect, journal: Journal, links: Links, again: list[int] | None = None
) -> AsyncIterator[Receipts]:
    def offer_again() -> None:
        (again if again is not None else []).append(1)
        publisher.offer_again()

    def on_link(connected: bool) -> None:
        if connected:
            receipts.connected()
        links(connected)

    receipts = Receipts(
        journal.store.outbox,
        now=at,
        offer_again=offer_again,
        on_receipt=journal._changed.set,
        timing=QUICK,
    )
    publisher = Publisher(
        connect,
        ROOT,
        journal,
        session=1,
        now=at,
        on_link=on_link,
        inbox={"receipt/#": receipts},
        timing=QUICK,
    )
    stop = asyncio.Event()
    looking = asyncio.create_task(receipts.run())
    running = asyncio.create_task(publisher.run(stop))
    try:
        yield receipts
    finally:
        stop.set()
        looking.cancel()
        await asyncio.wait({looking, running})
        running.result()


def receipt(event_id: str, outcome: str) -> bytes:
    return json.dumps({"event_id": event_id, "outcome": outcome, "ref": "7"}).encode()


def is_now(journal: Journal, event_id: str, state: str) -> bool:
    return journal.store.outbox.state_of(event_id) == state


async def test_a_receipt_confirms_or_refuses_and_may_change_its_mind(
    broker: Broker, wanting: Journal, links: Links
) -> None:
    wanting.result("r1")
    [event_id] = [row.event_id for row in wanting.store.outbox.pending(9) if row.topic == "result"]
    async with witnessing(broker.port) as lims, delivering(to(broker.port), wanting, links):
        await lims.hear("result")
        for outcome, state in [
            ("refused", "refused"),
            ("stored", "confirmed"),
            ("duplicate", "confirmed"),
            ("refused", "refused"),
            ("duplicate", "confirmed"),
        ]:
            await lims.client.publish(f"{ROOT}/receipt/lims", receipt(event_id, outcome), qos=1)
            await wanting.until(partial(is_now, wanting, event_id, state))
    assert wanting.store.outbox.unsettled() == []


async def test_what_is_no_receipt_of_ours_changes_nothing(wanting: Journal, links: Links) -> None:
    wanting.result("r1")
    [event_id] = [row.event_id for row in wanting.store.outbox.pending(9) if row.topic == "result"]
    receipts = Receipts(wanting.store.outbox, now=at, offer_again=lambda: None, timing=QUICK)
    good = receipt(event_id, "stored")
    for topic, payload, retained in [
        ("receipt/lims", good, True),
        ("receipt/lims", receipt("unknown", "stored"), False),
        ("receipt/lims", receipt(event_id, "liked"), False),
        ("receipt/lims", b"\xff", False),
        ("receipt/li/ms", good, False),
        ("receipt/other", good, False),
    ]:
        receipts(Incoming(topic=f"{ROOT}/{topic}", payload=payload, retained=retained))
        assert wanting.store.outbox.state_of(event_id) == "stored"
    receipts(Incoming(topic=f"{ROOT}/receipt/lims", payload=good, retained=False))
    assert wanting.store.outbox.state_of(event_id) == "confirmed"


async def test_without_receipts_a_killed_broker_is_told_all_again_byte_for_byte(
    mosquitto: StartMosquitto, wanting: Journal, links: Links
) -> None:
    """Twice in a row: acknowledged, forgotten by SIGKILL, offered again until a receipt comes."""
    broker = mosquitto()
    stored = [wanting.result(f"r{number}") for number in range(5)]
    rows = [row for row in wanting.store.outbox.pending(99) if row.topic == "result"]
    async with delivering(to(broker.port), wanting, links):
        await wanting.until(lambda: not wanting.store.outbox.pending(1))
        for time_around in (1, 2):
            broker.end(signal.SIGKILL)
            await links.times(time_around, connected=False)
            broker.start()
            async with witnessing(broker.port) as lims:
                heard = await lims.hear("result", 5)
                first = stored.index(heard[0])  # we may have come in the middle of them
                assert heard == (stored[first:] + stored)[:5]
        async with witnessing(broker.port) as lims:
            for row in rows:
                message = receipt(row.event_id, "stored")
                await lims.client.publish(f"{ROOT}/receipt/lims", message, qos=1)
            await wanting.until(lambda: not wanting.store.outbox.unsettled())


async def test_a_missing_receipt_is_waited_for_longer_and_longer(
    broker: Broker, tape: Tape, wanting: Journal, links: Links
) -> None:
    stored = wanting.result("r1")
    again: list[int] = []
    loop = asyncio.get_running_loop()
    async with delivering(to(broker.port), wanting, links, again):
        times = []
        for count in (1, 2, 3, 4):
            await tape.until("result", count)
            times.append(loop.time())
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert tape.payloads("result")[:4] == [stored] * 4
    assert waits[0] < waits[2]
    assert waits[2] >= 0.75
    assert len(again) >= 3


async def test_events_and_results_without_required_receipts_are_not_offered_again(
    journal: Journal,
) -> None:
    journal.result("r1")
    outbox = journal.store.outbox
    outbox.broker_acked([row.row_id for row in outbox.pending(9)], "2026")
    assert (outbox.offer_unsettled(), outbox.newest_unconfirmed(), outbox.unsettled()) == (0, 0, [])


async def test_on_3_1_1_a_refused_topic_is_noticed_by_its_missing_echo(
    journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    """The broker acknowledges everything and passes on no result; twice in a row."""
    async with Broker(versions={V311}) as broker:
        tape = Tape(broker)
        tape.judge = lambda message: refuse() if message.topic.endswith("result") else ACCEPT
        async with publishing(to(broker.port, version="3.1.1"), timing=QUICK) as publisher:
            for time_around in (1, 2):
                results = [journal.result(f"{time_around}-{number}") for number in range(3)]
                publisher.wake()
                await alarms.until(lambda: "publish-refused" in alarms.standing)
                await journal.until(
                    lambda: (
                        not [row for row in journal.store.outbox.pending(9) if row.topic == "event"]
                    )
                )
                assert [row.payload for row in journal.store.outbox.pending(9)] == results
                tape.judge = lambda message: ACCEPT
                await journal.settled()
                await alarms.until(lambda: "publish-refused" not in alarms.standing)
                tape.judge = lambda message: (
                    refuse() if message.topic.endswith("result") else ACCEPT
                )


@pytest.mark.parametrize(("version", "reason"), [("5", "0x87"), ("3.1.1", "0x80")])
async def test_mosquittos_access_rules_are_noticed_on_both_versions(
    mosquitto: StartMosquitto,
    journal: Journal,
    publishing: Running,
    alarms: Alarms,
    tmp_path: Path,
    version: str,
    reason: str,
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite {ROOT}/#\ntopic deny {ROOT}/result\n")
    broker = mosquitto(f"acl_file {rules}")
    results = [journal.result(f"r{number}") for number in range(3)]
    connect = to(broker.port, version=version)
    async with publishing(connect, timing=QUICK):
        await alarms.until(lambda: "publish-refused" in alarms.standing)
        assert f"result ({reason})" in alarms.standing["publish-refused"]
        await journal.until(lambda: len(journal.closed) == 6)
        assert [row.payload for row in journal.store.outbox.pending(9)] == results
        async with witnessing(broker.port) as lims:
            rules.write_text(f"topic readwrite {ROOT}/#\n")
            broker.send(signal.SIGHUP)
            heard = await lims.hear("result", 3)
            assert set(heard) == set(results)
        await journal.settled()
        await alarms.until(lambda: "publish-refused" not in alarms.standing)


async def test_a_row_larger_than_the_broker_allows_waits_and_the_others_go_on(
    mosquitto: StartMosquitto, journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    broker = mosquitto("max_packet_size 2000")
    told: list[bytes] = []
    large, small = journal.note("x" * 3000), journal.note("small")
    async with (
        witnessing(broker.port) as lims,
        publishing(to(broker.port), on_too_large=lambda row: told.append(row.payload)),
    ):
        assert await lims.hear("event") == [small]
        assert "payload-too-large" in alarms.standing
        assert told == [large]
        assert [row.payload for row in journal.store.outbox.pending(9)] == [large]
    roomy = mosquitto()
    async with witnessing(roomy.port) as lims, publishing(to(roomy.port)):
        assert await lims.hear("event") == [large]
        await alarms.until(lambda: "payload-too-large" not in alarms.standing)


async def test_a_row_that_ends_every_connection_is_told_and_the_others_go_on(
    mosquitto: StartMosquitto,
    journal: Journal,
    publishing: Running,
    alarms: Alarms,
    links: Links,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """MQTT 3.1.1 names no limit: mosquitto hangs up on what is too large."""
    broker = mosquitto("max_packet_size 2000")
    told: list[bytes] = []
    small = [journal.note(f"before {number}") for number in range(3)]
    large = journal.note("x" * 3000)
    small += [journal.note(f"after {number}") for number in range(30)]
    connect = to(broker.port, version="3.1.1")
    async with (
        witnessing(broker.port) as lims,
        publishing(connect, on_too_large=lambda row: told.append(row.payload)) as publisher,
    ):
        heard: list[bytes] = []
        while len(set(heard)) < len(small):
            heard += await lims.hear("event")
        assert list(dict.fromkeys(heard)) == small
        await journal.until(lambda: len(journal.closed) == len(small))
        assert told == [large]
        assert "payload-too-large" in alarms.standing
        assert [row.payload for row in journal.store.outbox.pending(9)] == [large]
        losses = links.seen.count(False)
        assert losses <= 6  # some in a window, two alone
        later = journal.note("later")
        publisher.wake()
        assert await lims.hear("event") == [later]
        assert links.seen.count(False) == losses
    assert [one for one in caplog.records if one.name == "asyncio"] == []
