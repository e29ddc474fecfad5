"""Says "alive" to systemd only while the work gets on, and in one line what the work is.

The problem: a timer that says "alive" proves that a timer works. The rule: it is said from the same
loop as the work, after a line was written to the journal and read back, and only while every part
that waits for the world keeps its own promise and no task that must run for ever has ended. A
complaint withholds the word; systemd then ends us and starts us again, and the journal resumes. A
journal that fails is not a complaint: its StoreError ends the daemon at once.
Rejected: a thread of its own (it lives on when the loop is stuck).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from readerd.edge.notify import notify, status
from readerd.errors import StoreError
from readerd.run.journal import Journal

log = logging.getLogger(__name__)

# Somebody's broken promise in words; None while all is well.
Complaint = Callable[[], str | None]
# sd_watchdog_enabled(3): half of the time that systemd allows.
SHARE: Final = 2.0


class Watchdog:
    """The one question "does the work get on?", for systemd and for `/healthz`."""

    def __init__(self, journal: Journal, parts: Sequence[Complaint]) -> None:
        self._journal = journal
        self._parts = parts
        self._tasks: list[asyncio.Task[Any]] = []
        self._told: str | None = None
        self._beats = 0

    def follow(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """These must run until the daemon stops."""
        self._tasks.extend(tasks)

    def complaint(self) -> str | None:
        """What is stuck; None while the work gets on."""
        for task in self._tasks:
            if task.done():
                return f"the task {task.get_name()} has ended"
        return next((said for part in self._parts if (said := part())), None)

    def beat(self, summary: str) -> None:
        """One look, told to systemd. StoreError when the journal does not keep a line."""
        self._prove()
        complaint = self.complaint()
        if complaint is None:
            notify("WATCHDOG=1", status(summary))
        else:
            notify(status(f"stuck: {complaint}"))
        if complaint != self._told:
            if complaint:
                log.error("watchdog=withheld reason=%s", complaint)
            elif self._told:
                log.warning("watchdog=fed_again")
        self._told = complaint

    def _prove(self) -> None:
        """A line is written, kept and read back; StoreError when it is not."""
        self._beats += 1
        with self._journal.transaction():
            self._journal.set_meta("watchdog", str(self._beats))
        if self._journal.meta("watchdog") != str(self._beats):
            raise StoreError(f"journal {self._journal.path}: it does not keep what is written")

    async def run(self, within_s: float, summary: Callable[[], str]) -> None:
        """A look in time for systemd's `within_s`, until cancelled. StoreError passes."""
        while True:
            self.beat(summary())
            await asyncio.sleep(within_s / SHARE)
