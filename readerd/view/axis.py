"""Axes: a logarithmic one with a place for zero beyond a break, and a plain linear one."""

import math
from dataclasses import dataclass

from readerd.view.rounding import nominal, od

# Share of the axis where zero stands, where the break is drawn, where the logarithm begins.
ZERO_AT = 0.035
BREAK_AT = 0.075
LOG_FROM = 0.11


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis; `at` is its share of the axis, a minor tick has no label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class BrokenLogAxis:
    """Concentrations from `low` to `high` (both positive); zero, if shown, left of a break."""

    low: float
    high: float
    zero: bool

    @property
    def log_from(self) -> float:
        return LOG_FROM if self.zero else 0.0

    def at(self, value: float) -> float:
        """Share of the axis (0 left, 1 right); 0 and less stand at the zero place."""
        if value <= 0:
            return ZERO_AT if self.zero else 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.log_from + min(1.0, max(0.0, share)) * (1 - self.log_from)

    def value(self, share: float) -> float:
        """Concentration at a share of the axis right of the break."""
        part = (share - self.log_from) / (1 - self.log_from)
        return self.low * math.exp(math.log(self.high / self.low) * part)

    def ticks(self, at_most: int = 8) -> tuple[Tick, ...]:
        """1-2-5 steps when they are few enough, else decades; minor ticks in between."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = [
            (power, digit, digit * 10.0**power)
            for power in range(first, last + 1)
            for digit in range(1, 10)
            if self.low <= digit * 10.0**power <= self.high
        ]
        labelled: set[float] = set()
        for digits in ({1, 2, 5}, {1, 3}, {1}):
            labelled = {value for _, digit, value in every if digit in digits}
            if len(labelled) <= at_most:
                break
        else:
            step = math.ceil(len(labelled) / at_most)
            labelled = set(sorted(labelled)[::step])
            every = [entry for entry in every if entry[2] in labelled]
        zero = (Tick(ZERO_AT, "0"),) if self.zero else ()
        return zero + tuple(
            Tick(self.at(value), nominal(value) if value in labelled else "")
            for _, _, value in every
        )


@dataclass(frozen=True, slots=True)
class LinearAxis:
    """From `low` to `high`, both on a tick."""

    low: float
    high: float
    step: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def ticks(self) -> tuple[Tick, ...]:
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        count = round((self.high - self.low) / self.step)
        values = (self.low + index * self.step for index in range(count + 1))
        return tuple(Tick(self.at(value), od(value, decimals)) for value in values)


def linear_axis(low: float, high: float, steps: int = 5) -> LinearAxis:
    """The axis that holds low … high in about `steps` round steps."""
    span = max(high - low, 1e-6)
    rough = span / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return LinearAxis(first * step, max(last, first + 1) * step, step)
