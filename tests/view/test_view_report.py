"""The report page: complete, self-contained, escaped, the same bytes in every process."""

import os
import pickle
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from readerd.assay.result import Flag, PlateResult, Rule
from readerd.payload import ResultData
from readerd.view.provenance import Provenance, provenance_of
from readerd.view.report import report_page

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
