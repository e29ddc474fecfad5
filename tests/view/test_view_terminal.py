"""The plate in the terminal: nothing lost, nothing too wide, no escapes in a pipe."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from readerd.assay.result import Flag, PlateResult, Qc, Rule
from readerd.view.terminal import (
    CurveChart,
    PlateMap,
    PlateScreen,
    SamplesTable,
    plain,
    rules_table,
    standards_table,
    verdict_lines,
)
from readerd.view.words import reasons

NO_NUMBER = re.compile(r"\b(nan|NaN|inf|None)\b")
ROW = re.compile(r"^([A-P]) (.*)$", re.MULTILINE)


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [80, 120])
def test_every_plate_fits_its_terminal(
    any_plate: PlateResult, width: int, ascii_only: bool, truth: dict[str, float]
) -> None:
    text = plain(PlateScreen(any_plate, "PLT0001234", truth), width, ascii_only=ascii_only)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert text.isascii() or not ascii_only
    assert not NO_NUMBER.search(text)


def test_a_pipe_gets_no_colour_and_a_terminal_does(good: PlateResult) -> None:
    outputs = {}
    for terminal in (False, True):
        file = io.StringIO()
        console = Console(
            file=file,
            width=80,
            force_terminal=terminal,
            color_system="truecolor" if terminal else "auto",
            _environ={},
        )
        console.print(PlateMap(good.wells))
        outputs[terminal] = file.getvalue()
    assert "\x1b" not in outputs[False]
    assert outputs[True].count("\x1b[38;2;") >= 96


def test_sixteen_colours_are_too_few_for_a_heat_map(good: PlateResult) -> None:
    file = io.StringIO()
    Console(file=file, width=80, force_terminal=True, color_system="standard", _environ={}).print(
        PlateMap(good.wells)
    )
    assert not re.search(r"\x1b\[[0-9;]*4[0-7]m", file.getvalue())


def test_every_well_shows_its_own_number(good: PlateResult) -> None:
    rows = dict(ROW.findall(plain(PlateMap(good.wells), 80)))
    assert "".join(rows) == "ABCDEFGH"
    shown = [float(number) for row in rows.values() for number in row.split()]
    assert shown == [pytest.approx(value, abs=0.0051) for value in good.wells.corrected]


@pytest.mark.parametrize("width", [80, 120])
def test_384_wells_fit_too(large: PlateResult, width: int) -> None:
    rows = dict(ROW.findall(plain(PlateMap(large.wells), width)))
    assert "".join(rows) == "ABCDEFGHIJKLMNOP"
    scale = 0.1 if width == 80 else 1
    shown = [float(number) * scale for row in rows.values() for number in row.split()]
    assert shown == [pytest.approx(value, abs=0.051) for value in large.wells.corrected]


def test_a_well_without_a_number_says_why(failed: PlateResult) -> None:
    text = plain(PlateMap(failed.wells), 80)
    rows = dict(ROW.findall(text))
    assert rows["A"].split()[0] == "SAT"
    assert rows["C"].split()[2] == "???"
    assert rows["H"].split()[10:] == ["N/M", "N/M"]
    assert "0.85*" in rows["B"]
    for words in ("SAT saturated", "??? unreadable", "N/M not measured", "* masked"):
        assert words in " ".join(text.split())


def test_a_flagged_number_asks_for_a_look(good: PlateResult) -> None:
    flags = ((Flag.HIGH_ABSORBANCE,), *good.wells.flags[1:])
    text = plain(PlateMap(replace(good.wells, flags=flags)), 80)
    assert "A 1.36!1.32" in text
    assert "! flagged" in text


def test_the_verdict_comes_first_with_its_reason(good: PlateResult, failed: PlateResult) -> None:
    lines = plain(PlateScreen(good, "PLT1"), 80).splitlines()
    assert lines[0].split() == ["PASS", "all", "3", "rules", "of", "profile", "m10", "met"]
    assert lines[1].strip() == "PLT1"
    assert lines[2].strip() == "29 of 38 samples with a value · 5 above range · 4 below range"
    first = plain(PlateScreen(failed, "PLT1"), 120).splitlines()[0]
    assert " ".join(first.split()).startswith("FAIL curve rejected: level means change direction")


def test_failing_rules_stand_before_warnings(good: PlateResult) -> None:
    warn = Rule(id="hook", verdict="warn", observed=1.0, limit=0.0, text="top mean below the next")
    fail = Rule(id="controls", verdict="fail", observed=1.0, limit=2.0, text=None)
    plate = replace(good, verdict="fail", qc=replace(good.qc, rules=(warn, fail)))
    assert reasons(plate) == (
        "controls in range: observed 1, limit 2",
        "hook: top mean below the next",
    )


def test_a_run_without_a_plate_tells_its_failure(empty: PlateResult) -> None:
    text = plain(PlateScreen(empty, "PLT1", failure="no reply within 30 s"), 80)
    assert text.split() == ["NO", "VERDICT", "no", "reply", "within", "30", "s", "PLT1"]


def test_an_incomplete_plate_counts_what_is_missing(good: PlateResult, failed: PlateResult) -> None:
    plate = replace(good, acquisition="incomplete", verdict="warn", wells=failed.wells)
    assert "incomplete reading: 2 wells not delivered" in plain(verdict_lines(plate), 120)


def test_true_and_found_stand_side_by_side(good: PlateResult, truth: dict[str, float]) -> None:
    for width in (80, 120):
        text = plain(SamplesTable(good.samples, truth), width)
        row = next(line for line in text.splitlines() if "S26-0016" in line).split()
        assert row[-6:] == ["43.5", "–", "48.8", "44.8", "+3.0", "ok"]
        assert sum("S26-" in line for line in text.splitlines()) == 38


def test_out_of_range_shows_the_limit_and_the_side(good: PlateResult) -> None:
    text = plain(SamplesTable(good.samples), 80)
    below = next(line for line in text.splitlines() if "S26-0001" in line)
    above = next(line for line in text.splitlines() if "S26-0036" in line)
    assert "< 9.38" in below
    assert "below range" in below
    assert "> 600" in above
    assert "above range" in above


def test_a_narrow_terminal_keeps_name_value_and_status(
    good: PlateResult, truth: dict[str, float]
) -> None:
    text = plain(SamplesTable(good.samples, truth), 60)
    header = text.splitlines()[1].split()
    assert {"sample", "value", "true", "status"} <= set(header)
    assert max(map(len, text.splitlines())) <= 60


def test_standards_show_what_was_read_back(good: PlateResult) -> None:
    lines = plain(standards_table(good.fit), 80).splitlines()
    row = next(line for line in lines if line.strip().startswith("S3")).split()
    assert row == ["S3", "75", "0.491", "1.4", "75.4", "100.5", "pass"]
    assert any("S8" in line and "anchor" in line for line in lines)


def test_a_dropped_level_gives_its_reason(good: PlateResult) -> None:
    assert good.fit is not None
    levels = (replace(good.fit.levels[0], masked="saturated", passed=None), *good.fit.levels[1:])
    text = plain(standards_table(replace(good.fit, levels=levels)), 100)
    assert "left out: saturated" in text


def test_rules_speak_in_words(good: PlateResult) -> None:
    text = plain(rules_table(good.qc), 120)
    assert "levels-passing" in text
    assert "7 of 7 standard levels read back" in text


def test_the_curve_has_each_level_and_a_broken_zero(good: PlateResult) -> None:
    text = plain(CurveChart(good.fit, good.wells), 100)
    assert text.count("●") >= 8
    assert text.count("╱") == 2
    ticks = [float(word) for word in text.splitlines()[-2].split()]
    assert ticks == sorted(ticks)
    assert ticks[0] == 0


def test_ascii_draws_the_same_curve(good: PlateResult) -> None:
    text = plain(CurveChart(good.fit, good.wells, good.samples), 80, ascii_only=True)
    assert text.isascii()
    assert text.count("o") >= 8
    assert text.count("/") >= 2


def test_hostile_names_cannot_steer_the_terminal(good: PlateResult) -> None:
    evil = "\x1b[2J\x07[red]x[/red]\u202e"
    samples = tuple(replace(sample, sample_id=evil) for sample in good.samples)
    file = io.StringIO()
    console = Console(file=file, width=120, force_terminal=True, color_system=None, _environ={})
    console.print(PlateScreen(replace(good, samples=samples), evil))
    text = file.getvalue()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[red]x[/red]" in text


def test_two_rules_that_say_the_same_are_both_told(good: PlateResult) -> None:
    twice = [
        Rule(id=name, verdict="warn", observed=1.0, limit=0.0, text="suspected: S26-0001")
        for name in ("parallelism", "hook-samples")
    ]
    told = reasons(replace(good, verdict="warn", qc=Qc(profile="m10", rules=tuple(twice))))
    assert [line.split(":")[1:] for line in told] == [[" suspected", " S26-0001"]] * 2
    assert len(set(told)) == 2
