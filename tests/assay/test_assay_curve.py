"""Models, refusals and flags of the curve."""

import math
import subprocess
import sys

import numpy as np
import pytest

from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.models import log_of, theta_from, value
from readerd.assay.curve.settings import CurveSettings, FitTo, Model, WeightKind, ZeroStandard
from readerd.assay.unknowns import read_unknowns
from tests.assay.reference import CASES, case, standards

DOSES = [0.0, 4.69, 9.38, 18.75, 37.5, 75.0, 150.0, 300.0]


def drawn(
    params: dict[str, float], doses: list[float], model: str = "4pl"
) -> tuple[list[float], list[float]]:
    """Two wells per dose, 1 % above and below the curve."""
    sigmoid = next(name for name in ("4pl", "5pl", "5pl-mirrored") if name == model)
    f = value(sigmoid, theta_from(sigmoid, params), log_of(np.array(doses))).tolist()
    x = [dose for dose in doses for _ in range(2)]
    return x, [y * times for y in f for times in (0.99, 1.01)]


IL6 = {"a": 0.045, "b": 1.05, "c": 420.0, "d": 3.2}


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("weighting", ["variance", "none", "1/y", "1/y^2"])
def test_rising_and_falling_curves(weighting: WeightKind, falling: bool) -> None:
    params = {**IL6, "a": 3.2, "d": 0.045} if falling else IL6
    x, y = drawn(params, DOSES)
    calibration = fit_standards(x, y, CurveSettings(weighting=weighting))
    assert calibration.fit.params == pytest.approx(params, rel=0.02)
    (found,) = read_unknowns(calibration, {"u": [value_at(params, 60.0)]})
    assert found.concentration == pytest.approx(60.0, rel=0.01)


def value_at(params: dict[str, float], dose: float) -> float:
    return float(value("4pl", theta_from("4pl", params), log_of(np.array([dose])))[0])


def test_high_response_of_a_falling_curve_is_below_the_range() -> None:
    params = {**IL6, "a": 3.2, "d": 0.045}
    calibration = fit_standards(*drawn(params, DOSES), CurveSettings())
    high, low = read_unknowns(calibration, {"high": [3.5], "low": [0.5]})
    assert (high.status, high.qualifier, high.limit) == ("unreadable", "<", 4.69)
    assert (low.status, low.qualifier, low.limit) == ("out_of_range", ">", 300.0)


def test_the_zero_standard_anchors_or_stays_out() -> None:
    x, y = drawn(IL6, DOSES)
    anchored = fit_standards(x, y, CurveSettings()).fit
    excluded = fit_standards(x, y, CurveSettings(zero_standard="exclude")).fit
    bare = fit_standards(x[2:], y[2:], CurveSettings()).fit
    assert excluded.params == bare.params
    assert anchored.params != bare.params
    assert anchored.levels[-1].fitted == anchored.params["a"]
    assert excluded.levels[-1].nominal == 0.0
    assert anchored.lloq == 4.69


@pytest.mark.parametrize("zero", ["anchor", "subtract"])
def test_subtracting_the_zero_reaches_the_unknowns(zero: ZeroStandard) -> None:
    calibration = fit_standards(*drawn(IL6, DOSES), CurveSettings(zero_standard=zero))
    (found,) = read_unknowns(calibration, {"u": [value_at(IL6, 60.0)]})
    assert found.concentration == pytest.approx(60.0, rel=0.01)


def test_fixed_parameters_stay_and_carry_no_error() -> None:
    fit = fit_standards(*drawn(IL6, DOSES), CurveSettings(fixed={"a": 0.045, "d": 3.2})).fit
    assert (fit.params["a"], fit.params["d"]) == (0.045, 3.2)
    assert fit.stderr is not None
    assert set(fit.stderr) == {"b", "c"}
    assert fit.covariance is not None
    assert fit.covariance.order == ("b", "c")
    assert fit.df == 14


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([], [], "no standard has a value"),
        ([10.0, 10.0], [1.0, 1.1], "1 distinct standard levels"),
        ([1.0, 2.0, 4.0, 8.0], [0.1, 0.4, 0.9, 1.5], "4 distinct standard levels"),
        ([1.0, 2.0, 4.0, 8.0, 16.0], [1.0] * 5, "same response"),
        ([1.0, 2.0, 4.0, 8.0, 16.0], [0.1, 0.12, 0.15, 0.2, 0.25], "span 0.15"),
        ([1.0, 2.0, 4.0, 8.0, 16.0], [0.1, 1.5, 0.1, 1.2, 0.2], "step back"),
    ],
)
def test_refused_with_a_reason(x: list[float], y: list[float], reason: str) -> None:
    calibration = fit_standards(x, y, CurveSettings())
    assert calibration.curve is None
    assert not calibration.fit.converged
    assert calibration.fit.params == {}
    assert reason in (calibration.fit.reason or "")
    assert {(level.fitted, level.back_calculated) for level in calibration.fit.levels} <= {
        (None, None)
    }
    (unknown,) = read_unknowns(calibration, {"u": [0.5, 0.7]})
    assert (unknown.status, unknown.concentration, unknown.mean) == ("no_curve", None, 0.6)


@pytest.mark.parametrize("weighting", ["variance", "none", "1/y", "1/y^2"])
@pytest.mark.parametrize("model", ["4pl", "5pl", "5pl-mirrored", "auto"])
def test_scatter_that_is_no_sigmoid_is_refused(model: Model, weighting: WeightKind) -> None:
    fit = fit_standards(
        *standards("dr4pl-error2"), CurveSettings(model=model, weighting=weighting)
    ).fit
    assert not fit.converged
    assert fit.reason


def test_a_rise_before_the_fall_is_flagged_not_refused() -> None:
    calibration = fit_standards(*standards("drc-lettuce"), CurveSettings(weighting="none"))
    assert calibration.fit.converged
    assert calibration.direction is not None
    assert calibration.direction.flagged
    assert "step back by 30 %" in calibration.fit.warnings[-1]


def test_a_step_back_is_said_beside_the_choice_of_the_model() -> None:
    choice = CurveSettings(model="auto", weighting="none")
    warnings = fit_standards(*standards("drc-lettuce"), choice).fit.warnings
    assert warnings[0].startswith("auto: ")
    assert any("step back" in warning for warning in warnings[1:])


def test_no_real_curve_but_lettuce_and_rat43_is_flagged() -> None:
    flagged = []
    for name in CASES:
        # two herbicides in one file, which are two curves
        if name in ("drc-salba", "dr4pl-error2"):
            continue
        kind: WeightKind = "variance" if case(name)["y_unit"] == "OD" else "none"
        calibration = fit_standards(*standards(name), CurveSettings(weighting=kind))
        assert calibration.curve is not None, name
        assert calibration.direction is not None
        if calibration.direction.flagged:
            flagged.append(name)
    assert flagged == ["drc-lettuce", "nist-rat43"]


def test_no_upper_plateau_is_said() -> None:
    fit = fit_standards(*standards("softmax-hcp-450-650"), CurveSettings()).fit
    assert any("no upper plateau" in warning for warning in fit.warnings)


def test_auto_keeps_the_4pl_and_says_why() -> None:
    fit = fit_standards(*standards("dnase-run02"), CurveSettings(model="auto")).fit
    assert fit.model == "4pl"
    assert fit.params == fit_standards(*standards("dnase-run02"), CurveSettings()).fit.params
    assert fit.warnings[0].startswith("auto: 4PL kept (5pl: ")


@pytest.mark.parametrize("model", ["5pl", "5pl-mirrored"])
def test_auto_takes_a_5pl_where_it_is_one(model: Model) -> None:
    params = {"a": 0.05, "b": 2.5, "c": 60.0, "d": 3.0, "g": 0.35}
    doses = [0.0, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 1000.0]
    x, y = drawn(params, doses, model)
    fit = fit_standards(x, y, CurveSettings(model="auto")).fit
    assert fit.model == model
    assert fit.params == pytest.approx(params, rel=0.15)
    assert "passes the guard" in fit.warnings[0]


@pytest.mark.parametrize("fit_to", ["wells", "level_means"])
def test_linear(fit_to: FitTo) -> None:
    x = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    y = [0.10, 0.12, 0.33, 0.29, 0.52, 0.51, 0.93, 0.91]
    settings = CurveSettings(model="linear", weighting="none", fit_to=fit_to)
    calibration = fit_standards(x, y, settings)
    slope, intercept = np.polyfit(x, y, 1)
    assert calibration.fit.params == pytest.approx({"a": intercept, "b": slope}, rel=1e-9)
    inside, below = read_unknowns(calibration, {"u": [0.6], "v": [0.05]})
    assert inside.concentration == pytest.approx((0.6 - intercept) / slope, rel=1e-9)
    assert inside.se is not None
    assert (below.status, below.qualifier) == ("unreadable", "<")


def test_log_log_is_a_straight_line_in_logarithms() -> None:
    x = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    y = [0.01, 0.11, 0.19, 0.42, 0.77, 1.65]
    calibration = fit_standards(x, y, CurveSettings(model="log-log", weighting="none"))
    slope, intercept = np.polyfit(np.log(x[1:]), np.log(y[1:]), 1)
    assert calibration.fit.params == pytest.approx({"a": intercept, "b": slope}, rel=1e-9)
    (found,) = read_unknowns(calibration, {"u": [0.5]})
    assert found.concentration == pytest.approx(math.exp((math.log(0.5) - intercept) / slope))
    y[1] = -0.1
    refused = fit_standards(x, y, CurveSettings(model="log-log", weighting="none")).fit
    assert "no logarithm" in (refused.reason or "")


def test_point_to_point_joins_the_means() -> None:
    x = [0.0, 1.0, 1.0, 2.0, 4.0]
    y = [0.1, 0.28, 0.32, 0.5, 0.8]
    calibration = fit_standards(x, y, CurveSettings(model="point-to-point"))
    fit = calibration.fit
    assert (fit.params, fit.stderr, fit.wssr) == ({}, None, None)
    (found,) = read_unknowns(calibration, {"u": [0.65]})
    assert found.concentration == pytest.approx(3.0)
    assert (found.se, found.ci95) == (None, None)
    assert all(level.recovery_pct == pytest.approx(100) for level in fit.levels if level.nominal)
    y[4] = 0.4
    refused = fit_standards(x, y, CurveSettings(model="point-to-point")).fit
    assert "one way" in (refused.reason or "")


def test_level_means_are_no_surer_than_their_wells() -> None:
    x, y = drawn(IL6, DOSES)
    settings = CurveSettings(fit_to="level_means")
    calm = fit_standards(x, y, settings).fit
    wild = fit_standards(x, [v * t for v, t in zip(y, [0.9, 1.1] * 8, strict=True)], settings).fit
    assert calm.stderr is not None
    assert wild.stderr is not None
    assert wild.params == pytest.approx(calm.params, rel=1e-2)
    assert wild.stderr["c"] > 5 * calm.stderr["c"]


@pytest.mark.parametrize("weighting", ["variance", "none"])
@pytest.mark.parametrize("model", ["4pl", "linear"])
def test_wells_or_their_means_are_one_fit_and_one_error_where_levels_are_alike(
    model: Model, weighting: WeightKind
) -> None:
    x, y = drawn(IL6, DOSES)
    y = [od * times for od, times in zip(y, [0.97, 1.04, 1.03, 1.0] * 4, strict=True)]
    wells, means = (
        fit_standards(x, y, CurveSettings(model=model, weighting=weighting, fit_to=which))
        for which in ("wells", "level_means")
    )
    assert means.fit.params == pytest.approx(wells.fit.params, rel=1e-6)
    assert means.fit.stderr == pytest.approx(wells.fit.stderr, rel=1e-6)
    assert means.fit.df == wells.fit.df
    (one,), (other,) = (read_unknowns(each, {"u": [0.5, 0.52]}) for each in (wells, means))
    assert other.ci95 == pytest.approx(one.ci95, rel=1e-6)


def test_huge_and_tiny_doses_do_not_overflow() -> None:
    for factor in (1e-12, 1e12):
        x, y = drawn(IL6, DOSES)
        calibration = fit_standards([dose * factor for dose in x], y, CurveSettings())
        assert calibration.fit.params["c"] == pytest.approx(420.0 * factor, rel=0.02)


def test_the_light_modules_do_not_import_scipy() -> None:
    code = (
        "import sys, readerd.assay.definition, readerd.assay.result, readerd.assay.layout,"
        " readerd.assay.curve.models;"
        "sys.exit(any(name.split('.')[0] == 'scipy' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_whole_room_does_without_the_heavy_parts_of_scipy() -> None:
    code = (
        "import sys, readerd.assay.quantify, readerd.assay.unknowns;"
        "sys.exit('scipy.optimize' in sys.modules or 'scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
