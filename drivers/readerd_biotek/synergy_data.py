"""Synergy H1 / Cytation: the answer to `O`, one wavelength of raw optical densities.

    ACK status        at once
    "01,1," CR "000:00:00.0," ttt *( "," cells CR LF ) ttt ^Z ck ^Z status      later
    cells = rr "," cc "," value, separated by ","; odd rows ascend, even rows descend
    value = sign d.dddd, 7 characters; "*******" over range or not measured
    ck    = behind CR up to and with the first ^Z, summed, modulo 256, three decimal digits

Cells carry their place: they are put by it and never by their order. A well that does not come is
NOT_MEASURED; one that comes twice or lies outside the plate is no plate. Source: six captured
answers of a public driver (PyLabRobot), whose checksums all agree with this rule.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from readerd.errors import GarbledReply
from readerd.plate import FORMATS, OpticalDensity, Unread, well_name
from readerd_biotek.framing import (
    CR,
    CRLF,
    CTRL_Z,
    DLE,
    ETX,
    OK,
    STATUS_BYTES,
    Aborted,
    Nak,
    Parser,
    ReplyDecoder,
    Started,
    Status,
    acknowledged,
    take_status,
    whole,
)
from readerd_biotek.synergy_codec import decimal_sum

OPENING = b"01,1,"
# ACK and status: then the instrument measures before it says more.
HEAD_BYTES = 1 + STATUS_BYTES
ROW_CELL_BYTES = 14
STARS = b"*******"
# The largest number that a cell can carry. Where the reader itself draws the line is not known.
LIMIT_OD = 9.9999
# Zero-based row and column.
Well = tuple[int, int]
OnRow = Callable[[Mapping[str, OpticalDensity]], None]

_CELL = re.compile(rb",(\d\d),(\d\d),(.{7})", re.DOTALL)
_VALUE = re.compile(rb"([+-])(\d)\.(\d{4})")
_BEFORE = re.compile(rb"(\d{3}:\d\d:\d\d\.\d),(\d{3})")
BEFORE_BYTES, CHECKSUM_BYTES, TEMPERATURE_BYTES = 15, 3, 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One plate at one wavelength as transmitted, rows with their line ends."""

    rows: tuple[bytes, ...]
    before: bytes  # time and temperature in front
    after: bytes  # temperature behind
    checksum: bytes
    final: Status = OK

    @classmethod
    def of(cls, cells: Mapping[Well, OpticalDensity], tenths: int = 236) -> "Frame":
        """A frame with a right checksum, in the serpentine order of the instrument."""
        rows = []
        for row in sorted({row for row, _ in cells}):
            columns = sorted((column for at, column in cells if at == row), reverse=row % 2 == 1)
            line = (_cell(row, column, cells[row, column]) for column in columns)
            rows.append(b"".join(line) + CRLF)
        frame = cls(tuple(rows), b"000:00:00.0,%03d" % tenths, b"%03d" % tenths, b"")
        return cls(frame.rows, frame.before, frame.after, decimal_sum(frame.core))

    @property
    def core(self) -> bytes:
        """What the checksum is about."""
        return self.before + b"".join(self.rows) + self.after + CTRL_Z

    @property
    def right(self) -> bool:
        return self.checksum == decimal_sum(self.core)

    @property
    def temperature_c(self) -> float:
        return int(self.after) / 10

    def cells(self, stars: Unread = Unread.SATURATED) -> dict[Well, OpticalDensity]:
        """Values by place; GarbledReply when a well comes twice."""
        found: dict[Well, OpticalDensity] = {}
        for row in self.rows:
            for well, value in row_cells(row, stars):
                if well in found:
                    raise GarbledReply(f"well {well_name(*well)} comes twice")
                found[well] = value
        return found

    def to_bytes(self) -> bytes:
        return OPENING + CR + self.core + self.checksum + CTRL_Z + self.final.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, format: int = 96) -> "Frame":
        """The frame alone, without the ACK and status that came long before it."""
        message = whole(frame_decoder(format), Started(OK).to_bytes() + data)
        if not isinstance(message, Frame):
            raise GarbledReply(f"no plate: {message}")
        return message


Data = Frame | Aborted | Started | Nak


def _cell(row: int, column: int, value: OpticalDensity) -> bytes:
    return b",%02d,%02d,%s" % (row + 1, column + 1, value_bytes(value))


def value_bytes(value: OpticalDensity) -> bytes:
    """Seven characters. Whatever is no number goes as over range."""
    if isinstance(value, Unread) or abs(value) > LIMIT_OD:
        return STARS
    digits = round(value * 10_000)
    return f"{'-' if digits < 0 else '+'}{abs(digits) / 10_000:.4f}".encode("ascii")


def row_cells(row: bytes, stars: Unread) -> tuple[tuple[Well, OpticalDensity], ...]:
    """Places and values of a row with its line end; a value that is none is UNREADABLE."""
    cells = []
    for at in range(0, len(row) - len(CRLF), ROW_CELL_BYTES):
        match = _CELL.fullmatch(row[at : at + ROW_CELL_BYTES])
        if match is None or not int(match[1]) or not int(match[2]):
            raise GarbledReply(f"no cell: {row[at : at + ROW_CELL_BYTES]!r}")
        cells.append(((int(match[1]) - 1, int(match[2]) - 1), _value(match[3], stars)))
    return tuple(cells)


def _value(shown: bytes, stars: Unread) -> OpticalDensity:
    match = _VALUE.fullmatch(shown)
    if match is not None:
        return int(match[1] + match[2] + match[3]) / 10_000
    return stars if shown == STARS else Unread.UNREADABLE


def frame_decoder(
    format: int, on_row: OnRow | None = None, stars: Unread = Unread.SATURATED
) -> ReplyDecoder[Data]:
    """`O`: Frame or Aborted; Nak, or Started alone, when it is refused.

    GarbledReply for more rows and cells than the plate has.
    """
    return ReplyDecoder(_parse_frame(format, on_row, stars), head_bytes=HEAD_BYTES)


def _parse_frame(format: int, on_row: OnRow | None, stars: Unread) -> Parser[Data]:
    if not (yield from acknowledged()):
        return Nak()
    started = yield from take_status()
    if not started.ok:
        return Started(started)
    lead = yield 1
    if lead == DLE:
        return Aborted((yield from take_status()))
    opening = lead + (yield STATUS_BYTES - 1)
    if opening != OPENING:
        if not opening.endswith(ETX):
            raise GarbledReply(f"{opening!r} where the data begin")
        return Aborted(Status.from_bytes(opening))
    end = yield 1
    before = yield BEFORE_BYTES
    if end != CR or _BEFORE.fullmatch(before) is None:
        raise GarbledReply(f"{end + before!r} is no time and temperature")
    rows, begun = yield from _parse_rows(format, on_row, stars)
    after = begun + (yield TEMPERATURE_BYTES - 1)
    end = yield 1 + CHECKSUM_BYTES + 1
    if not after.isdigit() or end[:1] != CTRL_Z or end[-1:] != CTRL_Z:
        raise GarbledReply(f"{after + end!r} is no temperature and checksum")
    return Frame(rows, before, after, end[1:-1], (yield from take_status()))


def _parse_rows(
    format: int, on_row: OnRow | None, stars: Unread
) -> Parser[tuple[tuple[bytes, ...], bytes]]:
    """All rows, and the byte behind the last one."""
    plate = FORMATS[format]
    rows: list[bytes] = []
    lead = yield 1
    while lead == b",":
        cells = b""
        while lead == b",":
            cells += lead + (yield ROW_CELL_BYTES - 1)
            if len(cells) > plate.columns * ROW_CELL_BYTES or len(rows) == plate.rows:
                raise GarbledReply(f"more cells than a plate of {format} wells has")
            lead = yield 1
        if lead + (yield 1) != CRLF:
            raise GarbledReply(f"no line end behind row {len(rows) + 1}")
        rows.append(cells + CRLF)
        found = row_cells(rows[-1], stars)
        if any(row >= plate.rows or column >= plate.columns for (row, column), _ in found):
            raise GarbledReply(f"a cell outside a plate of {format} wells: {cells[:40]!r}")
        if on_row is not None:
            on_row({well_name(*well): value for well, value in found})
        lead = yield 1
    return tuple(rows), lead
