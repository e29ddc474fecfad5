"""The daemon's presence on the broker: connect, stand there, drain, and come back after every loss.

The problem: brokers restart, cables hang half open, an old connection's will arrives after the new
connection stands, and none of that may lose a row, lie about our presence or hammer the broker.

The rule: one connection after another, each begun from nothing: subscribe, publish everything that
is retained, drain the journal from its first stored row. Any doubt (an overdue acknowledgement, a
silent network, the library's own complaint) ends the connection without a goodbye, so that the will
tells the truth, and the next one follows after a growing random pause. Only a stop says goodbye,
and publishes `offline` itself first. The status carries the number of this start of the daemon; an
`offline` on our own topic while we stand is somebody's late will and is written over at once.

Rejected: repairing a connection in place (each repair is a state that no test has seen), resetting
the pause at every connect (a message that the broker dislikes would make us knock for ever).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ValidationError

from readerd.edge.broker import (
    REFUSED_FROM,
    SESSION_TAKEN_OVER,
    BrokerLost,
    Connect,
    Connection,
    Incoming,
    Outgoing,
    answered,
)
from readerd.edge.drain import Drain, Outbox, OutboxRow
from readerd.edge.letters import Letters
from readerd.edge.retained import Retained
from readerd.edge.timing import Timing
from readerd.payload import StatusMessage, encode
from readerd.run.outage import Outage
from readerd.run.promise import Promise

log = logging.getLogger(__name__)

OnMessage = Callable[[Incoming], None]
# An alarm's code, and what is the matter; None when it is over.
OnAlarm = Callable[[str, str | None], None]
OnLink = Callable[[bool], None]
OnTooLarge = Callable[[OutboxRow], None]

PUBLISH_REFUSED: Final = "publish-refused"
SUBSCRIBE_REFUSED: Final = "subscribe-refused"
DUPLICATE_CLIENT_ID: Final = "duplicate-client-id"
PAYLOAD_TOO_LARGE: Final = "payload-too-large"
# Both versions of the protocol may be tried, 10 s each, and the cut of what came of it.
CONNECT_S: Final = 30.0
# What we hear of ourselves to know that it was published, where the broker cannot say no.
ECHOED: Final = ("result", "event")


class Publisher:
    """Everything that goes to the broker, and the place where messages from it come in.

    `inbox` maps topic filters below the root (`cmd/#`) to the one who is told, `elsewhere` whole
    topics of others; both are called on the loop and must not wait. `on_alarm` and `on_link` are
    called on the loop too.
    """

    def __init__(
        self,
        connect: Connect,
        root_topic: str,
        outbox: Outbox,
        *,
        session: int,
        now: Callable[[], datetime],
        on_alarm: OnAlarm = lambda code, text: None,
        on_link: OnLink = lambda connected: None,
        on_too_large: OnTooLarge = lambda row: None,
        inbox: Mapping[str, OnMessage] | None = None,
        elsewhere: Mapping[str, OnMessage] | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._connect = connect
        self._root_topic = root_topic
        self._session = session
        self._now = now
        self._on_alarm = on_alarm
        self._on_link = on_link
        self._inbox = {"status": self._own_status, **(inbox or {})}
        self._elsewhere = elsewhere or {}
        self._timing = timing or Timing()
        refusals = _Refusals(on_alarm, on_too_large)
        self._refusals = refusals
        self.letters = Letters(self._timing)
        self.promise = Promise()
        self._drain = Drain(outbox, root_topic, now=now, refusals=refusals, timing=self._timing)
        self._retained = Retained(root_topic, refusals=refusals, timing=self._timing)
        self._connection: Connection | None = None
        self._pause = self._timing.pause()
        self._outage = Outage(log)
        self.connections = 0  # since the start of the daemon

    @property
    def connected(self) -> bool:
        """Whether a broker has welcomed us and we have not lost it since."""
        return self._connection is not None

    @property
    def is_at_rest(self) -> bool:
        """Whether a broker is there and nothing is on its way to it."""
        return self.connected and self._drain.is_at_rest

    def wake(self) -> None:
        """A row was stored: offer it now."""
        self._drain.wake()

    def offer_again(self) -> None:
        """Rows that had been closed are in state stored again."""
        self._drain.offer_again()

    def takes(self, message: Outgoing) -> bool:
        """Whether the broker allows a message of this size; without a broker: yes."""
        return self._connection is None or self._connection.takes(message)

    def publish_retained(self, topic: str, payload: bytes) -> None:
        """Stand this on the broker, now or when there is one; an empty payload takes it away."""
        self._retained.put(topic, payload)

    def publish_progress(self, payload: bytes) -> None:
        """A hint to whoever listens now; dropped when offline or when the network is behind."""
        connection = self._connection
        if connection is None or connection.is_congested():
            return
        message = Outgoing(
            topic=f"{self._root_topic}/progress",
            payload=payload,
            qos=0,
            expiry_s=self._timing.progress_expiry_s,
        )
        if not connection.takes(message):
            return
        try:
            connection.publish(message)
        except BrokerLost as error:
            log.debug("mqtt progress=dropped reason=%s", error)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: then `offline` and a goodbye, within two seconds. StoreError passes."""
        living = asyncio.create_task(self._live(), name="mqtt")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            living.cancel()
            await asyncio.wait({living, stopping})
        if not living.cancelled():
            living.result()

    async def _live(self) -> None:
        while True:
            try:
                await self._one_connection()
            except BrokerLost as error:
                wait_s = self._after(error)
            self.promise.within(wait_s, "the pause before the next connection to the broker")
            await asyncio.sleep(wait_s)

    def _after(self, error: BrokerLost) -> float:
        """Tell a loss once, and say how long to stay away."""
        if error.reason == SESSION_TAKEN_OVER:
            text = f"another client uses the client id of {self._root_topic}"
            self._on_alarm(DUPLICATE_CLIENT_ID, text)
            wait_s = self._pause.slow_s()
        else:
            wait_s = self._pause.next_s()
        self._outage.lost(f"mqtt link=lost reason={error} retry_s={wait_s:.1f}")
        return wait_s

    async def _one_connection(self) -> None:
        will = self._status_message("offline", None)
        self.promise.within(CONNECT_S, "the connection to the broker")
        async with self._connect(will) as connection:
            self._outage.back(f"mqtt link=up version={connection.version} session={self._session}")
            self.promise.idle()
            self.connections += 1
            self._refusals.oversized.clear()
            self._connection = connection
            self._retained.put("status", self._status_message("online", self._now()).payload)
            self._on_link(True)
            try:
                await _together(self._listen(connection), self._talk(connection), self._stand())
                raise BrokerLost("the connection ended")
            except asyncio.CancelledError:
                await self._farewell(connection)
                raise
            finally:
                self._connection = None
                self._on_link(False)

    async def _talk(self, connection: Connection) -> None:
        await self._subscribe(connection)
        await _together(
            self._retained.run(connection),
            self._drain.run(connection),
            self.letters.run(connection),
        )

    async def _stand(self) -> None:
        """After a while the connection has proved itself, and the next loss is a first one."""
        await asyncio.sleep(self._timing.steady_after_s)
        self._pause.reset()
        self._on_alarm(DUPLICATE_CLIENT_ID, None)
        if not self._refusals.oversized:
            self._on_alarm(PAYLOAD_TOO_LARGE, None)
        await asyncio.Event().wait()

    async def _subscribe(self, connection: Connection) -> None:
        names = [*self._inbox, *(ECHOED if connection.version == "3.1.1" else ())]
        asked = [(name, connection.subscribe(f"{self._root_topic}/{name}")) for name in names]
        asked += [(topic, connection.subscribe(topic)) for topic in self._elsewhere]
        if connection.version == "5":  # who has left a retained command there is to be told
            asked += [
                (name, connection.subscribe(f"{self._root_topic}/{name}", retained=True))
                for name in self._inbox
                if name.endswith("/#")
            ]
        refused: list[str] = []
        for topic_filter, answer in asked:
            reason = await answered(answer, self._timing.acknowledge_within_s, topic_filter)
            if reason >= REFUSED_FROM:
                refused.append(f"{topic_filter} ({reason:#04x})")
        text = f"the broker refuses subscriptions to {', '.join(refused)}" if refused else None
        self._on_alarm(SUBSCRIBE_REFUSED, text)

    async def _listen(self, connection: Connection) -> None:
        """Everything that comes in goes to the one who asked for its first segment."""
        by_segment = {key.partition("/")[0]: tell for key, tell in self._inbox.items()}
        async for message in connection.incoming():
            if (heard := self._elsewhere.get(message.topic)) is not None:
                heard(message)
                continue
            topic = message.topic.removeprefix(f"{self._root_topic}/")
            if topic in ECHOED:
                self._drain.echo(message.topic, message.payload)
            tell = by_segment.get(topic.partition("/")[0])
            if tell is not None:
                tell(message)

    def _own_status(self, message: Incoming) -> None:
        if message.retained or message.payload == self._retained.get("status"):
            return
        try:
            seen = StatusMessage.model_validate_json(message.payload)
        except ValidationError:
            seen = None
        if seen is not None and seen.status == "online":
            log.warning("mqtt status=doubled session=%d other=%d", self._session, seen.session)
            return
        log.info("mqtt status=repaired session=%d", self._session)
        self._retained.again("status")

    def _status_message(
        self, status: Literal["online", "offline"], since: datetime | None
    ) -> Outgoing:
        body = StatusMessage(status=status, session=self._session, since=since)
        return Outgoing(topic=f"{self._root_topic}/status", payload=encode(body), retain=True)

    async def _farewell(self, connection: Connection) -> None:
        """We leave on purpose: say so, in order, within its bound."""
        try:
            async with asyncio.timeout(self._timing.farewell_within_s):
                await connection.publish(self._status_message("offline", self._now()))
                await connection.goodbye()
        except (TimeoutError, BrokerLost) as error:
            log.debug("mqtt farewell=unheard reason=%s", error)


class _Refusals:
    """Which topics the broker refuses now; one alarm for all of them, told when they change."""

    def __init__(self, on_alarm: OnAlarm, on_too_large: OnTooLarge) -> None:
        self._on_alarm = on_alarm
        self._on_too_large = on_too_large
        self.oversized: set[int] = set()
        self._reasons: dict[str, int] = {}

    def refused(self, topic: str, reason: int) -> None:
        if self._reasons.get(topic) != reason:
            self._reasons[topic] = reason
            log.warning("mqtt topic=%s refused=%#04x", topic, reason)
            self._tell()

    def accepted(self, topic: str) -> None:
        if self._reasons.pop(topic, None) is not None:
            log.info("mqtt topic=%s accepted_again=true", topic)
            self._tell()

    def too_large(self, row: OutboxRow) -> None:
        self.oversized.add(row.row_id)
        count = len(self.oversized)
        log.warning("mqtt topic=%s too_large=%d", row.topic, len(row.payload))
        text = f"{count} messages are larger than the broker allows, and wait in the journal"
        self._on_alarm(PAYLOAD_TOO_LARGE, text)
        self._on_too_large(row)

    def _tell(self) -> None:
        names = ", ".join(f"{topic} ({reason:#04x})" for topic, reason in self._reasons.items())
        self._on_alarm(PUBLISH_REFUSED, f"the broker refuses to publish {names}" if names else None)


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run until one ends; its exception is ours, the others are cancelled and waited for."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
