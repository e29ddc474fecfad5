"""What the embedded broker remembers of one client: subscriptions, messages on their way, expiry.

No I/O: a session writes packets through the wire that it is given and reads no clock but the one
that its caller passes in.
"""

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from readerd.demo import packets
from readerd.demo.packets import Property, Publication, Subscription

# mosquitto's own default for messages queued per client.
QUEUE_LIMIT: Final = 1000
# QoS 1 messages on the wire at once, unless the client allows fewer.
WINDOW: Final = 100


class Outlet(Protocol):
    """Where a connected client's packets go."""

    version: int
    receive_maximum: int

    def write(self, data: bytes) -> None: ...

    def has_room(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Held:
    """A publication as the broker keeps it, with the loop time at which it expires."""

    message: Publication
    deadline: float | None

    def current(self, now: float) -> Publication | None:
        """As it is sent now, with what remains of its expiry; None when it has expired."""
        if self.deadline is None:
            return self.message
        if now >= self.deadline:
            return None
        remaining_s = math.ceil(self.deadline - now)
        properties = tuple(
            (key, remaining_s if key == Property.MESSAGE_EXPIRY else value)
            for key, value in self.message.properties
        )
        return replace(self.message, properties=properties)


def hold(message: Publication, now: float) -> Held:
    """Start the expiry of a publication that has just come in."""
    expiry_s = message.expiry_s
    kept = replace(message, properties=packets.forwarded(message.properties), packet_id=0)
    return Held(kept, None if expiry_s is None else now + expiry_s)


@dataclass(slots=True)
class Session:
    """One client, connected (`outlet`) or away. Full queues drop the newest, as mosquitto does."""

    client_id: str
    expiry_s: int | None = 0  # seconds that it outlives the connection; None is for ever
    outlet: Outlet | None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    queue: deque[Held] = field(default_factory=deque)
    flight: dict[int, Held] = field(default_factory=dict)
    last_packet_id: int = 0

    def match(self, topic: str, publisher: str) -> Subscription | None:
        """The subscription of highest QoS that wants this topic; None when there is none."""
        best: Subscription | None = None
        for subscription in self.subscriptions.values():
            if subscription.no_local and publisher == self.client_id:
                continue
            if matches(subscription.filter, topic) and (
                best is None or subscription.qos > best.qos
            ):
                best = subscription
        return best

    def offer(self, held: Held, qos: int, *, retain: bool, now: float) -> None:
        """Deliver, or queue for later what QoS 1 promises."""
        qos = min(qos, held.message.qos)
        message = replace(held.message, qos=qos, retain=retain, duplicate=False)
        if qos:
            if len(self.queue) < QUEUE_LIMIT:
                self.queue.append(Held(message, held.deadline))
                self.pump(now)
        elif self.outlet is not None and self.outlet.has_room():
            current = Held(message, held.deadline).current(now)
            if current is not None:
                self.outlet.write(packets.publish(current, self.outlet.version))

    def pump(self, now: float) -> None:
        """Send what is queued while the window has room."""
        outlet = self.outlet
        if outlet is None:
            return
        while self.queue and len(self.flight) < min(WINDOW, outlet.receive_maximum):
            held = self.queue.popleft()
            current = held.current(now)
            if current is None:
                continue
            packet_id = self._next_packet_id()
            self.flight[packet_id] = held
            outlet.write(packets.publish(replace(current, packet_id=packet_id), outlet.version))

    def acknowledge(self, packet_id: int, now: float) -> None:
        self.flight.pop(packet_id, None)
        self.pump(now)

    def resume(self, outlet: Outlet, now: float) -> None:
        """Attach a new connection: first again what was not acknowledged, then the queue."""
        self.outlet = outlet
        for packet_id, held in list(self.flight.items()):
            current = held.current(now)
            if current is None:
                del self.flight[packet_id]
                continue
            again = replace(current, packet_id=packet_id, duplicate=True)
            outlet.write(packets.publish(again, outlet.version))
        self.pump(now)

    def _next_packet_id(self) -> int:
        while True:
            self.last_packet_id = self.last_packet_id % 0xFFFF + 1
            if self.last_packet_id not in self.flight:
                return self.last_packet_id


def is_filter(text: str) -> bool:
    """Whether this is a topic filter (4.7.1): `+` a whole level, `#` the whole last level."""
    levels = text.split("/")
    if not text or any("#" in level for level in levels[:-1]):
        return False
    return all(level in ("+", "#") or not set(level) & {"+", "#"} for level in levels)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter wants a topic; a leading wildcard leaves `$` topics alone (4.7.2)."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
