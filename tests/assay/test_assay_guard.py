"""The guard of the 5PL and other limits of the fit, each seen from both sides."""

import math

import numpy as np
import pytest

from readerd.assay.curve.attempt import Attempt
from readerd.assay.curve.curve import Curve
from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.guard import identified
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.weights import Variance

NAMES = ("a", "d", "b", "c", "g")


def five(g: float, error: float) -> Attempt:
    """A 5PL with this g, ln g uncertain by that much."""
    covariance = np.diag([1e-6, 1e-6, 1e-6, 1e-6, error**2])
    theta = np.array([0.05, 3.0, 0.0, 4.0, math.log(g)])
    variance = Variance("variance", 0.005, 0.05, 0.0)
    curve = Curve("5pl", theta, NAMES, (0, 1, 2, 3, 4), covariance, variance, 1.0, 10, 1.0)
    return Attempt("5pl", curve, None)


@pytest.mark.parametrize(
    ("g", "error", "levels", "why"),
    [
        (0.101, 0.99, 7, None),
        (9.9, 0.99, 7, None),
        (0.099, 0.1, 7, "g = 0.099 lies outside 0.1 to 10"),
        (10.1, 0.1, 7, "g = 10.1 lies outside 0.1 to 10"),
        (1.0, 1.0, 7, "the standard error of ln g is 1"),
        (1.0, 0.1, 6, "6 levels, needs 7"),
    ],
)
def test_g_is_determined_within_its_limits(
    g: float, error: float, levels: int, why: str | None
) -> None:
    found = identified(five(g, error), levels)
    assert (found.curve is None) == (why is not None)
    assert found.reason == (f"5PL not identifiable: {why}" if why else None)


def test_a_subtracted_zero_standard_is_no_point_of_the_curve() -> None:
    x = [0.0, 0.0, 1.0, 3.0, 9.0, 27.0, 81.0, 243.0]
    y = [0.05, 0.07, 0.15, 0.36, 0.9, 1.7, 2.3, 2.6]
    subtracted = fit_standards(x, y, CurveSettings(zero_standard="subtract"))
    assert subtracted.blank == pytest.approx(0.06)
    without = fit_standards(x[2:], [od - subtracted.blank for od in y[2:]], CurveSettings())
    assert subtracted.fit.params == without.fit.params
    assert (subtracted.fit.df, subtracted.fit.lloq) == (2, 1.0)


def test_the_second_start_finds_what_the_first_runs_past() -> None:
    levels = {
        0.0: (2.423, 2.575),
        1.0: (0.963, 2.262),  # the outlier bends the logit line, which then runs away
        3.0: (2.108, 2.179),
        9.0: (2.115, 2.063),
        27.0: (2.251, 2.016),
        81.0: (1.784, 1.796),
        243.0: (1.665, 1.62),
        729.0: (1.331, 1.373),
        2187.0: (0.983,),
        6561.0: (0.859, 0.857),
    }
    x, y = zip(*((dose, od) for dose, ods in levels.items() for od in ods), strict=True)
    fit = fit_standards(x, y, CurveSettings()).fit
    # MINPACK from ten random starts, reweighted to rest and finished with Gauss-Newton steps
    expected = {"a": 2.11962825, "b": 0.82085616, "c": 555.17745, "d": 0.68281688}
    assert fit.params == pytest.approx(expected, rel=1e-6)
    assert fit.wssr == pytest.approx(156.742657, rel=1e-8)
