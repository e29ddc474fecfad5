"""The reference wavelength at its limits: what is odd, what is air, what a strip takes along."""

from readerd.assay.quantify import quantify
from readerd.assay.result import Flag
from readerd.plate import Identity, Reading, complete
from tests.assay.plates import WELLS, Plate, clean_plate, il6_with, result, rule, sample


def test_of_identical_wells_another_is_odd_only_at_the_fixed_limits() -> None:
    measurement, _ = clean_plate()
    reference: Plate = dict.fromkeys(WELLS, 0.038)
    reference |= {"C5": 0.06, "C6": 0.1, "C7": 0.101, "C8": 0.02, "C9": 0.0199}
    marks = dict(zip(WELLS, result(measurement, reference).wells.flags, strict=True))
    assert {well: flags for well, flags in marks.items() if flags} == {
        "C7": (Flag.REFERENCE_HIGH,),
        "C9": (Flag.REFERENCE_LOW,),
    }


def test_nearly_all_wells_of_air_are_no_plate() -> None:
    measurement, reference = clean_plate()
    # nine tenths of 96 are 86.4; what is exactly at the limit of air is plastic
    for air, missing in ((86, False), (87, True)):
        some = reference | dict.fromkeys(WELLS[-air:], 0.0199) | {WELLS[0]: 0.02}
        found = result(measurement, some)
        assert (Flag.NO_PLATE_SUSPECTED in found.flags) is missing
        assert rule(found, "plate-present").verdict == "fail"
        assert rule(found, "plate-present").observed == air / 96
        assert rule(found, "plate-present").limit == 0.9


def test_dirt_is_more_than_five_median_deviations_above_the_median() -> None:
    measurement, _ = clean_plate()
    # half the wells 0.002 to either side: the median deviation is 0.002, an SD 1.4826 times that
    reference: Plate = {well: 0.038 + 0.002 * (-1) ** rank for rank, well in enumerate(WELLS)}
    limit = 0.038 + 5 * 1.4826 * 0.002
    reference |= {"C5": limit - 1e-4, "C6": limit + 1e-4, "D5": 0.036, "D6": 0.036}
    marks = dict(zip(WELLS, result(measurement, reference).wells.flags, strict=True))
    assert [well for well, flags in marks.items() if flags] == ["C6"]
    assert sample(result(measurement, reference), "U10").flags == ()


def test_the_spread_is_the_standard_deviation_over_all_wells() -> None:
    measurement, _ = clean_plate()
    for half, wide in ((0.00989, False), (0.01001, True)):
        reference: Plate = {well: 0.05 + half * (-1) ** rank for rank, well in enumerate(WELLS)}
        found = result(measurement, reference)
        spread = rule(found, "optical-spread").observed
        assert spread is not None
        assert abs(spread - half * (96 / 95) ** 0.5) < 1e-12
        assert (Flag.OPTICAL_SPREAD in found.flags) is wide


def test_a_sample_that_lost_one_well_with_a_strip_says_both() -> None:
    measurement, reference = clean_plate()
    for well in (well for well in WELLS if well[1:] == "7"):
        measurement[well] = reference[well] = 0.005
    plate = result(measurement, reference)
    assert plate.wells.flags[WELLS.index("A7")] == (Flag.REFERENCE_LOW, Flag.STRIP_ABSENT)
    found = sample(plate, "U15")
    assert found.wells == ("A7", "A8")
    assert found.flags == (Flag.HIGH_CV, Flag.STRIP_ABSENT)


def test_on_a_plate_that_varies_the_fixed_limit_counts_and_below_zero_is_always_odd() -> None:
    measurement, _ = clean_plate()
    reference: Plate = {well: 0.06 + 0.02 * (-1) ** rank for rank, well in enumerate(WELLS)}
    reference |= {"C5": 0.099, "C6": 0.101, "D5": -0.001, "D6": 0.001}
    lenient = il6_with(acceptance={"reference_low_od": -0.5})
    marks = dict(zip(WELLS, result(measurement, reference, lenient).wells.flags, strict=True))
    assert {well: flags for well, flags in marks.items() if flags} == {
        "C6": (Flag.REFERENCE_HIGH,),
        "D5": (Flag.REFERENCE_LOW,),
    }


def test_without_a_reference_a_missing_plate_is_seen_at_the_measurement() -> None:
    assay = il6_with(read={"reference_nm": 0})
    for level, missing in ((0.004, True), (0.05, False)):
        air = complete(dict.fromkeys(WELLS, level), 96)
        given = Reading(identity=Identity(model="test"), format=96, plates={450: air})
        found = quantify(assay, given, reference_nm=None)
        assert (Flag.NO_PLATE_SUSPECTED in found.flags) is missing
        assert Flag.OPTICAL_SPREAD not in found.flags
