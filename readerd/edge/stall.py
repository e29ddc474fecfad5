"""Sees messages that nobody carries: stored, a broker there, and nothing under way to it."""

import asyncio
from typing import Final

from readerd.edge.publisher import Publisher
from readerd.run.outbox import Outbox

# Whoever stores a row wakes the drain at once; this long is no coincidence.
AFTER_S: Final = 15.0


class Stall:
    """One look after another at the oldest message that waits."""

    def __init__(self, publisher: Publisher, outbox: Outbox) -> None:
        self._publisher = publisher
        self._outbox = outbox
        self._row_id = 0
        self._since_s = 0.0

    def complaint(self) -> str | None:
        """Which message waits for nobody; None while delivery goes on or cannot."""
        rows = self._outbox.pending(1) if self._publisher.is_at_rest else []
        row_id = rows[0].row_id if rows else 0
        now_s = asyncio.get_running_loop().time()
        if row_id != self._row_id:
            self._row_id, self._since_s = row_id, now_s
        if not row_id or now_s - self._since_s < AFTER_S:
            return None
        return f"message {rows[0].event_id} waits, and nothing is under way to the broker"
