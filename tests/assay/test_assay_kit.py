"""The kit's last day."""

from datetime import date, timedelta

import pytest

from readerd.assay.definition import load_assay
from readerd.assay.kit import judge_kit, last_day
from readerd.assay.quantify import quantify
from readerd.assay.result import Flag, PlateResult
from readerd.demo.plate import il6_plate
from readerd.plate import Identity, Reading, Unread

PLATE = il6_plate()


@pytest.fixture(scope="module")
def plate() -> PlateResult:
    values = {nm: tuple(PLATE.chemistry.plate(nm)) for nm in (450, 570)}
    assert not any(isinstance(value, Unread) for value in values[570])
    reading = Reading(identity=Identity(model="twin"), format=96, plates=values)
    return quantify(load_assay(PLATE.assay_text, "il6"), reading, reference_nm=570)


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2027-01-31", date(2027, 1, 31)),
        ("2027-01", date(2027, 1, 31)),
        ("2028-02", date(2028, 2, 29)),
        ("2027-12", date(2027, 12, 31)),
    ],
)
def test_a_plate_is_warned_of_from_the_day_after(
    plate: PlateResult, written: str, day: date
) -> None:
    assert last_day(written) == day
    assert judge_kit(plate, written, day) == plate
    assert judge_kit(plate, written, day + timedelta(days=1)).verdict == "warn"
    late = judge_kit(plate, written, day + timedelta(days=3))
    assert (plate.verdict, late.verdict) == ("pass", "warn")
    assert late.flags == (*plate.flags, Flag.KIT_EXPIRED)
    assert late.qc.rules[:-1] == plate.qc.rules
    rule = late.qc.rules[-1]
    assert (rule.id, rule.verdict, rule.observed, rule.limit) == ("kit-expiry", "warn", 3.0, 0.0)
    assert rule.text is not None
    assert written in rule.text


def test_a_kit_that_nobody_speaks_of_is_not_judged(plate: PlateResult) -> None:
    assert judge_kit(plate, None, date.max) == plate
    assert judge_kit(plate, "", date.max) == plate


@pytest.mark.parametrize(
    "written", ["31.01.2027", "2027-1-31", "2027-02-30", "2027-00", "0000-01", "27-01", "", "next"]
)
def test_any_other_writing_is_refused_with_what_would_be_right(written: str) -> None:
    with pytest.raises(ValueError, match="write the day as 2027-01-31, or the month as 2027-01"):
        last_day(written)


def test_the_file_may_hold_a_date_of_toml() -> None:
    text = PLATE.assay_text.replace('expires = ""', "expires = 2027-01-31")
    assert text != PLATE.assay_text
    assert load_assay(text, "il6").kit.expires == "2027-01-31"
