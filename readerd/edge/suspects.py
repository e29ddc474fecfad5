"""Which message does the broker end the connection for?

The problem: a broker that names no largest packet (MQTT 3.1.1 has no word for it) closes the
connection on a packet that is too large for it. Offered first after every reconnect, such a row
would stop everything behind it for ever, without a reason to show. The rule: when two connections
in a row end on the same oldest row, what was unanswered is offered one by one; a row that is alone
on the wire at the end of two more counts as too large: it is passed over, with the alarm and the
pointer of a row that exceeds a named limit, and tried again on the first connection after an hour.
Any answer acquits, and so does our own deadline: a broker that only keeps silent has not hung up.

Rejected: a configured limit (nobody knows it before it is hit), the largest row in flight as the
culprit, or a single end (brokers die for other reasons while a window is under way).
"""

from collections.abc import Iterable
from typing import Final

# Ends in a row that make a suspicion, and again a certainty; every connection has begun with
# acknowledged status messages, and the pauses between them grow.
ENDS: Final = 2
REST_S: Final = 3600.0


class Suspects:
    """Told of the end of each connection and of each answer; times are the loop's."""

    def __init__(self) -> None:
        self._to_be_offered_alone = 0
        self._row_id = 0
        self._ends = 0
        self._rest_until: dict[int, float] = {}

    def window(self, window: int) -> int:
        """How many rows may be unanswered now."""
        return 1 if self._to_be_offered_alone else window

    def connected(self, now: float) -> None:
        """A new connection: who has rested long enough is tried again."""
        self._rest_until = {row: until for row, until in self._rest_until.items() if until > now}

    def rests(self, row_id: int) -> bool:
        """Whether the row is passed over."""
        return row_id in self._rest_until

    def acquit(self) -> None:
        """The oldest row on the wire got its answer, or its deadline passed."""
        self._to_be_offered_alone = max(0, self._to_be_offered_alone - 1)
        self._row_id = self._ends = 0

    def ended(self, unanswered: Iterable[int], now: float) -> None:
        """The connection is gone, and these rows had no answer; oldest first."""
        rows = list(unanswered)
        if not rows:
            return
        self._ends = self._ends + 1 if rows[0] == self._row_id else 1
        self._row_id = rows[0]
        if self._ends < ENDS:
            return
        if self._to_be_offered_alone:
            self._rest_until[rows[0]] = now + REST_S
            self.acquit()
        else:
            self._to_be_offered_alone, self._ends = len(rows), 0
