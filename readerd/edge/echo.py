"""Was it really published? On MQTT 3.1.1 only an echo can tell.

The problem: an MQTT 3.1.1 broker acknowledges a publication that its access rules refuse, because
the acknowledgement has no room for a reason; a row that was closed on it would be lost in silence.
The rule: there we subscribe to our own topics, and a row counts as taken when it was acknowledged
and came back. What is acknowledged and does not come back in time counts as refused: the topic is
held, tried again, and an alarm says so. It costs the bytes of each row a second time, and the
access rules must let the reader hear its own `result` and `event`.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from readerd.edge.broker import REFUSED_FROM

# MQTT 5.0, 2.4: unspecified error; the broker gave no reason, so neither do we.
UNHEARD: Final = 0x80


@dataclass(slots=True)
class _Wait:
    verdict: asyncio.Future[int]
    acknowledged: bool = False
    heard: bool = False


class Echoes:
    """What was published on one connection and has not come back yet."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._waits: dict[tuple[str, bytes], _Wait] = {}

    def expect(
        self, topic: str, payload: bytes, answer: asyncio.Future[int]
    ) -> asyncio.Future[int]:
        """The broker's answer, but success only when the message has come back too."""
        wait = _Wait(asyncio.get_running_loop().create_future())
        self._waits[topic, payload] = wait
        answer.add_done_callback(lambda done: self._acknowledged((topic, payload), wait, done))
        return wait.verdict

    def heard(self, topic: str, payload: bytes) -> None:
        """This came in on one of our own topics."""
        wait = self._waits.get((topic, payload))
        if wait is not None:
            wait.heard = True
            if wait.acknowledged:
                self._decide((topic, payload), wait, 0)

    def _acknowledged(
        self, key: tuple[str, bytes], wait: _Wait, answer: asyncio.Future[int]
    ) -> None:
        if answer.cancelled():
            return
        wait.acknowledged = True
        if wait.heard or answer.result() >= REFUSED_FROM:
            self._decide(key, wait, answer.result())
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(self._within_s, self._decide, key, wait, UNHEARD)

    def _decide(self, key: tuple[str, bytes], wait: _Wait, code: int) -> None:
        if self._waits.get(key) is wait:
            del self._waits[key]
        if not wait.verdict.done():
            wait.verdict.set_result(code)
