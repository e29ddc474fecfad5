"""Weighted least squares for a sigmoid, with weights that follow the curve.

The problem. What is wanted is not the minimum of a sum but a fixed point: the theta at which
sum w(f)·(y - f)·grad f = 0 with w computed from the very curve f that theta draws. Minimising
sum w(f)·(y - f)² over everything would let the curve buy smaller residuals with smaller weights;
the usual answer, a whole fit per set of weights until nothing changes, costs ten fits.

The rule. One Levenberg-Marquardt loop in which the weights are frozen within a step and renewed
after it. Its resting points are exactly the fixed points. The loop first runs with weights taken
from the level means, where a sum does decrease from step to step; then, from a curve that is
nearly right, with weights from the curve. It ends when the step left to go, measured in standard
errors of the parameters, is below 1e-10. Close to the end sums of squares differ by rounding only;
there a step is trusted unheard, and shortened when steps go to and fro. The normal equations are
solved by Cholesky: their condition does not matter for the resting point, which is where the
gradient vanishes however the step was found.

Rejected: MINPACK (an import of 0.3 s and 79 MB, and a run to the end per set of weights);
differentiating the weights (another estimator, not the one that the references define); weights
from the observed responses (biased); b and c themselves instead of their logarithms (bounds).

The arrays are tiny, so the time goes into calls: matrices stand with one row per parameter.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from readerd.assay.curve.models import Array, Sigmoid, rise_at, value_and_gradient
from readerd.assay.curve.weights import Variance

# squared length of the step that is left to go, in standard errors of the parameters
SETTLED = 1e-20
# good enough when the weights are about to change anyway
NEAR = 1e-4
# sums of squares this far below the weighted responses' own are rounding
_ROUNDING = 1e-29
# below this length the sums of squares differ by rounding only, and steps are trusted
_TRUSTED = 1e-9
# of a bound on a logarithm: a step against it may end a rounding short of it
_AT_BOUND = 1e-6
_STEPS = 200
_STEPS_AT_BOUND = 12
_STUCK = 1e10
# the place of d in theta, and the share of its asymptote below which the top dose says nothing
_D = 1
_SMALLEST_SHARE = 1e-9


@dataclass(frozen=True, slots=True)
class Problem:
    """Responses y at ln x (ascending), the model, what is free in theta, and its bounds."""

    model: Sigmoid
    log_x: Array
    y: Array
    free: tuple[int, ...]
    lowest: Array
    highest: Array

    def rows(self, rows: Array) -> Array:
        """The gradient's rows that belong to free parameters."""
        return rows if len(self.free) == rows.shape[0] else rows[list(self.free)]

    def at_bound(self, theta: Array) -> tuple[int, ...]:
        limits = (np.minimum(theta - self.lowest, self.highest - theta) <= _AT_BOUND).tolist()
        return tuple(index for index in self.free if limits[index])


@dataclass(frozen=True, slots=True)
class Rest:
    """Where the loop came to rest; `h` = J'WJ over the free parameters."""

    theta: Array
    f: Array
    v: Array
    h: Array
    wssr: float
    settled: bool
    at_bound: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """One theta with everything that a step from it needs."""

    theta: Array
    f: Array
    r: Array
    v: Array
    h: Array
    g: Array
    wssr: float
    top: Array  # gradient of the response at the highest dose, over the free parameters


def descend(
    problem: Problem, theta: Array, variance: Variance | None, v: Array, settled: float = SETTLED
) -> Rest:
    """Walk from theta to rest: with fixed v (variance None), or with v renewed at every step."""
    f, rows = value_and_gradient(problem.model, theta, problem.log_x)
    place = _place(problem, theta, f, rows, variance, v)
    least = _ROUNDING * float(np.dot(problem.y / place.v, problem.y))
    damping, pinned, arrived = 1e-3, 0, False
    before = place.g
    for _ in range(_STEPS):
        _, ahead, info = dposv(place.h, place.g)
        left = float(np.dot(place.g, ahead)) if info == 0 else math.inf
        if left <= settled * place.wssr + least:
            arrived = True
            break
        trusted = left <= _TRUSTED * place.wssr
        if trusted and float(np.dot(before, ahead)) < 0.0:
            # overshooting to and fro: the curvature of the residuals counts, so step shorter
            damping = max(damping * 40.0, 0.1)
        moved = _step(problem, place, damping, trusted)
        if moved is None:
            break
        theta, f, rows, damping = moved
        before = place.g
        place = _place(problem, theta, f, rows, variance, place.v)
        pinned = pinned + 1 if problem.at_bound(theta) else 0
        if pinned > _STEPS_AT_BOUND:
            break
    return Rest(
        place.theta,
        place.f,
        place.v,
        place.h,
        place.wssr,
        arrived,
        problem.at_bound(place.theta),
    )


def _place(
    problem: Problem, theta: Array, f: Array, rows: Array, variance: Variance | None, v: Array
) -> _Place:
    jacobian = problem.rows(rows)
    if variance is not None:
        v = variance.of(f)
    r = problem.y - f
    weighted = jacobian / v
    wssr = float(np.dot(r / v, r))
    return _Place(theta, f, r, v, weighted @ jacobian.T, weighted @ r, wssr, jacobian[:, -1])


def _step(
    problem: Problem, place: _Place, damping: float, trusted: bool
) -> tuple[Array, Array, Array, float] | None:
    """Next theta, its response and gradient, next damping; None when no step leads down."""
    size = place.h.shape[0]
    diagonal = place.h.diagonal()
    free = list(problem.free)
    while damping < _STUCK:
        damped = place.h.copy()
        damped.ravel()[:: size + 1] += damping * diagonal
        _, delta, info = dposv(damped, place.g)
        if info != 0:
            damping = max(damping * 10.0, 1e-6)
            continue
        theta = place.theta.copy()
        theta[free] += delta
        np.maximum(theta, problem.lowest, out=theta)
        np.minimum(theta, problem.highest, out=theta)
        _hold_top(problem, place, theta, delta)
        f, rows = value_and_gradient(problem.model, theta, problem.log_x)
        r = problem.y - f
        if trusted or float(np.dot(r / place.v, r)) <= place.wssr:
            return theta, f, rows, damping * 0.1
        damping = max(damping * 8.0, 1e-8)
    return None


def _hold_top(problem: Problem, place: _Place, theta: Array, delta: Array) -> None:
    """Let d follow b and c, so that the response at the highest dose moves as the step says.

    Without an upper plateau d and c run along a curved valley in which straight steps are short.
    """
    if _D not in problem.free:
        return
    share = rise_at(problem.model, theta, float(problem.log_x[-1]))
    if share > _SMALLEST_SHARE:
        response = float(place.f[-1] + np.dot(place.top, delta))
        theta[_D] = theta[0] + (response - theta[0]) / share
