"""A broker in the loop, for virtual time: both seams lead here, the daemon's and the LIMS's.

It behaves as mosquitto was seen to: it acknowledges before it delivers, keeps a session for a
client that is away, drops what no longer fits its queue, forgets everything when it is killed, and
tells the will of whoever leaves without a goodbye.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiomqtt

from readerd.collect.link import Link as LimsLink
from readerd.collect.link import LinkLost
from readerd.collect.settings import CollectSettings
from readerd.demo.sessions import matches
from readerd.edge.broker import SESSION_TAKEN_OVER, BrokerLost, Connection, Incoming, Outgoing

# A loopback or a house network, one way.
LATENCY_S = 0.003
# MQTT 5.0, 2.4: not authorised.
NOT_AUTHORISED = 0x87
# The contract, section 4: keepalive 12 s; a client that is silent for one and a half is gone.
SILENT_S = 18.0
# What a client waits for a welcome.
CONNECT_WITHIN_S = 10.0
# mosquitto's own default for messages queued per client.
QUEUE_LIMIT = 1000

Meets = Callable[[str, bytes], bool]  # topic, payload


@dataclass(eq=False)
class Line:
    """One connection of the daemon."""

    broker: "LoopBroker"
    will: Outgoing
    version: str = "5"
    window: int = 20
    filters: list[str] = field(default_factory=list)
    ended: BrokerLost | None = None
    arrived: asyncio.Queue[Incoming | None] = field(default_factory=asyncio.Queue)

    def takes(self, message: Outgoing) -> bool:
        return True

    def is_congested(self) -> bool:
        return False

    def publish(self, message: Outgoing) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._require_open()
        if message.qos == 0:
            answer.set_result(0)
        loop.call_later(LATENCY_S, self.broker.arrives, self, message, answer)
        return answer

    def subscribe(self, topic_filter: str, *, retained: bool = False) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._require_open()
        loop.call_later(LATENCY_S, self.broker.subscribed, self, topic_filter, retained, answer)
        return answer

    async def incoming(self) -> AsyncIterator[Incoming]:
        while (message := await self.arrived.get()) is not None:
            yield message
        self._require_open()

    async def goodbye(self) -> None:
        self.broker.leave(self, politely=True)

    def end(self, text: str, reason: int | None = None) -> None:
        if self.ended is None:
            self.ended = BrokerLost(text, reason)
            self.arrived.put_nowait(None)

    def _require_open(self) -> None:
        if self.ended is not None:
            raise BrokerLost(str(self.ended), self.ended.reason)


@dataclass(eq=False)
class Session:
    """A client whose messages are kept while it is away."""

    filters: tuple[str, ...] = ()
    queue: deque[aiomqtt.Message] = field(default_factory=deque)
    flight: dict[int, aiomqtt.Message] = field(default_factory=dict)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    here: bool = False
    dropped: int = 0


@dataclass
class LoopBroker:
    """`refuses` and `loses` (acknowledged, and gone) are filled by whoever plays fate."""

    dice: random.Random
    refuses: list[Meets] = field(default_factory=list)
    loses: list[Meets] = field(default_factory=list)
    outages: int = 0
    mutings: int = 0
    retained: dict[str, bytes] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    published: int = 0
    _number: int = 0

    @property
    def up(self) -> bool:
        return not self.outages

    @property
    def mute(self) -> bool:
        """Half open: it takes everything and says nothing."""
        return self.mutings > 0

    # -- fate --------------------------------------------------------------------------------

    @contextmanager
    def away(self) -> Iterator[None]:
        """Killed: sessions, queues and retained messages are forgotten, nobody tells a will."""
        self.outages += 1
        self.retained.clear()
        for line in [*self.lines]:
            self._drop(line, "connection reset by peer")
        for session in self.sessions.values():
            session.here = False
            session.stirred.set()
        self.sessions.clear()
        try:
            yield
        finally:
            self.outages -= 1

    @contextmanager
    def half_open(self) -> Iterator[None]:
        """Who hears nothing for long enough goes."""
        self.mutings += 1
        loop = asyncio.get_running_loop()
        for line in self.lines:
            loop.call_later(SILENT_S, self._keepalive, line)
        for session in self.sessions.values():
            session.stirred.set()
        try:
            yield
        finally:
            self.mutings -= 1

    def take_over(self) -> None:
        """Another client comes with our id."""
        for line in [*self.lines]:
            line.end("the connection ended: Session taken over", SESSION_TAKEN_OVER)
            self.leave(line, politely=False)

    def cut(self) -> None:
        """The daemon's end is gone without a word: the will speaks."""
        for line in [*self.lines]:
            line.end("cut")
            self.leave(line, politely=False)

    def _keepalive(self, line: Line) -> None:
        if self.mute and line in self.lines:
            line.end("no answer to a ping")
            self.leave(line, politely=False)

    def _drop(self, line: Line, text: str) -> None:
        line.end(text)
        self.lines.remove(line)

    # -- the daemon's seam -------------------------------------------------------------------

    @asynccontextmanager
    async def connect(self, will: Outgoing) -> AsyncIterator[Connection]:
        await asyncio.sleep(LATENCY_S)
        if not self.up:
            raise BrokerLost("connection refused")
        if self.mute:
            await asyncio.sleep(CONNECT_WITHIN_S)
            raise BrokerLost(f"no answer within {CONNECT_WITHIN_S:g} s")
        line = Line(self, will)
        self.lines.append(line)
        try:
            yield line
        finally:
            line.end("closed")
            self.leave(line, politely=False)

    def leave(self, line: Line, *, politely: bool) -> None:
        if line not in self.lines:
            return
        self._drop(line, "closed")
        if not politely:
            self._route(line.will)

    def arrives(self, line: Line, message: Outgoing, answer: asyncio.Future[int]) -> None:
        """What was under way when a line was cut may have arrived all the same."""
        if not self.up or self.mute or (line.ended and self.dice.random() < 0.5):
            return
        self.published += 1
        refused = any(meets(message.topic, message.payload) for meets in self.refuses)
        if not refused:
            self._route(message)
        if line.ended is None and not answer.done():
            answer.set_result(NOT_AUTHORISED if refused else 0)

    def subscribed(
        self, line: Line, topic_filter: str, retained: bool, answer: asyncio.Future[int]
    ) -> None:
        if not self.up or self.mute or line.ended is not None:
            return
        line.filters.append(topic_filter)
        answer.set_result(1)
        for topic, payload in self.retained.items() if retained else ():
            if matches(topic_filter, topic):
                line.arrived.put_nowait(Incoming(topic=topic, payload=payload, retained=True))

    def _route(self, message: Outgoing) -> None:
        topic, payload = message.topic, message.payload
        if message.retain and payload:
            self.retained[topic] = payload
        elif message.retain:
            self.retained.pop(topic, None)
        if any(meets(topic, payload) for meets in self.loses):
            return
        for line in self.lines:
            if any(matches(name, topic) for name in line.filters):
                line.arrived.put_nowait(Incoming(topic=topic, payload=payload, retained=False))
        for session in self.sessions.values():
            if any(matches(name, topic) for name in session.filters):
                self._deliver(session, topic, payload, message.qos, retained=False)

    # -- the LIMS's seam ---------------------------------------------------------------------

    @asynccontextmanager
    async def connect_lims(
        self, settings: CollectSettings, on_refused: Callable[[str], None]
    ) -> AsyncIterator[LimsLink]:
        await asyncio.sleep(LATENCY_S)
        if not self.up:
            raise LinkLost("connection refused")
        if self.mute:
            await asyncio.sleep(CONNECT_WITHIN_S)
            raise LinkLost(f"no answer within {CONNECT_WITHIN_S:g} s")
        session = self.sessions.setdefault(settings.client_id, Session())
        session.here = True
        session.queue.extendleft(reversed(session.flight.values()))
        session.flight.clear()
        session.stirred.set()
        try:
            yield _LimsLine(self, session, settings)
        finally:
            session.here = False

    def _deliver(
        self, session: Session, topic: str, payload: bytes, qos: int, *, retained: bool
    ) -> None:
        if qos == 0 and not session.here:
            return
        if len(session.queue) >= QUEUE_LIMIT:
            session.dropped += 1
            return
        self._number += 1
        session.queue.append(aiomqtt.Message(topic, payload, qos, retained, self._number, None))
        session.stirred.set()


@dataclass(eq=False)
class _LimsLine:
    broker: LoopBroker
    session: Session
    settings: CollectSettings

    async def subscribe(self) -> list[str]:
        self._require_open()
        self.session.filters = self.settings.topics
        for topic, payload in self.broker.retained.items():
            if any(matches(name, topic) for name in self.settings.topics):
                self.broker._deliver(self.session, topic, payload, 1, retained=True)
        return []

    async def incoming(self) -> AsyncIterator[aiomqtt.Message]:
        session = self.session
        while True:
            while session.queue and not self.broker.mute:
                message = session.queue.popleft()
                session.flight[message.mid] = message
                yield message
            session.stirred.clear()
            self._require_open()
            try:
                async with asyncio.timeout(SILENT_S if self.broker.mute else None):
                    await session.stirred.wait()
            except TimeoutError:
                raise LinkLost("no answer to a ping") from None

    def acknowledge(self, message: aiomqtt.Message) -> None:
        self.session.flight.pop(message.mid, None)

    async def publish(self, topic: str, payload: bytes, expiry_s: int | None = None) -> None:
        self._require_open()
        await asyncio.sleep(LATENCY_S)
        self._require_open()
        if self.broker.mute:
            await asyncio.sleep(CONNECT_WITHIN_S)
            raise LinkLost("no acknowledgement")
        self.broker._route(Outgoing(topic=topic, payload=payload, expiry_s=expiry_s))
        await asyncio.sleep(LATENCY_S)

    def _require_open(self) -> None:
        if not self.session.here:
            raise LinkLost("connection reset by peer")
