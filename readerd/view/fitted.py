"""A fitted curve as something that can be drawn: values, 95 % band, standardised residuals.

The numbers are those of `readerd.assay.curve`, from the parameters that came over the wire. The
band is pointwise, for the curve itself: y ± t·sqrt(var f(x)).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from readerd.assay.curve.curve import Curve, log_variance
from readerd.assay.curve.models import Array, log_of
from readerd.assay.curve.reported import curve_of
from readerd.assay.result import Fit


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The curve at concentration `x`; `low` and `high` bound it pointwise, None without a band."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def trace(fit: Fit | None, xs: Sequence[float], *, band: bool = False) -> tuple[CurvePoint, ...]:
    """The curve at each x where it has a value; empty when there is no curve to draw."""
    curve = curve_of(fit)
    if curve is None:
        return ()
    if curve.model == "point-to-point":
        xs = _between_positive_knots(curve, xs)
    x = np.array(xs, dtype=np.float64)
    with np.errstate(all="ignore"):
        values, rows = curve.value_and_gradient(log_of(x))
        half = _half_width(curve, rows) if band else np.full(x.size, np.nan)
    drawn = np.isfinite(values) & ((x > 0) | (curve.model != "log-log"))
    return tuple(
        CurvePoint(x, y, y - reach, y + reach) if np.isfinite(reach) else CurvePoint(x, y)
        for x, y, reach, there in zip(xs, values.tolist(), half.tolist(), drawn, strict=True)
        if there
    )


def _half_width(curve: Curve, rows: Array) -> Array:
    t = curve.t_975
    if curve.covariance is None or t is None:
        return np.full(rows.shape[1], np.nan)
    return np.asarray(t * np.sqrt(np.maximum(curve.variance_of_value(rows), 0.0)))


def _between_positive_knots(curve: Curve, xs: Sequence[float]) -> list[float]:
    """A line that comes from dose zero has no place on a logarithmic axis."""
    knots = np.split(curve.theta, 2)[0]
    positive = knots[knots > 0].tolist()
    return [x for x in xs if positive[0] <= x <= positive[-1]] if len(positive) > 1 else []


def standardised(fit: Fit, points: Sequence[tuple[float, float]]) -> tuple[float | None, ...]:
    """(observed - fitted) / (sigma·sqrt(v)) of each (x, y); None where there is no such number.

    In a log-log fit both are logarithms, and v is that of the logarithm.
    """
    curve = curve_of(fit)
    if curve is None or not points or not curve.sigma2:
        return (None,) * len(points)
    x, y = np.array(points, dtype=np.float64).T
    with np.errstate(all="ignore"):
        f = curve.value(log_of(x))
        if curve.model == "log-log":
            off, v = np.log(y) - np.log(f), log_variance(curve.variance, f)
        else:
            off, v = y - f, curve.variance.of(f)
        scores = off / np.sqrt(curve.sigma2 * v)
    there = np.isfinite(scores) & ((x > 0) | (curve.model != "log-log"))
    return tuple(
        score if known else None for score, known in zip(scores.tolist(), there, strict=True)
    )
