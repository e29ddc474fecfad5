"""How long the edge waits: deadlines, and pauses that grow."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

Uniform = Callable[[float, float], float]


@dataclass(slots=True)
class Pause:
    """Full jitter: a random wait below a ceiling that doubles from `first_s` to `most_s`.

    Many readers lose the same broker at the same moment; they must not come back together.
    """

    first_s: float
    most_s: float
    uniform: Uniform
    failures: int = 0

    def next_s(self) -> float:
        ceiling_s = min(self.most_s, self.first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return self.uniform(0.0, ceiling_s)

    def slow_s(self) -> float:
        """A wait near the ceiling at once, where hurrying makes it worse."""
        return self.uniform(self.most_s / 2, self.most_s)

    def reset(self) -> None:
        self.failures = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The waits of the MQTT side, with the contract's values (section 4, connection)."""

    acknowledge_within_s: float = 10.0
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    steady_after_s: float = 10.0  # a connection that stood this long was a good one
    farewell_within_s: float = 1.0
    progress_expiry_s: int = 60
    echo_within_s: float = 5.0  # MQTT 3.1.1: an acknowledged row comes back on the same connection
    # A result whose receipt stays away is offered again after this, then twice as long, up to ...
    receipt_first_s: float = 60.0
    receipt_most_s: float = 3600.0
    uniform: Uniform = field(default=random.uniform)

    def pause(self) -> Pause:
        return Pause(self.retry_first_s, self.retry_most_s, self.uniform)
