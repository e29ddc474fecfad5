"""Rounding for people: digits, signs, limits, intervals."""

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.assay.result import Sample
from readerd.view import rounding

FINITE = st.floats(min_value=-1e300, max_value=1e300).filter(lambda x: x == 0 or abs(x) > 1e-300)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (249.0412, "249"),
        (4.6872, "4.69"),
        (0.012345, "0.0123"),
        (9.996, "10.0"),
        (99.95, "100"),
        (0.9999, "1.00"),
        (1234.5, "1234"),
        (999999.4, "999999"),
        (0.0, "0"),
        (-0.0, "0"),
        (-3.14159, "-3.14"),
        (1.5e-7, "1.50e-7"),
        (1.5e-4, "0.000150"),
        (1.5e-5, "1.50e-5"),
        (12345678.9, "12345679"),
        (123456789.0, "1.23e8"),
        (2.25e12, "2.25e12"),
        (None, "–"),
    ],
)
def test_a_concentration_has_three_digits(value: float | None, text: str) -> None:
    assert rounding.concentration(value) == text


@given(FINITE)
def test_rounding_never_strays_further_than_half_a_unit_of_the_third_digit(value: float) -> None:
    back = float(rounding.significant(value))
    assert math.isclose(back, value, rel_tol=0.0051, abs_tol=1e-300)


@given(FINITE)
def test_rounding_twice_is_rounding_once(value: float) -> None:
    once = rounding.significant(value)
    assert rounding.significant(float(once)) == once


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (300.0, "300"),
        (4.69, "4.69"),
        (18.75, "18.75"),
        (0.0, "0"),
        (1e-6, "1e-6"),
        (2.5e-7, "2.5e-7"),
        (123456.7, "123457"),
        (1.234567, "1.23457"),
        (1e12, "1e12"),
    ],
)
def test_what_a_person_wrote_stays_as_written(value: float, text: str) -> None:
    assert rounding.nominal(value) == text


def test_other_figures_have_their_own_digits() -> None:
    assert [rounding.od(v) for v in (1.23456, None)] == ["1.235", "–"]
    assert rounding.od(1.23456, 4) == "1.2346"
    assert [rounding.percent(v) for v in (12.34, -0.04, None)] == ["12.3", "0.0", "–"]
    assert rounding.percent(12.34, 0) == "12"
    assert [rounding.signed_percent(v) for v in (3.14, -3.16, None)] == ["+3.1", "-3.2", "–"]
    assert [rounding.quantity(v) for v in (6.0, 0.1234, 66.6, 1234.0, None)] == [
        "6",
        "0.123",
        "66.6",
        "1234",
        "–",
    ]
    assert [rounding.statistic(v) for v in (0.99987, 11.2, None)] == ["0.9999", "11.20", "–"]
    assert [rounding.factor(v) for v in (2.0, 2.5, 100.0)] == ["2", "2.5", "100"]


def test_minus_zero_does_not_exist() -> None:
    assert rounding.od(-0.0001) == "0.000"
    assert rounding.od(-0.0012) == "-0.001"
    assert rounding.signed_percent(-0.01) == "0.0"
    assert rounding.signed_percent(0.2) == "+0.2"


def test_beyond_the_range_the_limit_stands_for_the_value() -> None:
    assert rounding.qualified(None, ">", 600.0) == "> 600"
    assert rounding.qualified(None, "<", 4.69) == "< 4.69"
    assert rounding.qualified(498.0, "=", None) == "498"
    assert rounding.qualified(None, None, None) == "–"


def test_a_sample_is_reported_by_its_value_or_its_limit() -> None:
    given = {field.name: None for field in fields(Sample)} | {"value": 498.2, "qualifier": "="}
    assert rounding.reported(Sample(**given)) == "498"  # type: ignore[arg-type]
    given |= {"value": None, "qualifier": ">", "limit": 600.0}
    assert rounding.reported(Sample(**given)) == "> 600"  # type: ignore[arg-type]


def test_an_interval_open_on_one_side_says_so() -> None:
    assert rounding.interval((470.2, 527.4)) == "470 – 527"
    assert rounding.interval((470.2, None)) == "≥ 470"
    assert rounding.interval((None, 527.4)) == "≤ 527"
    assert rounding.interval((None, None)) == "–"
    assert rounding.interval(None) == "–"
