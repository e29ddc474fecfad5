"""Whatever the standards, wells or settings: a curve or a reason, finite numbers, no exception."""

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.quantify import provisional
from readerd.assay.unknowns import read_unknowns
from readerd.plate import Unread
from tests.assay.plates import WELLS, il6, il6_with, numbers_of, result, true_response

UNKNOWNS = {"low": [-5.0], "a": [0.045, 0.05], "mid": [1.0, 1.1, 0.9], "high": [1e6]}
MODELS = ("4pl", "5pl", "5pl-mirrored", "auto", "linear", "log-log", "point-to-point")

choices = st.builds(
    CurveSettings,
    model=st.sampled_from(MODELS),
    weighting=st.sampled_from(("variance", "none", "1/y", "1/y^2")),
    fit_to=st.sampled_from(("wells", "level_means")),
    zero_standard=st.sampled_from(("anchor", "exclude", "subtract")),
    fixed=st.sampled_from(({}, {}, {"a": 0.0}, {"b": 1.0}, {"d": 2.0}, {"a": 0.0, "b": 1.0})),
)
doses = st.one_of(
    st.sampled_from([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]),
    st.floats(0.0, 1e9, allow_subnormal=False),
)
responses = st.one_of(st.floats(-1.0, 5.0), st.floats(-1e6, 1e6))
ods = st.one_of(st.floats(-0.5, 4.5), st.sampled_from(list(Unread)))


def holds(x: list[float], y: list[float], choice: CurveSettings) -> bool:
    """Whether all numbers that come of these standards are finite; True for a refusal as well."""
    calibration = fit_standards(x, y, choice)
    assert (calibration.curve is None) == bool(calibration.fit.reason)
    found = [calibration.fit.levels, calibration.fit]
    for flat in (None, 0.0):
        found.append(read_unknowns(calibration, UNKNOWNS, extrapolate=True, flat=flat))
    found.append(read_unknowns(calibration, UNKNOWNS, replicates="mean-concentration"))
    assert all(math.isfinite(number) for number in numbers_of(found))
    return calibration.curve is not None


@given(st.lists(st.tuples(doses, responses), max_size=24), choices)
@settings(deadline=None, max_examples=150)
def test_any_standards(pairs: list[tuple[float, float]], choice: CurveSettings) -> None:
    holds([x for x, _ in pairs], [y for _, y in pairs], choice)


@given(
    st.floats(0.0, 0.6),
    st.integers(4, 11),
    st.integers(1, 3),
    st.integers(0, 2**32),
    choices,
    st.booleans(),
)
@settings(deadline=None, max_examples=200)
def test_curves_from_clean_to_hopeless(
    noise: float, levels: int, wells: int, seed: int, choice: CurveSettings, falling: bool
) -> None:
    dice = random.Random(seed)
    x = [dose for k in range(levels) for dose in [1000.0 / 2**k if k else 0.0] * wells]
    way = [3.2 - true_response(dose) if falling else true_response(dose) for dose in x]
    y = [f * (1 + noise * dice.gauss(0, 1)) + 0.003 * dice.gauss(0, 1) for f in way]
    accepted = holds(x, y, choice)
    plain = choice.model == "4pl" and not choice.fixed and choice.weighting == "variance"
    if noise < 0.02 and plain and levels >= 8 and choice.zero_standard == "anchor":
        assert accepted


@given(st.lists(ods, min_size=96, max_size=96), st.lists(ods, min_size=96, max_size=96))
@settings(deadline=None, max_examples=60)
def test_any_plate(measured: list[float | Unread], referenced: list[float | Unread]) -> None:
    measurement = dict(zip(WELLS, measured, strict=True))
    reference = dict(zip(WELLS, referenced, strict=True))
    for assay in (il6(), il6_with(curve={"zero_standard": "subtract", "model": "linear"})):
        found = result(measurement, reference, assay)
        assert all(math.isfinite(number) for number in numbers_of(found))
        assert (found.curve == "rejected") == any(
            entry.status == "no_curve" for entry in found.samples
        ) or all(entry.status == "no_reading" for entry in found.samples)
        provisional(assay, measurement, reference)
