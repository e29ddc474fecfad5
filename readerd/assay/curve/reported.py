"""A reported fit as a curve again: what a picture or an explanation computes with.

A result carries the natural parameters, their covariance, sigma and the weights; that is all that
a `Curve` holds. So whoever has the message can draw the band, and follow a number back to where it
came from, with the code that made it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from readerd.assay.curve.curve import Curve, CurveModel
from readerd.assay.curve.models import NAMES, Array, Sigmoid, theta_from
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.weights import Variance, variance_of
from readerd.assay.result import Fit, Level


def curve_of(fit: Fit | None) -> Curve | None:
    """The curve of a fit; None where it was refused."""
    if fit is None or not fit.converged:
        return None
    model = cast(CurveModel, fit.model)
    names = () if model == "point-to-point" else NAMES.get(model, ("a", "b"))
    order = fit.covariance.order if fit.covariance is not None else ()
    free = tuple(index for index, name in enumerate(names) if name in order)
    return Curve(
        model=model,
        theta=_theta(fit, names),
        names=names,
        free=free,
        covariance=_covariance(fit, [order.index(names[index]) for index in free]),
        variance=_variance(fit),
        sigma2=None if fit.sigma is None else fit.sigma**2,
        df=fit.df,
        per_point=_per_point(fit),
    )


def took_part(fit: Fit) -> tuple[Level, ...]:
    """The levels that the curve was fitted to."""
    return tuple(one for one in fit.levels if one.n and one.masked is None)


def _theta(fit: Fit, names: tuple[str, ...]) -> Array:
    if fit.model in NAMES:
        return theta_from(cast(Sigmoid, fit.model), fit.params)
    return np.array([fit.params[name] for name in names]) if names else _knots(fit)


def _knots(fit: Fit) -> Array:
    """The level means that dots are joined through."""
    joined = sorted((one.nominal, one.mean) for one in took_part(fit) if one.mean is not None)
    return np.array([x for x, _ in joined] + [y for _, y in joined])


def _covariance(fit: Fit, places: Sequence[int]) -> Array | None:
    """Of the free elements of theta, in the order of theta: of logarithms where it holds them."""
    if fit.covariance is None:
        return None
    order = fit.covariance.order
    natural = np.zeros((len(order), len(order)))
    for row, upper in enumerate(fit.covariance.upper):
        natural[row, row:] = natural[row:, row] = upper
    carried_as_log = {"b", "c", "g"} if fit.model in NAMES else set()
    scale = np.array([fit.params[name] if name in carried_as_log else 1.0 for name in order])
    return np.asarray((natural / np.outer(scale, scale))[np.ix_(places, places)])


def _variance(fit: Fit) -> Variance:
    settings, used = CurveSettings(weighting=fit.weighting.kind), fit.weighting
    if used.s0 is not None and used.cv is not None:
        settings = replace(settings, s0=used.s0, cv=used.cv)
    means = [
        abs(level.mean) for level in fit.levels if level.mean is not None and level.masked is None
    ]
    return variance_of(settings, max(means, default=0.0))


def _per_point(fit: Fit) -> float:
    """How many wells stand behind one point of the fit: the harmonic mean over the levels."""
    sizes = [level.n for level in took_part(fit)]
    if fit.fit_to == "wells" or not sizes:
        return 1.0
    return len(sizes) / sum(1.0 / size for size in sizes)
