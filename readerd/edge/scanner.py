"""What a barcode scanner says: bytes to lines, and what each line means."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

# The longest 1D barcodes in use have under 100 signs; more in one line is no barcode.
MOST_SIGNS: Final = 256
# At 1200 baud a barcode of 64 signs takes half a second: what is older belongs to no line.
SAME_LINE_S: Final = 1.0
# CR, LF and Tab are the suffixes that scanners are set to; STX and ETX frame some.
_ENDS: Final = re.compile(rb"[\r\n\t]")
_AROUND: Final = " \x02\x03\x00"


class Lines:
    """Cuts a scanner's bytes into lines; bounded, and half a line does not wait for ever."""

    def __init__(self) -> None:
        self._rest = b""
        self._heard_s = 0.0

    def feed(self, data: bytes, at_s: float) -> list[str]:
        """The lines that are whole now; too long ones are left out."""
        if at_s - self._heard_s > SAME_LINE_S:
            self._rest = b""
        self._heard_s = at_s
        *whole, self._rest = _ENDS.split(self._rest + data)
        self._rest = self._rest[: MOST_SIGNS + 1]  # one more than may be: it stays too long
        lines = [
            line.decode("utf-8", "replace").strip(_AROUND)
            for line in whole
            if len(line) <= MOST_SIGNS
        ]
        return [line for line in lines if line]


@dataclass(frozen=True, slots=True)
class Scanned:
    """One line, understood: a plate, who reads, why again, or a command."""

    kind: Literal["plate", "badge", "reason", "press", "abort"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Which lines are no plates. Empty texts mean nothing."""

    press: str = ""
    abort: str = ""
    badge: str = ""
    reasons: Mapping[str, str]

    def meaning(self, line: str) -> Scanned:
        """Commands before badges before plates: a command barcode cannot be read as a plate."""
        if line == self.abort:
            return Scanned("abort", line)
        if line == self.press:
            return Scanned("press", line)
        if line in self.reasons:
            return Scanned("reason", self.reasons[line])
        badge = re.fullmatch(self.badge, line) if self.badge else None
        if badge is not None:
            return Scanned("badge", (badge[1] if badge.re.groups else None) or line)
        return Scanned("plate", line)
