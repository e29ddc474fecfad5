"""Verdicts that hang on a second thing: a dilution, a second dropped level, a quiet plateau."""

from dataclasses import replace

import pytest

from readerd.assay.acceptance import Acceptance
from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.qc import judge_levels
from readerd.assay.result import Flag
from tests.assay.plates import WELLS, clean_plate, il6, il6_with, result, rule, sample

# the shipped file states m10's limits; without them the profile's own hold
KIT = {"profile": "kit", "replicate_cv_pct": None, "replicate_cv_ends_pct": None}


def test_the_kits_own_limit_flags_replicates_that_m10_would_not() -> None:
    measurement, reference = clean_plate()
    base, od = reference["E5"], measurement["E5"]
    assert isinstance(base, float)
    assert isinstance(od, float)
    # two wells at 1 and 1.29: CV 17.9 %
    measurement["E5"] = base + 1.29 * (od - base)
    for assay, high in ((il6(), False), (il6_with(acceptance=KIT), True)):
        found = result(measurement, reference, assay)
        assert sample(found, "U11").cv_pct == pytest.approx(17.9, abs=0.3)
        assert (Flag.HIGH_CV in sample(found, "U11").flags) is high
        assert (rule(found, "replicate-cv-samples").verdict == "warn") is high


def test_a_control_is_judged_by_its_value_times_its_dilution() -> None:
    diluted_control = il6_with(samples={"QH": {"dilution": 10.0}})
    inside = result(*clean_plate(noise=0.005, doses={"QH": 20.0}), diluted_control)
    assert Flag.CONTROL_OUT not in sample(inside, "QH").flags
    outside = result(*clean_plate(noise=0.005, doses={"QH": 200.0}), diluted_control)
    assert Flag.CONTROL_OUT in sample(outside, "QH").flags


def test_a_well_out_of_range_has_no_concentration_of_its_own() -> None:
    found = result(*clean_plate(doses={"U1": 3.0, "U2": 330.0, "U3": 30.0}))
    own = dict(zip(WELLS, found.wells.concentration, strict=True))
    for position, there in (("U1", False), ("U2", False), ("U3", True)):
        assert all((own[well] is not None) is there for well in sample(found, position).wells)


def test_a_dropped_end_shrinks_the_range_and_the_first_curve_stays_the_first() -> None:
    lenient = {"drop_failing_levels": True, "min_levels": 5, "min_levels_passing_pct": 70}
    measurement, reference = clean_plate(noise=0.005)
    for well, name in zip(WELLS, il6().layout.positions, strict=True):
        od, base = measurement[well], reference[well]
        times = {"S7": 0.7, "S4": 1.5}.get(name or "")
        if times and isinstance(od, float) and isinstance(base, float):
            measurement[well] = base + (od - base) * times
    found = result(measurement, reference, il6_with(acceptance=lenient))
    kept, first = found.fit, found.fit_before_drop
    assert kept is not None
    assert first is not None
    dropped = {level.position for level in kept.levels if level.masked}
    assert dropped == {"S4", "S7"}
    assert (kept.lloq, kept.uloq) == (9.38, 300.0)
    assert {level.masked for level in first.levels} == {None}
    assert (first.df, kept.df) == (12, 8)


def test_two_low_standards_swapped_are_named_though_the_step_is_small() -> None:
    measurement, reference = clean_plate(noise=0.02, seed=3)
    for values in (measurement, reference):
        for one, other in (("F1", "G1"), ("F2", "G2")):
            values[one], values[other] = values[other], values[one]
    found = result(measurement, reference)
    seen = rule(found, "monotonic")
    assert (seen.verdict, seen.limit) == ("warn", 3.0)
    assert (seen.observed or 0) > 3
    assert "2.1 % of the span" in (seen.text or "")
    assert "from S7 to S6" in (seen.text or "")
    assert Flag.NOT_MONOTONIC in found.flags


def test_a_small_step_of_quiet_replicates_on_a_plateau_is_none() -> None:
    x = [dose for dose in (0.0, 1.0, 3.0, 9.0, 27.0, 81.0, 243.0, 729.0) for _ in range(2)]
    plateau = [0.05, 0.25, 0.6, 1.4, 2.3, 2.85, 3.01, 2.96]
    y = [mean * times for mean in plateau for times in (0.998, 1.002)]
    seen = fit_standards(x, y, CurveSettings()).direction
    assert seen is not None
    assert seen.surest.share == pytest.approx(0.0169, rel=0.01)
    assert not seen.flagged


def test_a_dropped_level_stays_out_of_the_range_however_well_it_reads_later() -> None:
    fit = result(*clean_plate()).fit
    assert fit is not None
    levels = tuple(
        replace(level, masked="dropped: 131.0 %") if level.nominal == 4.69 else level
        for level in fit.levels
    )
    judged = judge_levels(replace(fit, levels=levels), Acceptance())
    assert (judged.lloq, judged.uloq) == (9.38, 300.0)
