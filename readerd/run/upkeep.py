"""What a daemon that runs for years does beside its plates: room, clock, retention."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from readerd.run.clock import ClockWatch
from readerd.run.scribe import Scribe
from readerd.run.store import Store

log = logging.getLogger(__name__)

STORE_FULL: Final = "store-full"
# Retention runs at the start and then daily.
RETAIN_EVERY_S: Final = 86_400.0

# An alarm's code, and what is the matter; None when it is over.
OnAlarm = Callable[[str, str | None], None]


class Upkeep:
    """The looks of one bridge at its own house; none holds up a plate."""

    def __init__(
        self,
        store: Store,
        scribe: Scribe,
        clock: ClockWatch,
        *,
        retention_days: int,
        on_alarm: OnAlarm,
        on_stored: Callable[[], None],
    ) -> None:
        self._store = store
        self._scribe = scribe
        self._clock = clock
        self._retention = timedelta(days=retention_days)
        self._on_alarm = on_alarm
        self._on_stored = on_stored
        self._full: str | None = ""  # nobody has looked yet

    def keep_days(self, retention_days: int) -> None:
        """From the next turn of the retention on."""
        self._retention = timedelta(days=retention_days)

    def look(self) -> None:
        """Raise or clear `store-full`; tell when somebody has set the clock."""
        full = self._store.journal.lacks_room()
        if full != self._full:
            if full or self._full:
                log.warning("store room=%s", full or "there is enough again")
            self._full = full
            self._on_alarm(STORE_FULL, full)
        jump_s = self._clock.look()
        if jump_s is not None:
            text = f"the clock was set by {jump_s:+.1f} s"
            log.warning("clock jump_s=%.1f", jump_s)
            event = self._scribe.event("clock", text=text, details={"jump_s": round(jump_s, 3)})
            self._store.record(event, self._scribe.at())
            self._on_stored()

    async def retain(self) -> None:
        """Take from the journal what is settled and older than the retention, step by step."""
        now = self._scribe.now()
        before = (now - self._retention).isoformat()
        gone = Counter[str]()
        while any((step := self._store.outbox.forget(before)).values()):
            gone.update(step)
            await asyncio.sleep(0)
        requests = self._store.memory.forget(now)
        maps = self._store.memory.forget_maps(before)
        if gone or requests or maps:
            log.info(
                "retention messages=%d readings=%d requests=%d plate_maps=%d",
                gone["messages"], gone["readings"], requests, maps,
            )  # fmt: skip
