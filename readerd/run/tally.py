"""What was counted since the daemon started, for whoever watches it: runs, refusals, durations."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

# A plate takes from ten seconds to some minutes; a fit some milliseconds.
READ_BOUNDS_S: Final = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0)
FIT_BOUNDS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(slots=True)
class Durations:
    """How often something took how long: `counts[i]` of at most `bounds_s[i]`, the last of more."""

    bounds_s: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum_s: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds_s) + 1)

    def add(self, duration_s: float) -> None:
        self.counts[bisect_left(self.bounds_s, duration_s)] += 1
        self.sum_s += duration_s

    @contextmanager
    def timed(self, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
        """Add what the block takes, however it ends."""
        began_s = clock()
        try:
            yield
        finally:
            self.add(clock() - began_s)


@dataclass(slots=True)
class Tally:
    """Counters of one daemon; they begin at 0 with it."""

    runs: Counter[str] = field(default_factory=Counter)  # by their last state
    refusals: Counter[str] = field(default_factory=Counter)  # by error code
    read: Durations = field(default_factory=lambda: Durations(READ_BOUNDS_S))
    config_ok: bool = True  # the last reload took the file over
    fit: Durations = field(default_factory=lambda: Durations(FIT_BOUNDS_S))
