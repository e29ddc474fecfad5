"""`verdicts.md` against the code: every rule is struck once, every sentence stands somewhere."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, get_args

import pytest

from readerd.assay.acceptance import Acceptance, resolve
from readerd.assay.definition import Assay
from readerd.assay.kit import judge_kit
from readerd.assay.result import Flag, PlateResult, Rule, Status
from readerd.plate import Unread
from tests.assay.plates import WELLS, Plate, clean_plate, il6, il6_with, result
from tests.docs.docs_pages import read, sections, table
from tests.docs.docs_sentences import rule_ids, sentences
from tests.docs.docs_words import written

PAGE = "docs/reference/verdicts.md"
CURVE = "docs/explanation/the-curve.md"
RULES = {name: cells for name, cells in table(sections(PAGE)["Rules"]).items() if len(cells) == 6}
RULES.pop("rule")


def with_wells(times: Mapping[str, float], assay: Assay | None = None, **doses: float) -> Plate:
    """A clean plate's measurement in which these positions or wells read so many times as much."""
    measurement, reference = clean_plate(noise=0.01, doses=doses)
    for well, position in zip(WELLS, il6().layout.positions, strict=True):
        by = times.get(well, times.get(position or "", 1.0))
        od, base = measurement[well], reference[well]
        assert isinstance(od, float)
        assert isinstance(base, float)
        measurement[well] = base + (od - base) * by
    return measurement


def changed(assay: Assay | None = None, /, *, doses: Any = None, **times: float) -> PlateResult:
    _, reference = clean_plate(noise=0.01)
    return result(with_wells(times, **(doses or {})), reference, assay)


def at_reference(od: Callable[[str], float | None]) -> PlateResult:
    """A clean plate with other optical densities at both wavelengths; None: not delivered."""
    measurement, reference = clean_plate(noise=0.01)
    for well in WELLS:
        base, wanted = reference[well], od(well)
        signal = measurement[well]
        assert isinstance(base, float)
        assert isinstance(signal, float)
        if wanted is None:
            measurement[well] = reference[well] = Unread.NOT_MEASURED
        else:
            measurement[well], reference[well] = signal - base + wanted, wanted
    return result(measurement, reference)


def turned() -> PlateResult:
    measurement, reference = clean_plate(noise=0.01)
    around = dict(zip(WELLS, reversed(WELLS), strict=True))
    return result(
        {well: measurement[around[well]] for well in WELLS},
        {well: reference[around[well]] for well in WELLS},
    )


def diluted(u1: float, u2: float) -> PlateResult:
    """One sample undiluted and tenfold diluted, with the doses that lie in the wells."""
    of_one = {"U1": {"id": "P", "dilution": 1.0}, "U2": {"id": "P", "dilution": 10.0}}
    return changed(il6_with(samples=of_one), doses={"U1": u1, "U2": u2})


def lenient() -> Assay:
    return il6_with(acceptance={"min_levels": 4, "min_levels_passing_pct": 50.0})


def expired() -> PlateResult:
    return judge_kit(changed(), "2026-01", date(2026, 2, 3))


HALF = {f"S{level}": 1.6 for level in (2, 4, 6)}
STRUCK: dict[str, Callable[[], PlateResult]] = {
    "curve": lambda: changed(il6_with(curve={"min_span_od": 3.0})),
    "standard-recovery": lambda: changed(S4=1.4),
    "levels-passing": lambda: changed(**HALF),
    "levels-passing-pct": lambda: changed(**HALF),
    "range": lambda: changed(il6_with(acceptance={"range_low": 400.0, "range_high": 500.0})),
    "replicate-cv-standards": lambda: changed(C1=1.5),
    "replicate-cv-samples": lambda: changed(C3=1.5),
    "controls": lambda: changed(QH=0.5),
    "controls-each-level": lambda: changed(QH=0.5),
    "parallelism": lambda: diluted(200.0, 10.0),
    "hook-samples": lambda: diluted(100.0, 30.0),
    "monotonic": lambda: changed(lenient(), S1=0.58),
    "hook-standards": lambda: changed(lenient(), S1=0.58),
    "low-asymptote": lambda: changed(U1=0.3, doses={"U1": 0.0}),
    "optical-spread": lambda: at_reference(lambda well: 0.04 if well[0] < "E" else 0.09),
    "plate-present": lambda: at_reference(lambda well: 0.005),
    "standard-wells": lambda: changed(A1=4.0),
    "complete": lambda: at_reference(lambda well: None if well == "H12" else 0.04),
    "orientation": turned,
    "kit-expiry": expired,
}


def test_every_rule_that_the_code_makes_stands_there() -> None:
    assert set(RULES) == rule_ids()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_strikes_as_it_is_told(name: str) -> None:
    limit, _, _, _, strikes, _ = RULES[name]
    found = STRUCK[name]()
    rule = one(found, name)
    assert rule.verdict == strikes.partition(",")[0].partition(";")[0].strip("`")
    told = {flag for flag in Flag if f"`{flag}`" in strikes.partition("; ")[0]}
    on_wells = found.wells.flags
    seen = {*found.flags, *(flag for sample in found.samples for flag in sample.flags)}
    assert told <= seen | {flag for flags in on_wells for flag in flags}
    assert (found.curve == "rejected") == (Flag.CURVE_REJECTED in told or name == "orientation")
    fixed = {float(number) for number in re.findall(r"`([0-9.]+)`", limit)}
    assert not fixed or (rule.limit or 0.0) in fixed


def one(found: PlateResult, name: str) -> Rule:
    return next(rule for rule in found.qc.rules if rule.id == name)


def test_limits_are_the_profiles_and_are_those_that_the_rules_apply() -> None:
    keys = {name: cells[0].strip("`") for name, cells in RULES.items() if "_" in cells[0]}
    m10, kit = Acceptance(), resolve({"profile": "kit"})[0]
    for name, key in keys.items():
        assert RULES[name][1:3] == [written(getattr(m10, key)), written(getattr(kit, key))], name
    ends = re.findall(r"`(\w+_ends_pct)` \((\d+)(?:, kit (\d+))?\)", sections(PAGE)["Rules"])
    assert {key: (float(of_m10), float(of_kit or of_m10)) for key, of_m10, of_kit in ends} == {
        key: (getattr(m10, key), getattr(kit, key))
        for key in ("standard_recovery_ends_pct", "replicate_cv_ends_pct")
    }
    odd: dict[str, Any] = {key: 40.0 + rank for rank, key in enumerate(sorted(set(keys.values())))}
    odd["min_levels"] = 4
    found = changed(il6_with(acceptance=odd))
    assert {name: one(found, name).limit for name in keys} == {
        name: odd[key] for name, key in keys.items()
    }
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", sections(PAGE)["Rules"])) - {"no_curve"}
    limits = {field.name for field in dataclasses.fields(Acceptance)} - {"profile"}
    assert limits - named - {"range_low", "range_high"} == set()


def test_every_flag_and_status_stands_there_and_no_other() -> None:
    assert set(table(sections(PAGE)["Flags"])) - {"flag"} == {flag.value for flag in Flag}
    assert set(table(sections(PAGE)["Statuses"])) - {"status"} == set(get_args(Status))


def test_every_sentence_that_travels_with_a_result_stands_on_one_of_the_pages() -> None:
    said = sentences()
    shown = set(re.findall(r"`([^`\n]+)`", read(PAGE) + read(CURVE)))
    assert said - shown == set()
    listed = set(table(sections(CURVE)["Refusals"])) | set(table(sections(PAGE)["Warnings"]))
    stale = {text for text in listed - {"reason", "warning", "provisional"} if text not in said}
    assert stale == set()
