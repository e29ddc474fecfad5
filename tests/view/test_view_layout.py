"""What an eye would see in the pictures, measured: nothing clipped, nothing on top of another."""

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from readerd.assay.result import Flag, PlateResult
from readerd.view import palette
from readerd.view.palette import heat, luminance
from readerd.view.svg import curve_svg, plate_svg, recovery_svg, residual_svg
from readerd.view.svg_text import figure, fitting, lines_of, rows_of, width_of

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = r"-?\d+(?:\.\d+)?"
# A letter's box: above the base line, below it, in em.
ASCENT, DESCENT = 0.72, 0.2


@dataclass(frozen=True)
class Box:
    text: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 0.5 and down > 0.5


def boxes(picture: str) -> Iterator[Box]:
    """The box of every text, with inherited size, anchor and transform."""

    def walk(at: ET.Element, size: float, anchor: str, dx: float, dy: float) -> Iterator[Box]:
        size = float(at.get("font-size", size))
        anchor = at.get("text-anchor", anchor)
        shift = re.match(rf"translate\(({NUMBER}) ({NUMBER})\)", at.get("transform", ""))
        if shift:
            dx, dy = dx + float(shift[1]), dy + float(shift[2])
        if at.tag == f"{SVG}text" and at.text:
            wide = width_of(at.text, size, bold=at.get("font-weight") == "600")
            left = {"start": 0.0, "middle": -wide / 2, "end": -wide}[anchor]
            x, y = dx + float(at.get("x", 0)), dy + float(at.get("y", 0))
            if "rotate(-90)" in at.get("transform", ""):
                yield Box(at.text, x - ASCENT * size, y + left, x + DESCENT * size, y - left)
            else:
                yield Box(at.text, x + left, y - ASCENT * size, x + left + wide, y + DESCENT * size)
        for child in at:
            yield from walk(child, size, anchor, dx, dy)

    yield from walk(ET.fromstring(picture), 11.0, "start", 0.0, 0.0)


def drawn_points(picture: str) -> Iterator[tuple[float, float]]:
    """Ends of all lines that are not shifted (the legend is), and the edges of all circles."""

    def walk(at: ET.Element) -> Iterator[tuple[float, float]]:
        if at.tag == f"{SVG}circle":
            x, y, r = (float(at.get(key, 0)) for key in ("cx", "cy", "r"))
            yield from ((x - r, y - r), (x + r, y + r))
        if at.tag == f"{SVG}path":
            starts = re.findall(rf"M({NUMBER})[ ,]({NUMBER})", at.get("d", ""))
            yield from ((float(x), float(y)) for x, y in starts)
        for child in at:
            if "transform" not in child.attrib:
                yield from walk(child)

    yield from walk(ET.fromstring(picture))


def tiny_units(plate: PlateResult) -> PlateResult:
    """Concentrations around 1e-7 mol/L: the longest labels."""
    assert plate.fit is not None
    k = 1.07e-9
    fit = plate.fit
    return replace(
        plate,
        fit=replace(
            fit,
            params={**fit.params, "c": 420.0 * k},
            covariance=None,
            lloq=4.69 * k,
            uloq=300 * k,
            unit="mol/L",
            levels=tuple(replace(level, nominal=level.nominal * k) for level in fit.levels),
        ),
    )


def close_limits(plate: PlateResult) -> PlateResult:
    assert plate.fit is not None
    return replace(plate, fit=replace(plate.fit, lloq=149.9876, uloq=150.1234))


def all_flagged(plate: PlateResult) -> PlateResult:
    """Every kind of mark on one plate."""
    kinds = (
        Flag.REFERENCE_HIGH,
        Flag.REFERENCE_LOW,
        Flag.HIGH_ABSORBANCE,
        Flag.STRIP_ABSENT,
        Flag.SATURATED,
    )
    flags = (*((kind,) for kind in kinds), *plate.wells.flags[len(kinds) :])
    return replace(plate, wells=replace(plate.wells, flags=flags))


VARIANTS: dict[str, Callable[[PlateResult], PlateResult]] = {
    "as it is": lambda plate: plate,
    "tiny units": tiny_units,
    "close limits": close_limits,
    "all flagged": all_flagged,
}


def pictures(plate: PlateResult) -> Iterator[str]:
    analyte = "Interleukin-6, high-sensitivity, human serum and EDTA plasma (soluble receptor)"
    for name in ("IL-6", analyte * 2):
        yield curve_svg(plate.fit, plate.wells, plate.samples, analyte=name, before=plate.fit)
    yield plate_svg(plate.wells, "measurement", title="450 nm")
    yield plate_svg(plate.wells, "reference", title=analyte)
    yield plate_svg(plate.wells)
    yield recovery_svg(plate.fit, plate.wells)
    yield residual_svg(plate.fit, plate.wells)


def assert_sound(picture: str) -> None:
    root = ET.fromstring(picture)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    found = list(boxes(picture))
    for box in found:
        assert box.left >= 0, box
        assert box.right <= width, box
        assert box.top >= 0, box
        assert box.bottom <= height, box
    meeting = [(a.text, b.text) for a, b in itertools.combinations(found, 2) if a.meets(b)]
    assert not meeting
    for x, y in drawn_points(picture):
        assert 0 <= x <= width
        assert 0 <= y <= height


def test_nothing_is_clipped_and_no_two_texts_meet(any_plate: PlateResult) -> None:
    for picture in pictures(any_plate):
        assert_sound(picture)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_nor_on_odd_plates(good: PlateResult, variant: str) -> None:
    for picture in pictures(VARIANTS[variant](good)):
        assert_sound(picture)


def test_samples_beyond_the_standards_stay_inside_the_frame(good: PlateResult) -> None:
    """A mean above every standard widens the axis instead of sitting on its edge."""
    samples = tuple(replace(s, mean=3.4) if s.qualifier == ">" else s for s in good.samples)
    labels = {box.text for box in boxes(curve_svg(good.fit, good.wells, samples))}
    assert "4" in labels or "3.5" in labels
    before = {box.text for box in boxes(curve_svg(good.fit, good.wells))}
    assert "2.0" in before


def test_a_rejected_curve_looks_rejected(good: PlateResult) -> None:
    assert good.fit is not None
    picture = curve_svg(replace(good.fit, reason="levels-passing 2, needs 6"), good.wells)
    texts = {box.text for box in boxes(picture)}
    assert "Curve rejected: levels-passing 2, needs 6" in texts
    assert "rejected curve" in texts
    assert not [text for text in texts if text.startswith(("LLOQ", "ULOQ", "curve with"))]
    assert "fill-opacity" not in picture


def test_both_curves_are_drawn_when_a_level_was_dropped(good: PlateResult) -> None:
    assert good.fit is not None
    first = replace(good.fit, params={**good.fit.params, "c": 300.0})
    with_first = curve_svg(good.fit, good.wells, before=first)
    assert "before levels were dropped" in {box.text for box in boxes(with_first)}
    assert with_first.count('stroke-dasharray="2 4"') == 2  # the curve and its key
    assert "2 4" not in curve_svg(good.fit, good.wells)


def test_what_is_off_the_scale_is_a_triangle_at_the_edge(good: PlateResult) -> None:
    assert good.fit is not None
    wild = replace(good.fit.levels[3], recovery_pct=90_000.0, passed=False)
    levels = (*good.fit.levels[:3], wild, *good.fit.levels[4:])
    picture = recovery_svg(replace(good.fit, levels=levels), good.wells)
    assert "triangle: off the scale" in picture
    assert {"100", "150", "200"} <= {box.text for box in boxes(picture)}
    assert_sound(picture)


def test_every_mark_has_its_key(good: PlateResult) -> None:
    wells = replace(good.wells, masked=("bubble", *good.wells.masked[1:]))
    legend = " ".join(box.text for box in boxes(plate_svg(wells)))
    for key in ("grey: standard", "framed: control", "struck: masked"):
        assert key in legend
    keys = {box.text for box in boxes(curve_svg(good.fit, wells, good.samples))}
    expected = {"standard", "standard left out", "curve with 95 % band", "sample"}
    assert expected <= keys


def contrast(one: str, other: str) -> float:
    """WCAG 2.2."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["INK", "QUIET", "GOOD", "WARN", "BAD"])
def test_writing_is_legible_on_white(name: str) -> None:
    # WCAG 2.2 AA for normal text
    assert contrast(getattr(palette, name), "#ffffff") >= 4.5


@pytest.mark.parametrize("name", ["CURVE", "UNKNOWN"])
def test_marks_stand_out_from_white(name: str) -> None:
    # WCAG 2.2 1.4.11: graphics
    assert contrast(getattr(palette, name), "#ffffff") >= 3.0


def test_dark_and_pale_wells_differ_in_grey_too() -> None:
    assert contrast(heat(0.0)[0], heat(1.0)[0]) >= 10


def test_numbers_as_papers_print_them() -> None:
    assert figure("4.69e-8") == "4.69×10⁻⁸"
    assert figure("1e6") == "10⁶"
    assert figure("-0.5") == "−0.5"
    assert figure("300") == "300"


def test_text_that_does_not_fit_is_cut_and_says_so() -> None:
    assert fitting("short", 10, 100) == "short"
    cut = fitting("a very long name indeed", 10, 50)
    assert cut.endswith("…")
    assert width_of(cut, 10) <= 50


def test_keys_wrap_into_rows() -> None:
    rows = rows_of([40, 40, 40], 100)
    assert rows == [[(0, 0.0), (1, 40.0)], [(2, 0.0)]]
    assert lines_of(["one", "two"], 10, 500) == ["one · two"]
    assert lines_of(["one", "two"], 10, 25) == ["one", "two"]
    assert lines_of(["a wide phrase"], 10, 500, first=10) == ["", "a wide phrase"]
