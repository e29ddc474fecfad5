"""The same standards through other tools: what `bench.science` times beside ours.

Every peer fits a 4PL to the same doses and responses and gives its parameters a, b, c, d. The peers
that can weight do so in their own way; a sum of squares is compared only where they minimise one.
"""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

Array = NDArray[np.float64]
Parameters = tuple[float, float, float, float]
START: Parameters = (0.05, 1.0, 300.0, 2.5)


@dataclass(frozen=True)
class Peer:
    """A named fit of doses and responses; it raises where the tool gives up."""

    name: str
    fit: Callable[[Array, Array], Parameters]


def four(x: Array, a: float, b: float, c: float, d: float) -> Array:
    return np.asarray(d + (a - d) / (1.0 + (x / c) ** b))


def scipy_with_start(x: Array, y: Array) -> Parameters:
    a, b, c, d = curve_fit(four, x, y, p0=START)[0].tolist()
    return a, b, c, d


def scipy_without_start(x: Array, y: Array) -> Parameters:
    a, b, c, d = curve_fit(four, x, y)[0].tolist()
    return a, b, c, d


def lmfit_peer() -> Peer:
    """lmfit.Model with a start; ImportError when lmfit is not installed."""
    model = importlib.import_module("lmfit").Model(four)

    def fit(x: Array, y: Array) -> Parameters:
        a, b, c, d = START
        best = model.fit(y, x=x, a=a, b=b, c=c, d=d).best_values
        return best["a"], best["b"], best["c"], best["d"]

    return Peer("lmfit, with a start", fit)


def bio_curve_fit_peer() -> Peer:
    """bio-curve-fit with its own start; ImportError when it is not installed."""
    tool = importlib.import_module("bio_curve_fit.logistic").FourParamLogistic

    def fit(x: Array, y: Array) -> Parameters:
        curve = tool().fit(x, y)
        return curve.A, curve.B, curve.C, curve.D

    return Peer("bio-curve-fit", fit)


def peers() -> list[Peer]:
    """All that are installed here; the others are named on the way."""
    found = [
        Peer("scipy curve_fit, with a start", scipy_with_start),
        Peer("scipy curve_fit, without", scipy_without_start),
    ]
    for make in (lmfit_peer, bio_curve_fit_peer):
        try:
            found.append(make())
        except ImportError as error:
            print(f"left out: {error}")
    return found


def quietly(fit: Callable[[Array, Array], Parameters], x: Array, y: Array) -> Parameters | None:
    """The peer's answer, None where it gives up; its warnings are not ours to print."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return fit(x, y)
        except (RuntimeError, ValueError):
            return None
