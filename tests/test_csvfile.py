"""CSV as the contract lets it come in, and one clear line for what it does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.csvfile import (
    parse_number,
    plate_from_csv,
    standards_from_csv,
    text_from_bytes,
    unknowns_from_csv,
)
from readerd.errors import InputError
from readerd.plate import FORMATS, Unread
from tests.well_values import well_values

# a loaded machine is no falsification
LAW = settings(deadline=None)
ODS = well_values(-5_000, 40_000, 4, list(Unread))


@given(
    ODS,
    ODS,
    st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(LAW)
def test_every_dialect_gives_the_same_plate(
    measured: list[float | Unread],
    referenced: list[float | Unread],
    signs: tuple[str, str],
    padded: bool,
    bom: bool,
    newline: str,
) -> None:
    delimiter, point = signs
    lines = [delimiter.join(["well", "450", "570"])]
    for well, pair in zip(FORMATS[96].wells, zip(measured, referenced, strict=True), strict=True):
        name = f"{well[0]}{int(well[1:]):02d}" if padded else well
        cells = [str(od) if isinstance(od, Unread) else f"{od:.4f}" for od in pair]
        lines.append(delimiter.join([name, *(cell.replace(".", point) for cell in cells)]))
    text = newline.join(lines) + newline
    data = text.encode("utf-8-sig" if bom else "utf-8")
    table = plate_from_csv(text_from_bytes(data, "p.csv"), "p.csv")
    assert table.format == 96
    assert table.plates == {450: tuple(measured), 570: tuple(referenced)}


@pytest.mark.parametrize(
    "marker", ["SAT", "sat", "#SAT", "OVER", "OVRFLW", "*.***", "****", ">3.500"]
)
def test_over_range_markers(marker: str) -> None:
    plate = plate_from_csv(f"well,450\nA1,{marker}\nA2,\n", "p.csv").plates[450]
    assert plate[:3] == (Unread.SATURATED, Unread.NOT_MEASURED, Unread.NOT_MEASURED)


def test_the_format_follows_from_the_wells_or_is_said() -> None:
    assert plate_from_csv("well,450\nH12,1\n", "p").format == 96
    assert plate_from_csv("well,450\nI1,1\n", "p").format == 384
    assert plate_from_csv("well,450\nA13,1\n", "p").format == 384
    assert plate_from_csv("well,450\nA1,1\n", "p", format=384).format == 384
    with pytest.raises(InputError, match="well I1 is not on a 96-well plate"):
        plate_from_csv("well,450\nI1,1\n", "p", format=96)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "p.csv: the file is empty; its first line is the header"),
        ("well,450\n", "p.csv: line 2: no well follows the header"),
        ("A1,1\n", "p.csv: line 1: no column 'well'; the header has 'A1', '1'"),
        ("well\nA1\n", "p.csv: line 1: no wavelength column; the header is well,450,570"),
        ("well,OD\nA1,1\n", "p.csv: line 1, column 2: 'OD' is no wavelength in nm"),
        ("sep=;\n\nwell;OD\nA1;1\n", "p.csv: line 3, column 2: 'OD' is no wavelength in nm"),
        ("well,450,450\nA1,1,1\n", "p.csv: line 1, column 3: 450 nm stands twice"),
        ("well,450\nA1,abc\n", "p.csv: line 2, column '450': 'abc' is no optical density"),
        ("well,450\nA1,nan\n", "p.csv: line 2, column '450': 'nan' is no optical density"),
        ("well,450\nA1,inf\n", "'inf' is no optical density"),
        ("well,450\nA1,1234\n", "'1234' is no optical density"),
        ("well,450\nA1,1e400\n", "'1e400' is no optical density"),
        ("well,450\nA1,-9.999\n", "'-9.999' is no optical density"),
        ("A plate\nwell,450\nA1,1\n", "line 2: 2 cells where the header has 1; is line 1 a title"),
        (
            "well,450\nA1;1\n",
            "line 2: 1 cell where the header has 2; that is parted by commas, this",
        ),
        ("well|450\nA1|1\n", "no column 'well'; the header has 'well|450'; columns are parted by"),
        ("well,Well,450\nA1,A1,1\n", "line 1: column 'well' stands twice"),
        ("well,450\nA1,1_0\n", "'1_0' is no optical density"),
        ("well,450,570\nA1,1,2,0,03\n", "line 2: 5 cells where the header has 3; a decimal comma"),
        ("well;450;570\nA1;1\n", "line 2: 2 cells where the header has 3"),
        ("well;450\nA1;1,5\nA2;1.5\n", "line 3: decimal comma (line 2) and decimal point (line 3)"),
        ("well,450\nA1,1\n\nA01,1\n", "line 4, column 'well': well A1 stood in line 2"),
        ("well,450\n1A,1\n", "line 2, column 'well': '1A' is no well name"),
        ("well,450\nQ1,1\n", "well Q1 is not on a 384-well plate"),
        ('well,450\n"A1,1\n', "p.csv: line 2: not a CSV line"),
    ],
)
def test_one_clear_line(text: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        plate_from_csv(text, "p.csv")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_utf8_is_said() -> None:
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        text_from_bytes(b"well,450\nA1,\xff\n", "p.csv")
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        text_from_bytes("well,450\n".encode("utf-16-le"), "p.csv")
    with pytest.raises(InputError, match="a spreadsheet's own file"):
        text_from_bytes(b"PK\x03\x04\x14", "p.xlsx")


@given(st.text(max_size=200))
@LAW
def test_no_text_at_all_ends_in_anything_but_a_plate_or_an_input_error(text: str) -> None:
    for read in (plate_from_csv, standards_from_csv, unknowns_from_csv):
        try:
            read(text, "p.csv")
        except InputError:
            continue


@given(st.floats(allow_nan=False, allow_infinity=False))
@LAW
def test_numbers_come_back_as_they_were(number: float) -> None:
    assert parse_number(repr(number), decimal_comma=False) == number


def test_standards_and_unknowns() -> None:
    read = standards_from_csv("concentration;response\n0;0,05\n4,69;0,08\n", "s.csv")
    assert read.pairs == ((0.0, 0.05), (4.69, 0.08))
    unknowns = unknowns_from_csv("\ufeffid,response\n007,0.5\n8,0.4\n007,0.6\n", "u.csv")
    assert unknowns == {"007": (0.5, 0.6), "8": (0.4,)}
    numbered = unknowns_from_csv("Sample ID;OD\n1.10;0,5\n1.1;OVER\n", "u.csv")
    assert numbered == {"1.10": (0.5,), "1.1": (Unread.SATURATED,)}


def test_a_number_that_a_computer_cannot_hold_is_none() -> None:
    assert parse_number("1e400", decimal_comma=False) is None
    assert parse_number("-1.5e-400", decimal_comma=False) is None
    assert parse_number("-0.00e-400", decimal_comma=False) == 0.0


def test_lines_of_standards_that_take_no_part_are_told() -> None:
    text = "conc (ng/mL),od,masked\n1,0.5,no\n2,,bubble\n3,0.7,1\n4,*.***,\n"
    read = standards_from_csv(text, "s.csv")
    assert (read.pairs, read.unit) == (((1.0, 0.5),), "ng/mL")
    reasons = [(one.line, one.concentration, one.reason) for one in read.left_out]
    assert reasons == [(3, 2.0, "bubble"), (4, 3.0, "masked"), (5, 4.0, "over range (*.***)")]
    with pytest.raises(InputError, match="every standard is masked or over range"):
        standards_from_csv("conc,od,masked\n1,0.5,x\n", "s.csv")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("concentration,response\nten,0.5\n", "line 2, column 'concentration': 'ten' is no number"),
        ("concentration,response\n10,\n", "line 2, column 'response': '' is no number"),
        ("concentration,response\n-1,0.5\n", "a concentration is 0 or more"),
        ("dose,response\n1,0.5\n", "no column 'concentration'"),
        ("concentration,response\n", "no standard follows the header"),
    ],
)
def test_standards_that_cannot_be_used(text: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        standards_from_csv(text, "s.csv")
    assert line in str(caught.value)
