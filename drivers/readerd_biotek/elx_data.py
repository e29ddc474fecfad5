"""ELx808: the answer to `S`, one block of raw optical densities per wavelength.

    ELx form  ACK status *( CR rows [ttt] ^Z ck ) ^Z status
    312 form  ACK status CR rows [ttt] name(6) CR LF 49 filler ^Z status
    rows      8 times ( 12 times "," cell, CR LF )          row A first, columns ascending
    cell      sign and four digits, three behind the point; "*****" over range
    ck        one raw byte: everything behind CR up to and with ^Z, summed, modulo 256

An abort replaces the rest by DLE and a status: it is looked for inside the text and never in `ck`.
The 312 form has no checksum. Source: ELx808 operator's manual, appendix B; the 312 layout agrees to
the byte with the 657 bytes that a public EL800 client waits for.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Unread
from readerd_biotek.framing import (
    ACK,
    CR,
    CRLF,
    CTRL_Z,
    DLE,
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

ROWS, COLUMNS, CELL_BYTES = 8, 12, 6
NAME_BYTES, FILLER_BYTES = 6, 49
# ACK and status: then the reader measures before it says more.
HEAD_BYTES = 1 + STATUS_BYTES
# The largest number that a cell can carry. Where the reader itself draws the line is not known.
LIMIT_OD = 9.999

# Which block (from 0), zero-based row, values of columns 1 to 12.
OnRow = Callable[[int, int, tuple[OpticalDensity, ...]], None]
_CELL = re.compile(rb",([+-])(\d{4})")
_OVER_RANGE = b",*****"
_TERMINATOR = re.compile(rb"\x1a.{0,5}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as they were sent, with their line ends; `checksum` None in the 312 form."""

    rows: tuple[bytes, ...]
    checksum: int | None
    temperature: bytes = b""

    @classmethod
    def of(cls, values: Sequence[OpticalDensity], columns: int = COLUMNS) -> "Block":
        """A block with a right checksum from values row by row."""
        cells = [cell_bytes(value) for value in values]
        starts = range(0, len(cells), columns)
        rows = tuple(b"".join(cells[at : at + columns]) + CRLF for at in starts)
        return cls(rows, _sum(rows, b""))

    @property
    def values(self) -> tuple[OpticalDensity, ...]:
        return tuple(value for row in self.rows for value in row_values(row))

    @property
    def right(self) -> bool:
        return self.checksum == _sum(self.rows, self.temperature)

    def to_bytes(self) -> bytes:
        return CR + b"".join(self.rows) + self.temperature + CTRL_Z + bytes([self.checksum or 0])


def _sum(rows: Sequence[bytes], temperature: bytes) -> int:
    return sum(sum(part) for part in (*rows, temperature, CTRL_Z)) % 256


@dataclass(frozen=True, slots=True)
class PlateData:
    """One plate as transmitted. `final` is None when the last terminator was not waited for."""

    blocks: tuple[Block, ...]
    final: Status | None = OK
    started: Status = OK

    def to_bytes(self) -> bytes:
        blocks = b"".join(block.to_bytes() for block in self.blocks)
        end = b"" if self.final is None else CTRL_Z + self.final.to_bytes()
        return ACK + self.started.to_bytes() + blocks + end

    @classmethod
    def from_bytes(cls, data: bytes) -> "PlateData":
        """A plate of any number of blocks; GarbledReply for an abort or a refusal."""
        message = whole(plate_decoder(data.count(CR)), data)
        if not isinstance(message, PlateData):
            raise GarbledReply(f"no plate: {message}")
        return message


@dataclass(frozen=True, slots=True)
class Dump:
    """One plate in the 312 form. `started` is None behind `D`, which sends no status first."""

    block: Block
    name: str = ""
    filler: bytes = bytes(FILLER_BYTES)
    final: Status = OK
    started: Status | None = OK

    def to_bytes(self) -> bytes:
        rows = CR + b"".join(self.block.rows) + self.block.temperature
        name = f"{self.name:<{NAME_BYTES}}".encode("ascii")
        started = b"" if self.started is None else self.started.to_bytes()
        return ACK + started + rows + name + CRLF + self.filler + CTRL_Z + self.final.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes, *, status_first: bool = True) -> "Dump":
        message = whole(dump_decoder(status_first=status_first), data)
        if not isinstance(message, Dump):
            raise GarbledReply(f"no plate: {message}")
        return message


Data = PlateData | Dump | Aborted | Started | Nak


def cell_bytes(value: OpticalDensity) -> bytes:
    """Comma, sign and four digits. Whatever is no number goes as over range."""
    if isinstance(value, Unread) or abs(value) > LIMIT_OD:
        return _OVER_RANGE
    thousandths = round(value * 1000)
    return b",%c%04d" % (b"-" if thousandths < 0 else b"+", abs(thousandths))


def row_values(row: bytes) -> tuple[OpticalDensity, ...]:
    """Values of a row with its line end; what is neither number nor asterisks is UNREADABLE."""
    cells = range(0, len(row) - len(CRLF), CELL_BYTES)
    return tuple(_cell_value(row[at : at + CELL_BYTES]) for at in cells)


def _cell_value(cell: bytes) -> OpticalDensity:
    match = _CELL.fullmatch(cell)
    if match is not None:
        return int(match[1] + match[2]) / 1000
    return Unread.SATURATED if cell == _OVER_RANGE else Unread.UNREADABLE


class _Abort(Exception):
    """DLE where text was expected; the cause."""

    def __init__(self, status: Status) -> None:
        self.status = status


def plate_decoder(
    blocks: int, on_row: OnRow | None = None, *, final_terminator: bool = True
) -> ReplyDecoder[Data]:
    """`S` in the ELx form: PlateData or Aborted; Nak, or Started alone, when it is refused.

    At most so many blocks. Without `final_terminator` the plate is whole at its last checksum.
    """
    parser = _parse_plate(blocks, on_row, final_terminator)
    filling = None if final_terminator else _TERMINATOR
    return ReplyDecoder(parser, head_bytes=HEAD_BYTES, filling=filling)


def dump_decoder(on_row: OnRow | None = None, *, status_first: bool = True) -> ReplyDecoder[Data]:
    """`S` in the 312 form, as `plate_decoder`; without `status_first` the answer to `D`."""
    return ReplyDecoder(_parse_dump(on_row, status_first), head_bytes=HEAD_BYTES)


def _parse_plate(most: int, on_row: OnRow | None, terminated: bool) -> Parser[Data]:
    if not (yield from acknowledged()):
        return Nak()
    started = yield from take_status()
    if not started.ok:
        return Started(started)
    blocks: list[Block] = []
    try:
        while terminated or len(blocks) < most:
            lead = yield 1
            if lead == CTRL_Z:
                return PlateData(tuple(blocks), (yield from take_status()), started)
            if lead == DLE:
                return Aborted((yield from take_status()))
            if lead != CR or len(blocks) == most:
                raise GarbledReply(f"{lead!r} behind {len(blocks)} of {most} blocks")
            blocks.append((yield from _parse_block(len(blocks), on_row)))
    except _Abort as abort:
        return Aborted(abort.status)
    return PlateData(tuple(blocks), None, started)


def _parse_block(index: int, on_row: OnRow | None) -> Parser[Block]:
    rows = yield from _parse_rows(index, on_row)
    temperature = b""
    end = yield from _text(1)
    if end != CTRL_Z:
        temperature = end + (yield from _text(2))
        end = yield from _text(1)
    if end != CTRL_Z or (temperature and not temperature.isdigit()):
        raise GarbledReply(f"{temperature + end!r} behind the rows of block {index + 1}")
    checksum = yield 1
    return Block(rows, checksum[0], temperature)


def _parse_rows(index: int, on_row: OnRow | None) -> Parser[tuple[bytes, ...]]:
    rows: list[bytes] = []
    for number in range(ROWS):
        cells = []
        for _ in range(COLUMNS):
            cells.append((yield from _text(CELL_BYTES)))
        end = yield from _text(len(CRLF))
        if end != CRLF:
            raise GarbledReply(f"{end!r} at the end of row {'ABCDEFGH'[number]}")
        rows.append(b"".join(cells) + end)
        if on_row is not None:
            on_row(index, number, row_values(rows[-1]))
    return tuple(rows)


def _text(size: int) -> Parser[bytes]:
    """So many bytes that are text; an abort inside them is an _Abort.

    DLE and its five bytes of status are never shorter than a cell, so nothing is waited for that
    does not come.
    """
    taken = yield size
    at = taken.find(DLE)
    if at < 0:
        return taken
    begun = taken[at + 1 :]
    raise _Abort(Status.from_bytes(begun + (yield STATUS_BYTES - len(begun))))


def _parse_dump(on_row: OnRow | None, status_first: bool) -> Parser[Data]:
    if not (yield from acknowledged()):
        return Nak()
    started = None
    if status_first:
        started = yield from take_status()
        if not started.ok:
            return Started(started)
    try:
        lead = yield from _text(1)
        if lead != CR:
            raise GarbledReply(f"{lead!r} before the rows")
        rows = yield from _parse_rows(0, on_row)
        name = (yield from _text(NAME_BYTES)) + (yield from _text(len(CRLF)))
        temperature = b""
        if not name.endswith(CRLF):
            more = yield from _text(3)
            temperature, name = name[:3], name[3:] + more
        if not name.endswith(CRLF) or not name.isascii():
            raise GarbledReply(f"{name!r} is no name of an assay")
    except _Abort as abort:
        return Aborted(abort.status)
    filler = yield FILLER_BYTES
    end = yield 1
    if end != CTRL_Z:
        raise GarbledReply(f"{end!r} behind the filler")
    final = yield from take_status()
    block = Block(rows, None, temperature)
    return Dump(block, name[:NAME_BYTES].decode("ascii").rstrip(), filler, final, started)
