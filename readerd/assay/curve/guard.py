"""The guard of the 5PL: is g determined at all, and does it earn its place beside the 4PL?

The weighted fits are compared by AICc of the likelihood that the weights stand for, and by an F
test of the residuals under the weights of the 4PL; no level may be read back worse.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import fdtrc

from readerd.assay.curve.attempt import Attempt, Task, attempt
from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.curve import Curve, CurveModel
from readerd.assay.curve.models import Array, log_of
from readerd.assay.curve.sigmoid import Points
from readerd.assay.curve.solve import Rest

_G_RANGE = (0.1, 10.0)
_G_LOG_ERROR = 1.0
_G_LEVELS = 7
_FAMILIES: tuple[CurveModel, ...] = ("5pl", "5pl-mirrored")
_AICC_GAIN = 2.0
_F_TEST_P = 0.01
# percentage points by which the worst recovery may grow through rounding alone
_ROUNDING_PCT = 1e-6


def aicc(wssr: float, v: Array, parameters: int) -> float | None:
    """AICc with k = p + 1; with equal weights n·ln(wssr/n) + 2k + 2k(k+1)/(n-k-1)."""
    n, k = v.size, parameters + 1
    if n - k - 1 <= 0 or wssr <= 0.0:
        return None
    likelihood = n * math.log(wssr / n) + float(np.log(v).sum())
    return likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def score(tried: Attempt) -> float:
    """AICc of an attempt; infinity when the points are too few."""
    curve, rest = _fitted(tried)
    value = aicc(rest.wssr, rest.v, len(curve.free))
    return math.inf if value is None else value


def gain(points: Points, levels: Sequence[LevelData], four: Attempt, five: Attempt) -> str | None:
    """Why the 5PL does not replace the 4PL, or None when it does."""
    if score(five) > score(four) - _AICC_GAIN:
        return "AICc is not lower by 2"
    curve, rest = _fitted(five)
    weights = 1.0 / _fitted(four)[1].v
    less = float(np.dot(weights, (points.y - rest.f) ** 2))
    more = float(np.dot(weights, (points.y - _fitted(four)[1].f) ** 2))
    df = points.y.size - len(curve.free)
    p = float(fdtrc(1, df, max(more - less, 0.0) / (less / df))) if less > 0 else 0.0
    if p >= _F_TEST_P:
        return f"F test p = {p:.2g}"
    if _worst(levels, curve) > _worst(levels, _fitted(four)[0]) + _ROUNDING_PCT:
        return "a standard is read back worse"
    return None


def _worst(levels: Sequence[LevelData], curve: Curve) -> float:
    """The largest error of a recovery, in per cent; infinity when a level cannot be read back."""
    above = [level for level in levels if level.nominal > 0]
    log_x, exists = curve.log_dose(np.array([level.mean for level in above]))
    if not bool(exists.all()):
        return math.inf
    nominal = log_of(np.array([level.nominal for level in above]))
    return float(np.max(np.abs(np.expm1(log_x - nominal)))) * 100.0


def _fitted(tried: Attempt) -> tuple[Curve, Rest]:
    if tried.curve is None or tried.rest is None:
        raise ValueError(f"{tried.model} was refused: {tried.reason}")
    return tried.curve, tried.rest


def identified(tried: Attempt, levels: int) -> Attempt:
    """The first half of the guard: is g determined? Else the attempt without its curve, and why."""
    curve = tried.curve
    if curve is None or curve.covariance is None:
        return tried
    g = math.exp(float(curve.theta[4]))
    error = math.sqrt(float(curve.covariance[-1, -1]))
    why = None
    if levels < _G_LEVELS:
        why = f"{levels} levels, needs {_G_LEVELS}"
    elif not _G_RANGE[0] <= g <= _G_RANGE[1]:
        why = f"g = {g:.3g} lies outside {_G_RANGE[0]:g} to {_G_RANGE[1]:g}"
    elif error >= _G_LOG_ERROR:
        why = f"the standard error of ln g is {error:.2g}"
    return replace(tried, curve=None, reason=f"5PL not identifiable: {why}") if why else tried


def choose(task: Task, levels: Sequence[LevelData]) -> tuple[Attempt, tuple[str, ...]]:
    """`auto`: the 4PL, unless a 5PL of either family passes the whole guard; and why."""
    four = attempt("4pl", task)
    if four.curve is None:
        return four, ("auto: the 4PL is refused, so no 5PL was tried",)
    if len(levels) < _G_LEVELS:
        return four, (f"auto: 4PL kept ({len(levels)} levels, a 5PL needs {_G_LEVELS})",)
    best, notes = four, []
    for model in _FAMILIES:
        five = identified(attempt(model, task), len(levels))
        why = five.reason or gain(task.points, levels, four, five)
        if why is not None:
            notes.append(f"{model}: {why}")
        elif best is four or score(five) < score(best):
            best = five
    if best is four:
        return four, (f"auto: 4PL kept ({'; '.join(notes)})",)
    return best, (f"auto: {best.model} taken, it passes the guard against the 4PL",)
