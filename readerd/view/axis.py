"""Axes: a logarithmic one with a place for zero beyond a break, and a plain linear one."""

import math
from dataclasses import dataclass

from readerd.view.rounding import nominal, od

# Share of the axis where zero stands, where the break is drawn, where the logarithm begins.
ZERO_AT = 0.035
BREAK_AT = 0.075
LOG_FROM = 0.11
_FEWEST = 2
# Of a linear axis; the smallest concentrations that anybody writes down are far above it.
_LEAST_SPAN = 1e-30
_PLAIN_FROM, _PLAIN_BELOW = 0.001 * (1 - 1e-9), 1e5
# A step that holds less data than this is cut off the end of a linear axis.
_WASTE = 0.2


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
        """1-2-5 steps when they are few enough, else decades; minor ticks in between.

        On an axis too short for that, round steps: there are always two labels.
        """
        every = self._minor()
        labelled = [value for digit, value in every if digit in (1, 2, 5)]
        for digits in ({1, 3}, {1}):
            if len(labelled) > at_most:
                labelled = [value for digit, value in every if digit in digits]
        if len(labelled) > at_most:
            labelled = labelled[:: math.ceil(len(labelled) / at_most)]
            every = [(1, value) for value in labelled]
        if len(labelled) < _FEWEST:
            finer = (linear_axis(self.low, self.high, steps) for steps in (4, 8, 16))
            labelled = next(found for axis in finer if len(found := self._on(axis)) >= _FEWEST)
            every = [(1, value) for value in labelled]
        zero = (Tick(ZERO_AT, "0"),) if self.zero else ()
        return zero + tuple(
            Tick(self.at(value), amount(value) if value in labelled else "") for _, value in every
        )

    def _on(self, axis: "LinearAxis") -> list[float]:
        return [value for value in axis.inside() if self.low <= value <= self.high]

    def _minor(self) -> list[tuple[int, float]]:
        """Every digit x 10^n on the axis, with its digit."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        return [
            (digit, digit * 10.0**power)
            for power in range(first, last + 1)
            for digit in range(1, 10)
            if self.low <= digit * 10.0**power <= self.high
        ]


def amount(value: float) -> str:
    """Plain between 0.001 and 99,999, else `5e6`: an axis has no room for zeros."""
    return nominal(value) if _PLAIN_FROM <= value < _PLAIN_BELOW else _scientific(value)


def _scientific(value: float) -> str:
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value) * (1 + 1e-9)))
    return f"{nominal(value / 10.0**power)}e{power}"


@dataclass(frozen=True, slots=True)
class LinearAxis:
    """From `low` to `high`, with a tick at each multiple of `step` between."""

    low: float
    high: float
    step: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def inside(self) -> list[float]:
        """The multiples of the step from end to end."""
        first = math.ceil(self.low / self.step - 1e-6)
        last = math.floor(self.high / self.step + 1e-6)
        return [index * self.step for index in range(first, last + 1)]

    def ticks(self) -> tuple[Tick, ...]:
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        plain = max(abs(self.low), abs(self.high)) < _PLAIN_BELOW
        return tuple(
            Tick(self.at(value), od(value, decimals) if plain else _scientific(value))
            for value in self.inside()
        )


def linear_axis(low: float, high: float, steps: int = 5) -> LinearAxis:
    """The axis that holds low … high in about `steps` round steps; it ends on a tick.

    Unless that left most of a step empty: then it ends a little beyond the data.
    """
    span = max(high - low, 1e-9 * max(abs(low), abs(high)), _LEAST_SPAN)
    rough = span / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    start, end = first * step, last * step
    if last - first > _FEWEST and (first + 1) * step - low < _WASTE * step:
        start = low - _WASTE / 2 * step
    return LinearAxis(start, end, step)
