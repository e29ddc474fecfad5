"""Back from responses to concentrations, each with its error.

The error is that of curve and sample wells together, by the delta method on ln x; a concentration
cannot be negative and its error is relative. Where that gives an interval wider than a quarter
either way the curve is flat, the symmetry on ln x is no longer true, and the interval is found by
inversion: all x whose predicted response is compatible with the observed one. It may be open.
At or beyond an asymptote there is no concentration: the answer is None, not a number.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from readerd.assay.curve.curve import Curve
from readerd.assay.curve.models import Array

# half width on ln x beyond which the delta interval gives way to the inversion interval
FLAT = 0.25
_BISECTIONS = 44
_LARGEST_LOG = 700.0
# a relative error beyond this is no knowledge at all: the curve is not usable there
_USELESS = 1e6


@dataclass(frozen=True, slots=True)
class Estimate:
    """A concentration; `se` and `ci95` are None where the curve has no error (dot to dot)."""

    x: float
    se: float | None
    ci95: tuple[float | None, float | None] | None
    method: Literal["delta", "inversion"] | None


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the error at mean responses comes from; variances of responses, `slope` = dy/d(ln x).

    `exists` is false at or beyond an asymptote: there `log_x` is 0 and means nothing.
    """

    log_x: Array
    exists: NDArray[np.bool_]
    of_wells: Array
    of_curve: Array
    slope: Array

    @property
    def relative(self) -> Array:
        """The standard error of ln x."""
        with np.errstate(all="ignore"):
            return np.asarray(np.sqrt(self.of_curve + self.of_wells) / np.abs(self.slope))


def budget(curve: Curve, y: Array, wells: Array) -> Budget:
    """The error budget at each mean response y of so many wells."""
    log_x, exists = curve.log_dose(y)
    rows = curve.value_and_gradient(log_x)[1]
    of_curve = curve.variance_of_value(rows)
    return Budget(log_x, exists, curve.variance_of_mean(y, wells), of_curve, curve.slope(log_x))


def read_means(
    curve: Curve, y: Array, wells: Array, span: tuple[float, float], *, flat: float = FLAT
) -> list[Estimate | None]:
    """The concentration at each mean response y of so many wells; `span` = lowest, highest dose.

    `flat` = 0 gives the inversion interval everywhere, infinity the delta interval.
    """
    if curve.covariance is None or curve.t_975 is None:
        return _without_error(*curve.log_dose(y))
    found = budget(curve, y, wells)
    relative = found.relative
    usable = found.exists & (relative < _USELESS)
    known = np.where(usable, relative, 0.0)
    return _estimates(curve, y, wells, span, flat, found.log_x, usable, known)


def read_wells(curve: Curve, y: Array, starts: NDArray[np.intp]) -> list[Estimate | None]:
    """The mean of the wells' own concentrations; wells stand in groups that begin at `starts`.

    The interval is always that of the delta method: a mean of concentrations has no inversion.
    """
    log_x, exists = curve.log_dose(y)
    sizes = np.diff(np.r_[starts, y.size]).astype(float)
    x = np.exp(np.where(exists, log_x, 0.0))
    mean = np.add.reduceat(x, starts) / sizes
    t = curve.t_975
    if curve.covariance is None or t is None:
        return _without_error(np.log(mean), np.add.reduceat(exists * 1.0, starts) == sizes)
    _, rows = curve.value_and_gradient(log_x)
    with np.errstate(all="ignore"):
        steep = np.where(exists, curve.slope(log_x), 1.0)
        own = np.sqrt(curve.variance_of_mean(y, np.ones(y.size))) / np.abs(steep)
    exists &= own < _USELESS
    share = x / np.repeat(mean * sizes, sizes.astype(int))
    gradient = np.add.reduceat(rows * (np.where(exists, share / steep, 0.0)), starts, axis=1)
    wells = np.add.reduceat((np.where(exists, own, 0.0) * share) ** 2, starts)
    relative = np.sqrt(curve.variance_of_value(gradient) + wells)
    whole = np.add.reduceat(exists * 1.0, starts) == sizes
    return [
        Estimate(x_mean, x_mean * se, _around(math.log(x_mean), t * se), "delta") if there else None
        for there, x_mean, se in zip(whole, mean.tolist(), relative.tolist(), strict=True)
    ]


def _around(log_x: float, reach: float) -> tuple[float | None, float | None]:
    """Both ends of a symmetric interval on ln x; open where it exceeds all numbers."""
    if abs(log_x) + reach > _LARGEST_LOG:
        return None, None
    return math.exp(log_x - reach), math.exp(log_x + reach)


def _without_error(log_x: Array, exists: NDArray[np.bool_]) -> list[Estimate | None]:
    return [
        Estimate(math.exp(value), None, None, None) if there else None
        for value, there in zip(log_x.tolist(), exists.tolist(), strict=True)
    ]


def _estimates(
    curve: Curve,
    y: Array,
    wells: Array,
    span: tuple[float, float],
    flat: float,
    log_x: Array,
    exists: NDArray[np.bool_],
    relative: Array,
) -> list[Estimate | None]:
    half = (curve.t_975 or 0.0) * relative
    wide = np.flatnonzero(exists & (half > flat))
    found: dict[int, tuple[float | None, float | None]] = {}
    if wide.size:
        intervals = _inversions(curve, y[wide], wells[wide], log_x[wide], span)
        found = dict(zip(wide.tolist(), intervals, strict=True))
    estimates: list[Estimate | None] = []
    columns = zip(log_x.tolist(), relative.tolist(), half.tolist(), exists.tolist(), strict=True)
    for index, (centre, error, reach, there) in enumerate(columns):
        if not there:
            estimates.append(None)
            continue
        x = math.exp(centre)
        if index in found:
            estimates.append(Estimate(x, x * error, found[index], "inversion"))
        else:
            estimates.append(Estimate(x, x * error, _around(centre, reach), "delta"))
    return estimates


def _inversions(
    curve: Curve, y: Array, wells: Array, log_x: Array, span: tuple[float, float]
) -> list[tuple[float | None, float | None]]:
    """The piece around each estimate in which |y - f(x)| <= t·sqrt(var of the wells + of f(x))."""
    low, high = math.log(span[0]), math.log(span[1])
    grid = np.concatenate(
        [
            [-np.inf],
            np.arange(low - 60.0, low - 12.0, 2.0),
            np.arange(low - 12.0, high + 12.0, 0.05),
            np.arange(high + 12.0, high + 60.0, 2.0),
        ]
    )
    outside = _excess(curve, y[:, None], wells[:, None], grid) >= 0.0
    brackets = [_bracket(row, grid, x) for row, x in zip(outside, log_x.tolist(), strict=True)]
    shut = [(index, end) for index, both in enumerate(brackets) for end in both if end is not None]
    if not shut:
        return [(None, None)] * y.size
    which = np.array([index for index, _ in shut])
    inner, outer = np.array([end for _, end in shut]).T
    found = iter(np.exp(_bisect(curve, y[which], wells[which], inner, outer)).tolist())
    return [
        (None if low is None else next(found), None if high is None else next(found))
        for low, high in brackets
    ]


_End = tuple[float, float] | None


def _bracket(outside: NDArray[np.bool_], grid: Array, x: float) -> tuple[_End, _End]:
    """For each end (last ln x inside, first outside) around x; None where the interval is open."""
    here = int(np.searchsorted(grid, x, side="right"))
    below, above = np.flatnonzero(outside[:here]), np.flatnonzero(outside[here:])
    low: _End = None
    if below.size and below[-1] > 0:
        at = int(below[-1])
        low = (float(grid[at + 1]) if at + 1 < here else x, float(grid[at]))
    high: _End = None
    if above.size:
        at = here + int(above[0])
        high = (float(grid[at - 1]) if at > here else x, float(grid[at]))
    return low, high


def _excess(curve: Curve, y: Array, wells: Array, log_x: Array) -> Array:
    """Above 0 where the response at ln x is not compatible with y."""
    f, rows = curve.value_and_gradient(log_x)
    t = curve.t_975 or 0.0
    return np.asarray(
        (y - f) ** 2 - t * t * (curve.variance_of_value(rows) + curve.variance_of_mean(f, wells))
    )


def _bisect(curve: Curve, y: Array, wells: Array, inner: Array, outer: Array) -> Array:
    for _ in range(_BISECTIONS):
        middle = 0.5 * (inner + outer)
        beyond = _excess(curve, y, wells, middle) >= 0.0
        outer = np.where(beyond, middle, outer)
        inner = np.where(beyond, inner, middle)
    return np.asarray(0.5 * (inner + outer))
