"""SpectraMax: the answer to TRANSFER, one endpoint plate at one or more wavelengths.

    OK > time TAB temperature TAB container
    L: TAB 450 TAB 570                      all wavelengths
    L: TAB 450                              one block each: a line per plate column, rows A to P
    1: TAB v TAB v ...
    L: TAB 570
    1: TAB v TAB v ... >

Column by column [P]; `Reading` wants rows, `Block.values` turns it. #SAT is saturated. Anything
else that is no number is missing [P]: a dash (the placeholder of the public tests) or nothing at
all was not measured, other text is unreadable. How many digits a number has is not documented, so
cells are kept as they were sent. No checksum: `PlateData.wrong` checks all that can be checked.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from readerd.errors import GarbledReply
from readerd.plate import FORMATS, OpticalDensity, PlateFormat, Unread
from readerd_spectramax.codec import Reply, ReplyDecoder, accepted, whole

SATURATED = "#SAT"
MISSING = ("-", "")
# Chosen here, for the twin: any text that is no number says the same.
UNREADABLE = "???"

# Wavelength in nm, zero-based plate column, values of rows A downwards.
OnColumn = Callable[[int, int, tuple[OpticalDensity, ...]], None]

_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(?:[eE][+-]?\d{1,2})?")
_LAMBDA = re.compile(r"L:(?:\s+\d{1,4})+\s*")
_COLUMN = re.compile(r"\s*(\d{1,2}):[\t ]?(.*)")


@dataclass(frozen=True, slots=True)
class Block:
    """One wavelength: cells as they were sent, column by column."""

    wavelength_nm: int
    columns: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls,
        wavelength_nm: int,
        values: Sequence[OpticalDensity],
        plate: PlateFormat,
        *,
        decimals: int = 4,
        limit_od: float = math.inf,
    ) -> "Block":
        """From values row by row, with so many decimals, saturated beyond the limit."""
        cells = [cell_text(value, decimals, limit_od) for value in values]
        columns = (tuple(cells[column :: plate.columns]) for column in range(plate.columns))
        return cls(wavelength_nm, tuple(columns))

    @property
    def values(self) -> tuple[OpticalDensity, ...]:
        """Row by row, A1 first."""
        return tuple(cell_value(cell) for row in zip(*self.columns, strict=True) for cell in row)

    def fills(self, plate: PlateFormat) -> bool:
        """Whether there is a cell for every well of the plate, and no other."""
        rows = {len(column) for column in self.columns}
        return len(self.columns) == plate.columns and rows == {plate.rows}


@dataclass(frozen=True, slots=True)
class PlateData:
    """One plate as transmitted. `time` is the instrument's own count, of unknown zero."""

    time: str
    temperature: str
    container: str
    wavelengths_nm: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def temperature_c(self) -> float | None:
        value = cell_value(self.temperature)
        return None if isinstance(value, Unread) else value

    def wrong(self, wavelengths_nm: tuple[int, ...], format: int) -> str | None:
        """What is not as it was asked for; None when shape and wavelengths are right."""
        found = tuple(block.wavelength_nm for block in self.blocks)
        if self.wavelengths_nm != wavelengths_nm or found != wavelengths_nm:
            return f"{self.wavelengths_nm} nm with blocks {found} nm instead of {wavelengths_nm} nm"
        for block in self.blocks:
            if not block.fills(FORMATS[format]):
                cells = len(block.columns[0]) if block.columns else 0
                shape = f"{len(block.columns)} columns of {cells} cells"
                return f"{shape} at {block.wavelength_nm} nm are no {format}-well plate"
        return None

    def to_bytes(self, note: str | None = "") -> bytes:
        """The line ends are those of the constructed example in the protocol sheet."""
        lines = ["\t".join((self.time, self.temperature, self.container))]
        lines.append("\t".join(("L:", *map(str, self.wavelengths_nm))))
        for block in self.blocks:
            lines.append(f"L:\t{block.wavelength_nm}")
            lines.extend(
                "\t".join((f"{number}:", *cells)) for number, cells in enumerate(block.columns, 1)
            )
        return Reply(note, "".join(f"{line}\r\n" for line in lines)).to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "PlateData":
        return accepted(whole(plate_decoder(), data))


def cell_text(value: OpticalDensity, decimals: int, limit_od: float) -> str:
    """One cell; a value beyond the limit is saturated, and minus zero is zero."""
    if value is Unread.NOT_MEASURED:
        return MISSING[0]
    if value is Unread.UNREADABLE:
        return UNREADABLE
    if isinstance(value, Unread) or abs(value) > limit_od:
        return SATURATED
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def cell_value(text: str) -> OpticalDensity:
    """A number exactly as sent, exponents and minus signs included, or why there is none."""
    text = text.strip(" ")
    if _NUMBER.fullmatch(text):
        return float(text)
    if text == SATURATED:
        return Unread.SATURATED
    return Unread.NOT_MEASURED if text in MISSING else Unread.UNREADABLE


def plate_decoder(on_column: OnColumn | None = None) -> ReplyDecoder[PlateData]:
    """TRANSFER. `on_column` hears of every column as it comes."""
    if on_column is None:
        return ReplyDecoder(2, _plate)
    return ReplyDecoder(2, _plate, _ColumnTeller(on_column).hear)


class _ColumnTeller:
    """Lines that look like a column of the block under way are told; the rest is for the parser."""

    def __init__(self, on_column: OnColumn) -> None:
        self._on_column = on_column
        self._wavelengths_nm: list[int] | None = None

    def hear(self, line: str) -> None:
        if _LAMBDA.fullmatch(line):
            self._wavelengths_nm = _wavelengths(line)
            return
        match = _COLUMN.fullmatch(line)
        if match and self._wavelengths_nm and len(self._wavelengths_nm) == 1 and int(match[1]):
            values = tuple(cell_value(cell) for cell in match[2].split("\t"))
            self._on_column(self._wavelengths_nm[0], int(match[1]) - 1, values)


def _plate(reply: Reply) -> PlateData:
    lines = [line for line in (reply.body or "").splitlines() if line.strip()]
    if len(lines) < 2 or not _LAMBDA.fullmatch(lines[1]):
        raise GarbledReply(f"no plate: {(reply.body or '').strip()[:40]!r}")
    time, temperature, *container = (part.strip() for part in (*lines[0].split("\t"), ""))
    return PlateData(
        time,
        temperature,
        "\t".join(container[:-1]),
        tuple(_wavelengths(lines[1])),
        tuple(_blocks(lines[2:])),
    )


def _blocks(lines: Sequence[str]) -> list[Block]:
    blocks: list[tuple[int, list[tuple[str, ...]]]] = []
    for line in lines:
        if _LAMBDA.fullmatch(line):
            wavelengths_nm = _wavelengths(line)
            if len(wavelengths_nm) != 1:
                raise GarbledReply(f"a block of {len(wavelengths_nm)} wavelengths")
            blocks.append((wavelengths_nm[0], []))
            continue
        match = _COLUMN.fullmatch(line)
        if match is None or not blocks or int(match[1]) != len(blocks[-1][1]) + 1:
            raise GarbledReply(f"no line of a plate: {line[:40]!r}")
        cells = tuple(match[2].split("\t"))
        if blocks[-1][1] and len(cells) != len(blocks[-1][1][0]):
            raise GarbledReply(f"column {match[1]} has {len(cells)} cells, the first one has not")
        blocks[-1][1].append(cells)
    return [Block(wavelength_nm, tuple(columns)) for wavelength_nm, columns in blocks]


def _wavelengths(line: str) -> list[int]:
    return [int(word) for word in line.split()[1:]]
