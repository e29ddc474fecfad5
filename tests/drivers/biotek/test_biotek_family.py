"""What the whole BioTek family shares: the identity scan, any bytes into any decoder, the codes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd_biotek import ELX808
from readerd_biotek.complaints import needs_human, text_of
from readerd_biotek.elx_codec import FilterTable
from readerd_biotek.elx_data import Dump, PlateData
from readerd_biotek.framing import Answer, Version, identity_scan
from tests.drivers.biotek.biotek_bench import feed_any_bytes
from tests.drivers.biotek.elx_witness import WITNESS


@given(st.binary(max_size=300))
def test_the_identity_scan_finds_its_answer_behind_anything(before: bytes) -> None:
    scan = identity_scan()
    for index in range(len(before)):
        assert scan.feed(before[index : index + 1]) is None
    assert scan.feed(b"\x067340201  Version 3.15   0000\x03") == Version("7340201", "3.15")
    assert scan.skipped == len(before)


@pytest.mark.parametrize("size", [1, 7, 64, 2000])
@pytest.mark.parametrize(
    "mistaken",
    [
        WITNESS,
        Answer(FilterTable((405, 450, 490, 590, 650, None))).to_bytes(),
        Dump(PlateData.from_bytes(WITNESS).blocks[0], "VERSIO").to_bytes(),
        b"\x067340201  Version 3.15   0000",
        b"\x067340201  Version 3.15   0000\x03\x15",
    ],
)
def test_the_identity_scan_takes_nothing_else(mistaken: bytes, size: int) -> None:
    scan = identity_scan()
    seen = [scan.feed(mistaken[at : at + size]) for at in range(0, len(mistaken), size)]
    if mistaken.endswith(b"\x15") and size in (1, 7):
        seen = seen[:-2]  # in small pieces the answer is whole before more comes
    assert set(seen) <= {None}


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_end_in_a_message_or_in_garbled(data: st.DataObject) -> None:
    feed_any_bytes(data, ELX808, WITNESS)


@pytest.mark.parametrize(
    ("code", "text", "human"),
    [
        ("0100", "read aborted: STOP was pressed, or the host asked for it", False),
        ("0301", "filter wheel: no light transition at its sensor", True),
        ("0402", "door: position could not be verified", True),
        ("0502", "A/D converter saturated, 24 V supply", False),
        ("0E03", "wavelength not in the filter table (filter 3)", False),
        ("2331", "lamp failed (1)", True),
        ("A105", "fatal: switch the reader off and on", True),
        ("7777", "no text known for this code", False),
        ("A", "well range", False),
        ("NAK", "refused: the reader did not expect this command now", False),
    ],
)
def test_codes_have_the_manuals_texts(code: str, text: str, human: bool) -> None:
    assert text_of(code) == text
    assert needs_human(code) is human
