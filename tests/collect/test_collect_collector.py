"""The collector against a real mosquitto: durable session, receipts, gaps, bytes, garbage."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from readerd.collect.collector import Collector
from readerd.collect.ledger import Patience
from readerd.collect.settings import CollectSettings
from readerd.collect.shelf import Shelf, open_shelf
from readerd.errors import StoreError
from tests.conftest import StartMosquitto

ROOT = "readerd/v1/lab1/b1"
STREAM = "01HZZ0K3Q8J5M7N2P4R6S8T0V1"
WITHIN_S = 10.0


def result(number: int, text: str = "") -> bytes:
    body = {
        "id": f"01JNF6ZX9M2E7A4R8T1Y5W{number:04d}",
        "source": "urn:readerd:lab1:b1",
        "type": "org.readerd.result.v1",
        "stream": STREAM,
        "sequence": number,
        "data": text,
    }
    return json.dumps(body).encode()


@dataclass
class Lims:
    """One collector in this loop, and what it said."""

    collector: Collector
    shelf: Shelf
    lines: list[str]
    changed: asyncio.Event
    run: asyncio.Task[None]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def says(self, text: str) -> None:
        await self.until(lambda: any(text in line for line in self.lines))

    def sequences(self) -> list[int]:
        return sorted(place.sequence for place in self.shelf.places())


@dataclass
class Reader:
    """The daemon's side by hand: publishes, and hears receipts and commands."""

    client: aiomqtt.Client
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self.client.publish(f"{ROOT}/{topic}", payload, qos=1, retain=retain)

    async def hear(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """The next receipts and commands."""
        found: list[tuple[str, dict[str, Any]]] = []
        async with asyncio.timeout(WITHIN_S):
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                topic = str(message.topic).removeprefix(f"{ROOT}/")
                found.append((topic, json.loads(message.payload)))
                if len(found) == count:
                    break
        return found


@asynccontextmanager
async def reading(port: int) -> AsyncIterator[Reader]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe([(f"{ROOT}/receipt/+", 1), (f"{ROOT}/cmd/+", 1)])
        yield Reader(client)


def quick(port: int, **more: Any) -> CollectSettings:
    patience = Patience(missing_for_s=0.05, again_first_s=0.1, again_most_s=0.2)
    return CollectSettings(
        url=f"mqtt://127.0.0.1:{port}",
        patience=patience,
        look_every_s=0.02,
        retry_first_s=0.02,
        retry_most_s=0.1,
        **more,
    )


@asynccontextmanager
async def collecting(
    settings: CollectSettings, target: str, shelf: Shelf | None = None, *, wait: bool = True
) -> AsyncIterator[Lims]:
    shelf, lines, changed = shelf or open_shelf(target), list[str](), asyncio.Event()

    def tell(line: str) -> None:
        lines.append(line)
        changed.set()

    collector = Collector(settings, shelf, tell=tell, now=lambda: datetime(2026, 3, 4, tzinfo=UTC))
    stop = asyncio.Event()
    run = asyncio.create_task(collector.run(stop))
    try:
        if wait:
            waiting = asyncio.create_task(collector.connected.wait())
            async with asyncio.timeout(WITHIN_S):
                await asyncio.wait({waiting, run}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        yield Lims(collector, shelf, lines, changed, run)
    finally:
        stop.set()
        try:
            async with asyncio.timeout(WITHIN_S):
                await run
        finally:
            shelf.close()


@pytest.fixture(params=["{}/kept", "sqlite:{}/kept.db"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param).format(tmp_path)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_receipt_for_each_copy_and_one_copy_kept(
    mosquitto: StartMosquitto, target: str, version: Any
) -> None:
    broker = mosquitto()
    async with (
        reading(broker.port) as reader,
        collecting(quick(broker.port, version=version), target) as lims,
    ):
        for payload in (result(1), result(1), result(2), result(1, "other")):
            await reader.publish("result", payload)
        receipts = await reader.hear(4)
        assert {topic for topic, _ in receipts} == {"receipt/lims"}
        told = [(body["event_id"][-4:], body["outcome"]) for _, body in receipts]
        assert told == [
            ("0001", "stored"), ("0001", "duplicate"), ("0002", "stored"), ("0001", "refused"),
        ]  # fmt: skip
        assert set(receipts[0][1]) == {"event_id", "outcome", "ref", "at"}
        assert lims.sequences() == [1, 2]
        await lims.says("DIFFERS: lab1/b1 result 1")


async def test_what_came_while_nobody_was_there_waits_in_the_session(
    mosquitto: StartMosquitto, target: str
) -> None:
    broker = mosquitto()
    settings = quick(broker.port, receipts=False)
    async with collecting(settings, target):
        pass
    async with reading(broker.port) as reader:
        for number in range(1, 31):
            await reader.publish("result", result(number))
    async with collecting(settings, target) as lims:
        await lims.until(lambda: lims.collector.counts["stored"] == 30)
        assert lims.sequences() == list(range(1, 31))


async def test_a_gap_is_found_asked_for_and_filled(mosquitto: StartMosquitto, target: str) -> None:
    broker = mosquitto()
    settings = quick(broker.port, receipts=False)
    async with reading(broker.port) as reader, collecting(settings, target) as lims:
        await reader.publish("result", result(1))
        await reader.publish("result", result(4))
        [(topic, asked)] = await reader.hear(1)
        assert (topic, asked["requester"]) == ("cmd/replay", "lims")
        assert {key: asked["args"][key] for key in ("stream", "from", "to")} == {
            "stream": STREAM, "from": 2, "to": 3,
        }  # fmt: skip
        assert asked["issued_at"] < asked["expires_at"]
        await reader.publish("replay/lims", result(2))
        await reader.publish("replay/lims", result(3))
        await lims.until(lambda: lims.collector.counts["stored"] == 4)
        assert lims.collector.missing() == {}


@pytest.mark.parametrize("order", [("info", "health"), ("health", "info")])
async def test_the_end_of_a_stream_is_found_by_health(
    mosquitto: StartMosquitto, target: str, order: tuple[str, str]
) -> None:
    broker = mosquitto()
    bodies = {
        "info": {"streams": {"result": STREAM}},
        "health": {"last_sequence": {"result": 2, "event": 0}},
    }
    settings = quick(broker.port, receipts=False)
    async with reading(broker.port) as reader, collecting(settings, target):
        for name in order:
            await reader.publish(name, json.dumps(bodies[name]).encode(), retain=True)
        [(_, asked)] = await reader.hear(1)
        assert (asked["args"]["from"], asked["args"]["to"]) == (1, 2)


async def test_a_restart_knows_what_is_kept(mosquitto: StartMosquitto, target: str) -> None:
    broker = mosquitto()
    settings = quick(broker.port)
    async with reading(broker.port) as reader:
        async with collecting(settings, target):
            await reader.publish("result", result(1))
            await reader.hear(1)
        async with collecting(settings, target) as lims:
            assert lims.collector.missing() == {}
            await reader.publish("result", result(3))
            topic, asked = "", dict[str, Any]()
            while topic != "cmd/replay":  # the first may come again: its receipt went, then we did
                [(topic, asked)] = await reader.hear(1)
            assert (asked["args"]["from"], asked["args"]["to"]) == (2, 2)


async def test_garbage_and_a_killed_broker_are_survived_twice(
    mosquitto: StartMosquitto, target: str
) -> None:
    broker = mosquitto()
    async with collecting(quick(broker.port), target) as lims:
        for number in (1, 2):
            async with reading(broker.port) as reader:
                for topic in ("result", "event", "info", "health", "status", "replay/lims"):
                    await reader.publish(topic, b"\xff{rubbish")
                await reader.publish("result", result(number))
                [(_, receipt)] = await reader.hear(1)
                assert receipt["outcome"] == "stored"
            assert lims.collector.counts["garbage"] == 6 * number
            broker.end(signal.SIGKILL)
            await lims.until(lambda: not lims.collector.connected.is_set())
            broker.start()
            async with asyncio.timeout(WITHIN_S):
                await lims.collector.connected.wait()


async def test_a_refused_subscription_and_a_refused_receipt_are_told(
    mosquitto: StartMosquitto, target: str, tmp_path: Path
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read readerd/v1/#\ntopic write readerd/v1/+/+/result\n")
    broker = mosquitto(f"acl_file {rules}")
    async with reading(broker.port) as reader, collecting(quick(broker.port), target) as lims:
        await reader.publish("result", result(1))
        await lims.says("REFUSED: the broker does not let us publish: Not authorized")
        assert lims.sequences() == [1]


@dataclass
class FullShelf:
    """A shelf whose disk is full."""

    real: Shelf

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def keep(self, items: Any) -> Any:
        raise StoreError("no space left")


async def _collect_one_on(shelf: FullShelf, settings: CollectSettings, target: str) -> None:
    async with collecting(settings, target, shelf) as lims:
        async with reading(settings.port) as reader:
            await reader.publish("result", result(1))
        await asyncio.wait({lims.run}, timeout=WITHIN_S)


async def test_what_cannot_be_kept_is_not_acknowledged_and_comes_again(
    mosquitto: StartMosquitto, target: str
) -> None:
    broker = mosquitto()
    settings = replace(quick(broker.port), receipts=False)
    with pytest.raises(StoreError, match="no space left"):
        await _collect_one_on(FullShelf(open_shelf(target)), settings, target)
    async with collecting(settings, target) as lims:
        await lims.until(lambda: lims.collector.counts["stored"] == 1)
