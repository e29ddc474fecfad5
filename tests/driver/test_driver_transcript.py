"""Transcripts: bounded, and the same after storing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.driver.transcript import ENTRY_BYTES, Entry, Transcript
from readerd.errors import InputError

entries = st.lists(
    st.tuples(
        st.floats(0, 1e6, allow_nan=False),
        st.sampled_from("<>"),
        st.binary(min_size=1, max_size=40),
    )
)


@given(entries)
def test_storing_and_reading_back_changes_nothing(said: list[tuple[float, str, bytes]]) -> None:
    transcript = Transcript()
    for now_s, direction, data in sorted(said, key=lambda entry: entry[0]):
        transcript.record(now_s, ">" if direction == ">" else "<", data)
    again = Transcript.from_bytes(transcript.to_bytes())
    assert again.entries == transcript.entries
    assert again.to_bytes() == transcript.to_bytes()
    assert again.received == b"".join(
        d for _, way, d in sorted(said, key=lambda e: e[0]) if way == "<"
    )


def test_times_count_from_the_first_entry() -> None:
    transcript = Transcript()
    transcript.record(1000.0, ">", b"a")
    transcript.record(1000.25, "<", b"b")
    transcript.record(1000.5, "<", b"")
    assert transcript.entries == (Entry(0.0, ">", b"a"), Entry(0.25, "<", b"b"))


def test_one_entry_is_one_readable_line() -> None:
    transcript = Transcript([Entry(0.5, "<", b"ERE 0000\r\xff")])
    assert transcript.to_bytes() == b'[0.5, "<", "ERE 0000\\r\\u00ff"]\n'


def test_a_full_transcript_forgets_the_oldest_and_says_how_many() -> None:
    transcript = Transcript(most_bytes=10 * (ENTRY_BYTES + 1))
    for number in range(25):
        transcript.record(float(number), "<", b"%c" % (65 + number))
    assert transcript.received == b"PQRSTUVWXY"
    assert transcript.dropped == 15


def test_the_tail_is_what_came_after_the_last_command() -> None:
    transcript = Transcript()
    assert transcript.tail() == b""
    for way, data in (("<", b"old"), (">", b"ask"), ("<", b"new"), ("<", b"er")):
        transcript.record(0.0, ">" if way == ">" else "<", data)
    assert transcript.tail() == b"newer"
    assert transcript.tail(3) == b"wer"
    assert transcript.sent == b"ask"


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[1]", b"[1, 2, 3]", b'[0, "=", "a"]', b"nonsense", b'[0, "<", "\\u0100"]', b"\xff"],
)
def test_a_line_that_is_no_entry_is_named(line: bytes) -> None:
    with pytest.raises(InputError, match=r"^RUN1: line 2: "):
        Transcript.from_bytes(b'[0, "<", "a"]\n' + line + b"\n", "RUN1")
