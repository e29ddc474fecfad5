"""Bio-Rad Model 680 and 550: commands and one-line replies as frozen messages.

Sources: Model 680 instruction manual, chapter 7 (printed pp. 47-51, 53, 54, 60), whose pages are
quoted below; Model 550 manual, chapter 7 (printed pp. 32-34): see `dialect`.

command  = "EIA.READER" SP name *( SP arg ) CR          name: its first two letters decide
response = "ERE" SP code *( SP data ) CR                MR and FSTATUS: CR before the data

Replies carry no name of their command, so a late one can be taken for the next: see `IdentityScan`.
Carriage returns in front of a reply and behind it are filling (a plate ends with several).
"""

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply

T = TypeVar("T")

CR = b"\r"
# p. 47: the name every command starts with. The 550 manual prints a blank in it: an option there.
DEVICE = "EIA.READER"
SUCCESS = 0
# p. 48: the only documented refusal.
NOT_REMOTE = 8073
# p. 48: eight positions on the filter wheel.
POSITIONS = 8

# A row of twelve cells has 72 characters; the longest title far less than this.
MOST_LINE_BYTES = 160
# A dual plate is 1300 bytes with one-blank spellings.
MOST_REPLY_BYTES = 8192

# pp. 48-51: names as printed. Two letters identify each of them.
NAMES = (
    "ID", "AQ", "RL", "RS", "MR", "RM", "ISTATUS", "INCU", "WINC", "FSTATUS", "RWELL", "RPLATE",
    "RTPLATE", "UPLD", "DOWNLD", "UTSE", "DTSE", "URPD",
)  # fmt: skip
_BY_TWO_LETTERS = {name[:2]: name for name in NAMES}

# p. 48, with the blank before the colon.
COUNTER_LABELS = ("On/Off:", "Hours :", "Plates:")

Parser = Generator[None, bytes, T]


@dataclass(frozen=True, slots=True)
class Command:
    """One command; a known name in full capitals, whatever was written."""

    name: str
    args: tuple[str, ...] = ()

    def to_bytes(self, device: str = DEVICE) -> bytes:
        return " ".join((device, self.name, *self.args)).encode("ascii") + CR

    @classmethod
    def from_bytes(cls, line: bytes) -> "Command":
        """Parse as the instrument does: any case, two letters decide; GarbledReply otherwise."""
        if not line.endswith(CR) or not line.isascii():
            raise GarbledReply(f"no command: {line!r}")
        device, *words = line[:-1].decode("ascii").split(" ")
        if device.upper() != DEVICE or not words or not words[0]:
            raise GarbledReply(f"no command: {line!r}")
        name = words[0].upper()
        return cls(_BY_TWO_LETTERS.get(name[:2], name), tuple(words[1:]))


@dataclass(frozen=True, slots=True)
class Reply:
    """`ERE code [text]`: an acknowledgement, a short answer or a refusal."""

    code: int
    text: str = ""

    @property
    def refused(self) -> bool:
        return self.code != SUCCESS

    def to_bytes(self) -> bytes:
        text = f" {self.text}" if self.text else ""
        return f"ERE {self.code:04d}{text}".encode("ascii") + CR

    @classmethod
    def from_bytes(cls, data: bytes) -> "Reply":
        return whole(reply_decoder(), data)


@dataclass(frozen=True, slots=True)
class Filters:
    """The wavelength in nm at positions 1 to 8 (550: 4), None where none is fitted: FSTATUS."""

    positions: tuple[int | None, ...]

    @property
    def fitted_nm(self) -> tuple[int, ...]:
        return tuple(sorted({nm for nm in self.positions if nm is not None}))

    def position(self, wavelength_nm: int) -> int | None:
        """The first position (from 1) that holds this wavelength."""
        if wavelength_nm not in self.positions:
            return None
        return self.positions.index(wavelength_nm) + 1

    def at(self, position: int) -> int | None:
        """The wavelength at a position (from 1)."""
        return self.positions[position - 1] if 1 <= position <= len(self.positions) else None

    def to_bytes(self) -> bytes:
        shown = ("***" if nm is None else f"{nm:03d}" for nm in self.positions)
        return Reply(SUCCESS).to_bytes() + " ".join(shown).encode("ascii") + CR

    @classmethod
    def from_bytes(cls, data: bytes) -> "Filters":
        return _accepted(whole(filters_decoder(), data))


@dataclass(frozen=True, slots=True)
class Counters:
    """Answer to MR: the odometer. Four digits each."""

    power_cycles: int
    hours: int
    plates: int

    def to_bytes(self, labels: tuple[str, str, str] = COUNTER_LABELS) -> bytes:
        values = (self.power_cycles, self.hours, self.plates)
        lines = (f"{label}{value:04d}" for label, value in zip(labels, values, strict=True))
        return Reply(SUCCESS).to_bytes() + "\r".join(lines).encode("ascii") + CR + CR

    @classmethod
    def from_bytes(cls, data: bytes) -> "Counters":
        return _accepted(whole(counters_decoder(), data))


class LineDecoder(Decoder[T]):
    """Feeds complete lines to a parser until it returns the message."""

    def __init__(self, parser: Parser[T]) -> None:
        self._parser = parser
        self._rest = b""
        self._size = 0
        self._begun = False
        next(parser)

    @property
    def begun(self) -> bool:
        return self._begun or bool(self._rest)

    def feed(self, data: bytes) -> T | None:
        self._size += len(data)
        if self._size > MOST_REPLY_BYTES:
            raise GarbledReply(f"more than {MOST_REPLY_BYTES} bytes in one reply")
        self._rest += data
        while CR in self._rest:
            line, _, self._rest = self._rest.partition(CR)
            if not line and not self._begun:
                continue
            self._begun = True
            try:
                self._parser.send(line)
            except StopIteration as done:
                return self._finish(done.value)
        self._check_rest()
        return None

    def _finish(self, message: T) -> T:
        if self._rest.strip(CR):
            raise GarbledReply("bytes behind the end of the reply")
        return message

    def _check_rest(self) -> None:
        if len(self._rest) > MOST_LINE_BYTES:
            raise GarbledReply(f"a line of more than {MOST_LINE_BYTES} bytes")
        if not self._begun and not b"ERE ".startswith(self._rest[:4]):
            raise GarbledReply("the reply does not begin with ERE")


_HEAD = re.compile(rb"ERE (\d{4})(?: ([ -~]*))?")


def head(line: bytes) -> Reply:
    """The first line of every reply."""
    match = _HEAD.fullmatch(line)
    if match is None:
        raise GarbledReply(f"no reply line: {line[:40]!r}")
    return Reply(int(match[1]), (match[2] or b"").decode("ascii").rstrip())


def reply_decoder() -> LineDecoder[Reply]:
    """A reply of one line."""
    return LineDecoder(_parse_reply())


def acknowledgement_decoder() -> LineDecoder[Reply]:
    """AQ, RL: a reply without text. An answer to something else is GarbledReply."""
    return LineDecoder(_parse_acknowledgement())


def identity_decoder() -> LineDecoder[Reply]:
    """ID: a reply with text, or a refusal. An acknowledgement of something else is GarbledReply."""
    return LineDecoder(_parse_identity())


def filters_decoder() -> LineDecoder[Filters | Reply]:
    """FSTATUS; a Reply when it is refused."""
    return LineDecoder(_parse_filters())


def counters_decoder() -> LineDecoder[Counters | Reply]:
    """MR; a Reply when it is refused."""
    return LineDecoder(_parse_counters())


def _parse_reply() -> Parser[Reply]:
    return head((yield))


def _parse_acknowledgement() -> Parser[Reply]:
    return _acknowledged((yield))


def _acknowledged(line: bytes) -> Reply:
    reply = head(line)
    if reply.text:
        raise GarbledReply(f"{reply.text[:40]!r} where an acknowledgement has no text")
    return reply


def _parse_identity() -> Parser[Reply]:
    reply = head((yield))
    if not reply.refused and not reply.text:
        raise GarbledReply("an acknowledgement where the instrument's name was asked for")
    return reply


def _parse_filters() -> Parser[Filters | Reply]:
    begin = head((yield))
    if begin.refused:
        return begin
    words = (yield).split()
    if len(words) != POSITIONS or not all(re.fullmatch(rb"\d{3}|\*{3}", word) for word in words):
        raise GarbledReply("no list of eight filters")
    return Filters(tuple(None if word == b"***" else int(word) for word in words))


def _parse_counters() -> Parser[Counters | Reply]:
    begin = head((yield))
    if begin.refused:
        return begin
    values = []
    for name in (rb"On/Off", rb"Hours", rb"Plates"):
        match = re.fullmatch(name + rb" *: *(\d{1,6})", (yield), re.IGNORECASE)
        if match is None:
            raise GarbledReply(f"no counter {name.decode()}")
        values.append(int(match[1]))
    return Counters(*values)


def whole(decoder: LineDecoder[T], data: bytes) -> T:
    """The message that these bytes are; GarbledReply when something is missing or left."""
    message = decoder.feed(data)
    if message is None:
        raise GarbledReply("the reply is not whole")
    return message


def _accepted(message: T | Reply) -> T:
    if isinstance(message, Reply):
        raise GarbledReply(f"refused with {message.code:04d}")
    return message


class AcknowledgementScan(Decoder[Reply]):
    """AQ, RL of an instrument that talks unasked: skips lines of data until a reply without text.

    In local mode a 550 sends each plate that is read at its front panel; its data may be under way
    when the command comes. Whether they begin as an answer does is not known: both are skipped. An
    answer to something else is GarbledReply, as it is for an instrument that only answers.
    """

    _UNASKED = re.compile(rb"(?!ERE )|ERE \d{4} BIO-RAD ", re.IGNORECASE)

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0

    @property
    def begun(self) -> bool:
        return False  # what came so far may all be what nobody asked for

    def feed(self, data: bytes) -> Reply | None:
        self._size += len(data)
        if self._size > MOST_REPLY_BYTES:
            raise GarbledReply(f"more than {MOST_REPLY_BYTES} bytes and no acknowledgement")
        self._rest += data
        while CR in self._rest:
            line, _, self._rest = self._rest.partition(CR)
            if self._UNASKED.match(line):
                continue
            if self._rest.strip(CR):
                raise GarbledReply("bytes behind the end of the reply")
            return _acknowledged(line)
        return None


class IdentityScan(Decoder[Reply]):
    """Skips everything until an answer to ID, which cannot be mistaken for anything else.

    It is the only reply that is `ERE 0000`, a short text, and then nothing: acknowledgements have
    no text, a plate's first line begins with BIO-RAD and more follows, refusals are not 0000.
    """

    _ANSWER = re.compile(rb"ERE 0000 (?!BIO-RAD)(?=[ -~]*[A-Za-z0-9])([!-~][ -~]{0,31})\r+\Z")

    def __init__(self) -> None:
        self._window = b""

    @property
    def begun(self) -> bool:
        return False  # what came so far may all belong to something older

    def feed(self, data: bytes) -> Reply | None:
        # Longer than any answer to ID with its filling.
        self._window = (self._window + data)[-MOST_LINE_BYTES:]
        match = self._ANSWER.search(self._window)
        return None if match is None else Reply(SUCCESS, match[1].decode("ascii").rstrip())
