"""The wire of the simulated reader: lines of ASCII, small enough to be typed by hand.

    question = VERB *( SP number ) LF
    answer   = VERB SP ( "ok" / "error" SP code SP text ) LF  *( line LF )  "END" SP sum LF

    WHO                       one line: model;serial;firmware
    READ format shake_s nm …  one line per wavelength and well: nm SP well SP value, row by row
    STOP                      what is being measured is given up
    OUT, IN                   answered when the carrier is there

A value is an optical density with four decimals, OVER (beyond ±4), NONE (not measured) or BAD.
`sum` is CRC-32, in hexadecimal, of all that stands before END. An answer names its question, but
one READ could still be taken for the next: that is what the challenge is for (`WhoScan`).
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Strip, Unread

LIMIT_OD, DECIMALS = 4.0, 4
# 384 wells at six wavelengths, 17 bytes each, are 40 kB.
MOST_WAVELENGTHS, MOST_ANSWER_BYTES = 6, 65_536
WORDS = {Unread.SATURATED: "OVER", Unread.NOT_MEASURED: "NONE", Unread.UNREADABLE: "BAD"}

_COMMAND = re.compile(rb"([A-Z]+)((?: \d{1,6})*)\n")
_ANSWER = re.compile(rb"([A-Z]+) (ok|error \d+ [ -~]+)\n((?:[ -~]+\n)*)END ([0-9a-f]{8})\n")
_WHO = re.compile(rb"WHO ok\n[ -~]+\nEND [0-9a-f]{8}\n")
_WELL = re.compile(rf"(\d+) ([A-P]\d\d?) (-?\d\.\d{{{DECIMALS}}}|OVER|NONE|BAD)")


@dataclass(frozen=True, slots=True)
class Command:
    """One question."""

    verb: str
    numbers: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        return " ".join((self.verb, *map(str, self.numbers))).encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, line: bytes) -> "Command":
        match = _COMMAND.fullmatch(line)
        if match is None:
            raise GarbledReply(f"no question: {line[:40]!r}")
        return cls(match[1].decode("ascii"), tuple(map(int, match[2].split())))


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer; `intact` is False when its sum is wrong."""

    verb: str
    status: str = "ok"
    lines: tuple[str, ...] = ()
    intact: bool = True

    def to_bytes(self) -> bytes:
        body = "\n".join((f"{self.verb} {self.status}", *self.lines, "")).encode("ascii")
        return body + b"END %08x\n" % (zlib.crc32(body) ^ (not self.intact))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Answer":
        match = _ANSWER.fullmatch(data)
        if match is None:
            raise GarbledReply("not an answer, or bytes behind its end")
        verb, status, lines = (match[number].decode("ascii") for number in (1, 2, 3))
        intact = zlib.crc32(data[: match.end(3)]) == int(match[4], 16)
        return cls(verb, status, tuple(lines.splitlines()), intact)


def well_line(wavelength_nm: int, well: str, value: OpticalDensity) -> str:
    shown = WORDS[value] if isinstance(value, Unread) else f"{value:.{DECIMALS}f}"
    return f"{wavelength_nm} {well} {shown}"


def strip(line: str) -> Strip:
    """The well that a line of READ's answer shows."""
    match = _WELL.fullmatch(line)
    if match is None:
        raise GarbledReply(f"no well of a plate: {line[:40]!r}")
    unread = {word: reason for reason, word in WORDS.items()}
    return Strip(int(match[1]), {match[2]: unread.get(match[3]) or float(match[3])})


class AnswerDecoder(Decoder[Answer]):
    """Collects the answer to one verb; `on_line` hears of every line as it comes."""

    def __init__(self, verb: str, on_line: Callable[[str], None] | None = None) -> None:
        self._head = f"{verb} ".encode("ascii")
        self._on_line = on_line
        self._data = b""
        self._told = 0  # up to here whole lines have been looked at

    @property
    def begun(self) -> bool:
        return bool(self._data)

    def feed(self, data: bytes) -> Answer | None:
        self._data += data
        if not self._data.startswith(self._head[: len(self._data)]):
            raise GarbledReply(f"no answer to {self._head.decode('ascii')}")
        if len(self._data) > MOST_ANSWER_BYTES:
            raise GarbledReply(f"more than {MOST_ANSWER_BYTES} bytes in one answer")
        while (end := self._data.find(b"\n", self._told)) >= 0:
            line, first = self._data[self._told : end], self._told == 0
            self._told = end + 1
            if line.startswith(b"END "):
                return Answer.from_bytes(self._data)
            if self._on_line is not None and not first:
                self._on_line(line.decode("latin-1"))
        return None


class WhoScan(Decoder[Answer]):
    """Skips everything until a whole and intact answer to WHO."""

    begun = False  # what came so far may all belong to something older

    def __init__(self) -> None:
        self._window = b""

    def feed(self, data: bytes) -> Answer | None:
        self._window += data
        answers = [Answer.from_bytes(found) for found in _WHO.findall(self._window)]
        self._window = self._window[-256:]  # longer than any answer to WHO
        return next((answer for answer in answers if answer.intact), None)
