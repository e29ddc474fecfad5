"""A plate end to end: the simulated ones against their answers, and what a plate may lack."""

import math

import numpy as np
import pytest

from readerd.assay.definition import Assay, load_assay
from readerd.assay.layout import Binding, PlateMap
from readerd.assay.quantify import provisional, quantify
from readerd.assay.result import Flag
from readerd.errors import ErrorCode, InputError, RequestError
from readerd.plate import Unread
from tests.assay.plates import (
    WELLS,
    clean_plate,
    il6,
    il6_with,
    numbers_of,
    reading,
    result,
    rule,
    sample,
    simulated_plate,
    true_response,
)
from tests.assay.reference import simulated


@pytest.mark.parametrize("number", range(3))
def test_simulated_plates_give_the_stated_answers(number: int) -> None:
    answer = simulated()["plates"][number]["reference"][0]
    found = result(*simulated_plate(number))
    assert (found.acquisition, found.curve, found.verdict) == ("complete", "accepted", "pass")
    assert found.fit is not None
    assert found.fit.wssr == pytest.approx(answer["wssr"], rel=1e-9)
    assert found.fit.params == pytest.approx(answer["params"], rel=1e-6)
    assert found.fit.stderr == pytest.approx(answer["se"], rel=1e-6)
    in_range = 0
    for stated in answer["unknowns"]:
        entry = sample(found, stated["id"])
        if entry.status != "ok":
            assert entry.value is None
            assert entry.concentration is None
            continue
        in_range += 1
        assert entry.value == pytest.approx(stated["x"], rel=1e-8)
        assert entry.se == pytest.approx(stated["se_total"], rel=1e-6)
        method = "ci95_wald_log" if entry.ci95_method == "delta" else "ci95_inversion"
        assert entry.ci95 == pytest.approx(tuple(stated[method]), rel=1e-6)
    assert in_range >= 34


@pytest.mark.parametrize("number", range(3))
def test_simulated_plates_find_the_true_concentrations(number: int) -> None:
    found = result(*simulated_plate(number))
    truths = {
        entry["id"]: entry["conc_true"] for entry in simulated()["plates"][number]["unknowns"]
    }
    covered = seen = 0
    for entry in found.samples:
        if entry.value is None or entry.ci95 is None:
            continue
        low, high = entry.ci95
        seen += 1
        covered += (low is None or low <= truths[entry.position]) and (
            high is None or truths[entry.position] <= high
        )
        assert entry.value == pytest.approx(truths[entry.position], rel=0.35)
    assert covered >= 0.85 * seen


def test_corrected_is_measurement_minus_reference_for_every_well() -> None:
    wells = result(*simulated_plate(0)).wells
    assert wells.id == WELLS
    for measured, base, corrected in zip(
        wells.a_measurement, wells.a_reference, wells.corrected, strict=True
    ):
        assert measured is not None
        assert base is not None
        assert corrected == measured - base


def test_every_number_is_finite() -> None:
    measurement, reference = simulated_plate(0)
    measurement.update({"A1": Unread.SATURATED, "E5": Unread.UNREADABLE, "C3": -0.2})
    for found in (result(measurement, reference), result(*clean_plate(doses={"S1": 0.0}))):
        assert all(math.isfinite(number) for number in numbers_of(found))


def test_a_saturated_top_standard_is_left_out_and_the_range_shrinks() -> None:
    measurement, reference = simulated_plate(0)
    measurement["A1"] = Unread.SATURATED
    measurement["A2"] = 3.6
    found = result(measurement, reference)
    assert found.fit is not None
    top = found.fit.levels[0]
    assert (top.position, top.n, top.mean, top.passed) == ("S1", 0, None, None)
    assert top.masked == "SATURATED"
    assert found.fit.uloq == 150.0
    assert found.curve == "accepted"
    assert found.wells.a_measurement[1] == 3.6
    assert found.wells.corrected[:2] == (None, None)
    lost = rule(found, "standard-wells")
    assert (lost.verdict, lost.observed) == ("warn", 2.0)
    assert lost.text == "no number: S1 in A1 (SATURATED), S1 in A2 (SATURATED)"


def test_a_standard_well_that_a_person_left_out_is_not_told_again() -> None:
    measurement, reference = simulated_plate(0)
    measurement["A1"] = Unread.SATURATED
    kept = quantify(il6(), reading(measurement, reference), reference_nm=570)
    left_out = quantify(
        il6(), reading(measurement, reference), reference_nm=570, masks={"A1": "bubble"}
    )
    named = [{one.id for one in found.qc.rules} for found in (kept, left_out)]
    assert ["standard-wells" in rules for rules in named] == [True, False]


def test_a_saturated_sample_is_above_range() -> None:
    measurement, reference = simulated_plate(0)
    measurement.update({"C3": Unread.SATURATED, "C4": Unread.SATURATED})
    entry = sample(result(measurement, reference), "U1")
    assert (entry.status, entry.qualifier, entry.value) == ("out_of_range", ">", None)
    assert entry.limit == 300.0
    assert {Flag.SATURATED, Flag.ABOVE_RANGE} <= set(entry.flags)


def test_a_saturated_well_beside_one_in_range_says_nothing() -> None:
    measurement, reference = simulated_plate(0)
    measurement["E5"] = Unread.SATURATED
    entry = sample(result(measurement, reference), "U11")
    assert (entry.status, entry.qualifier, entry.value) == ("unreadable", None, None)


def test_photometric_range_of_the_driver_is_heeded() -> None:
    measurement, reference = simulated_plate(0)
    found = quantify(
        il6(),
        reading(measurement, reference),
        reference_nm=570,
        photometric_range=(0.0, 1.3),
    )
    assert Flag.SATURATED in found.wells.flags[0]
    assert found.fit is not None
    assert found.fit.uloq == 150.0


def test_high_absorbance_is_flagged_and_still_a_number() -> None:
    measurement, reference = simulated_plate(0)
    measurement.update({"H11": 3.2, "H12": 3.5})
    wells = result(measurement, reference).wells
    index = WELLS.index("H11")
    assert wells.flags[index] == wells.flags[index + 1] == (Flag.HIGH_ABSORBANCE,)
    assert wells.corrected[index] is not None


def test_a_well_without_its_reference_has_no_value() -> None:
    measurement, reference = simulated_plate(0)
    reference["E5"] = Unread.UNREADABLE
    found = result(measurement, reference)
    index = WELLS.index("E5")
    assert found.wells.a_measurement[index] is not None
    assert found.wells.corrected[index] is None
    entry = sample(found, "U11")
    assert Flag.SINGLE_REPLICATE in entry.flags
    assert entry.status == "ok"
    reference["E5"] = 3.6
    wells = result(measurement, reference).wells
    assert (wells.a_reference[index], wells.corrected[index]) == (3.6, None)
    assert wells.flags[index] == (Flag.SATURATED, Flag.REFERENCE_HIGH)


def test_wells_that_were_not_delivered_are_named() -> None:
    measurement, reference = simulated_plate(0)
    del measurement["H12"], measurement["H11"]
    found = result(measurement, reference)
    assert found.acquisition == "incomplete"
    assert Flag.INCOMPLETE in found.flags
    assert "not delivered: H11, H12" in found.warnings
    assert sample(found, "U38").status == "no_reading"
    said = rule(found, "complete")
    assert (said.verdict, said.observed, found.verdict) == ("warn", 2.0, "warn")


def test_standards_without_samples_are_still_a_curve() -> None:
    measurement, reference = simulated_plate(0)
    some = {
        well: measurement[well]
        for well, role in zip(WELLS, il6().layout.roles, strict=True)
        if role == "standard"
    }
    found = result(some, reference)
    assert found.curve == "accepted"
    assert {entry.status for entry in found.samples} == {"no_reading"}


def test_a_rejected_curve_keeps_readings_and_gives_no_concentration() -> None:
    measurement, reference = simulated_plate(0)
    for well in ("A1", "A2"):
        measurement[well] = 0.3
    found = result(measurement, reference)
    assert found.curve == "rejected"
    assert found.verdict == "fail"
    assert Flag.CURVE_REJECTED in found.flags
    assert all(entry.value is None and entry.status == "no_curve" for entry in found.samples)
    assert all(value is None for value in found.wells.concentration)
    assert all(value is not None for value in found.wells.corrected)
    assert found.fit is not None
    assert found.fit.reason is not None
    assert any(entry.verdict == "fail" and entry.text for entry in found.qc.rules)


def test_bindings_come_from_assay_then_plate_map_by_position_or_well() -> None:
    assay = il6_with(samples={"U11": {"id": "007", "dilution": 2.0}})
    measurement, reference = simulated_plate(0)
    plain = sample(result(measurement, reference), "U11")
    bound = sample(result(measurement, reference, assay), "U11")
    assert (bound.sample_id, bound.dilution) == ("007", 2.0)
    assert plain.value is not None
    assert bound.value == 2 * plain.value
    assert bound.concentration == plain.concentration
    plate_map = PlateMap(samples={"E5": Binding("S-9", 10.0)})
    found = quantify(assay, reading(measurement, reference), reference_nm=570, plate_map=plate_map)
    mapped = sample(found, "U11")
    assert (mapped.sample_id, mapped.value) == ("S-9", 10 * plain.value)
    plate_map = PlateMap(samples={"U11": Binding("S-9")})
    found = quantify(assay, reading(measurement, reference), reference_nm=570, plate_map=plate_map)
    mapped = sample(found, "U11")
    assert (mapped.sample_id, mapped.dilution) == ("S-9", 2.0)


@pytest.mark.parametrize(
    "samples",
    [{"U99": Binding("x")}, {"S1": Binding("x")}, {"E5": Binding("x"), "E6": Binding("y")}],
)
def test_a_plate_map_that_names_strangers_is_refused(samples: dict[str, Binding]) -> None:
    with pytest.raises(InputError, match="plate map"):
        quantify(
            il6(),
            reading(*simulated_plate(0)),
            reference_nm=570,
            plate_map=PlateMap(samples=samples),
        )


def test_masks_name_wells() -> None:
    with pytest.raises(InputError, match="Z1"):
        quantify(il6(), reading(*simulated_plate(0)), reference_nm=570, masks={"Z1": "dust"})


def test_never_without_the_reference_that_the_assay_wants() -> None:
    given = reading(*simulated_plate(0))
    for reference_nm in (None, 630):
        with pytest.raises(RequestError) as caught:
            quantify(il6(), given, reference_nm=reference_nm)
        assert caught.value.code is ErrorCode.WAVELENGTH_UNAVAILABLE


def test_an_alternative_reference_is_flagged() -> None:
    assay = il6_with(read={"reference_alternatives_nm": [620, 630]})
    measurement, reference = simulated_plate(0)
    found = quantify(assay, reading(measurement, reference, nm=630), reference_nm=630)
    assert Flag.REFERENCE_ALTERNATIVE in found.flags
    assert found.fit == result(measurement, reference).fit


def test_an_assay_may_say_that_it_has_no_reference() -> None:
    assay = il6_with(read={"reference_nm": 0})
    found = quantify(assay, reading(*simulated_plate(0)), reference_nm=None)
    assert found.wells.a_reference == (None,) * 96
    assert found.wells.corrected == found.wells.a_measurement
    assert Flag.REFERENCE_ALTERNATIVE not in found.flags


def test_the_zero_standard_can_be_subtracted() -> None:
    found = result(*clean_plate(), il6_with(curve={"zero_standard": "subtract"}))
    assert found.fit is not None
    zero = found.fit.levels[-1]
    assert zero.mean == pytest.approx(0.0, abs=1e-12)
    assert found.fit.params["a"] == pytest.approx(0.0, abs=1e-9)
    assert sample(found, "U20").value == pytest.approx(144.0, rel=1e-6)


def blanked_assay() -> Assay:
    text = il6().text.replace("S8 S8 U6", "B  B  U6").replace(", S8 = 0.0", "")
    return load_assay(text.replace('blank = "none"', 'blank = "subtract"'), "blanked")


def test_a_blank_can_be_subtracted_and_negative_responses_are_ordinary() -> None:
    measurement, reference = clean_plate(doses={"B": 0.0, "U1": 0.0})
    measurement["C3"] = true_response(0.0) + 0.038 - 0.004
    found = result(measurement, reference, blanked_assay())
    assert found.curve == "accepted"
    response = found.wells.response[WELLS.index("C3")]
    assert response is not None
    assert response < 0
    assert found.wells.role[WELLS.index("H1")] == "blank"
    assert sample(found, "U20").value == pytest.approx(144.0, rel=1e-6)
    assert sample(found, "U1").qualifier == "<"


def test_the_blank_is_the_mean_of_its_unmasked_wells_and_leaves_every_well() -> None:
    measurement, reference = clean_plate(noise=0.01, doses={"B": 0.0})
    measurement["H1"] = 1.0
    masks = {"H1": "dirt", "C3": "bubble"}
    found = quantify(
        blanked_assay(), reading(measurement, reference), reference_nm=570, masks=masks
    )
    wells = dict(zip(WELLS, found.wells.corrected, strict=True))
    blank = wells["H2"]
    assert blank is not None
    for corrected, response in zip(found.wells.corrected, found.wells.response, strict=True):
        assert corrected is not None
        assert response == corrected - blank
    low = sample(found, "QL")
    assert low.mean == pytest.approx(np.mean([wells[well] or 0.0 for well in low.wells]) - blank)


def test_without_its_blank_no_well_has_a_response() -> None:
    measurement, reference = clean_plate(doses={"B": 0.0})
    measurement.update({"H1": Unread.UNREADABLE, "H2": Unread.UNREADABLE})
    found = result(measurement, reference, blanked_assay())
    assert found.curve == "rejected"
    assert set(found.wells.response) == {None}
    assert found.fit is not None
    assert found.fit.levels[0].masked == "no blank"


def test_replicates_by_mean_concentration() -> None:
    measurement, reference = simulated_plate(0)
    by_response = result(measurement, reference)
    by_dose = result(measurement, reference, il6_with(curve={"replicates": "mean-concentration"}))
    one, other = sample(by_response, "U11"), sample(by_dose, "U11")
    wells = [by_dose.wells.concentration[WELLS.index(well)] for well in one.wells]
    assert other.value == pytest.approx(sum(x or 0.0 for x in wells) / 2, rel=1e-12)
    assert other.value == pytest.approx(one.value, rel=0.01)
    assert other.se == pytest.approx(one.se, rel=0.1)
    low, high = sorted(x or 0.0 for x in wells)
    # of two values the CV is sqrt(2)·(high - low)/(high + low)
    cv = 100 * 2**0.5 * (high - low) / (high + low)
    assert one.concentration_cv_pct == other.concentration_cv_pct == pytest.approx(cv)


def test_extrapolated_numbers_stand_in_their_own_field_only_when_asked_for() -> None:
    measurement, reference = simulated_plate(0)
    plain = sample(result(measurement, reference), "U37")
    assert (plain.value, plain.extrapolated, plain.qualifier, plain.limit) == (None, None, ">", 300)
    asked = il6_with(curve={"report_extrapolated": True})
    entry = sample(result(measurement, reference, asked), "U37")
    assert entry.value is None
    assert entry.extrapolated == pytest.approx(440.7789792526224, rel=1e-9)


def test_the_flat_end_has_an_inversion_interval() -> None:
    entry = sample(result(*simulated_plate(0)), "U25")
    assert entry.ci95_method == "inversion"
    assert entry.ci95 is not None
    assert entry.value is not None


def test_provisional_needs_five_levels_with_bottom_and_top() -> None:
    measurement, reference = simulated_plate(0)
    standards = [
        well for well, role in zip(WELLS, il6().layout.roles, strict=True) if role == "standard"
    ]
    tops = [well for well in standards if well[0] in "ABCD"]
    some = {well: measurement[well] for well in tops}
    assert provisional(il6(), some, reference) is None
    some["H1"] = measurement["H1"]
    fit = provisional(il6(), some, reference)
    assert fit is not None
    assert fit.converged
    assert fit.warnings[0] == "provisional"
    assert all(level.passed is None for level in fit.levels)
    without_bottom = {well: measurement[well] for well in standards if well[0] in "ABCDEF"}
    assert provisional(il6(), without_bottom, reference) is None
    without_top = {well: od for well, od in measurement.items() if well[0] not in "AB"}
    assert provisional(il6(), without_top, reference) is None
    del some["B1"], some["B2"]
    assert provisional(il6(), some, reference) is None
    # the file may list its standards in any order
    shuffled = {f"S{rank}": il6().layout.standards[f"S{rank}"] for rank in (4, 8, 1, 5, 2, 6, 3, 7)}
    mixed = il6_with(layout={"standards": shuffled})
    assert provisional(mixed, without_top, reference) is None
    assert provisional(il6(), measurement, None) is None
    assert provisional(il6(), measurement, {}) is None
