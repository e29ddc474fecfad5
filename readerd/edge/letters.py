"""Messages to one requester: answers and replayed copies. Not stored: they are asked for again."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from readerd.edge.broker import REFUSED_FROM, Connection, Outgoing, answered
from readerd.edge.timing import Timing

log = logging.getLogger(__name__)

# A replay of results with 384 wells stays under 30 MB; whoever asks for more asks again.
LIMIT: Final = 500
# Letters under way at once; the rest of the broker's window is the outbox's.
TOGETHER: Final = 5


@dataclass(frozen=True, slots=True)
class _Letter:
    message: Outgoing
    until_s: float


class Letters:
    """Sent in order; they wait for a broker no longer than they would live there."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._waiting: deque[_Letter] = deque()
        self._stir = asyncio.Event()

    @property
    def room(self) -> int:
        """How many more may be put."""
        return max(0, LIMIT - len(self._waiting))

    def put(self, message: Outgoing) -> None:
        """Send it now or with the next connection; without room the oldest is dropped."""
        if not self.room:
            log.warning("letter=dropped topic=%s", self._waiting.popleft().message.topic)
        until_s = asyncio.get_running_loop().time() + (message.expiry_s or 0)
        self._waiting.append(_Letter(message, until_s))
        self._stir.set()

    async def run(self, connection: Connection) -> None:
        """Into this connection until BrokerLost; what was not acknowledged is sent again."""
        while True:
            self._stir.clear()
            while self._waiting:
                await self._send(connection)
            await self._stir.wait()

    async def _send(self, connection: Connection) -> None:
        now_s = asyncio.get_running_loop().time()
        sent = [self._waiting[number] for number in range(min(TOGETHER, len(self._waiting)))]
        answers = [
            (letter, connection.publish(letter.message))
            for letter in sent
            if letter.until_s > now_s and connection.takes(letter.message)
        ]
        for letter, answer in answers:
            topic = letter.message.topic
            reason = await answered(answer, self._timing.acknowledge_within_s, topic)
            if reason >= REFUSED_FROM:
                log.warning("letter=refused topic=%s reason=%#04x", topic, reason)
        for letter in sent:  # `put` may have dropped some of them meanwhile
            if self._waiting and self._waiting[0] is letter:
                self._waiting.popleft()
