"""What a picture of a plate shows, decided once for text and SVG: cells, scale, legend."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from readerd.assay.result import Flag, Wells
from readerd.plate import FORMATS, PlateFormat
from readerd.view.words import WellMark, missing_mark

Layer = Literal["measurement", "reference", "corrected"]

# Up to here a well has room for three decimals.
_SMALL_FORMAT = 96

# A scale never ends below this, or the noise of an empty plate would fill all colours.
_SMALLEST_SCALE_OD = {"measurement": 0.2, "reference": 0.1, "corrected": 0.2}

# What asks for a look at a number, by the layer where it shows.
_AT_MEASUREMENT = {
    Flag.HIGH_ABSORBANCE: "high absorbance",
    Flag.SATURATED: "saturated, not used",
    Flag.STRIP_ABSENT: "strip absent",
}
_AT_REFERENCE = {
    Flag.REFERENCE_HIGH: "reference high",
    Flag.REFERENCE_LOW: "reference low",
    Flag.STRIP_ABSENT: "strip absent",
}
_ODD = {
    "measurement": _AT_MEASUREMENT,
    "reference": _AT_REFERENCE,
    "corrected": {Flag.HIGH_ABSORBANCE: "high absorbance", **_AT_REFERENCE},
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One well: a value, or the mark of its reason. `odd` says what is odd about the value."""

    well: str
    position: str | None
    role: str
    value: float | None
    missing: WellMark | None
    odd: tuple[str, ...]
    masked: bool


@dataclass(frozen=True, slots=True)
class PlatePicture:
    """Cells row by row and the end of the colour scale in OD (its start is 0).

    Wells that the layout calls empty keep their number but neither make the scale nor get a colour.
    """

    format: PlateFormat
    cells: tuple[Cell, ...]
    full_scale: float
    decimals: int  # that make the wells of this layer differ
    per_od: int = 1  # what is written in a well: 1000 = thousandths of an OD

    def share(self, value: float) -> float:
        return value / self.full_scale

    def legend(self) -> tuple[WellMark, ...]:
        """The marks that occur, in order of appearance, each once."""
        return tuple(dict.fromkeys(cell.missing for cell in self.cells if cell.missing))

    def oddities(self) -> tuple[str, ...]:
        """What is odd about values of this layer, each once."""
        return tuple(dict.fromkeys(words for cell in self.cells for words in cell.odd))

    def roles(self) -> frozenset[str]:
        return frozenset(cell.role for cell in self.cells)


def plate_picture(wells: Wells | None, layer: Layer = "corrected") -> PlatePicture | None:
    """The picture of one layer, or None when no plate was delivered."""
    if wells is None or len(wells.id) not in FORMATS:
        return None
    values = {
        "measurement": wells.a_measurement,
        "reference": wells.a_reference,
        "corrected": wells.corrected,
    }[layer]
    odd = _ODD[layer]
    cells = tuple(_cell(wells, index, values[index], odd) for index in range(len(wells.id)))
    present = [c.value for c in cells if c.value is not None and c.role != "empty"]
    full_scale = max([_SMALLEST_SCALE_OD[layer], *present])
    format = FORMATS[len(wells.id)]
    if layer != "reference":
        return PlatePicture(format, cells, full_scale, 2)
    if format.size > _SMALL_FORMAT:
        return PlatePicture(format, cells, full_scale, 0, per_od=1000)
    return PlatePicture(format, cells, full_scale, 3)


def _cell(wells: Wells, index: int, value: float | None, odd: Mapping[Flag, str]) -> Cell:
    missing = missing_mark(wells, index) if value is None else None
    flags = wells.flags[index]
    return Cell(
        well=wells.id[index],
        position=wells.position[index],
        role=wells.role[index],
        value=value,
        missing=missing,
        odd=() if value is None else tuple(words for flag, words in odd.items() if flag in flags),
        masked=wells.masked[index] is not None,
    )
