"""Presence: what stands on the broker, who hears that we are gone, and how we come back."""

import asyncio
import json
import logging
import time

import pytest

from readerd.demo.broker import (
    SWALLOW,
    Broker,
)
from tests.edge.delivery import (
    ROOT,
    SHORT,
    Alarms,
    Journal,
    Links,
    LogLines,
    Running,
    Tape,
    to,
    witnessing,
)


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


async def test_a_stop_is_short_whatever_we_were_about(
    broker: Broker, publishing: Running, journal: Journal
) -> None:
    """Stopped after each of the first turns of the loop: connecting, subscribing, draining."""
    journal.note("n")
    reached: set[bool] = set()
    for turns in range(120):
        async with publishing(to(broker.port)) as publisher:
            for _ in range(turns):
                await asyncio.sleep(0)
            reached.add(publisher.connected)
            began = time.monotonic()
        assert time.monotonic() - began < 2.0
        assert not publisher.connected
    assert reached == {False, True}


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
