"""Wells that say nothing: masked, saturated at the reference, or empty."""

import pytest

from readerd.assay.definition import load_assay
from readerd.assay.quantify import quantify
from readerd.assay.result import Flag
from readerd.plate import Unread
from tests.assay.plates import WELLS, il6, reading, result, sample, simulated_plate


def test_a_masked_saturated_well_says_nothing_of_its_sample() -> None:
    measurement, reference = simulated_plate(0)
    plain = sample(result(measurement, reference), "U11")
    measurement["E5"] = Unread.SATURATED
    given = reading(measurement, reference)
    found = quantify(il6(), given, reference_nm=570, masks={"E5": "bubble"})
    entry = sample(found, "U11")
    assert (entry.status, plain.status) == ("ok", "ok")
    assert entry.value == pytest.approx(plain.value, rel=0.2)
    assert Flag.SINGLE_REPLICATE in entry.flags


def test_saturation_at_the_reference_leaves_no_value() -> None:
    measurement, reference = simulated_plate(0)
    measurement["E5"], reference["E5"] = 3.9 + 0.2, 3.9
    reference["E6"] = 3.6
    found = result(measurement, reference)
    index = WELLS.index("E6")
    assert found.wells.corrected[index - 1 : index + 1] == (None, None)
    assert Flag.SATURATED in found.wells.flags[index]
    # E6 saturates where no colour is: that says nothing about the dose
    assert sample(found, "U11").qualifier == ">"
    measurement["E5"] = 1.0
    assert sample(result(measurement, reference), "U11").status == "no_reading"


def test_wells_that_the_layout_calls_empty_take_part_in_nothing() -> None:
    assay = load_assay(il6().text.replace("U30 U30 U38 U38", "U30 U30 .   ."), "two empty")
    measurement, reference = simulated_plate(0)
    found = []
    for odd in (0.038, 0.5, Unread.SATURATED, Unread.NOT_MEASURED):
        measurement["H11"] = measurement["H12"] = reference["H11"] = reference["H12"] = odd
        found.append(result(measurement, reference, assay))
    for one in found:
        assert one.acquisition == "complete"
        assert one.qc == found[0].qc
        assert (one.flags, one.warnings) == (found[0].flags, found[0].warnings)
        assert one.samples == found[0].samples
        assert one.wells.flags[-2:] == ((), ())
        assert one.wells.concentration[-2:] == (None, None)


def test_a_well_that_came_at_one_wavelength_only_is_named_too() -> None:
    measurement, reference = simulated_plate(0)
    del reference["H12"]
    found = result(measurement, reference)
    assert found.acquisition == "incomplete"
    assert "not delivered: H12" in found.warnings
    assert Flag.INCOMPLETE in found.flags
    assert Flag.NOT_MEASURED in found.wells.flags[WELLS.index("H12")]
