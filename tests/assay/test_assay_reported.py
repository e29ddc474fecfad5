"""What a result reports of its curve is the whole curve: nothing reads back otherwise."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.fit import calibrate
from readerd.assay.curve.inverse import Estimate, read_means
from readerd.assay.curve.models import Sigmoid, log_of, theta_from, value
from readerd.assay.curve.reported import curve_of, took_part
from readerd.assay.curve.settings import CurveSettings, FitTo, Model, WeightKind, ZeroStandard

DOSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
NOISE = (0.4, 1.0, -0.6, 0.3, -1.1, 0.8, 0.2, -0.9, 0.5, -0.4)
# a level in one well, one in three: what stands behind a point differs
SPREADS = ((0.8, -1.0), (1.0, -1.2), (0.3,), (0.6, -0.9, 0.2))
MODELS: tuple[Model, ...] = (
    "4pl",
    "5pl",
    "5pl-mirrored",
    "linear",
    "log-log",
    "point-to-point",
)
WEIGHTS: tuple[WeightKind, ...] = ("variance", "none", "1/y", "1/y^2")
FITS_TO: tuple[FitTo, ...] = ("wells", "level_means")


def response(model: Model, dose: float) -> float:
    if model in ("linear", "point-to-point"):
        return 0.05 + 0.01 * dose
    if model == "log-log":
        return float(0.01 * max(dose, 0.1) ** 0.9)
    params = {"a": 0.05, "b": 1.3, "c": 40.0, "d": 3.0, "g": 0.5}
    sigmoid: Sigmoid = "4pl"
    if model == "5pl" or model == "5pl-mirrored":
        sigmoid = model
    return float(value(sigmoid, theta_from(sigmoid, params), log_of(np.array([dose])))[0])


def levels(model: Model) -> list[LevelData]:
    return [
        LevelData(
            position=f"S{rank}",
            nominal=dose,
            responses=tuple(
                sorted(
                    response(model, dose) * (1 + 0.003 * noise + 0.004 * spread)
                    for spread in SPREADS[rank % len(SPREADS)]
                )
            ),
        )
        for rank, (dose, noise) in enumerate(zip(DOSES, NOISE, strict=True))
    ]


def numbers(found: Estimate | None) -> list[float]:
    assert found is not None
    return [x for x in (found.x, found.se, *(found.ci95 or ())) if x is not None]


CASES: list[tuple[Model, dict[str, float]]] = [
    *((model, {}) for model in MODELS),
    ("4pl", {"a": 0.05}),
    ("5pl", {"b": 1.3, "d": 3.0}),
]


@pytest.mark.parametrize(("model", "fixed"), CASES)
def test_a_reported_fit_is_the_curve_that_was_fitted(model: Model, fixed: dict[str, float]) -> None:
    for weighting, fit_to in product(WEIGHTS, FITS_TO):
        settings = CurveSettings(model=model, weighting=weighting, fit_to=fit_to, fixed=fixed)
        calibration = calibrate(levels(model), settings)
        fitted, again = calibration.curve, curve_of(calibration.fit)
        assert fitted is not None, (settings, calibration.fit.reason)
        assert again is not None
        assert (again.free, again.df, again.model) == (fitted.free, fitted.df, fitted.model)
        y = np.array([response(model, dose) for dose in (1.5, 30.0, 200.0)])
        wells = np.array([1.0, 2.0, 3.0])
        # the inversion interval everywhere: it asks for all that a curve knows
        read = [read_means(one, y, wells, (1.0, 256.0), flat=0.0) for one in (fitted, again)]
        for before, after in zip(*read, strict=True):
            assert numbers(after) == pytest.approx(numbers(before), rel=1e-9), settings


@pytest.mark.parametrize("zero", ["exclude", "subtract", "anchor"])
def test_what_took_no_part_stands_behind_no_point(zero: ZeroStandard) -> None:
    """Neither a zero standard that was left out nor a level that was dropped."""
    given = levels("4pl")
    given[0] = replace(given[0], responses=given[0].responses * 4)
    given[2] = replace(given[2], masked="dropped: recovery")
    settings = CurveSettings(fit_to="level_means", zero_standard=zero)
    calibration = calibrate(given, settings)
    fitted, again = calibration.curve, curve_of(calibration.fit)
    assert fitted is not None
    assert again is not None
    names = [level.position for level in took_part(calibration.fit)]
    assert ("S0" in names, "S2" in names, len(names)) == (
        zero == "anchor",
        False,
        8 + ("S0" in names),
    )
    assert again.per_point == pytest.approx(fitted.per_point, rel=1e-12)


def test_dots_are_joined_through_the_levels_that_took_part() -> None:
    rows = {0.0: (0.7,), 1.0: (0.1,), 2.0: (0.5,), 4.0: ()}
    given = [
        LevelData(position=f"S{x}", nominal=x, responses=y, masked=None if y else "dust")
        for x, y in rows.items()
    ]
    settings = CurveSettings(model="point-to-point", zero_standard="exclude")
    again = curve_of(calibrate(given, settings).fit)
    assert again is not None
    assert again.theta.tolist() == [1.0, 2.0, 0.1, 0.5]


def test_no_curve_was_fitted_and_none_comes_back() -> None:
    refused = calibrate(levels("4pl")[:3], CurveSettings())
    assert refused.curve is None
    assert curve_of(refused.fit) is None
    assert curve_of(None) is None
