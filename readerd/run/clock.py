"""Is the time of day to be trusted? Compared with the loop's clock, which cannot be set."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

# ntpd(8) steps what is off by more than 0.128 s and slews the rest by at most 0.5 ms each second.
JUMP_S: Final = 1.0


class ClockWatch:
    """Notices when somebody sets the clock. Order never depends on it: that is by sequence."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._seen_s = self.offset_s()

    def offset_s(self) -> float:
        """Time of day less the loop's clock: it changes only when the clock is set."""
        return self._now().timestamp() - asyncio.get_running_loop().time()

    def jumped_since(self, offset_s: float) -> bool:
        return abs(self.offset_s() - offset_s) > JUMP_S

    def look(self) -> float | None:
        """By how many seconds the clock was set since the last look; None when it was not."""
        offset_s = self.offset_s()
        jump_s, self._seen_s = offset_s - self._seen_s, offset_s
        return jump_s if abs(jump_s) > JUMP_S else None
