"""Bytes of a scanner to lines, and lines to what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.edge.scanner import MOST_SIGNS, Codes, Lines, Scanned

CODES = Codes(
    press="READ",
    abort="ABORT",
    badge=r"OP-(\d+)",
    reasons={"WHY-SPILL": "the plate was spilled"},
)


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\t", b"\x03\r"])
def test_every_usual_suffix_ends_a_line(end: bytes) -> None:
    assert Lines().feed(b"\x02PLT1" + end + b"PLT 2" + end, 5.0) == ["PLT1", "PLT 2"]


@given(st.lists(st.text("ABC-019", min_size=1), max_size=6), st.data())
def test_the_lines_are_the_same_however_the_bytes_are_cut(
    lines: list[str], data: st.DataObject
) -> None:
    wire, framing, found = "".join(f"{line}\r\n" for line in lines).encode(), Lines(), []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        found += framing.feed(wire[:size], 0.5)
        wire = wire[size:]
    assert found == lines


def test_half_a_line_does_not_wait_for_the_next_scan() -> None:
    lines = Lines()
    assert lines.feed(b"GARB", 10.0) == []
    assert lines.feed(b"PLT1\r", 20.0) == ["PLT1"]


def test_what_is_too_long_is_no_barcode_and_does_not_grow() -> None:
    lines = Lines()
    for _ in range(1000):
        assert lines.feed(b"x" * 4096, 1.0) == []
    assert lines.feed(b"x\rPLT1\r", 1.0) == ["PLT1"]
    assert lines.feed(b"y" * MOST_SIGNS + b"\r", 1.0) == ["y" * MOST_SIGNS]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("PLT1", Scanned("plate", "PLT1")),
        ("READ", Scanned("press", "READ")),
        ("READ1", Scanned("plate", "READ1")),
        ("ABORT", Scanned("abort", "ABORT")),
        ("WHY-SPILL", Scanned("reason", "the plate was spilled")),
        ("OP-17", Scanned("badge", "17")),
        ("OP-17x", Scanned("plate", "OP-17x")),
    ],
)
def test_a_line_is_a_command_a_badge_or_a_plate(line: str, meant: Scanned) -> None:
    assert CODES.meaning(line) == meant


def test_a_badge_without_a_group_is_the_operator_as_it_is() -> None:
    assert Codes(badge="E[0-9]+", reasons={}).meaning("E4711") == Scanned("badge", "E4711")
    assert Codes(reasons={}).meaning("E4711") == Scanned("plate", "E4711")
