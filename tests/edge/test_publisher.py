"""The publisher against brokers that refuse, fall silent and die: what is stored is not lost."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Any, cast

import pytest
from edge.delivery import ROOT, SHORT, Alarms, Journal, Links, Running, to, witnessing

from readerd.demo.broker import (
    ACCEPT,
    SWALLOW,
    UNACKNOWLEDGED,
    Broker,
    PublishHook,
    Verdict,
    refuse,
)
from readerd.demo.packets import Publication, Reason
from readerd.edge.drain import OutboxRow
from readerd.edge.publisher import Publisher
from readerd.errors import StoreError

STREAMS = (f"{ROOT}/result", f"{ROOT}/event")


class Tape:
    """Everything that reaches a broker, in order; `judge` may be replaced."""

    def __init__(self, broker: Broker) -> None:
        self.seen: list[Publication] = []
        self.judge: PublishHook = lambda message: ACCEPT
        self._changed = asyncio.Event()
        broker.on_publish = self

    def __call__(self, message: Publication) -> Verdict:
        self.seen.append(message)
        self._changed.set()
        return self.judge(message)

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.seen if message.topic == f"{ROOT}/{topic}"]

    def topics(self) -> list[str]:
        return [message.topic.removeprefix(f"{ROOT}/") for message in self.seen]

    async def until(self, topic: str, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.payloads(topic)) < count:
                self._changed.clear()
                await self._changed.wait()


LogLines = Callable[[str], Awaitable[logging.LogRecord]]


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
        async with asyncio.timeout(10):
            while text not in (line := await lines.get()).getMessage():
                pass
        return line

    yield following
    logger.setLevel(level)
    logger.removeHandler(handler)


@pytest.fixture
def tape(broker: Broker) -> Tape:
    return Tape(broker)


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


async def test_500_rows_keep_their_order_within_the_window(
    broker: Broker, journal: Journal, publishing: Running
) -> None:
    stored = [journal.note(f"n{number}") for number in range(500)]
    unanswered = 0
    most = 0

    def count(message: Publication) -> Verdict:
        nonlocal unanswered, most
        unanswered = len(seen) + 1 - len(journal.closed)
        most = max(most, unanswered)
        seen.append(message.payload)
        return ACCEPT

    seen: list[bytes] = []
    broker.on_publish = lambda message: count(message) if "event" in message.topic else ACCEPT
    async with publishing(to(broker.port)):
        await journal.settled()
    assert seen == stored
    assert journal.closed == sorted(journal.closed)
    assert 1 < most <= 20  # offered and not yet closed in the journal
    assert journal.commits <= 250


async def test_every_connect_publishes_what_is_retained_before_the_rows(
    broker: Broker, tape: Tape, journal: Journal, publishing: Running, links: Links
) -> None:
    async with publishing(to(broker.port)) as publisher:
        for topic in ("last", "alarm/x", "health", "state", "info"):
            publisher.publish_retained(topic, topic.encode())
        publisher.publish_retained("state", b"newest")
        await tape.until("alarm/x", 1)
        for again in (2, 3):
            tape.seen.clear()
            await broker.kill()
            journal.note(f"while away {again}")
            await broker.start()
            await links.times(again)
            await journal.settled()
            await tape.until("alarm/x", 1)
            expected = ["status", "info", "state", "health", "last", "alarm/x", "event"]
            assert tape.topics()[:7] == expected
            assert tape.payloads("state") == [b"newest"]
            assert broker.retained[f"{ROOT}/state"].message.payload == b"newest"


async def test_an_emptied_alarm_leaves_the_broker_and_is_not_told_again(
    broker: Broker, tape: Tape, publishing: Running, links: Links
) -> None:
    async with publishing(to(broker.port)) as publisher:
        publisher.publish_retained("alarm/x", b"up")
        await tape.until("alarm/x", 1)
        publisher.publish_retained("alarm/x", b"")
        await tape.until("alarm/x", 2)
        assert f"{ROOT}/alarm/x" not in broker.retained
        publisher.publish_retained("health", b"fence")
        await tape.until("health", 1)  # by now the empty one is acknowledged
        tape.seen.clear()
        broker.drop("readerd-lab1-bench2")
        await tape.until("health", 1)
        assert "alarm/x" not in tape.topics()


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
        assert [row.payload for row in journal.store.pending(99)] == results
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


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_late_will_is_written_over(
    broker: Broker, publishing: Running, links: Links, version: str
) -> None:
    """An offline, an empty and a nonsense status from elsewhere; twice in a row each."""
    async with witnessing(broker.port) as lims, publishing(to(broker.port, version=version)):
        [online] = await lims.hear("status")
        assert json.loads(online) == {
            "status": "online",
            "session": 7,
            "since": "2026-03-04T00:00:00Z",
        }
        for late in (b'{"status":"offline","session":6,"since":null}', b"", b"{nonsense") * 2:
            await lims.client.publish(f"{ROOT}/status", late, qos=1, retain=True)
            assert await lims.hear("status", 2) == [late, online]
            assert broker.retained[f"{ROOT}/status"].message.payload == online
    assert links.seen == [True, False]


async def test_two_daemons_on_one_topic_do_not_write_over_each_other_for_ever(
    broker: Broker, publishing: Running, tape: Tape, log_lines: LogLines
) -> None:
    other = b'{"status":"online","session":99,"since":null}'
    async with witnessing(broker.port) as lims, publishing(to(broker.port)) as publisher:
        await lims.hear("status")
        await lims.client.publish(f"{ROOT}/status", other, qos=1, retain=True)
        await lims.client.publish(f"{ROOT}/status", other, qos=1, retain=True)
        assert (await log_lines("doubled")).levelno == logging.WARNING
        await log_lines("doubled")
        publisher.publish_retained("health", b"fence")
        await tape.until("health", 1)
        assert tape.payloads("status")[1:] == [other, other]


async def test_the_will_carries_the_session_and_speaks_when_we_are_cut(
    broker: Broker, publishing: Running, links: Links
) -> None:
    async with witnessing(broker.port) as lims, publishing(to(broker.port)):
        await lims.hear("status")
        broker.drop("readerd-lab1-bench2")
        [will, again] = await lims.hear("status", 2)
        assert json.loads(will) == {"status": "offline", "session": 7, "since": None}
        assert json.loads(again)["status"] == "online"


async def test_a_stop_says_offline_and_goodbye(
    broker: Broker, publishing: Running, tape: Tape
) -> None:
    async with witnessing(broker.port) as lims:
        async with publishing(to(broker.port)):
            await lims.hear("status")
        [goodbye] = await lims.hear("status")
        assert json.loads(goodbye)["status"] == "offline"
        assert json.loads(goodbye)["since"] is not None  # ours, not the will
        await lims.client.publish(f"{ROOT}/fence", b"", qos=1)
        await lims.hear("fence")
        assert [topic for topic, _ in lims.heard].count("status") == 2  # and no will


async def test_a_stop_is_short_when_the_broker_is_silent(
    broker: Broker, publishing: Running, tape: Tape, links: Links
) -> None:
    async with publishing(to(broker.port), timing=SHORT):
        await links.times(1)
        await tape.until("status", 1)
        tape.judge = lambda message: SWALLOW
        began = time.monotonic()
    assert time.monotonic() - began < 2.0


async def test_a_stop_is_short_while_connecting(publishing: Running, broker: Broker) -> None:
    """A peer that takes the connection and never says a word."""
    taken = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server, publishing(to(server.sockets[0].getsockname()[1])):
        await taken.wait()
        began = time.monotonic()
    assert time.monotonic() - began < 2.0


async def test_a_loss_is_told_once_and_the_recovery_once(
    broker: Broker, publishing: Running, links: Links, log_lines: LogLines
) -> None:
    async with publishing(to(broker.port)):
        for time_around in (1, 2):
            await links.times(time_around)
            await broker.kill()
            lost = [await log_lines("link=lost") for _ in range(3)]
            assert [one.levelno for one in lost] == [logging.WARNING, logging.DEBUG, logging.DEBUG]
            await broker.start()
            assert (await log_lines("link=up")).levelno == logging.INFO


async def test_another_client_with_our_id_is_an_alarm_and_slows_us_down(
    broker: Broker, publishing: Running, alarms: Alarms, links: Links
) -> None:
    async with publishing(to(broker.port)):
        await links.times(1)
        async with witnessing(broker.port, identifier="readerd-lab1-bench2"):
            await alarms.until(lambda: "duplicate-client-id" in alarms.standing)
        await links.times(2)
        await alarms.until(lambda: "duplicate-client-id" not in alarms.standing)


async def test_progress_is_a_hint(
    broker: Broker, tape: Tape, publishing: Running, links: Links
) -> None:
    async with publishing(to(broker.port)) as publisher:
        await links.times(1)
        publisher.publish_progress(b"A1")
        await tape.until("progress", 1)
        [hint] = [one for one in tape.seen if one.topic == f"{ROOT}/progress"]
        assert (hint.qos, hint.retain, hint.expiry_s) == (0, False, 60)
        await broker.kill()
        await links.times(1, connected=False)
        publisher.publish_progress(b"A2")
        await broker.start()
        await links.times(2)
        publisher.publish_progress(b"A3")
        await tape.until("progress", 2)
    assert tape.payloads("progress") == [b"A1", b"A3"]


async def test_what_comes_in_goes_to_the_one_who_asked(
    broker: Broker, publishing: Running, links: Links
) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    inbox = {"cmd/#": lambda message: told.put_nowait(message.topic)}
    async with witnessing(broker.port) as lims, publishing(to(broker.port), inbox=inbox):
        await lims.hear("status")
        await lims.client.publish(f"{ROOT}/cmd/ping", b"{}", qos=1)
        async with asyncio.timeout(10):
            assert await told.get() == f"{ROOT}/cmd/ping"


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
