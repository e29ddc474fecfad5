"""A fitted curve as something that can be drawn: its values and its 95 % band."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from readerd.assay.result import Fit


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The curve at concentration `x`; `low` and `high` bound it pointwise, None without a band."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def trace(fit: Fit | None, xs: Sequence[float]) -> tuple[CurvePoint, ...]:
    """The curve at each x; empty when there are no parameters to draw."""
    if fit is None or not fit.converged or not fit.params:
        return ()
    p = fit.params
    points = []
    for x in xs:
        y = p["a"]
        if x > 0:
            z = min(700.0, p["b"] * (math.log(x) - math.log(p["c"])))
            y = p["d"] + (p["a"] - p["d"]) / (1 + math.exp(z))
        points.append(CurvePoint(x, y))
    return tuple(points)
