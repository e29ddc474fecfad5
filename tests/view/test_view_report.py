"""The report page: complete, self-contained, escaped, the same bytes in every process."""

import os
import pickle
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import fields, replace
from pathlib import Path

import pytest

from readerd.assay.acceptance import Acceptance
from readerd.assay.result import Flag, PlateResult, Rule
from readerd.payload import ResultData
from readerd.view.criteria import criteria
from readerd.view.provenance import Provenance, provenance_of
from readerd.view.report import report_page
from readerd.view.report_style import css_string
from readerd.view.rounding import nominal, quantity
from readerd.view.unreported import unreported

NO_NUMBER = re.compile(r"\b(nan|NaN|inf|None)\b")
EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>&\x00"


@pytest.fixture
def origin() -> Provenance:
    return Provenance(
        plate="PLT0001234",
        analyte="IL-6",
        measurement_nm=450,
        reference_nm=570,
        head={"run": "01JNF6Z7Q4T3W6B2H9M5K8P0RA", "operator": "op-17", "kit lot": "P123456"},
        foot={"readerd": "1.0.0", "assay sha256": "9f" * 32},
        remarks=("checksum over all bytes",),
    )


def parsed(page: str) -> ET.Element:
    doctype, _, rest = page.partition("\n")
    assert doctype == "<!doctype html>"
    return ET.fromstring(rest)


def text_of(page: str) -> str:
    return " ".join("".join(parsed(page).itertext()).split())


def test_every_plate_makes_a_sound_page(any_plate: PlateResult, origin: Provenance) -> None:
    page = report_page(any_plate, origin)
    root = parsed(page)
    assert root.get("lang") == "en"
    assert not NO_NUMBER.search(page)
    assert not root.findall(".//script")
    assert not [el for el in root.iter() if el.tag in ("link", "iframe", "object", "img")]
    assert not [key for el in root.iter() for key in el.attrib if key in ("src", "href")]
    assert "default-src 'none'" in page.replace("&#39;", "'")


def test_the_page_holds_everything(good: PlateResult, origin: Provenance) -> None:
    page = report_page(good, origin)
    text = text_of(page)
    for words in (
        "PASS",
        "all 3 rules of profile m10 met",
        "PLT0001234",
        "01JNF6Z7Q4T3W6B2H9M5K8P0RA",
        "op-17",
        "P123456",
        "450 – 570 nm",
        "9f" * 32,
        "checksum over all bytes",
        "ABOVE_RANGE above the highest accepted standard",
        "y=d+(a-d)/(1+(x/c)^b)",
        "c = 420 ± 31",
    ):
        assert words in text
    for sample in good.samples:
        assert (sample.sample_id or sample.position) in text
    pictures = parsed(page).findall(".//{http://www.w3.org/2000/svg}svg")
    assert len(pictures) == 6


def test_a_plate_that_never_came_is_reported_with_its_failure(
    empty: PlateResult, origin: Provenance
) -> None:
    text = text_of(report_page(empty, replace(origin, failure="no reply within 30 s")))
    assert "NO VERDICT" in text
    assert "no reply within 30 s" in text
    assert "Samples" not in text


def test_masked_wells_are_listed_with_their_reasons(
    failed: PlateResult, origin: Provenance
) -> None:
    assert "B2: pipetting error" in text_of(report_page(failed, origin))


def test_hostile_texts_stay_text(good: PlateResult) -> None:
    evil = Provenance(
        plate=EVIL, analyte=EVIL, head={EVIL: EVIL}, foot={EVIL: EVIL}, remarks=(EVIL,)
    )
    assert good.fit is not None
    rules = tuple(replace(rule, id=EVIL, text=EVIL) for rule in good.qc.rules)
    wells = replace(
        good.wells,
        masked=(EVIL, *good.wells.masked[1:]),
        position=(EVIL, *good.wells.position[1:]),
    )
    plate = replace(
        good,
        wells=wells,
        fit=replace(good.fit, unit=EVIL, warnings=(EVIL,), equation=EVIL),
        qc=replace(good.qc, profile=EVIL, rules=rules),
        samples=tuple(replace(s, sample_id=EVIL, unit=EVIL) for s in good.samples),
        flags=(Flag.RECOVERED,),
    )
    page = report_page(plate, evil)
    root = parsed(page)
    assert not [el for el in root.iter() if el.tag.endswith(("script", "img"))]
    assert not [key for el in root.iter() for key in el.attrib if key.startswith("on")]
    assert "\x00" not in page
    assert "<script>alert(2)</script>" in "".join(root.itertext())


def test_the_same_bytes_in_every_process(
    failed: PlateResult, origin: Provenance, tmp_path: Path
) -> None:
    stored = tmp_path / "plate.pickle"
    stored.write_bytes(pickle.dumps((failed, origin)))
    program = (
        "import pickle, sys; from readerd.view.report import report_page;"
        "sys.stdout.buffer.write("
        "report_page(*pickle.load(open(sys.argv[1], 'rb'))).encode())"
    )
    pages = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, str(stored)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
            timeout=30,
        ).stdout
        for seed in ("1", "2")
    }
    assert pages == {report_page(failed, origin).encode()}


def test_every_reason_stands_at_the_top(good: PlateResult, origin: Provenance) -> None:
    rules = tuple(
        Rule(id=f"rule-{n}", verdict="fail", observed=1.0, limit=2.0, text=f"reason {n}.")
        for n in range(9)
    )
    plate = replace(good, verdict="fail", qc=replace(good.qc, rules=rules))
    why = parsed(report_page(plate, origin)).find(".//ul[@class='why']")
    assert why is not None
    lines = ["".join(item.itertext()) for item in why]
    assert lines[:9] == [f"rule-{n}: reason {n}." for n in range(9)]


MESSAGE: dict[str, object] = {
    "acquisition": "complete",
    "curve": "accepted",
    "verdict": "pass",
    "flags": [],
    "revision": 2,
    "revises": 1,
    "reason": "dilution corrected",
    "failure": None,
    "run": {
        "id": "01JNF6Z7Q4T3W6B2H9M5K8P0RA",
        "key": "k",
        "read_type": "normal",
        "attempt": 1,
        "trigger": {"kind": "button", "source": "gpio"},
        "operator": {"id": "op-17", "known_by": "badge"},
        "started_at": "2026-03-04T09:15:02+01:00",
        "finished_at": "2026-03-04T09:15:42+01:00",
    },
    "instrument": {
        "reader": "bench2",
        "driver": "biorad680",
        "model": "Model 680",
        "serial": None,
        "firmware": "1.2",
        "identity_verified": True,
        "warnings": ["lamp weak"],
        "notes": ["checksum over all bytes"],
        "counters": {},
    },
    "software": {
        "version": "1.0.0",
        "assay": {"id": "il6-elisa", "version": "1", "sha256": "9f" * 32},
        "config_sha256": "1c" * 32,
    },
    "kit": {"lot": "P123456", "expires": None},
    "plate": {
        "barcode": "PLT0001234",
        "barcode_source": "scanner",
        "format": 96,
        "plate_map": {"id": None, "version": None, "source": "assay"},
    },
    "read": {
        "measurement_nm": 450,
        "reference_nm": 570,
        "requested_reference_nm": 570,
        "correction": "a450-a570",
        "temperature_c": None,
        "read_at": {},
    },
    "wells": None,
    "fit": None,
    "qc": {"profile": "m10", "rules": []},
    "samples": [],
    "raw": {"bytes": 1300, "sha256": "77" * 32},
}


@pytest.fixture
def message() -> ResultData:
    """A result as it stands on the wire."""
    return ResultData.model_validate(MESSAGE)


def test_a_message_brings_its_own_provenance(message: ResultData) -> None:
    origin = provenance_of(message, "IL-6")
    assert origin.plate == "PLT0001234"
    assert origin.response == "450 – 570 nm"
    assert origin.head["started"] == "2026-03-04 09:15:02 +01:00"
    assert origin.head["revision"] == "2: dilution corrected"
    assert origin.head["instrument"] == "Model 680, 1.2"
    assert "kit expires" not in origin.head
    assert "temperature" not in origin.head
    assert origin.foot["wire bytes sha256"] == f"{'77' * 32} (1300 bytes)"
    assert origin.remarks == ("lamp weak", "checksum over all bytes")


def test_a_message_is_an_outcome_itself(message: ResultData) -> None:
    text = text_of(report_page(message, provenance_of(message)))
    assert text.startswith("il6-elisa · PLT0001234")
    assert "no plate was delivered" in text


def test_every_limit_in_force_is_on_paper(good: PlateResult, origin: Provenance) -> None:
    # numbers that nothing else on the page has
    limits: dict[str, bool | int | float | None] = {
        entry.name: 1000.5 + rank if entry.type is not bool else True
        for rank, entry in enumerate(fields(Acceptance))
        if entry.name != "profile"
    }
    plate = replace(good, qc=replace(Acceptance().qc(), limits=limits))
    text = text_of(report_page(plate, origin))
    for name, limit in limits.items():
        if not isinstance(limit, bool) and limit is not None:
            assert nominal(limit) in text or quantity(limit) in text, name
    assert "may be dropped" in text


def test_a_limit_without_a_rule_is_named(good: PlateResult, origin: Provenance) -> None:
    plate = replace(good, qc=replace(good.qc, limits={"moon_phase": 7.25}))
    assert "moon_phase–7.25" in text_of(report_page(plate, origin))


def test_who_has_no_value_is_named_with_the_reason(
    good: PlateResult, failed: PlateResult, origin: Provenance
) -> None:
    told = " ".join(unreported(good))
    for sample in good.samples:
        named = re.search(rf"\b{sample.position}\b", told) is not None
        assert named == (sample.value is None)
    assert "above the highest accepted standard, 300 pg/mL in the well: dilute and repeat" in told
    (line,) = unreported(failed)
    assert line.startswith("no accepted curve (level means change direction")
    assert line.endswith("all 40 samples and controls")
    assert line in text_of(report_page(failed, origin))


def test_a_sample_without_wells_says_what_became_of_them(good: PlateResult) -> None:
    silent = replace(good.samples[5], value=None, status="no_reading", qualifier=None)
    first, second = (good.wells.id.index(well) for well in silent.wells)
    masked, flags = list(good.wells.masked), list(good.wells.flags)
    masked[first], flags[second] = "bubble", (Flag.NOT_MEASURED,)
    wells = replace(good.wells, masked=tuple(masked), flags=tuple(flags))
    (line,) = unreported(replace(good, wells=wells, samples=(silent,)))
    assert "masked: bubble; the instrument did not deliver this well" in line
    assert line.endswith(f": {silent.position}")


def test_both_curves_stand_on_the_page(good: PlateResult, origin: Provenance) -> None:
    assert good.fit is not None
    level = replace(good.fit.levels[3], recovery_pct=136.7, passed=False)
    levels = (*good.fit.levels[:3], level, *good.fit.levels[4:])
    first = replace(good.fit, params={**good.fit.params, "c": 173.0}, levels=levels)
    text = text_of(report_page(good, origin, before_drop=first))
    assert "before (S4 136.7 %): a = 0.0450 ± 0.0020, b = 1.050 ± 0.020, c = 173 ± 31" in text
    assert "c = 420 ± 31" in text


def test_every_table_can_be_heard(any_plate: PlateResult, origin: Provenance) -> None:
    root = parsed(report_page(any_plate, origin))
    for table in root.iter("table"):
        assert table[0].tag == "caption"
        assert table[0].text
        assert {th.get("scope") for th in table.findall("./thead//th")} == {"col"}
        assert all((th.text or "").strip() for th in table.findall("./thead//th"))
        for row in table.findall("./tbody/tr"):
            assert row[0].tag == "th"
            assert row[0].get("scope") == "row"
            assert len(row) == len(table.findall("./thead//th"))


def test_notes_are_letters_that_are_explained(good: PlateResult, origin: Provenance) -> None:
    marked = replace(good.samples[20], flags=(Flag.HIGH_CV, Flag.SINGLE_REPLICATE))
    samples = (*good.samples[:20], marked, *good.samples[21:])
    text = text_of(report_page(replace(good, samples=samples), origin))
    assert "ok a,b" in text
    assert "aHIGH_CV replicates differ" in text
    assert "bSINGLE_REPLICATE only one" in text


def test_an_extrapolated_number_is_no_value(good: PlateResult, origin: Provenance) -> None:
    far = next(s for s in good.samples if s.qualifier == ">")
    samples = tuple(replace(s, extrapolated=457.0) if s is far else s for s in good.samples)
    text = text_of(report_page(replace(good, samples=samples), origin))
    assert f"Extrapolated, not to be reported: {far.position} 457" in text


def test_the_name_at_the_foot_of_each_sheet_cannot_leave_its_quotes() -> None:
    escaped = css_string('"; } </style><b>\\')
    assert escaped.startswith('"')
    assert not set(escaped[1:-1]) & set("\"';{}<>/")
    assert css_string("PLT1") == '"PLT1"'


def test_long_names_get_the_width_of_the_sheet(good: PlateResult, origin: Provenance) -> None:
    samples = tuple(replace(s, sample_id=f"{'N' * 40}-{s.position}") for s in good.samples)
    root = parsed(report_page(replace(good, samples=samples), origin))
    assert not root.findall(".//div[@class='two']")
    assert parsed(report_page(good, origin)).findall(".//div[@class='two']")


def test_a_rejected_curve_has_no_reported_range(good: PlateResult) -> None:
    assert good.fit is not None
    qc = Acceptance().qc()
    rows = {row.name: row for row in criteria(qc, good.fit, good.wells)}
    assert rows["reported range"].seen == "4.69 to 300"
    rejected = replace(good.fit, reason="too few levels hold")
    rows = {row.name: row for row in criteria(qc, rejected, good.wells)}
    assert rows["reported range"].seen == "–"
