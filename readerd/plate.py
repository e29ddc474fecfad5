"""What a reader measures: wells, formats, identities, strips, readings. Frozen values, no logic.

Wells are named as people name them (`A1`, never `A01`) and always run row by row: A1, A2 … H12.
A well holds an optical density or the reason why there is none; NaN and infinity do not exist here.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache


class Unread(StrEnum):
    """Why a well has no number."""

    SATURATED = "SATURATED"  # beyond the photometric range, as the instrument says it
    UNREADABLE = "UNREADABLE"  # the instrument answered with something that is no number
    NOT_MEASURED = "NOT_MEASURED"  # the instrument left the well out


OpticalDensity = float | Unread


@dataclass(frozen=True, slots=True)
class PlateFormat:
    """A plate's geometry; `wells` runs row by row."""

    rows: int
    columns: int

    @property
    def size(self) -> int:
        return self.rows * self.columns

    @property
    def wells(self) -> tuple[str, ...]:
        return tuple(_positions(self.rows, self.columns))

    def index(self, well: str) -> int:
        """Position of a well (`A1`, `a01`) in row order; ValueError when it is not on the plate."""
        position = _positions(self.rows, self.columns).get(well)
        if position is not None:
            return position
        row, column = parse_well(well)
        if row >= self.rows or column >= self.columns:
            last = well_name(self.rows - 1, self.columns - 1)
            raise ValueError(f"well {well} is not on a {self.size}-well plate (A1 to {last})")
        return row * self.columns + column


@cache
def _positions(rows: int, columns: int) -> dict[str, int]:
    """Row order by well name."""
    names = (well_name(row, column) for row in range(rows) for column in range(columns))
    return {name: position for position, name in enumerate(names)}


FORMATS: Mapping[int, PlateFormat] = {96: PlateFormat(8, 12), 384: PlateFormat(16, 24)}

_WELL = re.compile(r"\s*([A-Za-z])0*([1-9][0-9]?)\s*")


def well_name(row: int, column: int) -> str:
    """Name of the well at zero-based row and column: (0, 0) is A1."""
    return f"{chr(ord('A') + row)}{column + 1}"


def parse_well(text: str) -> tuple[int, int]:
    """Zero-based (row, column) of `A1` or `a01`; ValueError when it is no well name."""
    match = _WELL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no well name (a letter and a number, such as A1 or H12)")
    return ord(match[1].upper()) - ord("A"), int(match[2]) - 1


def finite(value: float) -> float:
    """The same number, or ValueError for NaN and infinity, which have no place on a plate."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no optical density")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who answers on the port. A field that the instrument does not tell is None."""

    model: str
    serial: str | None = None
    firmware: str | None = None
    wavelengths_nm: tuple[int, ...] | None = None  # fitted filters; None = any (a monochromator)
    names_itself: bool = True  # False: the model is what the configuration says, nobody told

    def proves(self, expected: str) -> bool:
        """Whether the instrument itself said that it is the one expected; False for ""."""
        said = (self.serial, self.model if self.names_itself else None)
        return bool(expected) and expected in said

    def offers(self, wavelength_nm: int) -> bool:
        return self.wavelengths_nm is None or wavelength_nm in self.wavelengths_nm


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """What to measure: the wavelengths in this order, one endpoint plate each."""

    wavelengths_nm: tuple[int, ...]
    format: int = 96
    shake_s: int = 0


@dataclass(frozen=True, slots=True)
class Strip:
    """Wells that have just arrived; a hint while the instrument still talks, it may be replaced."""

    wavelength_nm: int
    values: Mapping[str, OpticalDensity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One delivered plate: optical densities exactly as reported, per wavelength, row by row.

    Not blanked, not subtracted, not clipped. `notes` say what the driver decided on the way (which
    checksum rule held); `warnings` are the instrument's own; `counters` are its odometer.
    """

    identity: Identity
    format: int
    plates: Mapping[int, tuple[OpticalDensity, ...]]  # wavelength in nm -> one value per well
    temperature_c: float | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = FORMATS[self.format].size
        for wavelength_nm, values in self.plates.items():
            if len(values) != size:
                raise ValueError(f"{wavelength_nm} nm: {len(values)} values on {size} wells")
            for value in values:
                if not isinstance(value, Unread):
                    finite(value)

    def value(self, wavelength_nm: int, well: str) -> OpticalDensity:
        return self.plates[wavelength_nm][FORMATS[self.format].index(well)]


def complete(values: Mapping[str, OpticalDensity], format: int) -> tuple[OpticalDensity, ...]:
    """Row order from a mapping by well name; wells that are absent are NOT_MEASURED."""
    wells: Sequence[str] = FORMATS[format].wells
    return tuple(values.get(well, Unread.NOT_MEASURED) for well in wells)
