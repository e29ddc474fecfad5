"""4PL and 5PL: starts, the fit, and which of several resting points is the curve."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from readerd.assay.curve.models import NAMES, Array, Sigmoid, log_of
from readerd.assay.curve.solve import NEAR, Problem, Rest, descend
from readerd.assay.curve.weights import Variance

# slopes seen in immunoassays lie between 0.5 and 4; outside these bounds there is no sigmoid
_B = (0.05, 30.0)
# c may lie far beyond the standards when there is no plateau, but then it means nothing
_C_BEYOND = math.log(1e5)
# the guard accepts 0.1 to 10; the room beyond lets a run-away be seen as one
_G = (0.02, 50.0)
_STARTS_G = (0.4, 2.5)


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a fit, ascending in x: doses, responses, and the level mean at each."""

    x: Array
    log_x: Array
    y: Array
    level_mean: Array

    @property
    def positive(self) -> Array:
        return self.x[self.x > 0]


def points_of(x: Array, y: Array, level_mean: Array) -> Points:
    return Points(x, log_of(x), y, level_mean)


def fit_sigmoid(
    model: Sigmoid, points: Points, variance: Variance, fixed: Mapping[str, float]
) -> Rest | None:
    """The best resting point over the starts, or None when no start led to one.

    A 4PL takes the weighted logit line and, when that does not settle or ends at a bound, a grid
    and the plain extremes. A 5PL starts from the 4PL with several g, always all of them.
    """
    rests: list[Rest] = []
    for theta in _starts(model, points, variance, fixed):
        rest = _settle(model, points, variance, fixed, theta)
        if rest is None:
            continue
        rests.append(rest)
        if model == "4pl" and rest.settled and not rest.at_bound:
            return rest
    settled = [rest for rest in rests if rest.settled] or rests
    inside = [rest for rest in settled if not rest.at_bound] or settled
    return min(inside, key=lambda rest: rest.wssr, default=None)


def problem_of(model: Sigmoid, points: Points, fixed: Mapping[str, float]) -> Problem:
    """What is free, and the bounds: wide, there to catch what runs away."""
    names = NAMES[model]
    doses = points.positive
    infinity = math.inf
    low_c, high_c = math.log(doses[0]) - _C_BEYOND, math.log(doses[-1]) + _C_BEYOND
    low = [-infinity, -infinity, math.log(_B[0]), low_c, math.log(_G[0])]
    high = [infinity, infinity, math.log(_B[1]), high_c, math.log(_G[1])]
    for index, name in enumerate(names):
        if name in fixed:
            value = fixed[name] if name in "ad" else math.log(fixed[name])
            low[index] = high[index] = value
    free = tuple(index for index, name in enumerate(names) if name not in fixed)
    size = len(names)
    return Problem(model, points.log_x, points.y, free, np.array(low[:size]), np.array(high[:size]))


def _settle(
    model: Sigmoid, points: Points, variance: Variance, fixed: Mapping[str, float], theta: Array
) -> Rest | None:
    problem = problem_of(model, points, fixed)
    start = np.clip(theta, problem.lowest, problem.highest)
    span = float(np.ptp(points.level_mean))
    steady = np.maximum(np.abs(points.level_mean), 0.02 * span)
    if variance.constant:
        return descend(problem, start, None, variance.of(steady))
    first = descend(problem, start, None, variance.of(steady), NEAR)
    last = descend(problem, first.theta, variance, first.v)
    return last if np.isfinite(last.wssr) else None


def _starts(
    model: Sigmoid, points: Points, variance: Variance, fixed: Mapping[str, float]
) -> Iterator[Array]:
    if model == "4pl":
        yield _logit_line(points, fixed)
        yield _grid(points, variance)
        yield _extremes(points)
        return
    four = fit_sigmoid("4pl", points, variance, {k: v for k, v in fixed.items() if k != "g"})
    base = _extremes(points) if four is None else four.theta
    yield np.append(base, 0.0)
    for g in _STARTS_G:
        # the dose of half height stays where it is while g changes
        half = math.log(math.expm1(math.log(2.0) / g))
        shift = half if model == "5pl" else -half
        theta = np.append(base, math.log(g))
        theta[3] -= shift / math.exp(theta[2])
        yield theta


def _ends(points: Points) -> tuple[float, float, float]:
    """Low-dose mean, high-dose mean, and the span between the extreme level means."""
    return (
        float(points.level_mean[0]),
        float(points.level_mean[-1]),
        float(np.ptp(points.level_mean)),
    )


def _logit_line(points: Points, fixed: Mapping[str, float]) -> Array:
    """Asymptotes guessed from the ends, then ln((y-a)/(d-y)) = b·ln x - b·ln c by least squares."""
    first, last, span = _ends(points)
    way = 1.0 if last >= first else -1.0
    with_zero = points.x[0] == 0.0
    a = fixed.get("a", first - way * span * (0.01 if with_zero else 0.05))
    d = fixed.get("d", last + way * span * 0.25)
    share = (points.y - a) / (d - a) if d != a else np.full(points.y.shape, 0.5)
    usable = (points.x > 0) & (share > 0.005) & (share < 0.995)
    p = share[usable]
    if p.size < 2:
        return _extremes(points)
    z = np.log(p / (1.0 - p))
    log_x = points.log_x[usable]
    w = (p * (1.0 - p)) ** 2
    total = float(w.sum())
    middle = float(np.dot(w, log_x)) / total
    spread = float(np.dot(w, (log_x - middle) ** 2))
    if spread <= 0.0:
        return _extremes(points)
    b = float(np.dot(w, (log_x - middle) * z)) / spread
    b = min(max(b, 0.3), 5.0)
    c = middle - float(np.dot(w, z)) / total / b
    return np.array([a, d, math.log(b), c])


def _extremes(points: Points) -> Array:
    """The extreme means as asymptotes, b = 1, c in the middle of the doses."""
    first, last, span = _ends(points)
    way = 1.0 if last >= first else -1.0
    logs = np.log(points.positive)
    middle = 0.5 * float(logs[0] + logs[-1])
    return np.array([first - 0.02 * way * span, last + 0.02 * way * span, 0.0, middle])


def _grid(points: Points, variance: Variance) -> Array:
    """The best of 60 pairs (b, c), each with its own best a and d, which enter linearly."""
    logs = np.log(points.positive)
    b = np.array([0.5, 0.8, 1.2, 2.0, 3.5])[:, None, None]
    c = np.linspace(logs[0], logs[-1] + 2.5, 12)[None, :, None]
    u = np.clip(b * (points.log_x - c), -1e5, 700.0)
    r = 1.0 - 1.0 / (1.0 + np.exp(u))
    w = 1.0 / variance.of(np.maximum(np.abs(points.level_mean), 0.02 * _ends(points)[2]))
    total = float(w.sum())
    mean_r = (r @ w / total)[..., None]
    mean_y = float(np.dot(w, points.y)) / total
    across = ((r - mean_r) * (points.y - mean_y)) @ w
    along = np.maximum(((r - mean_r) ** 2) @ w, 1e-300)
    row, column = np.unravel_index(np.argmax(across**2 / along), across.shape)
    height = float(across[row, column] / along[row, column])
    a = mean_y - height * float(mean_r[row, column, 0])
    return np.array([a, a + height, math.log(b[row, 0, 0]), float(c[0, column, 0])])
