"""What may be said of one estimate: a value, a side of the range, or neither."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from readerd.assay.curve.curve import Curve
from readerd.assay.curve.inverse import Estimate
from readerd.assay.curve.models import log_of
from readerd.assay.result import Flag, Qualifier, Status


@dataclass(frozen=True, slots=True)
class Range:
    """A curve that was accepted, with the concentrations that it may report."""

    curve: Curve
    lloq: float
    uloq: float
    low_response: float
    high_response: float

    def side(self, response: float) -> Qualifier | None:
        """On which side of the range a response lies, None inside."""
        way = 1.0 if self.curve.rising else -1.0
        if way * response < way * self.low_response:
            return "<"
        return ">" if way * response > way * self.high_response else None


def range_of(curve: Curve, lloq: float, uloq: float) -> Range:
    """The range with the responses that the curve predicts at its ends."""
    low, high = curve.value(log_of(np.array([lloq, uloq]))).tolist()
    return Range(curve, lloq, uloq, low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """The part of a sample that follows from its estimate; amounts are times the dilution."""

    status: Status
    concentration: float | None = None
    value: float | None = None
    se: float | None = None
    ci95: tuple[float | None, float | None] | None = None
    method: Literal["delta", "inversion"] | None = None
    qualifier: Qualifier | None = None
    limit: float | None = None
    extrapolated: float | None = None
    flags: tuple[Flag, ...] = ()


def say(
    usable: Range | None,
    estimate: Estimate | None,
    mean: float | None,
    *,
    saturated: bool,
    dilution: float,
    extrapolate: bool,
) -> Saying:
    """`mean` is that of the wells that have a response, None when no well has one.

    A saturated well means "beyond the range on the side of high responses", unless a neighbour
    with a number contradicts it: then nothing can be said.
    """
    if usable is None:
        return Saying(status="no_reading" if mean is None and not saturated else "no_curve")
    beyond: Qualifier = ">" if usable.curve.rising else "<"
    if mean is None:
        return _outside(usable, beyond, dilution) if saturated else Saying(status="no_reading")
    side = usable.side(mean)
    if saturated:
        if side == beyond:
            return _outside(usable, beyond, dilution)
        return Saying(status="unreadable")
    if estimate is None:
        return _outside(usable, side, dilution, "unreadable")
    if usable.lloq <= estimate.x <= usable.uloq:
        return Saying(
            status="ok",
            concentration=estimate.x,
            value=estimate.x * dilution,
            se=None if estimate.se is None else estimate.se * dilution,
            ci95=_times(estimate.ci95, dilution),
            method=estimate.method,
            qualifier="=",
        )
    number = estimate.x * dilution if extrapolate else None
    side = "<" if estimate.x < usable.lloq else ">"
    return _outside(usable, side, dilution, extrapolated=number)


def _outside(
    usable: Range,
    side: Qualifier | None,
    dilution: float,
    status: Status = "out_of_range",
    extrapolated: float | None = None,
) -> Saying:
    if side is None:
        return Saying(status="unreadable")
    above = side == ">"
    return Saying(
        status=status,
        qualifier=side,
        limit=(usable.uloq if above else usable.lloq) * dilution,
        extrapolated=extrapolated,
        flags=(Flag.ABOVE_RANGE if above else Flag.BELOW_RANGE,),
    )


def _times(
    interval: tuple[float | None, float | None] | None, dilution: float
) -> tuple[float | None, float | None] | None:
    if interval is None:
        return None
    low, high = interval
    return (
        None if low is None else low * dilution,
        None if high is None else high * dilution,
    )
