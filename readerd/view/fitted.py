"""A fitted curve as something that can be drawn: values, 95 % band, standardised residuals.

The formulas are those of `readerd.assay.curve`; here they only meet parameters that came over the
wire. The band is pointwise, for the curve itself: y ± t·sqrt(g'Vg) with the gradient g in the
natural parameters and their covariance V.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from readerd.assay.curve.models import (
    NAMES,
    Array,
    Sigmoid,
    log_of,
    theta_from,
    value_and_gradient,
)
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.weights import variance_of
from readerd.assay.result import Covariance, Fit

# Normal quantile of 97.5 %.
_Z = 1.959964
# Student's t at 97.5 % where the expansion below is not good enough: any table of t.
_T_FEW = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The curve at concentration `x`; `low` and `high` bound it pointwise, None without a band."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def trace(fit: Fit | None, xs: Sequence[float]) -> tuple[CurvePoint, ...]:
    """The curve at each x where it has a value; empty when there is no curve to draw."""
    if fit is None or not fit.converged:
        return ()
    if fit.model == "point-to-point":
        return _straight_lines(fit, xs)
    if not fit.params:
        return ()
    with np.errstate(all="ignore"):
        values, gradient, names = _evaluate(fit, np.array(xs, dtype=np.float64))
        spread = _spread(fit, gradient, names)
    points = []
    for index, (x, y) in enumerate(zip(xs, values.tolist(), strict=True)):
        if not math.isfinite(y):
            continue
        half = None if spread is None else float(spread[index])
        if half is None or not math.isfinite(half):
            points.append(CurvePoint(x, y))
        else:
            points.append(CurvePoint(x, y, y - half, y + half))
    return tuple(points)


def _evaluate(fit: Fit, x: Array) -> tuple[Array, Array, tuple[str, ...]]:
    """Values, gradient in the natural parameters (a row each) and the names of its rows."""
    log_x = log_of(x)
    if fit.model in NAMES:
        model = cast(Sigmoid, fit.model)
        values, rows = value_and_gradient(model, theta_from(model, fit.params), log_x)
        names = NAMES[model]
        # theta holds ln b, ln c, ln g: dy/db = dy/d(ln b) / b
        for row, name in enumerate(names):
            if name not in ("a", "d"):
                rows[row] /= fit.params[name]
        return values, rows, names
    a, b = fit.params["a"], fit.params["b"]
    if fit.model == "log-log":
        values = np.exp(a + b * log_x)
        return values, np.stack([values, values * log_x]), ("a", "b")
    return a + b * x, np.stack([np.ones_like(x), x]), ("a", "b")


def _spread(fit: Fit, gradient: Array, names: tuple[str, ...]) -> Array | None:
    covariance = fit.covariance
    if covariance is None or not fit.df or not set(covariance.order) <= set(names):
        return None
    rows = gradient[[names.index(name) for name in covariance.order]]
    variance = np.einsum("ik,ij,jk->k", rows, _full(covariance), rows)
    return np.asarray(t_975(fit.df) * np.sqrt(np.maximum(variance, 0.0)))


def _full(covariance: Covariance) -> Array:
    size = len(covariance.order)
    matrix = np.zeros((size, size))
    for row, upper in enumerate(covariance.upper):
        matrix[row, row:] = upper
        matrix[row:, row] = upper
    return matrix


def _straight_lines(fit: Fit, xs: Sequence[float]) -> tuple[CurvePoint, ...]:
    """Between the levels that count, zero left out: a line from there has no place on the axis."""
    knots = sorted(
        (level.nominal, level.mean)
        for level in fit.levels
        if level.mean is not None and level.masked is None and level.nominal > 0
    )
    if len(knots) < 2:
        return ()
    inside = [x for x in xs if knots[0][0] <= x <= knots[-1][0]]
    ys = np.interp(inside, [x for x, _ in knots], [y for _, y in knots])
    return tuple(CurvePoint(x, y) for x, y in zip(inside, ys.tolist(), strict=True))


def standardised(fit: Fit, points: Sequence[tuple[float, float]]) -> tuple[float | None, ...]:
    """(observed - fitted) / (sigma·sqrt(v)) of each (x, y); None where there is no such number.

    In a log-log fit both are logarithms, and v is that of the logarithm.
    """
    largest = max((abs(level.mean) for level in fit.levels if level.mean is not None), default=0.0)
    fitted = {point.x: point.y for point in trace(fit, sorted({x for x, _ in points}))}
    if not fit.sigma or largest == 0 or not fitted:
        return (None,) * len(points)
    settings, used = CurveSettings(weighting=fit.weighting.kind), fit.weighting
    if used.s0 is not None and used.cv is not None:
        settings = replace(settings, s0=used.s0, cv=used.cv)
    known = [(fitted.get(x), y) for x, y in points]
    curve = np.array([0.0 if f is None else f for f, _ in known])
    v = variance_of(settings, largest).of(curve)
    scores: list[float | None] = []
    for (f, y), spread in zip(known, v.tolist(), strict=True):
        off = None if f is None else y - f
        if f is not None and fit.model == "log-log":
            off = math.log(y / f) if y > 0 and f > 0 else None
            spread = spread if fit.weighting.kind == "none" else spread / (f * f)
        usable = off is not None and 0 < spread < math.inf
        scores.append(off / (fit.sigma * math.sqrt(spread)) if usable and off is not None else None)
    return tuple(scores)


def t_975(df: int) -> float:
    """Student's t at 97.5 %, within 2e-3 (a picture needs no more).

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if df in _T_FEW:
        return _T_FEW[df]
    z = _Z
    return (
        z
        + (z**3 + z) / (4 * df)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * df**3)
    )
