"""The CSV dialects that readerd accepts, and one clear line for a file that is none of them.

UTF-8 with or without BOM; comma, semicolon or tab; decimal point, or with semicolon or tab a
decimal comma; wells `A1` or `A01`; ids stay text. Nothing is guessed: what two people could read
in two ways (both decimal signs in one file, a well twice, a thousands separator) is refused.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from readerd.errors import InputError, Mistake
from readerd.plate import FORMATS, OpticalDensity, Unread, complete, parse_well, well_name

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
# how readers and their software write "beyond my range": SAT, #SAT, OVER, OVRFLW, *.***, >3.500
_OVER_RANGE = re.compile(r"#?SAT(URATED)?|OVER(FLOW)?|OVRFLW|[*]+([.,][*]+)?|>\s*[0-9.,]+", re.I)
_WAVELENGTH = re.compile(r"([1-9][0-9]{2,3})\s*(?:nm)?", re.I)
# no plate reader reaches an optical density of 10; a larger number has lost its decimal sign
LARGEST_OPTICAL_DENSITY = 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its number in the file (from 1) and its cells, stripped."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A rectangular file: every row has as many cells as the header. Rows keep their order."""

    source: str
    delimiter: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, *names: str) -> int:
        """Index of the column with one of these names (any case); InputError when there is none."""
        lowered = [name.lower() for name in self.header]
        for name in names:
            if name in lowered:
                return lowered.index(name)
        found = ", ".join(repr(name) for name in self.header)
        raise self.mistake("line 1", f"no column {names[0]!r}; the header has {found}")

    def mistake(self, where: str, what: str) -> InputError:
        return InputError(self.source, Mistake(where, what))

    def cell_mistake(self, row: Row, column: int, what: str) -> InputError:
        return self.mistake(f"line {row.line}, column {self.header[column]!r}", what)

    def number(self, row: Row, column: int) -> float:
        """The finite number in a cell; InputError names line, column and what would be right."""
        value = parse_number(row.cells[column], decimal_comma=self.delimiter != ",")
        if value is None:
            text = row.cells[column]
            raise self.cell_mistake(row, column, f"{text!r} is no number, write one such as 1.234")
        return value


@dataclass(frozen=True, slots=True)
class PlateTable:
    """A plate from a file: 96 or 384 wells, optical densities per wavelength, row by row."""

    format: int
    plates: Mapping[int, tuple[OpticalDensity, ...]]


def text_from_bytes(data: bytes, source: str) -> str:
    """A file's text, without its BOM; InputError when it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            source, Mistake(f"line {line}", "not UTF-8 text; save the file as CSV UTF-8")
        ) from error


def parse_number(text: str, *, decimal_comma: bool) -> float | None:
    """A finite number, or None. `nan`, `inf` and thousands separators are no numbers here."""
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    if decimal_comma and plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    return float(plain) if _NUMBER.fullmatch(plain) else None


def read_table(text: str, source: str) -> Table:
    """A table with a header; InputError for a file without one or with ragged lines."""
    lines = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
    first = next((line for line in lines.splitlines() if line.strip()), "")
    delimiter = next((sign for sign in "\t;" if sign in first), ",")
    rows = _rows(lines, delimiter, source)
    if not rows:
        raise InputError(source, Mistake("", "the file is empty; its first line is the header"))
    header = rows[0].cells
    for row in rows[1:]:
        if len(row.cells) != len(header):
            raise InputError(source, Mistake(f"line {row.line}", _ragged(row, header, delimiter)))
    table = Table(source, delimiter, header, tuple(rows[1:]))
    _one_decimal_sign(table)
    return table


def _rows(text: str, delimiter: str, source: str) -> list[Row]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    rows = []
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                rows.append(Row(reader.line_num, stripped))
    except csv.Error as error:
        where = f"line {reader.line_num}"
        raise InputError(source, Mistake(where, f"not a CSV line ({error})")) from error
    return rows


def _ragged(row: Row, header: Sequence[str], delimiter: str) -> str:
    text = f"{len(row.cells)} cells where the header has {len(header)}"
    if delimiter == "," and len(row.cells) > len(header):
        text += "; a decimal comma needs semicolons or tabs between the columns"
    return text


def _one_decimal_sign(table: Table) -> None:
    """Refuse `1.5` beside `1,5`: one of the two is a thousands separator."""
    if table.delimiter == ",":
        return
    seen: dict[str, Row] = {}
    for row in table.rows:
        for cell in row.cells:
            if parse_number(cell, decimal_comma=True) is not None:
                seen.update({sign: row for sign in ".," if sign in cell})
    if len(seen) == 2:
        comma, point = seen[","].line, seen["."].line
        raise table.mistake(
            f"line {max(comma, point)}",
            f"decimal comma (line {comma}) and decimal point (line {point}) in one file; use one",
        )


def plate_from_csv(text: str, source: str, *, format: int | None = None) -> PlateTable:
    """A plate from a file with the header `well,450,570`: optical densities per wavelength.

    `SAT`, `OVER` or `*.***` is over-range; an empty cell or an absent well was not measured.
    Without `format` the plate has 96 wells unless a well of the file lies beyond H12.
    """
    table = read_table(text, source)
    well_column = table.column("well")
    wavelengths = _wavelengths(table, well_column)
    found: dict[str, Row] = {}
    for row in table.rows:
        well = _well(table, row, well_column)
        if well in found:
            raise table.cell_mistake(
                row, well_column, f"well {well} stood in line {found[well].line}"
            )
        found[well] = row
    if not found:
        raise table.mistake("line 2", "no well follows the header")
    fits = {size for size in sorted(FORMATS) if all(_on(size, well) for well in found)}
    size = format if format is not None else min(fits, default=max(FORMATS))
    outside = next((well for well in found if not _on(size, well)), None)
    if outside is not None:
        what = f"well {outside} is not on a {size}-well plate"
        raise table.cell_mistake(found[outside], well_column, what)
    plates = {
        wavelength_nm: complete(
            {well: _optical_density(table, row, column) for well, row in found.items()}, size
        )
        for wavelength_nm, column in wavelengths.items()
    }
    return PlateTable(size, plates)


def _wavelengths(table: Table, well_column: int) -> dict[int, int]:
    wavelengths: dict[int, int] = {}
    for column, name in enumerate(table.header):
        if column == well_column:
            continue
        match = _WAVELENGTH.fullmatch(name)
        if match is None:
            what = f"{name!r} is no wavelength in nm; the header is well,450,570"
            raise table.mistake(f"line 1, column {column + 1}", what)
        if int(match[1]) in wavelengths:
            raise table.mistake(f"line 1, column {column + 1}", f"{match[1]} nm stands twice")
        wavelengths[int(match[1])] = column
    if not wavelengths:
        raise table.mistake("line 1", "no wavelength column; the header is well,450,570")
    return wavelengths


def _well(table: Table, row: Row, column: int) -> str:
    try:
        return well_name(*parse_well(row.cells[column]))
    except ValueError as error:
        raise table.cell_mistake(row, column, str(error)) from error


def _on(size: int, well: str) -> bool:
    row, column = parse_well(well)
    return row < FORMATS[size].rows and column < FORMATS[size].columns


def _optical_density(table: Table, row: Row, column: int) -> OpticalDensity:
    text = row.cells[column]
    if not text:
        return Unread.NOT_MEASURED
    if text.upper() in Unread.__members__:
        return Unread[text.upper()]
    if _OVER_RANGE.fullmatch(text):
        return Unread.SATURATED
    value = parse_number(text, decimal_comma=table.delimiter != ",")
    if value is not None and abs(value) <= LARGEST_OPTICAL_DENSITY:
        return value
    raise table.cell_mistake(
        row,
        column,
        f"{text!r} is no optical density; write a number such as 1.234, SAT, or leave it empty",
    )


def standards_from_csv(text: str, source: str) -> tuple[tuple[float, float], ...]:
    """(concentration, response) of every line of a file with that header, in its order.

    A column `masked` may hold the reason why a line takes no part.
    """
    table = read_table(text, source)
    dose, response = table.column("concentration", "conc"), table.column("response", "y", "od")
    masked = table.column("masked") if "masked" in map(str.lower, table.header) else None
    pairs = []
    for row in table.rows:
        if masked is not None and row.cells[masked]:
            continue
        concentration = table.number(row, dose)
        if concentration < 0:
            raise table.cell_mistake(row, dose, "a concentration is 0 or more")
        pairs.append((concentration, table.number(row, response)))
    if not pairs:
        raise table.mistake("line 2", "no standard follows the header")
    return tuple(pairs)


def unknowns_from_csv(text: str, source: str) -> dict[str, tuple[float, ...]]:
    """Responses by id of a file with the header `id,response`; repeated ids are replicates."""
    table = read_table(text, source)
    name, response = table.column("id", "sample_id"), table.column("response", "y", "od")
    unknowns: dict[str, tuple[float, ...]] = {}
    for row in table.rows:
        key = row.cells[name]
        if not key:
            raise table.cell_mistake(row, name, "no id")
        unknowns[key] = (*unknowns.get(key, ()), table.number(row, response))
    if not unknowns:
        raise table.mistake("line 2", "no unknown follows the header")
    return unknowns
