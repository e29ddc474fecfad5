"""A real journal, a publisher on short real bounds, and a witness that hears what a LIMS hears."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from readerd.demo.broker import ACCEPT, Broker, PublishHook, Verdict
from readerd.demo.packets import Publication
from readerd.edge.broker import Connect
from readerd.edge.mqtt import connector
from readerd.edge.mqtt_settings import MqttSettings
from readerd.edge.publisher import Publisher
from readerd.edge.timing import Timing
from readerd.run.rows import Compose, NewRun, OutboxRow, Place, Stored, Telling
from readerd.run.store import Store

ROOT = "readerd/v1/lab1/bench2"
AT = "2026-03-04T09:15:42.000+01:00"
WITHIN_S = 10.0
SHORT = Timing(
    acknowledge_within_s=0.4,
    retry_first_s=0.02,
    retry_most_s=0.1,
    steady_after_s=0.2,
    farewell_within_s=0.5,
    uniform=random.Random(570).uniform,
)


@dataclass
class Journal:
    """A real store, and an event for whoever waits until rows have been closed."""

    store: Store
    closed: list[int] = field(default_factory=list)  # row ids in the order of their closing
    commits: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def pending(self, limit: int, after_row_id: int = 0) -> Sequence[OutboxRow]:
        return self.store.outbox.pending(limit, after_row_id)

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        self.store.outbox.broker_acked(row_ids, at)
        self.closed += row_ids
        self.commits += 1
        self._changed.set()

    def note(self, text: str) -> bytes:
        """Store one event; its bytes."""
        return self._store(lambda compose: self.store.record(compose, AT), text)

    def result(self, text: str) -> bytes:
        """A run that ends with a result (and its events); the result's bytes."""
        run = NewRun(
            id=text, key=text, plate=None, request={}, assay_sha256="0" * 64, assay_text=""
        )
        self.store.accept(run, AT)
        self.store.begin(text, AT, composed("began"))

        def end(compose: Compose) -> None:
            telling = Telling(result=compose, event=composed("failed"), at=AT, basis={})
            self.store.fail(text, "fail", {}, None, telling)

        return self._store(end, text)

    def _store(self, write: Callable[[Compose], None], text: str) -> bytes:
        made: list[bytes] = []

        def compose(place: Place) -> Stored:
            made.append(body(place, text))
            return Stored(f"{text}-{place.sequence}", made[0])

        write(compose)
        return made[0]

    async def settled(self) -> None:
        """Nothing is left in state stored."""
        await self.until(lambda: not self.store.outbox.pending(1))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def body(place: Place, text: str) -> bytes:
    return json.dumps({"sequence": place.sequence, "text": text}).encode()


def composed(text: str) -> Compose:
    return lambda place: Stored(f"{text}-{place.stream}-{place.sequence}", body(place, text))


@dataclass
class Alarms:
    """What the publisher raised and cleared, in order, and a way to wait for it."""

    standing: dict[str, str] = field(default_factory=dict)
    raised: list[str] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, code: str, text: str | None) -> None:
        if text is None:
            self.standing.pop(code, None)
        else:
            self.standing[code] = text
            self.raised.append(code)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Links:
    """Every time the link came up or went away."""

    seen: list[bool] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, connected: bool) -> None:
        self.seen.append(connected)
        self._changed.set()

    async def times(self, count: int, connected: bool = True) -> None:
        """Wait until the link has come up (or gone away) this often."""
        async with asyncio.timeout(WITHIN_S):
            while self.seen.count(connected) < count:
                self._changed.clear()
                await self._changed.wait()


Running = Callable[..., AbstractAsyncContextManager[Publisher]]


def settings(port: int, **more: Any) -> MqttSettings:
    return MqttSettings(url=f"mqtt://127.0.0.1:{port}", **more)


def to(port: int, **more: Any) -> Connect:
    return connector(settings(port, **more), "readerd-lab1-bench2", within_s=2.0)


@dataclass
class Witness:
    """A subscriber to everything under the root."""

    client: aiomqtt.Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    async def hear(self, topic: str, count: int = 1) -> list[bytes]:
        """The next payloads on a topic; everything else that comes meanwhile is in `heard`."""
        found: list[bytes] = []
        async with asyncio.timeout(WITHIN_S):
            async for message in self.client.messages:
                name = str(message.topic).removeprefix(f"{ROOT}/")
                self.heard.append((name, bytes(message.payload)))
                if name == topic:
                    found.append(bytes(message.payload))
                if len(found) == count:
                    break
        return found


@asynccontextmanager
async def witnessing(port: int, **more: Any) -> AsyncIterator[Witness]:
    arguments = {"protocol": aiomqtt.ProtocolVersion.V5, **more}
    async with aiomqtt.Client("127.0.0.1", port, **arguments) as client:
        await client.subscribe(f"{ROOT}/#", qos=1)
        yield Witness(client)


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
        async with asyncio.timeout(WITHIN_S):
            while len(self.payloads(topic)) < count:
                self._changed.clear()
                await self._changed.wait()


LogLines = Callable[[str], Awaitable[logging.LogRecord]]
