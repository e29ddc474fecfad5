"""Which well holds what: the grid of the assay file, its roles, and the LIMS's plate map."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from readerd.assay.result import Role
from readerd.csvfile import read_table
from readerd.errors import InputError, Mistake
from readerd.plate import FORMATS, PlateFormat, well_name

EMPTY = "."
BLANK = "B"
# no protocol dilutes further, and the value times the dilution must stay finite
LARGEST_DILUTION = 1e12
# headings that would be dilutions and, not being read, would leave every sample at 1
_LIKE_DILUTION = re.compile(r"dil|factor", re.I)
# where a plate map comes from when it is no file
_SENT = ("lims", "request")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?::[1-9][0-9]*)?")


@dataclass(frozen=True)
class Layout:
    """A plate's plan: `positions` runs row by row, None where the well is empty.

    `QL:2` is the second determination of control `QL`; all others are names of their own.
    """

    format: int
    standards: Mapping[str, float]
    controls: Mapping[str, tuple[float, float]]
    positions: tuple[str | None, ...]

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        return tuple(self.role(position) for position in self.positions)

    @cached_property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """Wells (as indices in row order) of each position, in natural order: U2 before U10."""
        groups: dict[str, list[int]] = {}
        for index, position in enumerate(self.positions):
            if position is not None:
                groups.setdefault(position, []).append(index)
        return {name: tuple(groups[name]) for name in sorted(groups, key=_natural)}

    def role(self, position: str | None) -> Role:
        if position is None:
            return "empty"
        if position == BLANK:
            return "blank"
        if position in self.standards:
            return "standard"
        return "control" if control_name(position) in self.controls else "sample"

    @cached_property
    def wells(self) -> tuple[str, ...]:
        return FORMATS[self.format].wells


@dataclass(frozen=True, slots=True)
class Binding:
    """What is said of one position: whose sample, how far diluted (None = not said here)."""

    sample_id: str | None
    dilution: float | None = None

    @property
    def times(self) -> float:
        """The dilution factor; 1 where nobody said one."""
        return 1.0 if self.dilution is None else self.dilution


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateMap:
    """Sample ids and dilutions by position (`U1`) or by well (`C3`, meaning its position)."""

    samples: Mapping[str, Binding] = field(default_factory=dict)
    id: str | None = None
    version: str | None = None
    source: str = "lims"


def control_name(position: str) -> str:
    """`QL` for `QL` and `QL:2`."""
    return position.partition(":")[0]


def bind(
    layout: Layout, of_assay: Mapping[str, Binding], plate_map: PlateMap | None
) -> Mapping[str, Binding]:
    """Bindings by position: the plate map's, else the assay file's. InputError names a stranger.

    A plate map that gives an id but no dilution leaves the assay file's dilution as it is.
    """
    bound = dict(of_assay)
    said: dict[str, tuple[str, Binding]] = {}
    source = "plate map"
    if plate_map is not None and plate_map.source not in _SENT:
        source = plate_map.source
    for key, binding in (plate_map.samples if plate_map else {}).items():
        position = key if key in layout.groups else _position_at(layout, key)
        if position is None or layout.role(position) not in ("sample", "control"):
            raise InputError(source, Mistake(key, _stranger(layout, key, position)))
        first, other = said.get(position, (key, binding))
        if other != binding:
            what = f"differs from {first}, which is the same sample {position}"
            raise InputError(source, Mistake(key, what))
        if not 0 < binding.times <= LARGEST_DILUTION:
            what = f"the dilution is a number above 0, up to {LARGEST_DILUTION:g}"
            raise InputError(source, Mistake(key, what))
        said[position] = (key, binding)
        usual = of_assay.get(position)
        if binding.dilution is None and usual is not None:
            binding = Binding(binding.sample_id, usual.dilution)
        bound[position] = binding
    return bound


def _stranger(layout: Layout, key: str, position: str | None) -> str:
    """Why a key of a plate map binds nothing, and what may be meant."""
    if position is not None:
        named = "" if position == key else f" ({position})"
        return f"is a {layout.role(position)}{named}: only samples and controls have ids"
    alike = next((name for name in layout.groups if name.lower() == key.lower()), None)
    meant = f"; the layout has {alike}" if alike else ""
    return f"no sample or control of the layout{meant}"


def _position_at(layout: Layout, well: str) -> str | None:
    try:
        return layout.positions[FORMATS[layout.format].index(well)]
    except ValueError:
        return None


def plate_map_from_csv(text: str, source: str) -> PlateMap:
    """A plate map with the header `position,sample_id,dilution` (the last may be left out)."""
    table = read_table(text, source)
    where, whose = table.column("position", "well"), table.column("sample_id", "id")
    diluted = table.column("dilution") if table.has("dilution") else None
    alike = next((head for head in table.header if _LIKE_DILUTION.search(head)), None)
    if diluted is None and alike is not None:
        raise table.mistake(f"line {table.head.line}", f"name the column {alike!r} 'dilution'")
    samples: dict[str, Binding] = {}
    for row in table.rows:
        key = row.cells[where]
        if not key or key in samples:
            raise table.cell_mistake(row, where, f"{key!r} stands twice" if key else "no position")
        dilution = None
        if diluted is not None and row.cells[diluted]:
            dilution = table.number(row, diluted)
            if dilution <= 0:
                raise table.cell_mistake(row, diluted, "the dilution is a number above 0")
        samples[key] = Binding(row.cells[whose] or None, dilution)
    if not samples:
        raise table.mistake("line 2", "no sample follows the header")
    return PlateMap(samples=samples, source=source)


def parse_grid(text: str, format: int) -> tuple[tuple[str | None, ...], tuple[Mistake, ...]]:
    """Positions row by row from grid text or CSV, and every mistake with its cell.

    Cells are parted by blanks, or by commas, semicolons or tabs (then an empty cell is empty). A
    heading of column numbers and letters before the rows may stand there. `well,position` lists
    are read too.
    """
    plate = FORMATS[format]
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and re.match(r"\s*\ufeff?well\s*[,;\t]", lines[0], re.I):
        return _from_list(text, plate)
    rows = _without_headings(_without_margin([_cells(line) for line in lines], plate), plate)
    positions: list[str | None] = [None] * plate.size
    mistakes: list[Mistake] = []
    if (other := _other_format(rows, plate)) is not None:
        return tuple(positions), (Mistake("layout.plate", other),)
    if len(rows) != plate.rows:
        what = f"{len(rows)} rows, a {plate.size}-well plate has {plate.rows}"
        mistakes.append(Mistake("layout.plate", what))
    for number, cells in enumerate(rows[: plate.rows]):
        where = f"layout.plate row {well_name(number, 0)[0]}"
        if len(cells) != plate.columns:
            what = f"{len(cells)} cells, a {plate.size}-well plate has {plate.columns} columns"
            mistakes.append(Mistake(where, what))
        for column, cell in enumerate(cells[: plate.columns]):
            position, wrong = _position(cell)
            positions[number * plate.columns + column] = position
            if wrong:
                mistakes.append(Mistake(f"{where} column {column + 1}", wrong))
    return tuple(positions), tuple(mistakes)


def _from_list(text: str, plate: PlateFormat) -> tuple[tuple[str | None, ...], tuple[Mistake, ...]]:
    positions: list[str | None] = [None] * plate.size
    seen: set[int] = set()
    try:
        table = read_table(text, "layout.plate")
        well, named = table.column("well"), table.column("position")
    except InputError as error:
        return tuple(positions), (Mistake("layout.plate", str(error.mistake)),)
    mistakes: list[Mistake] = []
    for row in table.rows:
        where = f"layout.plate line {row.line}"
        try:
            index = plate.index(row.cells[well])
        except ValueError as error:
            mistakes.append(Mistake(where, str(error)))
            continue
        positions[index], wrong = _position(row.cells[named])
        if index in seen:
            wrong = f"well {plate.wells[index]} stands twice"
        seen.add(index)
        if wrong:
            mistakes.append(Mistake(where, wrong))
    return tuple(positions), tuple(mistakes)


def _cells(line: str) -> list[str]:
    for sign in "\t;,":
        if sign in line:
            return [cell.strip() for cell in line.split(sign)]
    return line.split()


def _without_margin(rows: list[list[str]], plate: PlateFormat) -> list[list[str]]:
    """The rows without the empty cells that a spreadsheet leaves on the right."""
    letters = [well_name(row, 0)[0] for row in range(plate.rows)]
    width = plate.columns + ([row[0] for row in rows[-plate.rows :]] == letters)
    return [row if any(row[width:]) else row[:width] for row in rows]


def _without_headings(rows: list[list[str]], plate: PlateFormat) -> list[list[str]]:
    """The rows without column numbers and row letters; one ragged row does not hide them."""
    first = rows[0] if rows else []
    numbers = first if first[:1] == ["1"] else first[1:]
    headed = numbers == [str(column + 1) for column in range(len(numbers))] != []
    rows = rows[1:] if headed else rows
    letters = [well_name(row, 0)[0] for row in range(len(rows))]
    longer = headed or max(map(len, rows), default=0) > plate.columns
    if longer and [row[0] for row in rows] == letters:
        rows = [row[1:] for row in rows]
    return rows


def _other_format(rows: list[list[str]], plate: PlateFormat) -> str | None:
    """What is wrong when the grid is a whole plate, but of another format."""
    for other in FORMATS.values():
        if other != plate and [len(row) for row in rows] == [other.columns] * other.rows:
            what = f"{other.rows} rows of {other.columns} cells are a {other.size}-well plate"
            return f"{what}, and layout.format is {plate.size}"
    return None


def _position(cell: str) -> tuple[str | None, str | None]:
    if cell in ("", EMPTY):
        return None, None
    if _NAME.fullmatch(cell) is None:
        return (
            None,
            f"{cell!r} is no position name (a letter, then letters and numbers; '.' = empty)",
        )
    return cell, None


def stray_positions(layout: Layout) -> Iterator[Mistake]:
    """Cells that look like a standard or control (`S9`) but are not listed, and the reverse."""
    names = (*layout.standards, *layout.controls)
    families = {_natural(name)[0].lower() for name in names}
    columns = FORMATS[layout.format].columns
    for index, position in enumerate(layout.positions):
        if layout.role(position) != "sample" or position is None:
            continue
        if _natural(position)[0].lower() in families or ":" in position:
            row, column = divmod(index, columns)
            where = f"layout.plate row {well_name(row, 0)[0]} column {column + 1}"
            yield Mistake(where, f"{position} is not in layout.standards or layout.controls")
    held = {control_name(position) for position in layout.groups} | set(layout.groups)
    for kind, listed in (("standards", layout.standards), ("controls", layout.controls)):
        for name in listed:
            if name not in held:
                yield Mistake(f"layout.{kind}.{name}", "no well of layout.plate holds it")


def _natural(name: str) -> tuple[str, int, str]:
    match = re.match(r"(.*?)([0-9]*)(:[0-9]+)?$", name)
    if match is None:
        return name, 0, ""
    return match[1], int(match[2] or 0), match[3] or ""
