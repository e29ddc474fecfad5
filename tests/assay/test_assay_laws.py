"""Laws of the science: what must not change, and what must change in step."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.assay.curve.fit import Calibration, fit_standards
from readerd.assay.curve.models import EQUATIONS, NAMES, log_dose, log_of, slope, theta_from, value
from readerd.assay.curve.settings import CurveSettings, WeightKind
from readerd.assay.quantify import provisional, quantify
from readerd.plate import Unread
from tests.assay.plates import WELLS, Plate, clean_plate, il6, reading, result, simulated_plate
from tests.assay.reference import standards

DOSES = [0.0, 4.69, 9.38, 18.75, 37.5, 75.0, 150.0, 300.0]
WEIGHTS: tuple[WeightKind, ...] = ("variance", "none", "1/y", "1/y^2")
curves = st.fixed_dictionaries(
    {
        "a": st.floats(0.0, 0.2),
        "d": st.floats(1.0, 4.0),
        "b": st.floats(0.6, 2.5),
        "c": st.floats(20.0, 400.0),
    }
)
# a loaded machine is no falsification
LAW = settings(deadline=None)
seeds = st.integers(0, 2**32 - 1)


def wells_of(curve: dict[str, float], seed: int, noise: float) -> tuple[list[float], list[float]]:
    dice = random.Random(seed)
    x = [dose for dose in DOSES for _ in range(2)]
    f = value("4pl", theta_from("4pl", curve), log_of(np.array(x)))
    y = [float(v) * (1 + noise * dice.gauss(0, 1)) + 0.002 * dice.gauss(0, 1) for v in f]
    return x, y


def fit_of(x: list[float], y: list[float], weighting: WeightKind = "variance") -> Calibration:
    return fit_standards(x, y, CurveSettings(weighting=weighting))


@given(curves, seeds, st.floats(1e-3, 1e3), st.sampled_from(WEIGHTS))
@LAW
def test_scaling_the_doses_scales_the_concentrations(
    curve: dict[str, float], seed: int, factor: float, weighting: WeightKind
) -> None:
    x, y = wells_of(curve, seed, 0.03)
    one = fit_of(x, y, weighting)
    other = fit_of([dose * factor for dose in x], y, weighting)
    assert (one.curve is None) == (other.curve is None)
    if one.curve is None or other.curve is None:
        # hopeless standards: which of two walks that end nowhere was the shorter is rounding
        assert one.fit.reason
        assert other.fit.reason
        return
    asked = np.array([0.3, 0.6, 0.9])
    there, exists = one.curve.log_dose(asked)
    scaled, _ = other.curve.log_dose(asked)
    np.testing.assert_allclose(np.exp(scaled[exists]), factor * np.exp(there[exists]), rtol=1e-6)
    assert other.fit.wssr == pytest.approx(one.fit.wssr, rel=1e-8)


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 2.0, 3.0])
def test_a_fit_against_its_bound_says_so_in_any_unit(factor: float) -> None:
    """At 0.5 it once ended a rounding short of the bound, and gave another reason."""
    x, y = wells_of({"a": 0.0, "d": 1.0, "b": 2.0, "c": 289.0}, 88798, 0.03)
    reason = fit_of([dose * factor for dose in x], y, "1/y^2").fit.reason or ""
    assert reason.startswith("no convergence: no bend within the standards")
    assert "weigh without limit under 1/y^2" in reason


@given(st.integers(0, 2), st.floats(-0.01, 0.04))
@settings(max_examples=25, deadline=None)
def test_one_constant_on_both_wavelengths_changes_nothing(plate: int, constant: float) -> None:
    measurement, reference = simulated_plate(plate)
    moved: list[Plate] = [
        {well: v + constant for well, v in values.items() if not isinstance(v, Unread)}
        for values in (measurement, reference)
    ]
    before, after = result(measurement, reference), result(moved[0], moved[1])
    assert after.verdict == before.verdict
    for one, other in zip(before.samples, after.samples, strict=True):
        assert other.status == one.status
        assert other.qualifier == one.qualifier
        if one.value is not None:
            assert other.value == pytest.approx(one.value, rel=1e-9)
            assert other.se == pytest.approx(one.se, rel=1e-7)


@given(curves, seeds, st.randoms(use_true_random=False))
@LAW
def test_the_order_of_standard_wells_does_not_change_a_bit(
    curve: dict[str, float], seed: int, dice: random.Random
) -> None:
    x, y = wells_of(curve, seed, 0.03)
    wells = list(zip(x, y, strict=True))
    dice.shuffle(wells)
    mixed = fit_of([dose for dose, _ in wells], [response for _, response in wells])
    assert mixed.fit == fit_of(x, y).fit


@given(st.integers(0, 2), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_any_order_of_arrival_ends_in_the_same_bits(plate: int, dice: random.Random) -> None:
    measurement, reference = simulated_plate(plate)
    final = quantify(il6(), reading(measurement, reference), reference_nm=570)
    assert final.fit is not None
    order = [(well, side) for well in WELLS for side in (0, 1)]
    dice.shuffle(order)
    arrived: tuple[dict[str, float | Unread], dict[str, float | Unread]] = ({}, {})
    last = None
    for count, (well, side) in enumerate(order):
        arrived[side][well] = (measurement, reference)[side][well]
        if count % 24 == 23:
            last = provisional(il6(), *arrived)
    assert last is not None
    assert (last.params, last.covariance, last.wssr) == (
        final.fit.params,
        final.fit.covariance,
        final.fit.wssr,
    )
    mixed = {well: arrived[0][well] for well, side in order if side == 0}
    again = quantify(il6(), reading(mixed, arrived[1]), reference_nm=570)
    assert again == final


@given(st.integers(0, 2), st.sets(st.sampled_from(WELLS), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_masked_equals_absent(plate: int, wells: set[str]) -> None:
    measurement, reference = simulated_plate(plate)
    full = reading(measurement, reference)
    masked = quantify(il6(), full, reference_nm=570, masks=dict.fromkeys(wells, "bubble"))
    some = {well: od for well, od in measurement.items() if well not in wells}
    absent = quantify(il6(), reading(some, reference), reference_nm=570)
    assert masked.fit is not None
    assert absent.fit is not None
    assert masked.fit.params == absent.fit.params
    assert masked.curve == absent.curve
    for one, other in zip(masked.samples, absent.samples, strict=True):
        assert replace(one, flags=()) == replace(other, flags=())
    assert all(masked.wells.masked[WELLS.index(well)] == "bubble" for well in wells)


@given(
    curves,
    st.floats(0.2, 5.0),
    st.sampled_from(("4pl", "5pl", "5pl-mirrored")),
    st.floats(-3.0, 3.0),
    st.booleans(),
)
@LAW
def test_inversion_undoes_prediction(
    curve: dict[str, float], g: float, model: str, u: float, falling: bool
) -> None:
    params = {**curve, "g": g}
    if falling:
        params["a"], params["d"] = params["d"], params["a"]
    named = {name: params[name] for name in NAMES[model]}
    sigmoid = next(name for name in ("4pl", "5pl", "5pl-mirrored") if name == model)
    theta = theta_from(sigmoid, named)
    log_x = np.array([math.log(curve["c"]) + u])
    y = value(sigmoid, theta, log_x)
    back, exists = log_dose(sigmoid, theta, y)
    # What the response's own last bits are worth in ln x: much where the curve is flat.
    steep = float(np.abs(slope(sigmoid, theta, log_x))[0])
    bits = max(abs(params["a"]), abs(params["d"])) / steep + abs(float(log_x[0])) + 1.0
    error = 4.0 * float(np.finfo(float).eps) * bits
    if bool(exists[0]):
        assert abs(float(back[0] - log_x[0])) <= error
    else:
        assert error > 0.1, "the response is its asymptote only where nothing can be told any more"


@given(curves, seeds)
@LAW
def test_variance_with_cv_alone_is_one_over_y_squared(curve: dict[str, float], seed: int) -> None:
    x, y = wells_of(curve, seed, 0.03)
    relative = fit_of(x, y, "1/y^2").fit
    same = fit_standards(x, y, CurveSettings(weighting="variance", s0=0.0, cv=1.0)).fit
    assert same.params == relative.params
    assert same.wssr == relative.wssr


@given(curves, seeds)
@LAW
def test_variance_with_s0_alone_is_unweighted(curve: dict[str, float], seed: int) -> None:
    x, y = wells_of(curve, seed, 0.03)
    plain = fit_of(x, y, "none").fit
    # s0 = 1 asks for a span of 5: that check is about optical densities, not about weights
    rule = CurveSettings(weighting="variance", s0=1.0, cv=0.0, min_span=0.2)
    scaled = [100.0 * response for response in y]
    same = fit_standards(x, scaled, rule).fit
    assert (same.params == {}) == (plain.params == {})
    for name, number in plain.params.items():
        times = 100.0 if name in "ad" else 1.0
        assert same.params[name] == pytest.approx(times * number, rel=1e-6, abs=1e-9)


def test_the_identities_hold_on_real_curves() -> None:
    x, y = standards("dnase-run01")
    relative = fit_of(x, y, "1/y^2").fit
    same = fit_standards(x, y, CurveSettings(weighting="variance", s0=0.0, cv=1.0)).fit
    assert (same.params, same.wssr) == (relative.params, relative.wssr)


def test_every_equation_is_written_down() -> None:
    assert set(EQUATIONS) >= set(NAMES)


def test_a_plate_without_noise_gives_its_doses_back() -> None:
    found = result(*clean_plate())
    for entry in found.samples:
        if entry.role == "sample":
            dose = 4.0 + 7.0 * int(entry.position[1:])
            assert entry.value == pytest.approx(dose, rel=1e-9)
