"""The kernel's input events, as a scanner, a keypad and a foot switch send them.

The bytes are those of a 64-bit machine: `hexdump /dev/input/event5` while a code is scanned.
"""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.edge.evdev import (
    EV_KEY,
    EV_SYN,
    PLAIN,
    SHIFTED,
    SYN_DROPPED,
    KeyEvent,
    Keys,
    Typed,
    key_code,
    open_device,
)
from readerd.errors import LinkLost
from tests.edge.recorded import AT_US, ENTER, LEFT_SHIFT, key, typed

DROPPED = struct.pack("@llHHi", *divmod(AT_US, 1_000_000), EV_SYN, SYN_DROPPED, 0)
# A press of a foot switch that is a keyboard with one key (B): MSC_SCAN, key, report, and release.
FOOT_SWITCH = bytes.fromhex(
    "a1f1386500000000 1d420b0000000000 0400 0400 05000700"
    "a1f1386500000000 1d420b0000000000 0100 3000 01000000"
    "a1f1386500000000 1d420b0000000000 0000 0000 00000000"
    "a1f1386500000000 b5c00c0000000000 0400 0400 05000700"
    "a1f1386500000000 b5c00c0000000000 0100 3000 00000000"
    "a1f1386500000000 b5c00c0000000000 0000 0000 00000000"
)


def test_a_recorded_foot_switch_goes_down_and_up() -> None:
    down, up = Keys().feed(FOOT_SWITCH)
    at_us = 0x6538F1A1 * 1_000_000 + 0x0B421D
    assert down == KeyEvent(at_us, 48, True)
    assert (up.code, up.is_down) == (48, False)
    assert Keys(key_code("B")).feed(FOOT_SWITCH) == [down, up]
    assert Keys(key_code("ENTER")).feed(FOOT_SWITCH) == []


def test_events_cut_anywhere_are_the_same_events() -> None:
    for cut in range(len(FOOT_SWITCH)):
        keys = Keys()
        found = keys.feed(FOOT_SWITCH[:cut]) + keys.feed(FOOT_SWITCH[cut:])
        assert found == Keys().feed(FOOT_SWITCH)


def test_the_keyboards_own_repeat_is_no_press() -> None:
    held = key(48, 1) + key(48, 2) * 20 + key(48, 0)
    assert [event.is_down for event in Keys().feed(held)] == [True, False]


@given(st.text(sorted({*PLAIN.values(), *SHIFTED.values()}), min_size=1).map(str.strip))
def test_what_a_scanner_types_is_what_it_scanned(line: str) -> None:
    assert Typed().feed(typed(line)) == ([line] if line else [])


def test_lines_end_with_enter_keypad_enter_and_tab() -> None:
    bytes_ = typed("PLT1") + typed("plt-2", end=96) + typed("P_3", end=15)
    assert Typed().feed(bytes_) == ["PLT1", "plt-2", "P_3"]


def test_keypad_digits_are_digits() -> None:
    codes = [79, 80, 81, 75, 76, 77, 71, 72, 73, 82]
    pad = b"".join(key(code, 1) + key(code, 0) for code in [*codes, 96])
    assert Typed().feed(pad) == ["1234567890"]


def test_a_line_with_dropped_events_is_dropped_and_a_lost_shift_with_it() -> None:
    broken = key(LEFT_SHIFT, 1) + typed("PLT")[: 24 * 4] + DROPPED + typed("1")
    scanner = Typed()
    assert scanner.feed(broken) == []
    assert scanner.feed(typed("plt2")) == ["plt2"]


def test_half_a_line_does_not_wait_and_a_long_one_is_none() -> None:
    scanner = Typed()
    assert scanner.feed(key(30, 1) + key(30, 0) + key(LEFT_SHIFT, 1)) == []  # and is unplugged
    later_us = AT_US + 5_000_000
    assert scanner.feed(typed("plt1", at_us=later_us)) == ["plt1"]
    too_long = typed("9" * 300, at_us=later_us)
    assert scanner.feed(too_long + typed("PLT2", at_us=later_us)) == ["PLT2"]


def test_keys_are_old_by_the_kernels_clock_not_by_when_they_are_read() -> None:
    line = typed("plt0012345")  # all at one moment
    for cut in range(0, len(line), 24):
        scanner = Typed()
        assert scanner.feed(line[:cut]) + scanner.feed(line[cut:]) == ["plt0012345"]


def test_a_key_whose_release_may_be_dropped_is_let_go() -> None:
    found = Keys(48).feed(key(48, 1) + DROPPED + key(48, 1))
    assert [event.is_down for event in found] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "code"),
    [("", None), ("B", 48), ("b", 48), ("KEY_ENTER", 28), ("1", 2), ("F1", 59), ("96", 96)],
)
def test_a_key_is_named_by_letter_name_or_code(name: str, code: int | None) -> None:
    assert key_code(name) == code
    assert (ENTER, EV_KEY) == (28, 1)


def test_what_is_no_input_device_says_so_and_is_closed(tmp_path: Path) -> None:
    (tmp_path / "event0").write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LinkLost, match=r"event0: is no input device that we can grab"):
        open_device(str(tmp_path / "event0"))
    with pytest.raises(LinkLost, match=r"event9: No such file"):
        open_device(str(tmp_path / "event9"))
    assert len(os.listdir("/proc/self/fd")) == before
