"""SVG: valid, escaped, the same bytes every time, nothing lost, nothing drawn outside."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.assay.result import Flag, PlateResult
from readerd.view.axis import BrokenLogAxis, linear_axis
from readerd.view.markup import escape, path, tag
from readerd.view.palette import STEPS, heat, luminance
from readerd.view.scene import curve_scene
from readerd.view.svg import curve_svg, plate_svg, recovery_svg, residual_svg
from readerd.view.svg_text import width_of
from tests.assay.plates import clean_plate, il6_with, result

NS = {"s": "http://www.w3.org/2000/svg"}
NO_NUMBER = re.compile(r"\b(nan|NaN|inf|None)\b")
EVIL = "</title><script>alert(1)</script>\"'&\x00\x1b"


def pictures(plate: PlateResult) -> Iterator[str]:
    yield curve_svg(plate.fit, plate.wells, plate.samples, qc=plate.qc, analyte="IL-6")
    yield curve_svg(plate.fit, plate.wells, plate.samples, named=True)
    yield curve_svg(plate.fit)
    yield plate_svg(plate.wells, "measurement", title="450 nm")
    yield plate_svg(plate.wells, "reference", title="570 nm")
    yield plate_svg(plate.wells)
    yield recovery_svg(plate.fit, plate.wells)
    yield residual_svg(plate.fit, plate.wells)


def test_every_picture_of_every_plate_is_sound(any_plate: PlateResult) -> None:
    for text in pictures(any_plate):
        root = ET.fromstring(text)
        assert root.tag == f"{{{NS['s']}}}svg"
        assert root.get("role") == "img"
        assert root.findtext("s:title", namespaces=NS)
        assert root.findtext("s:desc", namespaces=NS)
        assert not NO_NUMBER.search(text)
        assert "<script" not in text
        assert "href" not in text


def test_same_plate_same_bytes(any_plate: PlateResult) -> None:
    assert list(pictures(any_plate)) == list(pictures(any_plate))


def test_a_curve_is_small(good: PlateResult) -> None:
    assert len(curve_svg(good.fit, good.wells, good.samples, analyte="IL-6").encode()) <= 6000


def test_no_picture_needs_anybody(any_plate: PlateResult) -> None:
    for text in pictures(any_plate):
        assert text.count("http") == text.count('xmlns="http://www.w3.org/2000/svg"')
        assert "url(" not in text


def test_every_well_is_drawn_with_its_number_or_reason(
    good: PlateResult, failed: PlateResult
) -> None:
    for plate in (good, failed):
        root = ET.fromstring(plate_svg(plate.wells))
        told = {title.text or "" for title in root.iterfind(".//s:g/s:title", NS)}
        by_well = {words.split()[0]: words for words in told}
        assert set(by_well) == set(plate.wells.id)
        for well, value in zip(plate.wells.id, plate.wells.corrected, strict=True):
            if value is not None:
                assert f"{value:.3f}" in by_well[well]
    assert by_well["A1"].endswith("saturated")
    assert by_well["B2"].endswith("masked")
    assert by_well["C3"].endswith("unreadable")
    assert by_well["H12"].endswith("not measured")


def test_lost_wells_are_told_in_words_too(failed: PlateResult) -> None:
    words = ET.fromstring(plate_svg(failed.wells)).findtext("s:desc", namespaces=NS)
    assert words is not None
    assert "A1 saturated, C3 unreadable, H11 not measured, H12 not measured" in words


def test_a_flagged_well_stands_out_without_colour(good: PlateResult) -> None:
    flags = ((Flag.REFERENCE_HIGH,), *good.wells.flags[1:])
    root = ET.fromstring(plate_svg(replace(good.wells, flags=flags)))
    widths = [circle.get("stroke-width") for circle in root.iterfind(".//s:circle", NS)]
    assert widths[0] == "2.4"
    assert set(widths[1:]) == {"0.7"}
    assert "thick ring: reference high" in "".join(root.itertext())
    # what is odd at 570 nm is not odd at 450 nm
    assert "thick ring" not in plate_svg(replace(good.wells, flags=flags), "measurement")


def test_all_standards_and_samples_are_on_the_picture(good: PlateResult) -> None:
    text = curve_svg(good.fit, good.wells, good.samples, named=True)
    root = ET.fromstring(text)
    dots = [p.get("d", "") for p in root.iterfind(".//s:path", NS) if "h0" in p.get("d", "")]
    assert max(d.count("h0") for d in dots) == 16
    names = {title.text for title in root.iterfind(".//s:path/s:title", NS)}
    assert len(names) == 40
    assert "S26-0036 > 300" in names
    assert "S26-0001 < 4.69" in names


def test_masked_standards_are_crosses(failed: PlateResult) -> None:
    scene = curve_scene(failed.fit, failed.wells)
    assert scene is not None
    assert [mark.well for mark in scene.replicates if mark.masked] == ["B2"]
    assert "standard left out" in curve_svg(failed.fit, failed.wells)


def test_a_rejected_curve_says_why_and_still_shows_the_points(failed: PlateResult) -> None:
    text = curve_svg(failed.fit, failed.wells, qc=failed.qc)
    assert "No curve: level means change direction beyond their noise" in text
    assert text.count("h0") >= 14


def test_texts_are_escaped(good: PlateResult) -> None:
    assert good.fit is not None
    fit = replace(good.fit, unit=EVIL, converged=False, reason=EVIL)
    samples = tuple(replace(sample, sample_id=EVIL) for sample in good.samples)
    for text in (
        curve_svg(fit, good.wells, samples, analyte=EVIL, response=EVIL, named=True),
        curve_svg(replace(fit, levels=())),
        plate_svg(good.wells, title=EVIL),
        recovery_svg(fit, good.wells),
    ):
        root = ET.fromstring(text)
        assert not [el for el in root.iter() if "script" in el.tag]
        assert not [key for el in root.iter() for key in el.attrib if key.startswith("on")]
        assert "alert(1)" in "".join(root.itertext())


def test_a_falling_curve_is_drawn_falling(good: PlateResult) -> None:
    assert good.fit is not None
    fit = replace(good.fit, params={**good.fit.params, "a": 3.2, "d": 0.045}, covariance=None)
    scene = curve_scene(fit, None)
    assert scene is not None
    ys = [point.y for point in scene.curve]
    assert ys == sorted(ys, reverse=True)
    assert all(point.low is None for point in scene.curve)


def test_the_band_holds_the_curve(good: PlateResult) -> None:
    scene = curve_scene(good.fit, good.wells, band=True)
    assert scene is not None
    for point in scene.curve:
        assert point.low is not None
        assert point.high is not None
        assert point.low < point.y < point.high


def test_a_failing_level_is_a_cross_not_only_red(good: PlateResult) -> None:
    assert good.fit is not None
    levels = (replace(good.fit.levels[0], passed=False, recovery_pct=140.0), *good.fit.levels[1:])
    before = recovery_svg(good.fit, good.wells)
    after = recovery_svg(replace(good.fit, levels=levels), good.wells)
    assert after.count("l8 8m-8 0l8-8") == before.count("l8 8m-8 0l8-8") + 1
    assert "1 outside the limits" in after


POSITIVE = st.floats(min_value=1e-9, max_value=1e9)


@given(POSITIVE, st.floats(min_value=1.5, max_value=1e9), st.booleans(), st.data())
def test_the_log_axis_is_monotone_and_undoes_itself(
    low: float, factor: float, zero: bool, data: st.DataObject
) -> None:
    axis = BrokenLogAxis(low, low * factor, zero)
    values = sorted(data.draw(st.lists(st.floats(low, low * factor), min_size=2, max_size=6)))
    shares = [axis.at(value) for value in values]
    assert shares == sorted(shares)
    assert all(axis.log_from <= share <= 1 for share in shares)
    assert [axis.value(share) for share in shares] == pytest.approx(values, rel=1e-6)
    assert axis.at(0.0) <= axis.log_from


@given(POSITIVE, st.floats(min_value=1.5, max_value=1e9), st.booleans())
def test_the_log_axis_has_few_readable_ticks(low: float, factor: float, zero: bool) -> None:
    ticks = BrokenLogAxis(low, low * factor, zero).ticks()
    assert len([tick for tick in ticks if tick.label]) <= 9
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
    labels = [float(tick.label) for tick in ticks if tick.label]
    assert labels == sorted(set(labels))


@given(st.floats(-10, 10), st.floats(1e-6, 100))
def test_the_linear_axis_holds_its_values(low: float, span: float) -> None:
    axis = linear_axis(low, low + span)
    assert axis.low <= low + 1e-9 * axis.step
    assert axis.high >= low + span - 1e-6 * axis.step
    labels = [float(tick.label) for tick in axis.ticks()]
    assert 2 <= len(labels) <= 14
    assert labels == sorted(set(labels))


@given(st.text())
def test_any_text_survives_as_text(text: str) -> None:
    element = ET.fromstring(tag("a", text, title=text).text)
    assert (element.text or "") == element.get("title")
    assert escape(text).count("<") == 0


@given(st.lists(st.tuples(st.floats(-999, 999), st.floats(-999, 999)), min_size=1, max_size=20))
def test_path_rounding_does_not_add_up(points: list[tuple[float, float]]) -> None:
    numbers = [float(text) for text in re.findall(r"-?\d+(?:\.\d)?", path(points))]
    x, y = sum(numbers[0::2]), sum(numbers[1::2])
    assert x == pytest.approx(points[-1][0], abs=0.051)
    assert y == pytest.approx(points[-1][1], abs=0.051)


def test_the_heat_ramp_darkens_steadily_and_its_ink_is_readable() -> None:
    ramp = [heat(step / (STEPS - 1)) for step in range(STEPS)]
    light = [luminance(fill) for fill, _ in ramp]
    assert light == sorted(light, reverse=True)
    assert len({fill for fill, _ in ramp}) == STEPS
    for fill, ink in ramp:
        bright, dark = sorted((luminance(fill), luminance(ink)), reverse=True)
        # WCAG 2.2 AA for normal text
        assert (bright + 0.05) / (dark + 0.05) >= 4.5
    assert heat(-1.0) == heat(0.0)
    assert heat(7.0) == heat(1.0)


def test_an_empty_well_neither_makes_the_scale_nor_gets_a_colour(good: PlateResult) -> None:
    wells = replace(
        good.wells,
        role=("empty", *good.wells.role[1:]),
        corrected=(9.99, *good.wells.corrected[1:]),
    )
    root = ET.fromstring(plate_svg(wells))
    circle = root.find(".//s:circle", NS)
    assert circle is not None
    assert circle.get("fill") == "#fff"
    texts = [text.text for text in root.iterfind(".//s:text", NS)]
    assert "9.99" in texts
    assert "1.85 OD" in texts


def test_a_long_legend_wraps_inside_the_picture(good: PlateResult) -> None:
    reasons = {"A1": Flag.SATURATED, "A2": Flag.UNREADABLE, "A3": Flag.NOT_MEASURED}
    flags = tuple((reasons[w],) if w in reasons else () for w in good.wells.id)
    gone = tuple(
        None if w in reasons or w == "A4" else y
        for w, y in zip(good.wells.id, good.wells.corrected, strict=True)
    )
    masked = tuple("bubble" if w in ("A5", "A6") else None for w in good.wells.id)
    corrected = tuple(None if w == "A6" else y for w, y in zip(good.wells.id, gone, strict=True))
    root = ET.fromstring(
        plate_svg(replace(good.wells, flags=flags, corrected=corrected, masked=masked))
    )
    legend = [g for g in root.iterfind(".//s:g", NS) if g.get("font-size") == "10"]
    lines = [text.text or "" for text in legend[-1]]
    assert len(lines) >= 2
    assert all(width_of(line, 10) <= float(root.get("width", "0")) - 22 for line in lines)
    height = float(root.get("height", "0"))
    assert all(float(text.get("y", "0")) < height for text in legend[-1])
    for words in ("saturated", "unreadable", "not measured", "no value", "masked"):
        assert words in " ".join(lines)


@pytest.mark.parametrize(("zero", "points"), [("anchor", 16), ("exclude", 14), ("subtract", 14)])
def test_only_what_was_fitted_leaves_a_residual(zero: str, points: int) -> None:
    found = result(*clean_plate(noise=0.02), il6_with(curve={"zero_standard": zero}))
    assert f"{points} points, 0 further" in residual_svg(found.fit, found.wells)
