"""The outbox on its way to the broker.

The problem: a row may be closed only when the broker has said yes to it, the broker may say no,
say nothing or die in between, and a weekend's backlog must neither fill the memory nor lose its
order. The rule: rows are offered in sequence, at most a window of them unanswered at a time. What
is in flight is remembered here only: after any loss the journal is read again from its first
stored row, so a row may be told twice and is never left out. Accepted rows are closed in batches:
one commit for a tenth of a second of a backlog, at once when nothing more is to be sent. Until
that commit a row counts as not sent, so a killed daemon tells at most a tenth of a second of
messages and a window twice. The window moves with every answer and does not wait for the commit:
pausing let the broker's small answers wait for our TCP acknowledgement, 18 ms a window, and cost
three quarters of the speed.

A topic that the broker refuses keeps its rows and its order: nothing more is offered on it until a
single row, offered again after a growing pause, is accepted. Other topics go on meanwhile.

Rejected: closing a row per acknowledgement (three commits a row cost four fifths of the speed),
skipping a refused row (the next one would arrive out of order), polling the journal (`wake` is
called by whoever stored).
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

from readerd.edge.broker import REFUSED_FROM, BrokerLost, Connection, Outgoing
from readerd.edge.echo import Echoes
from readerd.edge.suspects import Suspects
from readerd.edge.timing import Pause, Timing

# CloudEvents, MQTT protocol binding 1.0, section 3.2: the structured mode's content type.
CONTENT_TYPE: Final = "application/cloudevents+json"
# While more are under way: rows closed in one commit, which waits for the disk, and how long an
# answer may wait to be closed.
BATCH: Final = 1000
CLOSE_WITHIN_S: Final = 0.1
AT_ONCE: Final = 0.0
# Rows read from the journal at once: one window.
READ_AHEAD: Final = 20


class OutboxRow(Protocol):
    """One message on its way to the LIMS; `topic` is relative to the root topic."""

    @property
    def row_id(self) -> int: ...

    @property
    def topic(self) -> str: ...

    @property
    def payload(self) -> bytes: ...


class Outbox(Protocol):
    """The journal as the drain sees it. Each method is one transaction and contains no await."""

    def pending(self, limit: int, after_row_id: int = 0) -> Sequence[OutboxRow]:
        """Rows in state stored beyond `after_row_id`, oldest first."""
        ...

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        """The broker has these rows; a repeat changes nothing."""
        ...


class Refusals(Protocol):
    """Who wants to know which topics the broker refuses."""

    def refused(self, topic: str, reason: int) -> None: ...

    def accepted(self, topic: str) -> None: ...

    def too_large(self, row: OutboxRow) -> None:
        """The broker takes no packet of this size; told once for each connection."""
        ...


@dataclass(frozen=True, slots=True)
class _Flight:
    """A row that was offered; `until` is when its answer is overdue."""

    row_id: int
    topic: str
    answer: asyncio.Future[int]
    until: float


class Drain:
    """Offers the outbox to one connection after another."""

    def __init__(
        self,
        outbox: Outbox,
        root_topic: str,
        *,
        now: Callable[[], datetime],
        refusals: Refusals,
        timing: Timing,
    ) -> None:
        self._outbox = outbox
        self._root_topic = root_topic
        self._now = now
        self._refusals = refusals
        self._timing = timing
        self._stir = asyncio.Event()
        self._echoes: Echoes | None = None
        self._too_large: set[int] = set()
        self._flights: dict[int, _Flight] = {}  # not answered, by row, oldest first
        self._answered: dict[int, _Flight] = {}  # answered and not yet closed
        self._close_at = math.inf
        self._cursor = 0
        self._ahead: deque[OutboxRow] = deque()
        self._pauses: dict[str, Pause] = {}  # by refused topic
        self._held_until: dict[str, float] = {}  # refused topics that rest now
        self._suspects = Suspects()
        self._is_open = False  # a connection that has let us subscribe takes rows

    def wake(self) -> None:
        """A row was stored."""
        self._stir.set()

    def offer_again(self) -> None:
        """Rows that had been closed are in state stored again."""
        self._start_over()

    def echo(self, topic: str, payload: bytes) -> None:
        """This came back to us on one of our own topics."""
        if self._echoes is not None:
            self._echoes.heard(topic, payload)

    @property
    def is_at_rest(self) -> bool:
        """Whether rows can go, and none is under way, held back, or too large to go."""
        waits = self._flights or self._answered or self._held_until or self._too_large
        return self._is_open and not waits

    async def run(self, connection: Connection) -> None:
        """Drain into this connection until BrokerLost or cancellation."""
        self._flights.clear()
        self._answered.clear()
        self._close_at = math.inf
        self._held_until.clear()
        self._too_large.clear()
        self._suspects.connected(_loop_time())
        is_blind = connection.version == "3.1.1"  # its acknowledgements say nothing
        self._echoes = Echoes(self._timing.echo_within_s) if is_blind else None
        self._start_over()
        self._is_open = True
        try:
            while True:
                self._stir.clear()
                is_backlog = await self._offer(connection)
                await self._something()
                if not is_backlog or len(self._answered) >= BATCH or _loop_time() >= self._close_at:
                    self._settle()
                self._look_at_the_clock()
        finally:
            self._is_open = False
            for flight in [one for one in self._flights.values() if one.answer.done()]:
                self._land(flight)
            self._suspects.ended(self._flights, _loop_time())
            self._settle()

    async def _offer(self, connection: Connection) -> bool:
        """Offer the next rows until the window is full (True) or the journal has no more."""
        while self._has_room(connection):
            if not self._ahead:
                self._ahead.extend(self._outbox.pending(READ_AHEAD, self._cursor))
                if not self._ahead:
                    return False
                await asyncio.sleep(0)  # a long row of held topics must not stop the loop
                continue  # whatever happened meanwhile may have emptied it
            row = self._ahead.popleft()
            self._cursor = row.row_id
            if self._is_under_way(row) or self._is_held(row.topic):
                continue
            message = self._message(row)
            if connection.takes(message) and not self._suspects.rests(row.row_id):
                self._send(connection, row, message)
            elif row.row_id not in self._too_large:
                self._too_large.add(row.row_id)
                self._refusals.too_large(row)
        return True

    def _has_room(self, connection: Connection) -> bool:
        window = self._suspects.window(connection.window)
        return len(self._flights) < window and self._close_at > AT_ONCE

    def _is_under_way(self, row: OutboxRow) -> bool:
        return row.row_id in self._flights or row.row_id in self._answered

    def _is_held(self, topic: str) -> bool:
        """A refused topic rests, and after its rest gets one row in flight, not a window."""
        if topic not in self._pauses:
            return False
        return topic in self._held_until or any(
            flight.topic == topic for flight in (*self._flights.values(), *self._answered.values())
        )

    def _message(self, row: OutboxRow) -> Outgoing:
        return Outgoing(
            topic=f"{self._root_topic}/{row.topic}",
            payload=row.payload,
            content_type=CONTENT_TYPE,
        )

    def _send(self, connection: Connection, row: OutboxRow, message: Outgoing) -> None:
        answer = connection.publish(message)
        if self._echoes is not None:
            answer = self._echoes.expect(message.topic, message.payload, answer)
        until = _loop_time() + self._timing.acknowledge_within_s
        flight = _Flight(row.row_id, row.topic, answer, until)
        self._flights[row.row_id] = flight
        answer.add_done_callback(lambda _: self._land(flight))

    def _land(self, flight: _Flight) -> None:
        """The broker has answered; an answer to a former connection's offer says nothing."""
        if self._flights.get(flight.row_id) is not flight or flight.answer.cancelled():
            return
        del self._flights[flight.row_id]
        self._suspects.acquit()
        if flight.answer.result() >= REFUSED_FROM:
            self._close_at = AT_ONCE  # nothing more may go out on its topic
        elif not self._answered:
            self._close_at = _loop_time() + CLOSE_WITHIN_S
        self._answered[flight.row_id] = flight
        self._stir.set()

    async def _something(self) -> None:
        """Wait for a new row, an answer, a deadline or the end of a topic's rest."""
        until = [*self._held_until.values()]
        until += [flight.until for flight in self._oldest()]
        until += [self._close_at] if self._answered else []
        try:
            async with asyncio.timeout_at(min(until, default=None)):
                await self._stir.wait()
        except TimeoutError:
            pass

    def _settle(self) -> None:
        """Close what was accepted, in one commit; hold what was refused."""
        answered, self._answered, self._close_at = self._answered, {}, math.inf
        accepted: list[int] = []
        for flight in answered.values():
            if flight.answer.result() < REFUSED_FROM:
                accepted.append(flight.row_id)
                self._accept(flight.topic)
            else:
                self._hold(flight.topic, flight.answer.result())
        if accepted:
            self._outbox.broker_acked(accepted, self._now().isoformat(timespec="milliseconds"))

    def _accept(self, topic: str) -> None:
        """A refused topic is free again when the row that tried it after its rest got through."""
        if topic in self._pauses and topic not in self._held_until:
            del self._pauses[topic]
            self._refusals.accepted(topic)
            self._start_over()

    def _hold(self, topic: str, reason: int) -> None:
        if topic not in self._held_until:
            pause = self._pauses.setdefault(topic, self._timing.pause())
            self._held_until[topic] = _loop_time() + pause.next_s()
        self._refusals.refused(topic, reason)

    def _look_at_the_clock(self) -> None:
        """Free the topics whose rest is over; BrokerLost when an answer is overdue."""
        now = _loop_time()
        for topic in [topic for topic, until in self._held_until.items() if until <= now]:
            del self._held_until[topic]
            self._start_over()
        for flight in self._oldest():
            if flight.until <= now:
                self._suspects.acquit()
                within_s = self._timing.acknowledge_within_s
                raise BrokerLost(f"no acknowledgement within {within_s:g} s")

    def _oldest(self) -> Iterable[_Flight]:
        """The offer that has waited longest for its answer, if there is one."""
        return islice(self._flights.values(), 1)

    def _start_over(self) -> None:
        """Look again from the first stored row; what is in flight is passed over."""
        self._cursor = 0
        self._ahead.clear()
        self._stir.set()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
