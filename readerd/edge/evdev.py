"""A keyboard that is none: HID scanners, keypads and foot switches, as the kernel hands them over.

The kernel's `input_event` is parsed here; there is nothing in it that needs a library. The grab is
exclusive, so that what is scanned is not typed into a console as well. Times are the kernel's, on
its monotonic clock: with the machine's boot they name one physical press for good.
"""

import fcntl
import os
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from readerd.edge.scanner import MOST_SIGNS, SAME_LINE_S
from readerd.errors import LinkLost

# linux/input.h: struct input_event { struct timeval time; __u16 type, code; __s32 value; }
_EVENT: Final = struct.Struct("@llHHi")
# linux/input-event-codes.h
EV_SYN: Final = 0
EV_KEY: Final = 1
SYN_REPORT: Final = 0
SYN_DROPPED: Final = 3
KEY_RESERVED: Final = 0  # no key
UP: Final = 0
DOWN: Final = 1  # 2 is the keyboard's own repeat
# linux/input.h: _IOW('E', 0x90, int) and _IOW('E', 0xa0, int), as x86, ARM and RISC-V number them
EVIOCGRAB: Final = 0x40044590
EVIOCSCLOCKID: Final = 0x400445A0

_ENTER: Final = frozenset({28, 96, 15})  # Enter, the keypad's, Tab
_SHIFT: Final = frozenset({42, 54})
# linux/input-event-codes.h, with the signs of a US keyboard, which scanners imitate by default.
_ROWS: Final = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (55, "*", "*"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),
    (98, "/", "/"),
)
PLAIN: Final[Mapping[int, str]] = {
    first + at: sign for first, plain, _ in _ROWS for at, sign in enumerate(plain)
}
SHIFTED: Final[Mapping[int, str]] = {
    first + at: sign for first, _, shifted in _ROWS for at, sign in enumerate(shifted)
}
_NAMED: Final[Mapping[str, int]] = {
    **{sign.upper(): code for code, sign in PLAIN.items() if sign.isalnum() and code < 55},
    **{f"F{number}": 58 + number for number in range(1, 11)},
    "ESC": 1,
    "TAB": 15,
    "ENTER": 28,
    "SPACE": 57,
    "F11": 87,
    "F12": 88,
    "KPENTER": 96,
    # What a foot switch that plays a mouse sends.
    "LEFT": 0x110,
    "RIGHT": 0x111,
    "MIDDLE": 0x112,
}


def key_code(name: str) -> int | None:
    """The code of a key by name or number, None for any; ValueError for a name that is none."""
    if not name:
        return None
    if name.isdecimal() and len(name) > 1:
        return int(name)
    try:
        return _NAMED[name.upper().removeprefix("KEY_").removeprefix("BTN_")]
    except KeyError:
        raise ValueError("a letter, a digit, ENTER, SPACE, F1 … or a code of two digits") from None


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """One change of one key; `at_us` is the kernel's time."""

    at_us: int
    code: int
    is_down: bool


class _Events:
    """Bytes to (time, type, code, value), whole events only."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, int]]:
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        for seconds, micros, kind, code, value in _EVENT.iter_unpack(data[:whole]):
            yield seconds * 1_000_000 + micros, kind, code, value


class Keys:
    """What a keypad or a foot switch says: every change of the keys that count.

    When the kernel says that it dropped events, a release may be among them: it is let go.
    """

    def __init__(self, code: int | None = None) -> None:
        self._code = code
        self._events = _Events()

    def feed(self, data: bytes) -> list[KeyEvent]:
        found: list[KeyEvent] = []
        for at_us, kind, code, value in self._events.feed(data):
            if (kind, code) == (EV_SYN, SYN_DROPPED):
                found.append(KeyEvent(at_us, self._code or KEY_RESERVED, False))
            elif kind == EV_KEY and value in (UP, DOWN) and self._code in (None, code):
                found.append(KeyEvent(at_us, code, value == DOWN))
        return found


class Typed:
    """What a scanner types: lines, ended by Enter or Tab.

    When the kernel says that it dropped events, the line that they belonged to is dropped too.
    Half a line is old by the kernel's clock: read late, the rest of a barcode is no other barcode.
    """

    def __init__(self) -> None:
        self._events = _Events()
        self._line: list[str] = []
        self._shifts: set[int] = set()
        self._is_broken = False
        self._typed_us = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        lines = [
            self._key(code, value == DOWN)
            for at_us, kind, code, value in self._events.feed(data)
            if self._counts(at_us, kind, code, value)
        ]
        return [line for line in lines if line]

    def _counts(self, at_us: int, kind: int, code: int, value: int) -> bool:
        if at_us - self._typed_us > SAME_LINE_S * 1e6:
            self._begin()
        self._typed_us = at_us
        if kind == EV_SYN and code == SYN_DROPPED:
            self._begin(is_broken=True)
        return kind == EV_KEY and value in (UP, DOWN)

    def _begin(self, *, is_broken: bool = False) -> None:
        self._line, self._is_broken = [], is_broken
        self._shifts.clear()

    def _key(self, code: int, is_down: bool) -> str | None:
        """The line that this key ends."""
        if code in _SHIFT:
            (self._shifts.add if is_down else self._shifts.discard)(code)
            return None
        if not is_down:
            return None
        if code in _ENTER:
            line, is_broken = "".join(self._line).strip(), self._is_broken
            self._line, self._is_broken = [], False
            return None if is_broken or len(line) > MOST_SIGNS else line
        sign = (SHIFTED if self._shifts else PLAIN).get(code)
        if sign is not None and len(self._line) <= MOST_SIGNS:
            self._line.append(sign)
        return None


def open_device(path: str) -> int:
    """A file descriptor of the device, grabbed; LinkLost with the reason when it cannot be had."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise LinkLost(f"{path}: {error.strerror}") from None
    try:
        fcntl.ioctl(fd, EVIOCGRAB, 1)
        fcntl.ioctl(fd, EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))
    except OSError as error:
        os.close(fd)
        raise LinkLost(f"{path}: is no input device that we can grab: {error.strerror}") from None
    return fd
