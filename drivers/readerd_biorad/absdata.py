"""Bio-Rad Model 680 and 550: the answer to RPLATE and RTPLATE, one or two blocks of raw data.

    ERE 0000 BIO-RAD Model 680 Microplate READER CR
    dd/mm/yyyy hh:mm:ss CR          (not on the 550)
    Mes. filter:450 CR  [ Ref. filter:570 CR ]      (on the 550 their positions: 2, 4)
    .begin CR  8 rows of 12 cells of 6 characters, each with CR  checksum CR  .end CR  CR
    [ the same again for the reference ]  CR

The manual contradicts itself about blanks and the dot of the markers: both are optional here. It
does not say which characters the checksum counts: `RULES` are the readings, all three are tried.
Over range (beyond +-3.500; 550: 3.000) is sent as asterisks; the 680's sample shows `*.***`, the
550's manual says "an asterisk", so any run of asterisks and dots is taken, and a row of other than
72 characters where it is twelve cells beyond doubt. The reply is whole at its last `.end`; the
carriage returns behind it are filling, nobody waits for them.
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Unread
from readerd_biorad.codec import CR, SUCCESS, LineDecoder, Parser, Reply, head, whole

ROWS, COLUMNS, CELL = 8, 12, 6
TITLE = "BIO-RAD Model 680 Microplate READER"
# p. 53: absorbances beyond this are sent as asterisks.
LIMIT_OD = 3.5

# What the filter line says, zero-based row, values of columns 1 to 12.
OnRow = Callable[[int, int, tuple[OpticalDensity, ...]], None]

# A blank or a minus in front of every cell: what lost its first character is no cell.
_CELL = re.compile(rb"(?: +-?|-)(?:\d\.\d{3}|\*[*.]*)")
_BEGIN = re.compile(rb" *\.? *begin *", re.IGNORECASE)
_END = re.compile(rb" *\.? *end *", re.IGNORECASE)
_FILTER = re.compile(rb" *(Mes|Ref)\. *filter *: *(\d{1,3}) *", re.IGNORECASE)
_DATE = re.compile(rb" *(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d) *")


@dataclass(frozen=True, slots=True)
class Block:
    """Eight rows as they were sent, and the sum that came with them (None: no number came)."""

    rows: tuple[bytes, ...]
    checksum: int | None

    @classmethod
    def of(
        cls, values: Sequence[OpticalDensity], rule: str = "A", limit_od: float = LIMIT_OD
    ) -> "Block":
        """A block with a right checksum from 96 values, row by row."""
        cells = [cell_bytes(value, limit_od) for value in values]
        rows = tuple(b"".join(cells[at : at + COLUMNS]) for at in range(0, len(cells), COLUMNS))
        return cls(rows, RULES[rule](rows))

    @property
    def values(self) -> tuple[OpticalDensity, ...]:
        return tuple(value for row in self.rows for value in row_values(row))

    @property
    def rules(self) -> frozenset[str]:
        """The readings of the checksum that this block agrees with."""
        return frozenset(name for name, rule in RULES.items() if rule(self.rows) == self.checksum)

    def to_bytes(self) -> bytes:
        shown = b"" if self.checksum is None else b"%d" % self.checksum
        return CR.join((b".begin", *self.rows, shown, b".end")) + CR


def _with_line_ends(rows: Sequence[bytes]) -> int:
    return _characters(rows) + len(rows) * CR[0]


def _characters(rows: Sequence[bytes]) -> int:
    return sum(sum(row) for row in rows)


# "two byte sum … of all characters transmitted in the block" (0-255), which leaves these open.
RULES: Mapping[str, Callable[[Sequence[bytes]], int]] = {
    "A": lambda rows: _with_line_ends(rows) % 256,
    "B": lambda rows: _characters(rows) % 256,
    "C": _with_line_ends,
}
RULE_TEXTS = {
    "A": "rows with their line ends, modulo 256",
    "B": "rows without line ends, modulo 256",
    "C": "rows with their line ends, not reduced",
}


@dataclass(frozen=True, slots=True)
class PlateData:
    """One plate as transmitted: the measurement block, and the reference block when dual.

    A filter is its wavelength in nm, from a 550 its position on the wheel.
    """

    title: str
    taken_at: str | None  # the instrument's own clock, day first; the 550 sends none
    measurement: int
    reference: int | None
    blocks: tuple[Block, ...]

    @property
    def filters(self) -> tuple[int, ...]:
        """What the filter lines say, one for each block."""
        if self.reference is None:
            return (self.measurement,)
        return (self.measurement, self.reference)

    @property
    def rules(self) -> frozenset[str]:
        """The readings of the checksum that hold in every block of this answer."""
        return frozenset(RULES).intersection(*(block.rules for block in self.blocks))

    def to_bytes(self) -> bytes:
        lines = [Reply(SUCCESS, self.title).to_bytes()]
        if self.taken_at is not None:
            lines.append(self.taken_at.encode("ascii") + CR)
        for name, which in (("Mes", self.measurement), ("Ref", self.reference)):
            if which is not None:
                lines.append(f"{name}. filter:{which}".encode("ascii") + CR)
        lines.extend(block.to_bytes() + CR for block in self.blocks)
        return b"".join(lines) + CR

    @classmethod
    def from_bytes(cls, data: bytes) -> "PlateData":
        message = whole(plate_decoder(), data)
        if isinstance(message, Reply):
            raise GarbledReply(f"refused with {message.code:04d}")
        return message


def cell_bytes(value: OpticalDensity, limit_od: float = LIMIT_OD) -> bytes:
    """Six characters; a minus replaces the blank. Whatever is no number goes as over range."""
    if isinstance(value, Unread) or abs(value) > limit_od:
        negative = not isinstance(value, Unread) and value < 0
        return b"-*.***" if negative else b" *.***"
    thousandths = round(value * 1000)
    return f"{'-' if thousandths < 0 else ' '}{abs(thousandths) / 1000:.3f}".encode("ascii")


def row_values(row: bytes) -> tuple[OpticalDensity, ...]:
    """Twelve values; a cell that is neither number nor asterisks UNREADABLE."""
    return tuple(_cell_value(cell) for cell in _cells(row))


def _cells(row: bytes) -> tuple[bytes, ...]:
    """Twelve cells of six characters, or twelve of other lengths; () when they are not twelve."""
    if len(row) == COLUMNS * CELL:
        return tuple(row[at : at + CELL] for at in range(0, COLUMNS * CELL, CELL))
    cells = tuple(match[0] for match in _CELL.finditer(row))
    return cells if len(cells) == COLUMNS and b"".join(cells) == row.rstrip(b" ") else ()


def _cell_value(cell: bytes) -> OpticalDensity:
    if _CELL.fullmatch(cell.rstrip(b" ")) is None:
        return Unread.UNREADABLE
    return Unread.SATURATED if b"*" in cell else float(cell)


def plate_decoder(on_row: OnRow | None = None) -> LineDecoder[PlateData | Reply]:
    """RPLATE or RTPLATE; a Reply when it is refused. `on_row` hears of every row as it comes."""
    return LineDecoder(_parse_plate(on_row))


def _parse_plate(on_row: OnRow | None) -> Parser[PlateData | Reply]:
    begin = head((yield))
    if begin.refused:
        return begin
    line = yield
    taken_at = None
    date = _DATE.fullmatch(line)
    if date is not None:
        taken_at = date[1].decode("ascii")
        line = yield
    measurement = _which(line, b"mes")
    line = yield
    reference = None
    if _FILTER.fullmatch(line) is not None:
        reference = _which(line, b"ref")
        line = yield
    blocks = [(yield from _parse_block(line, measurement, on_row))]
    if reference is not None:
        line = yield
        while not line:
            line = yield
        blocks.append((yield from _parse_block(line, reference, on_row)))
    return PlateData(begin.text, taken_at, measurement, reference, tuple(blocks))


def _which(line: bytes, name: bytes) -> int:
    match = _FILTER.fullmatch(line)
    if match is None or match[1].lower() != name:
        raise GarbledReply(f"no {name.decode().title()}. filter line: {line[:40]!r}")
    return int(match[2])


def _parse_block(line: bytes, which: int, on_row: OnRow | None) -> Generator[None, bytes, Block]:
    if _BEGIN.fullmatch(line) is None:
        raise GarbledReply(f"no begin marker: {line[:40]!r}")
    rows = []
    for index in range(ROWS):
        row = yield
        values = row_values(row)
        if len(values) != COLUMNS:
            raise GarbledReply(f"row {'ABCDEFGH'[index]} has {len(row)} characters, not 72")
        rows.append(row)
        if on_row is not None:
            on_row(which, index, values)
    shown = (yield).strip(b" ")
    end = yield
    if _END.fullmatch(end) is None:
        raise GarbledReply(f"no end marker: {end[:40]!r}")
    return Block(tuple(rows), int(shown) if re.fullmatch(rb"\d{1,5}", shown) else None)
