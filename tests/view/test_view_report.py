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

from readerd.assay.result import Flag, PlateResult
from readerd.view.provenance import Provenance
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
        "c = 420.0 ± 31",
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
