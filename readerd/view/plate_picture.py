"""What a picture of a plate shows, decided once for text and SVG: cells, scale, legend."""

from dataclasses import dataclass
from typing import Literal

from readerd.assay.result import Flag, Wells
from readerd.plate import FORMATS, PlateFormat
from readerd.view.words import EMPTY, WellMark, missing_mark

Layer = Literal["measurement", "reference", "corrected"]

# A scale never ends below this, or the noise of an empty plate would fill all colours.
_SMALLEST_SCALE_OD = {"measurement": 0.2, "reference": 0.1, "corrected": 0.2}

# Flags that leave a number standing but ask for a look.
_ODD = (Flag.HIGH_ABSORBANCE, Flag.REFERENCE_HIGH, Flag.REFERENCE_LOW)


@dataclass(frozen=True, slots=True)
class Cell:
    """One well: a value, or the mark of its reason. `odd` means flagged, `masked` left out."""

    well: str
    position: str | None
    role: str
    value: float | None
    missing: WellMark | None
    odd: bool
    masked: bool


@dataclass(frozen=True, slots=True)
class PlatePicture:
    """Cells row by row and the end of the colour scale in OD (its start is 0)."""

    format: PlateFormat
    cells: tuple[Cell, ...]
    full_scale: float
    decimals: int  # that make the wells of this layer differ

    def share(self, value: float) -> float:
        return value / self.full_scale

    def legend(self) -> tuple[WellMark, ...]:
        """The marks that occur, in order of appearance, each once."""
        return tuple(dict.fromkeys(cell.missing for cell in self.cells if cell.missing))


def plate_picture(wells: Wells | None, layer: Layer = "corrected") -> PlatePicture | None:
    """The picture of one layer, or None when no plate was delivered."""
    if wells is None or len(wells.id) not in FORMATS:
        return None
    values = {
        "measurement": wells.a_measurement,
        "reference": wells.a_reference,
        "corrected": wells.corrected,
    }[layer]
    cells = tuple(_cell(wells, index, values[index]) for index in range(len(wells.id)))
    present = [cell.value for cell in cells if cell.value is not None]
    full_scale = max([_SMALLEST_SCALE_OD[layer], *present])
    decimals = 3 if layer == "reference" else 2
    return PlatePicture(FORMATS[len(wells.id)], cells, full_scale, decimals)


def _cell(wells: Wells, index: int, value: float | None) -> Cell:
    role = wells.role[index]
    # The layout says that nothing is in this well: whatever the reader saw there means nothing.
    missing = EMPTY if role == "empty" and value is None else None
    if value is None and missing is None:
        missing = missing_mark(wells, index)
    flags = wells.flags[index]
    return Cell(
        well=wells.id[index],
        position=wells.position[index],
        role=role,
        value=value,
        missing=missing,
        odd=any(flag in flags for flag in _ODD),
        masked=wells.masked[index] is not None,
    )
