"""What a picture of a plate shows, decided once for text and SVG: cells, scale, legend."""

from dataclasses import dataclass
from typing import Literal

from readerd.assay.result import Flag, Wells
from readerd.plate import FORMATS, PlateFormat
from readerd.view.words import WellMark, missing_mark

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
    """Cells row by row and the end of the colour scale in OD (its start is 0).

    Wells that the layout calls empty keep their number but neither make the scale nor get a colour.
    """

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
    present = [c.value for c in cells if c.value is not None and c.role != "empty"]
    full_scale = max([_SMALLEST_SCALE_OD[layer], *present])
    decimals = 3 if layer == "reference" else 2
    return PlatePicture(FORMATS[len(wells.id)], cells, full_scale, decimals)


def _cell(wells: Wells, index: int, value: float | None) -> Cell:
    missing = missing_mark(wells, index) if value is None else None
    flags = wells.flags[index]
    return Cell(
        well=wells.id[index],
        position=wells.position[index],
        role=wells.role[index],
        value=value,
        missing=missing,
        odd=any(flag in flags for flag in _ODD),
        masked=wells.masked[index] is not None,
    )
