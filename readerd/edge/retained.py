"""What stands on the broker for everyone to see: presence, state, health, alarms."""

import asyncio
from typing import Final

from readerd.edge.broker import REFUSED_FROM, Connection, Outgoing, answered
from readerd.edge.drain import Refusals
from readerd.edge.timing import Timing

# The contract, section 4: published on every connect in this order; alarms follow.
FIRST: Final = ("status", "info", "state", "health", "last")


# MQTT 5.0, 2.4: what the broker would end the connection with.
PACKET_TOO_LARGE: Final = 0x95


class Retained:
    """The latest payload per topic: published when it changes, and all of it on every connect.

    An empty payload takes the topic off the broker; it is forgotten when the broker has done so.
    """

    def __init__(self, root_topic: str, *, refusals: Refusals, timing: Timing) -> None:
        self._root_topic = root_topic
        self._refusals = refusals
        self._timing = timing
        self._latest: dict[str, bytes] = {}
        self._due: dict[str, None] = {}
        self._changed = asyncio.Event()

    def put(self, topic: str, payload: bytes) -> None:
        """The latest value wins, whether we are connected or not."""
        if self._latest.get(topic) != payload:
            self._latest[topic] = payload
            self.again(topic)

    def get(self, topic: str) -> bytes | None:
        return self._latest.get(topic)

    def again(self, topic: str) -> None:
        """Publish the topic once more: somebody else has written over it."""
        self._due[topic] = None
        self._changed.set()

    async def run(self, connection: Connection) -> None:
        """Everything now, before anything else is awaited; then each change. Until BrokerLost."""
        known = dict.fromkeys([*FIRST, *self._latest])
        self._due = {topic: None for topic in known if topic in self._latest}
        while True:
            self._changed.clear()
            await self._publish(connection)
            await self._changed.wait()

    async def _publish(self, connection: Connection) -> None:
        topics, self._due = list(self._due), {}
        sent = [(topic, self._latest[topic], self._send(connection, topic)) for topic in topics]
        for topic, payload, answer in sent:
            reason = await answered(answer, self._timing.acknowledge_within_s, topic)
            if reason >= REFUSED_FROM:
                self._refusals.refused(topic, reason)
                continue
            self._refusals.accepted(topic)
            if not payload and self._latest.get(topic) == b"":
                del self._latest[topic]

    def _send(self, connection: Connection, topic: str) -> asyncio.Future[int]:
        full = f"{self._root_topic}/{topic}"
        message = Outgoing(topic=full, payload=self._latest[topic], retain=True)
        if connection.takes(message):
            return connection.publish(message)
        refusal: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        refusal.set_result(PACKET_TOO_LARGE)
        return refusal
