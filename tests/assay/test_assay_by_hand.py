"""Rules on levels, samples and curves made by hand, each limit seen from both of its sides."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from readerd.assay.acceptance import Acceptance
from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.curve import Curve
from readerd.assay.curve.fit import calibrate
from readerd.assay.curve.inverse import Estimate
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.weights import Variance
from readerd.assay.dilution import judge_dilutions
from readerd.assay.low_end import judge_low_end
from readerd.assay.qc import judge_controls, judge_levels, rejection, replicate_rules
from readerd.assay.result import Fit, Flag, Level, Rule, Sample
from readerd.assay.saying import Range, say
from tests.assay.plates import WELLS, clean_plate, il6, il6_with, result

PLAIN = Variance("none", 1.0, 0.0, 0.0)


def made(position: str, value: float | None, **more: object) -> Sample:
    given = Sample(
        position=position,
        sample_id="P",
        wells=("A1", "A2"),
        mean=1.0,
        cv_pct=1.0,
        concentration=value,
        dilution=1.0,
        value=value,
        ci95=None,
        unit="pg/mL",
        qualifier="=",
        limit=None,
        extrapolated=None,
        status="ok",
        flags=(Flag.MASKED,),
    )
    return replace(given, **more)  # type: ignore[arg-type]


def straight(*, rising: bool = True, sd_of_curve: float = 0.0, sigma: float = 0.1) -> Curve:
    """y = 0.5 ± 0.25·x, the error of its intercept, and that of one well."""
    theta = np.array([0.5, 0.25 if rising else -0.25])
    covariance = np.diag([sd_of_curve**2, 0.0])
    return Curve("linear", theta, ("a", "b"), (0, 1), covariance, PLAIN, sigma**2, 8, 1.0)


def series(*values: float, se: tuple[float | None, ...] = (), start: int = 0) -> list[Sample]:
    """Values at dilutions 1, 4, 16 …"""
    errors = se or (None,) * len(values)
    return [
        made(f"U{start + rank}", value, dilution=4.0**rank, se=error)
        for rank, (value, error) in enumerate(zip(values, errors, strict=True))
    ]


def judged(samples: list[Sample], **limits: float) -> tuple[Rule, Rule, set[Flag]]:
    marked, rules = judge_dilutions(samples[::-1], Acceptance(**limits))  # type: ignore[arg-type]
    assert [sample.position for sample in marked] == [s.position for s in samples[::-1]]
    assert all(Flag.MASKED in sample.flags for sample in marked)
    found = {flag for sample in marked for flag in sample.flags} - {Flag.MASKED}
    whole = [sample for sample in marked if found <= set(sample.flags)]
    assert len(whole) == len(marked), "all of the series carry what one carries"
    return rules[0], rules[1], found


def test_dilutions_disagree_by_their_cv() -> None:
    # CV of 80 and 120 is 100·sqrt(800)/100
    cv = 800**0.5
    for limit, flagged in ((28.2, True), (28.3, False)):
        rule, _, flags = judged(series(120.0, 80.0), parallelism_cv_pct=limit)
        assert (rule.observed, rule.limit) == pytest.approx((cv, limit))
        assert (rule.verdict, flags) == (
            ("warn", {Flag.NON_PARALLEL}) if flagged else ("pass", set())
        )
        assert rule.text == ("suspected: P" if flagged else None)


@pytest.mark.parametrize(
    ("values", "se", "trend"),
    [
        # 20 apart; twice the joint error of the ends is 19.8 or 20.1, the middle says nothing
        ((120.0, 110.0, 100.0), (7.0, 90.0, 7.0), True),
        ((120.0, 110.0, 100.0), (7.1, 0.0, 7.1), False),
        ((120.0, 110.0, 100.0), (0.0, 9.0, 9.9), True),
        ((120.0, 110.0, 100.0), (0.0, 0.0, 10.1), False),
        ((100.0, 110.0, 120.0), (7.0, 7.0, 7.0), True),
        ((120.0, 121.0, 100.0), (1.0, 1.0, 1.0), False),
        ((120.0, 100.0), (1.0, 1.0), False),
        ((120.0, 110.0, 100.0), (None, None, None), False),
    ],
)
def test_a_trend_goes_one_way_beyond_the_errors_of_its_ends(
    values: tuple[float, ...], se: tuple[float | None, ...], trend: bool
) -> None:
    rule, _, flags = judged(series(*values, se=se))
    assert (rule.verdict, flags) == (("warn", {Flag.NON_PARALLEL}) if trend else ("pass", set()))


def test_a_hook_is_a_result_that_rises_with_dilution() -> None:
    limits = {"parallelism_cv_pct": 900.0}
    for second, flagged in ((124.9, False), (125.1, True)):
        _, rule, flags = judged(series(100.0, second), **limits)
        assert rule.observed == pytest.approx(second - 100.0)
        assert (rule.verdict, flags) == (
            ("warn", {Flag.HOOK_SUSPECTED}) if flagged else ("pass", set())
        )
    above = [made("U1", 100.0), made("U2", None, dilution=9.0, qualifier=">", limit=130.0)]
    assert judged(above)[1].observed == pytest.approx(30.0)
    # two determinations at one dilution are no rise
    twice = series(200.0, 100.0, 150.0)
    assert judged([replace(twice[0], dilution=4.0), *twice[1:]])[1].observed == pytest.approx(50.0)
    # what is below the range at the higher dilution, or has no value, says nothing
    silent = [made("U1", 100.0), made("U2", None, dilution=9.0, qualifier="<", limit=130.0)]
    assert judged(silent)[1].observed is None
    assert judged(silent)[0].observed is None


def test_only_one_sample_at_two_dilutions_is_a_series() -> None:
    apart = [made("U1", 1.0), made("U2", 9.0, dilution=2.0)]
    for one in (
        [replace(sample, dilution=2.0) for sample in apart],
        [replace(sample, sample_id=None) for sample in apart],
        [replace(sample, role="control") for sample in apart],
        [replace(sample, sample_id=sample.position) for sample in apart],
    ):
        parallel, hook, flags = judged(one)
        assert [(r.verdict, r.observed, r.text) for r in (parallel, hook)] == [
            ("none", None, None)
        ] * 2
        assert flags == set()
    assert judged(apart)[2] == {Flag.NON_PARALLEL, Flag.HOOK_SUSPECTED}


@pytest.mark.parametrize(
    ("values", "observed", "verdicts", "out"),
    [
        ({}, (None, None), ("none", "none"), 0),
        # both ends of QL [20, 40] belong to it
        ({"QL": 20.0, "QL:2": 40.0, "QH": 150.0}, (100.0, 100.0), ("pass", "pass"), 0),
        ({"QL": 19.9, "QL:2": 40.0, "QH": 250.0}, (200 / 3, 50.0), ("pass", "pass"), 1),
        ({"QL": 19.9, "QL:2": 40.1, "QH": 151.0}, (100 / 3, 0.0), ("fail", "fail"), 2),
        ({"QL": 21.0, "QL:2": None, "QL:3": 9.0, "QH": 151.0}, (50, 100 / 3), ("fail", "fail"), 2),
        ({"QL": 21.0, "QL:2": 22.0, "QL:3": 23.0, "QH": None}, (75.0, 0.0), ("pass", "fail"), 1),
    ],
)  # fmt: skip
def test_controls_by_number_and_by_level(
    values: Mapping[str, float | None],
    observed: tuple[float | None, float | None],
    verdicts: tuple[str, str],
    out: int,
) -> None:
    samples = [made("U1", 1e9), *(made(name, v, role="control") for name, v in values.items())]
    marked, rules = judge_controls(il6().layout, samples, Acceptance())
    assert tuple(rule.verdict for rule in rules) == verdicts
    assert tuple(rule.observed for rule in rules) == pytest.approx(observed)
    assert sum(sample.flags == (Flag.MASKED, Flag.CONTROL_OUT) for sample in marked) == out
    assert sum(sample.flags == (Flag.MASKED,) for sample in marked) == len(samples) - out
    assert (rules[1].text is not None) == (verdicts[1] == "fail")
    inside = len(values) - out
    assert rules[0].text == (
        f"{inside} of {len(values)} within limits" if values else "no controls"
    )


def leveled(cvs: Mapping[float, float | None], recovery: float | None = 100.0) -> Fit:
    fit = result(*clean_plate(noise=0.01)).fit
    assert fit is not None
    return replace(
        fit,
        lloq=2.0,
        uloq=8.0,
        levels=tuple(
            Level(
                position=f"S{nominal:g}",
                nominal=nominal,
                n=2,
                mean=1.0,
                cv_pct=cv,
                fitted=1.0,
                back_calculated=nominal,
                recovery_pct=recovery,
                passed=None,
            )
            for nominal, cv in cvs.items()
        ),
    )


@pytest.mark.parametrize(
    ("cvs", "observed", "text"),
    [
        # 20 %, and 25 % at LLOQ and ULOQ; a zero standard is exempt
        ({0.0: 99.0, 2.0: 24.9, 4.0: 19.9, 8.0: 24.9}, 24.9, None),
        ({2.0: 25.1, 4.0: 20.1, 6.0: None, 8.0: 25.1}, 25.1, "above: S2, S4, S8"),
        ({2.0: 20.0, 4.0: 20.0, 8.0: 25.0}, 25.0, None),
    ],
)
def test_replicates_of_standards(
    cvs: dict[float, float | None], observed: float, text: str | None
) -> None:
    standards, samples = replicate_rules(leveled(cvs), [], Acceptance())
    assert (standards.observed, standards.text) == (observed, text)
    assert standards.verdict == ("pass" if text is None else "warn")
    assert (samples.verdict, samples.observed, samples.text) == ("none", None, None)
    assert replicate_rules(None, [], Acceptance())[0].verdict == "none"


def test_replicates_of_samples_are_judged_by_their_flag() -> None:
    calm, wild = made("U1", 1.0, cv_pct=3.0), made("U2", 1.0, cv_pct=30.0, flags=(Flag.HIGH_CV,))
    one = replicate_rules(None, [calm, made("U3", 1.0, cv_pct=None)], Acceptance())[1]
    assert (one.verdict, one.observed, one.text) == ("pass", 3.0, None)
    two = replicate_rules(None, [calm, wild], Acceptance())[1]
    assert (two.verdict, two.observed, two.text) == ("warn", 30.0, "above: U2")


def test_a_rejection_names_what_failed_and_nothing_else() -> None:
    found = judge_levels(leveled(dict.fromkeys((1.0, 2.0, 3.0), 1.0), 140.0), Acceptance())
    assert rejection(found) == "levels-passing 0, needs 6; levels-passing-pct 0, needs 75"


@pytest.mark.parametrize(
    ("min_levels", "pct", "allowed"),
    # of seven levels: ceil(7 · pct / 100) have to stay; after the third none fails any more
    [(2, 100, 0), (2, 75, 1), (2, 70, 2), (2, 57.2, 2), (2, 57, 3), (6, 1, 1), (2, 1, 3)],
)
def test_as_many_levels_are_dropped_as_the_profile_can_spare(
    min_levels: int, pct: float, allowed: int
) -> None:
    measurement, reference = clean_plate(noise=0.005)
    errors = {"S2": 0.75, "S4": 1.5, "S6": 0.6}
    for well, name in zip(WELLS, il6().layout.positions, strict=True):
        od, base = measurement[well], reference[well]
        assert isinstance(od, float)
        assert isinstance(base, float)
        measurement[well] = base + (od - base) * errors.get(str(name), 1.0)
    limits = {"min_levels": min_levels, "min_levels_passing_pct": pct, "drop_failing_levels": True}
    found = result(measurement, reference, il6_with(acceptance=limits))
    assert found.fit is not None
    dropped = [level for level in found.fit.levels if level.masked]
    assert len(dropped) == allowed
    # the worst goes first: what cannot be read back at all, then the largest deviation
    assert [level.position for level in dropped] == ["S1", "S2", "S7"][:allowed]
    assert all((level.masked or "").startswith("dropped: ") for level in dropped)
    assert (Flag.LEVEL_DROPPED in found.flags) is (allowed > 0)


@pytest.mark.parametrize("rising", [True, False])
def test_samples_beyond_the_response_at_dose_zero(rising: bool) -> None:
    way = 1.0 if rising else -1.0
    # three standard errors: of the mean of two wells, and of the curve
    noise = math.hypot(0.1 / 2**0.5, 0.03)
    curve = straight(rising=rising, sd_of_curve=0.03)
    for times, named in ((2.99, False), (3.01, True)):
        inside = made("U1", 1.0, mean=0.5 + way)
        far = made("U2", None, mean=0.5 - way * times * noise)
        rule = judge_low_end(curve, [inside, far, made("U3", None, mean=None)])
        assert (rule.observed, rule.limit) == pytest.approx((times, 3.0))
        assert rule.verdict == ("warn" if named else "pass")
        assert rule.text == ("below the fitted lower asymptote: U2" if named else None)
    assert judge_low_end(curve, []).verdict == "none"
    # without any noise nothing can be said to exceed it
    sure = judge_low_end(straight(rising=rising, sigma=0.0), [made("U1", None, mean=0.5 - way)])
    assert (sure.verdict, sure.observed) == ("pass", 0.0)
    dots = Curve(
        "point-to-point", np.array([0.0, 1.0, 0.0, 1.0]), (), (), None, PLAIN, None, None, 1.0
    )
    assert judge_low_end(dots, [made("U1", 1.0, mean=-9.0)]).verdict == "none"


@pytest.mark.parametrize("rising", [True, False])
def test_what_may_be_said(rising: bool) -> None:
    curve = straight(rising=rising)
    low, high = (0.75, 2.5) if rising else (0.25, -1.5)
    beyond, short = (">", "<") if rising else ("<", ">")
    limit = {"<": 2.0, ">": 16.0}
    flag = {"<": Flag.BELOW_RANGE, ">": Flag.ABOVE_RANGE}
    usable = Range(curve, 1.0, 8.0, low, high)

    def said(
        x: float | None, mean: float | None, *, over: bool = False, further: bool = False
    ) -> tuple[object, ...]:
        estimate = None if x is None else Estimate(x, 0.5, (None, x), "inversion")
        got = say(usable, estimate, mean, saturated=over, dilution=2.0, extrapolate=further)
        assert got.flags == ((flag[got.qualifier],) if got.qualifier in flag else ())
        return got.status, got.value, got.qualifier, got.limit, got.extrapolated

    for x in (1.0, 3.0, 8.0):
        assert said(x, low) == ("ok", 2 * x, "=", None, None)
    outside = "out_of_range"
    assert said(0.9, low) == (outside, None, "<", 2.0, None)
    assert said(8.1, high, further=True) == (outside, None, ">", 16.0, 16.2)
    # no estimate: the side is that of the response, and inside the range there is none
    assert said(None, -9.0) == ("unreadable", None, short, limit[short], None)
    assert said(None, 9.0) == ("unreadable", None, beyond, limit[beyond], None)
    assert said(None, low) == said(None, high) == ("unreadable", None, None, None, None)
    assert said(None, None) == ("no_reading", None, None, None, None)
    # a saturated well means the side of high responses unless a neighbour contradicts
    assert said(None, None, over=True) == (outside, None, beyond, limit[beyond], None)
    assert said(9.0, 9.0, over=True) == (outside, None, beyond, limit[beyond], None)
    assert said(3.0, low, over=True) == ("unreadable", None, None, None, None)


def test_what_is_said_is_times_the_dilution_and_nothing_without_a_curve() -> None:
    usable = Range(straight(rising=True), 1.0, 8.0, 0.75, 2.5)
    for ci95, times in (((2.0, 3.5), (4.0, 7.0)), ((2.0, None), (4.0, None)), (None, None)):
        estimate = Estimate(3.0, 0.5, ci95, "inversion")
        got = say(usable, estimate, 1.0, saturated=False, dilution=2.0, extrapolate=False)
        assert (got.concentration, got.se, got.ci95, got.method) == (3.0, 1.0, times, "inversion")
    for mean, over, status in (
        (1.0, False, "no_curve"),
        (None, True, "no_curve"),
        (None, False, "no_reading"),
    ):
        assert (
            say(None, None, mean, saturated=over, dilution=1.0, extrapolate=True).status == status
        )


def test_a_flag_is_its_own_name() -> None:
    assert [flag.value for flag in Flag] == [flag.name for flag in Flag]


def test_a_dropped_level_is_no_end_of_the_range() -> None:
    fit = leveled(dict.fromkeys((1.0, 2.0, 3.0, 4.0), 1.0))
    dropped = tuple(
        replace(level, masked="dropped") if level.nominal in (1.0, 4.0) else level
        for level in fit.levels
    )
    found = judge_levels(replace(fit, levels=dropped), Acceptance())
    assert (found.lloq, found.uloq) == (2.0, 3.0)
    assert [level.passed for level in found.levels] == [None, True, True, None]


def test_a_level_without_wells_is_not_read_back() -> None:
    rows = {1.0: (-0.02, 0.12), 2.0: (0.4,), 3.0: (0.72,), 4.0: (1.0,), 9.0: ()}
    levels = [
        LevelData(position=f"S{x:g}", nominal=x, responses=y, masked=None if y else "dust")
        for x, y in rows.items()
    ]
    fit = calibrate(levels, CurveSettings(model="linear", weighting="none")).fit
    assert fit.converged
    assert fit.params["a"] < 0
    top = fit.levels[0]
    assert (top.nominal, top.mean, top.back_calculated, top.recovery_pct) == (9.0, None, None, None)
    assert (top.n, top.masked, fit.uloq) == (0, "dust", 4.0)
