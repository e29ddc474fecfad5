"""Verdicts and optical reports: every rule seen to hold and seen to fail."""

from dataclasses import fields

import pytest

from readerd.assay.acceptance import Acceptance
from readerd.assay.definition import Assay, load_assay
from readerd.assay.qc import judge_levels
from readerd.assay.quantify import quantify
from readerd.assay.result import Flag, Level, PlateResult
from tests.assay.plates import (
    WELLS,
    clean_plate,
    il6,
    il6_with,
    reading,
    result,
    rule,
    sample,
    simulated_plate,
)

# the shipped file states m10's limits; without them the profile's own hold
KIT = {
    "profile": "kit",
    "min_levels": None,
    "replicate_cv_pct": None,
    "replicate_cv_ends_pct": None,
}


def with_error(position: str, times: float, assay: Assay | None = None) -> PlateResult:
    """A clean plate in which the wells of one position read so many times their response."""
    measurement, reference = clean_plate(noise=0.01)
    for well, name in zip(WELLS, il6().layout.positions, strict=True):
        od, base = measurement[well], reference[well]
        if name == position and isinstance(od, float) and isinstance(base, float):
            measurement[well] = base + (od - base) * times
    return result(measurement, reference, assay)


def test_a_clean_plate_passes_every_rule() -> None:
    found = result(*clean_plate(noise=0.01))
    assert {entry.verdict for entry in found.qc.rules} <= {"pass", "none"}
    assert found.verdict == "pass"
    assert found.flags == ()
    assert found.qc.profile == "m10"


def test_every_limit_is_printed_with_its_rule() -> None:
    found = result(*clean_plate(noise=0.01))
    limits = {entry.id: entry.limit for entry in found.qc.rules}
    acceptance = il6().acceptance
    assert limits["standard-recovery"] == acceptance.standard_recovery_pct == 20
    assert limits["levels-passing"] == acceptance.min_levels == 6
    assert limits["levels-passing-pct"] == acceptance.min_levels_passing_pct == 75
    assert limits["replicate-cv-samples"] == acceptance.replicate_cv_pct == 20
    assert limits["controls"] == acceptance.min_controls_passing_pct
    assert limits["controls-each-level"] == 50
    assert limits["parallelism"] == 30
    assert limits["hook-samples"] == 25
    assert limits["optical-spread"] == 0.01


def test_limits_without_a_rule_of_their_own_are_printed_too() -> None:
    changed = il6_with(acceptance={**KIT, "reference_mads": 4.0, "range_high": 250.0})
    limits = result(*clean_plate(noise=0.01), changed).qc.limits
    assert set(limits) == {entry.name for entry in fields(Acceptance)} - {"profile"}
    assert (limits["reference_mads"], limits["range_high"], limits["range_low"]) == (4.0, 250, None)
    assert (limits["min_levels"], limits["replicate_cv_ends_pct"]) == (5, 20.0)
    assert limits["drop_failing_levels"] is False


def test_one_failing_level_is_reported_and_kept() -> None:
    found = with_error("S4", 1.35)
    assert found.curve == "accepted"
    assert found.verdict == "warn"
    assert found.fit is not None
    failed = [level.position for level in found.fit.levels if level.passed is False]
    assert failed == ["S4"]
    assert "S4" in (rule(found, "standard-recovery").text or "")
    assert found.fit_before_drop is None


def test_a_failing_level_is_dropped_only_if_allowed_and_both_curves_are_kept() -> None:
    found = with_error("S4", 1.35, il6_with(acceptance={"drop_failing_levels": True}))
    kept, first = found.fit, found.fit_before_drop
    assert kept is not None
    assert first is not None
    assert Flag.LEVEL_DROPPED in found.flags
    dropped = next(level for level in kept.levels if level.position == "S4")
    assert (dropped.masked or "").startswith("dropped: ")
    assert dropped.n == 2
    assert first.params != kept.params
    assert first.df == (kept.df or 0) + 2
    assert found.curve == "accepted"
    # a level that failed stays a warning when it is dropped: the curve is better, not the plate
    assert (found.verdict, rule(found, "standard-recovery").verdict) == ("warn", "warn")
    assert f"S4 {dropped.masked}" in (rule(found, "standard-recovery").text or "")
    # what counts is how far off the levels are that were kept; a dropped one has no say
    assert rule(found, "standard-recovery").observed == pytest.approx(
        max(abs((level.recovery_pct or 0) - 100) for level in kept.levels if level.passed)
    )


def test_a_failing_end_shrinks_the_range() -> None:
    found = with_error("S7", 0.8)
    assert found.fit is not None
    assert found.fit.levels[6].passed is False
    assert found.fit.lloq == 9.38
    assert sample(found, "U1").status == "ok"


def test_too_few_levels_reject_the_curve() -> None:
    measurement, reference = clean_plate(noise=0.01)
    found = quantify(
        il6(),
        reading(measurement, reference),
        reference_nm=570,
        masks=dict.fromkeys(("D1", "D2", "E1", "E2"), "pipetting"),
    )
    assert found.curve == "rejected"
    assert rule(found, "levels-passing").verdict == "fail"
    assert rule(found, "levels-passing").observed == 5
    assert found.fit is not None
    assert "levels-passing 5, needs 6" in (found.fit.reason or "")
    assert found.fit.params != {}
    kit = quantify(
        il6_with(acceptance=KIT | {"min_levels_passing_pct": 70}),
        reading(measurement, reference),
        reference_nm=570,
        masks=dict.fromkeys(("D1", "D2", "E1", "E2"), "pipetting"),
    )
    assert kit.curve == "accepted"


def level(nominal: float, recovery: float | None) -> Level:
    return Level(
        position=f"S{nominal:g}",
        nominal=nominal,
        n=2,
        mean=1.0,
        cv_pct=1.0,
        fitted=1.0,
        back_calculated=1.0,
        recovery_pct=recovery,
        passed=None,
    )


@pytest.mark.parametrize(
    ("recoveries", "lloq", "uloq", "passing"),
    [
        ([100, 100, 100, 100, 100, 100, 100], 1, 7, 7),
        ([124, 119, 100, 100, 100, 100, 76], 1, 7, 7),
        ([124, 121, 100, 100, 100, 100, 76], 1, 7, 6),
        ([126, 124, 100, 100, 100, 100, 100], 2, 7, 6),
        ([126, 100, 100, 100, 100, None, None], 2, 5, 4),
        ([200, 200, 200, 200, 200, 200, 200], None, None, 0),
    ],
)
def test_recoveries_at_the_ends_are_judged_wider(
    recoveries: list[float | None], lloq: float | None, uloq: float | None, passing: int
) -> None:
    fit = result(*clean_plate(noise=0.01)).fit
    assert fit is not None
    levels = tuple(level(rank + 1.0, recovery) for rank, recovery in enumerate(recoveries))
    changed = {f.name: getattr(fit, f.name) for f in fields(fit)} | {"levels": levels}
    judged = judge_levels(type(fit)(**changed), Acceptance())
    assert (judged.lloq, judged.uloq) == (lloq, uloq)
    assert sum(entry.passed is True for entry in judged.levels) == passing
    assert judged.accepted == (passing >= 6)


def test_a_stated_range_narrows_but_never_widens() -> None:
    narrow = il6_with(acceptance=KIT | {"range_low": 10.0, "range_high": 1000.0})
    found = result(*clean_plate(noise=0.01), narrow)
    assert found.fit is not None
    assert (found.fit.lloq, found.fit.uloq) == (10.0, 300.0)
    assert found.qc.profile == "kit"
    assert rule(found, "replicate-cv-samples").limit == 15.0


@pytest.mark.parametrize("stated", [{"range_low": 400.0}, {"range_high": 4.0}])
def test_a_stated_range_that_no_standard_reaches_rejects_with_its_reason(
    stated: dict[str, float],
) -> None:
    found = result(*clean_plate(noise=0.01), il6_with(acceptance=stated))
    assert found.fit is not None
    assert (found.curve, found.fit.lloq, found.fit.uloq) == ("rejected", None, None)
    assert rule(found, "range").verdict == "fail"
    assert found.fit.reason == rule(found, "range").text
    assert "4.69 to 300" in (found.fit.reason or "")


@pytest.mark.parametrize("dose", [30.0, 60.0])
def test_controls_fail_the_run(dose: float) -> None:
    found = result(*clean_plate(noise=0.01, doses={"QL": dose}))
    inside = dose == 30.0
    assert (Flag.CONTROL_OUT in sample(found, "QL").flags) is not inside
    assert rule(found, "controls").observed == (100.0 if inside else 50.0)
    assert rule(found, "controls").verdict == ("pass" if inside else "fail")
    assert rule(found, "controls-each-level").observed == (100.0 if inside else 0.0)
    assert found.verdict == ("pass" if inside else "fail")
    assert found.curve == "accepted"


def test_several_determinations_of_a_control() -> None:
    text = il6().text.replace("QH QH U8  U8", "QH QH QL:2 QL:2").replace("U9  U9", "QL:3 QL:3")
    assay = load_assay(text, "three lows")
    doses = {"U8": 31.0, "U9": 60.0}
    found = result(*clean_plate(noise=0.01, doses=doses), assay)
    assert [entry.position for entry in found.samples[:4]] == ["QL", "QL:2", "QL:3", "QH"]
    assert rule(found, "controls").observed == 75.0
    assert rule(found, "controls-each-level").observed == pytest.approx(66.67, abs=0.01)
    assert rule(found, "controls").verdict == "pass"


def test_replicates_that_differ_are_flagged() -> None:
    measurement, reference = clean_plate(noise=0.01)
    od = measurement["E5"]
    assert isinstance(od, float)
    measurement["E5"] = 1.6 * od
    found = result(measurement, reference)
    assert Flag.HIGH_CV in sample(found, "U11").flags
    assert rule(found, "replicate-cv-samples").verdict == "warn"
    assert "U11" in (rule(found, "replicate-cv-samples").text or "")
    assert found.verdict == "warn"


def diluted(doses: dict[str, float], dilutions: dict[str, float]) -> PlateResult:
    samples = {name: {"id": "P-1", "dilution": times} for name, times in dilutions.items()}
    return result(*clean_plate(noise=0.005, doses=doses), il6_with(samples=samples))


def test_parallel_dilutions_hold() -> None:
    found = diluted({"U1": 200.0, "U2": 50.0, "U3": 12.5}, {"U1": 1.0, "U2": 4.0, "U3": 16.0})
    assert rule(found, "parallelism").verdict == "pass"
    assert (rule(found, "parallelism").observed or 99) < 10
    assert rule(found, "hook-samples").verdict == "pass"


def test_dilutions_that_disagree_are_flagged() -> None:
    found = diluted({"U1": 200.0, "U2": 30.0, "U3": 5.0}, {"U1": 1.0, "U2": 4.0, "U3": 16.0})
    assert rule(found, "parallelism").verdict == "warn"
    assert all(Flag.NON_PARALLEL in sample(found, name).flags for name in ("U1", "U2", "U3"))
    assert Flag.HOOK_SUSPECTED not in sample(found, "U1").flags


def test_a_steady_trend_is_flagged_even_inside_the_limit() -> None:
    found = diluted({"U1": 200.0, "U2": 42.0, "U3": 9.0}, {"U1": 1.0, "U2": 4.0, "U3": 16.0})
    assert (rule(found, "parallelism").observed or 99) < 30
    assert Flag.NON_PARALLEL in sample(found, "U2").flags


def test_a_result_that_rises_with_dilution_is_a_hook() -> None:
    found = diluted({"U1": 150.0, "U2": 140.0}, {"U1": 1.0, "U2": 10.0})
    assert rule(found, "hook-samples").verdict == "warn"
    assert Flag.HOOK_SUSPECTED in sample(found, "U1").flags
    beyond = diluted({"U1": 150.0, "U2": 900.0}, {"U1": 1.0, "U2": 10.0})
    assert Flag.HOOK_SUSPECTED in sample(beyond, "U1").flags


def test_the_deepest_hook_reads_below_the_range() -> None:
    found = diluted({"U1": 3.0, "U2": 100.0}, {"U1": 1.0, "U2": 100.0})
    assert (sample(found, "U1").qualifier, sample(found, "U2").status) == ("<", "ok")
    assert rule(found, "hook-samples").observed == pytest.approx(100 * (1e4 / 4.69 - 1), rel=0.05)
    assert (found.verdict, rule(found, "hook-samples").verdict) == ("warn", "warn")
    # out of range the other way round says nothing: 3 in the well is what 100 diluted may leave
    held = diluted({"U1": 100.0, "U2": 3.0}, {"U1": 1.0, "U2": 30.0})
    assert rule(held, "hook-samples").verdict == "none"


def test_a_rise_over_several_dilutions_is_a_hook() -> None:
    found = diluted({"U1": 200.0, "U2": 58.5, "U3": 17.0}, {"U1": 1.0, "U2": 4.0, "U3": 16.0})
    assert rule(found, "hook-samples").observed == pytest.approx(36, abs=4)
    assert rule(found, "hook-samples").verdict == "warn"


def test_a_top_standard_below_the_next_is_a_hook() -> None:
    found = with_error("S1", 0.6)
    assert Flag.NOT_MONOTONIC in with_error("S1", 0.5).flags
    assert rule(found, "hook-standards").verdict == "warn"
    assert Flag.HOOK_SUSPECTED in found.flags


def test_a_lower_asymptote_above_the_low_samples_is_flagged() -> None:
    measurement, reference = clean_plate(noise=0.01)
    for well in ("G3", "G4"):
        base = reference[well]
        assert isinstance(base, float)
        measurement[well] = base - 0.1
    found = result(measurement, reference)
    assert Flag.LOW_SAMPLES_UNREADABLE in found.flags
    assert "U5" in (rule(found, "low-asymptote").text or "")
    assert (sample(found, "U5").status, sample(found, "U5").qualifier) == ("unreadable", "<")


def test_dirt_and_missing_plastic_at_the_reference_are_flagged_on_their_wells() -> None:
    measurement, reference = clean_plate()
    for well, base in (("C5", 0.15), ("C6", 0.06), ("C7", 0.012), ("C8", -0.01)):
        od, old = measurement[well], reference[well]
        assert isinstance(od, float)
        assert isinstance(old, float)
        measurement[well], reference[well] = od - old + base, base
    found = result(measurement, reference)
    marks = dict(zip(WELLS, found.wells.flags, strict=True))
    assert marks["C5"] == marks["C6"] == (Flag.REFERENCE_HIGH,)
    assert marks["C7"] == marks["C8"] == (Flag.REFERENCE_LOW,)
    assert sum(bool(flags) for flags in marks.values()) == 4
    assert Flag.OPTICAL_SPREAD in found.flags
    assert found.verdict == "warn"


def test_no_plate() -> None:
    air = dict.fromkeys(WELLS, 0.004)
    found = result(dict(air), dict(air))
    assert Flag.NO_PLATE_SUSPECTED in found.flags
    assert found.curve == "rejected"
    assert found.verdict == "fail"


@pytest.mark.parametrize(("strip", "on_it"), [("7", "U15"), ("F", "U12")])
def test_an_absent_strip(strip: str, on_it: str) -> None:
    measurement, reference = clean_plate(noise=0.01)
    for well in WELLS:
        if strip in (well[0], well[1:]):
            measurement[well] = reference[well] = 0.005
    found = result(measurement, reference)
    assert Flag.STRIP_ABSENT in found.flags
    assert strip in (rule(found, "plate-present").text or "")
    assert found.verdict == "fail"
    assert Flag.STRIP_ABSENT in sample(found, on_it).flags
    assert Flag.STRIP_ABSENT not in sample(found, "U38").flags


@pytest.mark.parametrize("number", range(3))
def test_a_turned_plate_is_suspected_and_not_corrected(number: int) -> None:
    measurement, reference = simulated_plate(number)
    turned = [
        dict(zip(WELLS, reversed([values[well] for well in WELLS]), strict=True))
        for values in (measurement, reference)
    ]
    found = result(turned[0], turned[1])
    assert Flag.ROTATED_SUSPECTED in found.flags
    assert found.curve == "rejected"
    assert found.verdict == "fail"
    assert all(entry.value is None for entry in found.samples)
    assert rule(found, "orientation").verdict == "fail"
    # masks turn with the plate: these wells hold standards one way and samples the other
    wells = dict.fromkeys(("A1", "A2", "B1", "B2", "C1", "C2"), "dust")
    masked = quantify(il6(), reading(turned[0], turned[1]), reference_nm=570, masks=wells)
    assert Flag.ROTATED_SUSPECTED in masked.flags
    assert Flag.ROTATED_SUSPECTED not in result(measurement, reference).flags
