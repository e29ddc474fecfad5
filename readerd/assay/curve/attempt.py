"""One model tried on the points: a curve with its covariance, or the reason for none."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from readerd.assay.curve.checks import explains_nothing
from readerd.assay.curve.curve import Curve, CurveModel
from readerd.assay.curve.models import NAMES, Array, Sigmoid
from readerd.assay.curve.sigmoid import Points, fit_sigmoid
from readerd.assay.curve.solve import Rest
from readerd.assay.curve.straight import fit_line
from readerd.assay.curve.weights import Variance

# a and d have no bounds to come to
_RUN_AWAY = {
    "b": "no sigmoid: the slope b runs away",
    "c": "no convergence: no bend within the standards, so c and d run away",
    "g": "5PL not identifiable: g runs away",
}
# of the correlation matrix's Cholesky factor; below it two parameters are one
_SINGULAR = 1e-7


@dataclass(frozen=True, slots=True)
class Task:
    """What every model is tried on.

    Where a point is a mean, `per_point` wells stand behind it and `scatter` is their sum of squares
    about it; both are trivial (1 and 0) where points are wells.
    """

    points: Points
    variance: Variance
    fixed: Mapping[str, float]
    per_point: float = 1.0
    scatter: Array | None = None
    scatter_df: int = 0

    def sigma2(self, rest: Rest, parameters: int) -> tuple[float, int]:
        """The variance of one point over v, and its degrees of freedom.

        Where points are means, what the wells scatter about them counts as in a fit to wells: with
        equally many wells per level both are one fit, and as sure of it.
        """
        squares, df = rest.wssr, rest.v.size - parameters + self.scatter_df
        if self.scatter is not None:
            squares += float((self.scatter / rest.v).sum()) / self.per_point
        return squares / df, df


@dataclass(frozen=True, slots=True)
class Attempt:
    """A curve with the rest it came to, or (`curve` None) the reason for none."""

    model: CurveModel
    curve: Curve | None
    rest: Rest | None
    reason: str | None = None


def attempt(model: CurveModel, task: Task) -> Attempt:
    """Fit one model."""
    if model == "point-to-point":
        return _dots(task)
    if model == "linear" or model == "log-log":
        return _line(model, task)
    names = NAMES[model]
    held = {name: value for name, value in task.fixed.items() if name in names}
    rest = fit_sigmoid(model, task.points, task.variance, held)
    if rest is None or not rest.settled or rest.at_bound:
        return Attempt(model, None, rest, _unsettled(model, rest, task, len(names) - len(held)))
    free = tuple(index for index, name in enumerate(names) if name not in held)
    return _with_errors(model, names, free, task, rest)


def _unsettled(model: Sigmoid, rest: Rest | None, task: Task, parameters: int) -> str:
    if rest is None:
        return "no convergence"
    if rest.at_bound:
        return _RUN_AWAY[NAMES[model][rest.at_bound[0]]]
    if model != "4pl":
        return f"5PL not identifiable: no convergence, g has come to {np.exp(rest.theta[4]):.2g}"
    return _nothing(task.points.y, rest, parameters) or "no convergence"


def _nothing(y: Array, rest: Rest, parameters: int) -> str | None:
    w = 1.0 / rest.v
    mean = float(np.dot(w, y) / w.sum())
    about_mean = float(np.dot(w, (y - mean) ** 2))
    return explains_nothing(rest.wssr, about_mean, y.size, parameters)


def _line(model: CurveModel, task: Task) -> Attempt:
    logarithms = model == "log-log"
    if logarithms and float(task.points.y.min()) <= 0.0:
        return Attempt(model, None, None, "a standard has no positive response: no logarithm")
    rest = fit_line(task.points, task.variance, logarithms=logarithms)
    if rest is None:
        return Attempt(model, None, None, "no convergence")
    return _with_errors(model, ("a", "b"), (0, 1), task, rest)


def _dots(task: Task) -> Attempt:
    points = task.points
    x, first = np.unique(points.x, return_index=True)
    y = points.level_mean[first]
    steps = np.diff(y)
    if not (bool((steps > 0).all()) or bool((steps < 0).all())):
        return Attempt("point-to-point", None, None, "the level means do not go one way")
    theta = np.concatenate([x, y])
    ones = np.ones(points.y.size)
    rest = Rest(theta, points.level_mean, ones, np.empty((0, 0)), 0.0, True, ())
    curve = Curve("point-to-point", theta, (), (), None, task.variance, None, None, 1.0)
    return Attempt("point-to-point", curve, rest)


def _with_errors(
    model: CurveModel, names: tuple[str, ...], free: tuple[int, ...], task: Task, rest: Rest
) -> Attempt:
    y = np.log(task.points.y) if model == "log-log" else task.points.y
    reason = _nothing(y, rest, len(free))
    if reason is not None:
        return Attempt(model, None, rest, reason)
    inverse = _inverse(rest.h)
    if inverse is None:
        return Attempt(model, None, rest, "the standards do not determine the parameters")
    sigma2, df = task.sigma2(rest, len(free))
    covariance = inverse * sigma2
    curve = Curve(
        model, rest.theta, names, free, covariance, task.variance, sigma2, df, task.per_point
    )
    return Attempt(model, curve, rest)


def _inverse(h: Array) -> Array | None:
    """The inverse of J'WJ, scaled to unit diagonal on the way; None when it is singular."""
    scale = np.sqrt(h.diagonal())
    if not bool((scale > 0).all()):
        return None
    scales = np.outer(scale, scale)
    factor, inverse, info = dposv(h / scales, np.eye(scale.size))
    if info != 0 or float(factor.diagonal().min()) < _SINGULAR:
        return None
    return np.asarray(0.5 * (inverse + inverse.T) / scales)
