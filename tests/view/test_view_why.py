"""One position followed with a finger: every kind of position, every status, from real results."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from readerd.assay.definition import load_assay
from readerd.assay.result import PlateResult
from readerd.errors import InputError
from readerd.plate import Unread
from readerd.view.why import followed, positions_named, why
from readerd.view.words import FLAG_MEANING
from tests.assay.plates import SHIPPED, Plate, clean_plate, il6_with, result, sample


def steps(found: PlateResult, position: str) -> dict[str, str]:
    """The lines of each step by the first words of its title."""
    told = why(found, position, "450 – 570 nm")
    return {step.title.removeprefix(f"{position}: "): "\n".join(step.lines) for step in told}


def read(found: PlateResult, position: str) -> str:
    return steps(found, position)["what was read, 450 – 570 nm"]


def reported(found: PlateResult, position: str) -> str:
    return steps(found, position)["what is reported"]


def number(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1])


def test_each_line_leads_to_the_next() -> None:
    found = result(*clean_plate(noise=0.02))
    one, told = sample(found, "U9"), steps(found, "U9")
    wells = [float(y) for y in re.findall(r" = (\S+)", read(found, "U9"))]
    mean = number(read(found, "U9"), r"mean of 2 wells = (\S+)")
    assert math.isclose(mean, sum(wells[:2]) / 2, abs_tol=1e-4)
    a, b, c, d = (number(told["the standard curve"], rf"\n{name} = (\S+)") for name in "abcd")
    x = c * ((mean - a) / (d - mean)) ** (1 / b)
    assert number(told["back to a concentration"], r"\nx = (\S+)") == pytest.approx(x, rel=1e-2)
    sure = told["how sure"]
    of_wells, of_curve = (number(sure, rf"{part} (\S+?),") for part in ("wells", "the curve"))
    error = math.hypot(of_wells, of_curve) / number(sure, r"slope (\S+)") * x
    assert number(sure, r"standard error (\S+)") == pytest.approx(error, rel=1e-2)
    assert one.value is not None
    assert number(reported(found, "U9"), r"value (\S+)") == pytest.approx(one.value, rel=1e-3)


def test_wells_without_a_number_say_why() -> None:
    measurement, reference = clean_plate()
    measurement["C3"] = Unread.SATURATED
    measurement["D3"], measurement["D4"] = Unread.NOT_MEASURED, Unread.UNREADABLE
    measurement["E3"] = 3.9
    found = result(measurement, reference)
    assert "C3   no number   beyond the photometric range" in read(found, "U1")
    assert "contradicts it" in reported(found, "U1")
    assert "D4   no number   the instrument's answer was no number" in read(found, "U2")
    assert "no well with a number (the instrument did not deliver" in reported(found, "U2")
    assert "E3   3.9000 - 0.0" in read(found, "U3")
    assert ": no value   beyond the photometric range" in read(found, "U3")


def test_outside_the_range_the_limit_is_said_with_its_dilution() -> None:
    measurement, reference = clean_plate()
    for well in ("C3", "C4"):
        measurement[well] = 1.9
    for well in ("D3", "D4"):
        measurement[well] = 3.9
    for well in ("E3", "E4"):
        measurement[well] = 0.045
    found = result(measurement, reference)
    times = sample(found, "U1").dilution
    limit = rf"value > {300 * times:g} pg/mL"
    assert re.search(limit, reported(found, "U1"))
    assert "above the highest accepted standard" in reported(found, "U1")
    assert "saturated, so above the highest accepted standard, 300" in reported(found, "U2")
    assert "the curve begins at a = 0.0" in steps(found, "U3")["back to a concentration"]
    assert "value < 4.69 pg/mL" in reported(found, "U3")


def test_a_dilution_is_multiplied_before_all_eyes() -> None:
    samples = {"U1": {"id": "S26-0001", "dilution": 4.0}, "U2": {"id": "S26-0001"}}
    found = result(*clean_plate(), il6_with(samples=samples))
    assert positions_named(found, "S26-0001") == ("U1", "U2")
    assert "all of it times the dilution 4" in reported(found, "U1")
    both = followed(found, ["S26-0001", "U1"], "450 – 570 nm")
    assert re.findall(r"1  (U\d): what was read", both) == ["U1", "U2"]


def test_a_standard_is_read_back_and_judged_by_its_own_limit() -> None:
    measurement, reference = clean_plate()
    for well in ("D1", "D2"):
        before = measurement[well]
        assert isinstance(before, float)
        measurement[well] = 1.5 * before
    found = result(measurement, reference)
    end, off = steps(found, "S1"), steps(found, "S4")
    assert "pass: 100 ± 25 % is accepted (standard_recovery_ends_pct)" in end["the verdict"]
    assert "fail: 100 ± 20 % is accepted (standard_recovery_pct)" in off["the verdict"]
    assert "warn: outside: S4" in off["the verdict"]
    assert found.fit is not None
    level = next(one for one in found.fit.levels if one.position == "S4")
    assert level.recovery_pct is not None
    told = number(off["read back"], r"recovery (\S+) %")
    assert told == pytest.approx(level.recovery_pct, abs=0.05)
    assert "not judged" in steps(found, "S8")["the verdict"]
    older = replace(found, qc=replace(found.qc, limits={}))
    assert steps(older, "S1")["the verdict"].splitlines()[0] == "pass"


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ({"zero_standard": "subtract"}, "(blank)"),
        ({"model": "point-to-point"}, "no error, and no interval"),
        ({"model": "linear", "weighting": "1/y"}, "weights 1/f, f being the curve itself"),
        ({"weighting": "none", "fit_to": "level_means"}, "all alike; every level counts once"),
        ({"weighting": "1/y^2"}, "weights 1/f², f being the curve itself; every well counts"),
        ({"replicates": "mean-concentration"}, "each well is read back, then the mean"),
        ({"report_extrapolated": True}, "extrapolated"),
        ({"fixed": {"a": 0.045}}, "a = 0.045000, fixed"),
    ],
)
def test_what_the_assay_chose_is_said(curve: Mapping[str, Any], said: str) -> None:
    measurement, reference = clean_plate(noise=0.05)
    measurement["H11"] = measurement["H12"] = 1.9
    found = result(measurement, reference, il6_with(curve=curve))
    names = [one.position for one in found.samples]
    assert said in followed(found, names, "450 – 570 nm")


def test_without_a_curve_the_reason_stands_in_the_place_of_the_number() -> None:
    measurement, reference = clean_plate()
    flat: Plate = dict.fromkeys(measurement, 0.3)
    found = result(flat, reference)
    assert found.fit is not None
    assert found.fit.reason is not None
    told = steps(found, "U1")
    assert told["the standard curve"] == f"there is none: {found.fit.reason}"
    assert told["what is reported"] == f"no number: no accepted curve ({found.fit.reason})"
    assert "how sure" not in told


def test_a_stranger_is_told_what_there_is() -> None:
    found = result(*clean_plate())
    assert positions_named(found, "c03") == positions_named(found, "C3") == ("U1",)
    with pytest.raises(InputError, match=r"U99: no well, position or sample id .* S1, QL, U7"):
        positions_named(found, "U99")


def test_an_empty_well_takes_part_in_nothing() -> None:
    text = SHIPPED.read_text("utf-8").replace("U31 U31", ". .")
    found = result(*clean_plate(), load_assay(text, SHIPPED.name))
    with pytest.raises(InputError, match="A12: is empty in the layout"):
        positions_named(found, "A12")


def test_every_flag_of_a_sample_is_told_in_words() -> None:
    found = result(*clean_plate(noise=0.3))
    marked = [one for one in found.samples if "HIGH_CV" in one.flags]
    assert marked
    assert FLAG_MEANING[marked[0].flags[0]] in reported(found, marked[0].position)
