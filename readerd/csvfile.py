"""The CSV dialects that readerd accepts, and one clear line for a file that is none of them.

UTF-8 with or without BOM; comma, semicolon or tab (a spreadsheet's `sep=;` before the header says
so); decimal point, or with semicolon or tab a decimal comma; wells `A1` or `A01`; ids stay text.
A heading may carry its unit, `concentration (pg/mL)`; empty columns on the right do not count.
Nothing is guessed: what two people could read in two ways (both decimal signs in one file, a well
or a column twice, a thousands separator) is refused.
"""

import csv
import math
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
# a reader shows no more below zero than it can measure above; -9.999 is a mark for "no value"
_LEAST_OPTICAL_DENSITY = -5.0
# no laboratory counts further, and the squares of what it counts must stay finite
_LARGEST_NUMBER = 1e30
_HEADING = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]*)[)\]]")
_DELIMITER_SAID = re.compile(r"sep=([,;\t])\s*", re.I)
_PARTED_BY = {",": "commas", ";": "semicolons", "\t": "tabs"}
_TEXT_COLUMNS = frozenset({"well", "position", "id", "sample_id", "masked"})
# of the column `masked`: what says "takes part", and what says "masked" without a reason
_TAKES_PART = frozenset({"", "0", "no", "false"})
_NO_REASON = frozenset({"1", "x", "yes", "true"})
_HEADINGS_SHOWN = 12


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
    head: Row
    rows: tuple[Row, ...]

    @property
    def header(self) -> tuple[str, ...]:
        return self.head.cells

    def has(self, name: str) -> bool:
        return name in map(_plain, self.header)

    def column(self, *names: str) -> int:
        """Index of the column with one of these names, any case; InputError when none or two."""
        plain = [_plain(heading) for heading in self.header]
        for name in names:
            if plain.count(name) > 1:
                raise self.mistake(f"line {self.head.line}", f"column {name!r} stands twice")
            if name in plain:
                return plain.index(name)
        raise self.mistake(f"line {self.head.line}", self._without(names[0]))

    def _without(self, name: str) -> str:
        shown = [repr(heading[:40]) for heading in self.header[:_HEADINGS_SHOWN]]
        more = ", …" if len(self.header) > _HEADINGS_SHOWN else ""
        text = f"no column {name!r}; the header has {', '.join(shown)}{more}"
        if len(self.header) == 1:
            return f"{text}; columns are parted by commas, semicolons or tabs"
        if any(parse_number(heading, decimal_comma=True) is not None for heading in self.header):
            return f"{text}; the first line names the columns"
        return text

    def unit(self, column: int) -> str | None:
        """`pg/mL` of the heading `concentration (pg/mL)`."""
        match = _HEADING.fullmatch(self.header[column])
        return match[2].strip() or None if match else None

    def mistake(self, where: str, what: str) -> InputError:
        return InputError(self.source, Mistake(where, what))

    def cell_mistake(self, row: Row, column: int, what: str) -> InputError:
        return self.mistake(f"line {row.line}, column {self.header[column]!r}", what)

    def number(self, row: Row, column: int) -> float:
        """The finite number in a cell; InputError names line, column and what would be right."""
        text = row.cells[column]
        value = parse_number(text, decimal_comma=self.delimiter != ",")
        if value is not None and abs(value) <= _LARGEST_NUMBER:
            return value
        what = f"{text!r} is no number, write one such as 1.234"
        if not text:
            what = f"{text!r} is no number: fill the cell, such as 1.234, or take the line out"
        elif "," in text and self.delimiter == ",":
            what += " (a decimal comma needs semicolons or tabs between the columns)"
        raise self.cell_mistake(row, column, what)


def _plain(heading: str) -> str:
    """`sample_id` of `Sample ID`, `concentration` of `Concentration [pg/mL]`."""
    match = _HEADING.fullmatch(heading)
    return (match[1] if match else heading).lower().replace(" ", "_")


@dataclass(frozen=True, slots=True)
class PlateTable:
    """A plate from a file: 96 or 384 wells, optical densities per wavelength, row by row."""

    format: int
    plates: Mapping[int, tuple[OpticalDensity, ...]]


def text_from_bytes(data: bytes, source: str) -> str:
    """A file's text, without its BOM; InputError when it is not UTF-8."""
    if data.startswith(b"PK\x03\x04"):
        what = "a spreadsheet's own file, not text; save the sheet as CSV UTF-8"
        raise InputError(source, Mistake("", what))
    try:
        text = data.decode("utf-8-sig")
        wrong = text.find("\0")
    except UnicodeDecodeError as error:
        text, wrong = data[: error.start].decode(), error.start
    if wrong < 0:
        return text
    line = text.count("\n", 0, wrong) + 1
    what = "not UTF-8 text; save the file as UTF-8 (a spreadsheet calls it CSV UTF-8)"
    raise InputError(source, Mistake(f"line {line}", what))


def parse_number(text: str, *, decimal_comma: bool) -> float | None:
    """A finite number, or None. `nan`, `inf` and thousands separators are no numbers here.

    Nor are `1e400` and `1e-400`, which a computer takes for infinity and for zero.
    """
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    if decimal_comma and plain.count(",") == 1 and "." not in plain:
        plain = plain.replace(",", ".")
    if _NUMBER.fullmatch(plain) is None:
        return None
    value = float(plain)
    vanished = value == 0.0 and re.match(r"[-+.0]*[1-9]", plain) is not None
    return None if vanished or math.isinf(value) else value


def read_table(text: str, source: str) -> Table:
    """A table with a header; InputError for a file without one or with ragged lines."""
    lines = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines(keepends=True)
    at = next((number for number, line in enumerate(lines) if line.strip()), None)
    if at is None:
        raise InputError(source, Mistake("", "the file is empty; its first line is the header"))
    said = _DELIMITER_SAID.fullmatch(lines[at])
    if said is not None:
        lines[at] = "\n"
    delimiter = said[1] if said else next((sign for sign in "\t;" if sign in lines[at]), ",")
    rows = _rows(lines, delimiter, source)
    if not rows:
        raise InputError(source, Mistake("", "the file is empty; its first line is the header"))
    head = _trimmed(rows[0], 0)
    body = tuple(_trimmed(row, len(head.cells)) for row in rows[1:])
    for row in body:
        if len(row.cells) != len(head.cells):
            raise InputError(source, Mistake(f"line {row.line}", _ragged(row, head, delimiter)))
    table = Table(source, delimiter, head, body)
    _one_decimal_sign(table)
    return table


def _trimmed(row: Row, width: int) -> Row:
    """Without the empty cells beyond `width`."""
    cells = row.cells
    while len(cells) > width and not cells[-1]:
        cells = cells[:-1]
    return Row(row.line, cells)


def _rows(lines: Sequence[str], delimiter: str, source: str) -> list[Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    rows, begun = [], 1
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped):
                rows.append(Row(begun, stripped))
            begun = reader.line_num + 1
    except csv.Error as error:
        why = str(error).replace("unexpected end of data", "a quotation mark is not closed")
        raise InputError(source, Mistake(f"line {begun}", f"not a CSV line ({why})")) from error
    return rows


def _ragged(row: Row, head: Row, delimiter: str) -> str:
    found, wanted = len(row.cells), len(head.cells)
    text = f"{found} cell{'' if found == 1 else 's'} where the header has {wanted}"
    other = next((sign for sign in _PARTED_BY if found == 1 and sign in row.cells[0]), None)
    if wanted == 1:
        return f"{text}; is line {head.line} a title or a comment? The first line is the header"
    if delimiter == "," and found > wanted:
        return f"{text}; a decimal comma needs semicolons or tabs between the columns"
    if other is not None:
        return f"{text}; that is parted by {_PARTED_BY[delimiter]}, this by {_PARTED_BY[other]}"
    if row.cells[0].startswith("#"):
        return f"{text}; comments are not read, take the line out"
    return text


def _one_decimal_sign(table: Table) -> None:
    """Refuse `1.5` beside `1,5`: one of the two is a thousands separator."""
    if table.delimiter == ",":
        return
    seen: dict[str, Row] = {}
    counted = [n for n, head in enumerate(table.header) if _plain(head) not in _TEXT_COLUMNS]
    for row in table.rows:
        for cell in (row.cells[column] for column in counted):
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
    line = f"line {table.head.line}"
    for column, name in enumerate(table.header):
        if column == well_column:
            continue
        match = _WAVELENGTH.fullmatch(name)
        if match is None:
            what = f"{name!r} is no wavelength in nm; the header is well,450,570"
            raise table.mistake(f"{line}, column {column + 1}", what)
        if int(match[1]) in wavelengths:
            raise table.mistake(f"{line}, column {column + 1}", f"{match[1]} nm stands twice")
        wavelengths[int(match[1])] = column
    if not wavelengths:
        raise table.mistake(line, "no wavelength column; the header is well,450,570")
    return wavelengths


def _well(table: Table, row: Row, column: int) -> str:
    try:
        return well_name(*parse_well(row.cells[column]))
    except ValueError as error:
        raise table.cell_mistake(row, column, str(error)) from error


def _on(size: int, well: str) -> bool:
    row, column = parse_well(well)
    return row < FORMATS[size].rows and column < FORMATS[size].columns


def _unread(text: str) -> Unread | None:
    """What a reader's mark for a missing number means."""
    if text.upper() in Unread.__members__:
        return Unread[text.upper()]
    return Unread.SATURATED if _OVER_RANGE.fullmatch(text) else None


def _optical_density(table: Table, row: Row, column: int) -> OpticalDensity:
    text = row.cells[column]
    if not text:
        return Unread.NOT_MEASURED
    if (unread := _unread(text)) is not None:
        return unread
    value = parse_number(text, decimal_comma=table.delimiter != ",")
    if value is not None and _LEAST_OPTICAL_DENSITY <= value <= LARGEST_OPTICAL_DENSITY:
        return value
    what = f"{text!r} is no optical density; write a number such as 1.234, SAT, or leave it empty"
    if value is not None and value > LARGEST_OPTICAL_DENSITY:
        what += " (OD, not thousandths of it)"
    raise table.cell_mistake(row, column, what)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A line of standards that takes no part, and why."""

    line: int
    concentration: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Standards:
    """(concentration, response) in the file's order, the lines left out, and the unit if said."""

    pairs: tuple[tuple[float, float], ...]
    left_out: tuple[LeftOut, ...] = ()
    unit: str | None = None


def standards_from_csv(text: str, source: str) -> Standards:
    """Standards of a file with the header `concentration,response`.

    A line takes no part when its column `masked` gives a reason, or its response is over range.
    """
    table = read_table(text, source)
    dose, response = table.column("concentration", "conc"), table.column("response", "y", "od")
    masked = table.column("masked") if table.has("masked") else None
    pairs, left_out = [], []
    for row in table.rows:
        reason = _left_out(row, response, masked)
        if reason is not None:
            known = parse_number(row.cells[dose], decimal_comma=table.delimiter != ",")
            left_out.append(LeftOut(row.line, known, reason))
            continue
        concentration = table.number(row, dose)
        if concentration < 0:
            raise table.cell_mistake(row, dose, "a concentration is 0 or more")
        pairs.append((concentration, table.number(row, response)))
    if not pairs:
        none = "no standard follows the header"
        what = "every standard is masked or over range" if left_out else none
        raise table.mistake("line 2", what)
    return Standards(tuple(pairs), tuple(left_out), table.unit(dose))


def _left_out(row: Row, response: int, masked: int | None) -> str | None:
    """Why this line takes no part, or None."""
    said = "" if masked is None else row.cells[masked]
    if said.lower() not in _TAKES_PART:
        return "masked" if said.lower() in _NO_REASON else said
    mark = row.cells[response]
    if (unread := _unread(mark)) is None:
        return None
    return f"over range ({mark})" if unread is Unread.SATURATED else f"no number ({mark})"


def unknowns_from_csv(text: str, source: str) -> dict[str, tuple[OpticalDensity, ...]]:
    """Responses by id of a file with the header `id,response`; repeated ids are replicates.

    A reader's mark for over range stays one.
    """
    table = read_table(text, source)
    name, response = table.column("id", "sample_id"), table.column("response", "y", "od")
    unknowns: dict[str, tuple[OpticalDensity, ...]] = {}
    for row in table.rows:
        key = row.cells[name]
        if not key:
            raise table.cell_mistake(row, name, "no id")
        value: OpticalDensity | None = _unread(row.cells[response])
        if value is None:
            value = table.number(row, response)
        unknowns[key] = (*unknowns.get(key, ()), value)
    if not unknowns:
        raise table.mistake("line 2", "no unknown follows the header")
    return unknowns
