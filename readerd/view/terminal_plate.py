"""The plate as a heat map in the terminal; every well says its number or its reason."""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.style import Style
from rich.text import Text

from readerd.assay.result import Wells
from readerd.view.palette import heat
from readerd.view.plate_picture import Cell, Layer, PlatePicture, plate_picture
from readerd.view.rounding import od
from readerd.view.terminal_text import Portable, shows_colour

_SCALE_CELLS = 24


@dataclass(frozen=True, slots=True)
class PlateMap:
    """Rows A-H by columns 1-12 (or 384 wells), values in OD, colour where there is any."""

    wells: Wells | None
    layer: Layer = "corrected"
    title: str = "corrected OD"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        picture = plate_picture(self.wells, self.layer)
        if picture is None:
            yield Text("no plate was delivered")
            return
        room = (options.max_width - 2) // picture.format.columns
        width = min(5, room) if room >= 3 else 3
        yield Portable(_map(picture, width, shows_colour(console), self.title))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        picture = plate_picture(self.wells, self.layer)
        columns = picture.format.columns if picture else 12
        return Measurement(2 + 3 * columns, 2 + 5 * columns)


def _map(picture: PlatePicture, width: int, colour: bool, title: str) -> Group:
    text = Text(no_wrap=True)
    text.append(f"  {title}", "bold")
    if width < 5:
        text.append(" in tenths" if width == 3 else "", "bold")
    text.append("\n  ")
    for column in range(picture.format.columns):
        text.append(f"{column + 1:^{width}}", "dim")
    for row in range(picture.format.rows):
        text.append(f"\n{chr(ord('A') + row)} ", "dim")
        start = row * picture.format.columns
        for cell in picture.cells[start : start + picture.format.columns]:
            text.append(_written(cell, width), _style(picture, cell, colour))
    return Group(text, Padding(_legend(picture, width, colour), (0, 0, 0, 2), expand=False))


def _written(cell: Cell, width: int) -> str:
    if cell.missing is not None or cell.value is None:
        mark = cell.missing
        sign = "" if mark is None else (mark.short if width >= 5 else mark.letter)
        return f"{sign:^{width}}"
    suffix = "*" if cell.masked else "!" if cell.odd else " "
    if width == 3:
        return f"{od(cell.value * 10, 0):>2}{suffix}"
    decimals = 2 if width >= 5 else 1
    return f"{od(cell.value, decimals):>{width - 1}}{suffix}"


def _style(picture: PlatePicture, cell: Cell, colour: bool) -> Style:
    if cell.value is None:
        grave = cell.missing is not None and cell.role != "empty"
        return Style(bold=grave, dim=not grave, reverse=grave and colour)
    if not colour or cell.role == "empty":
        return Style(dim=cell.role == "empty")
    fill, ink = heat(picture.share(cell.value))
    return Style(color=ink, bgcolor=fill, strike=cell.masked)


def _legend(picture: PlatePicture, width: int, colour: bool) -> Text:
    text = Text("0 ", style="dim")
    if colour:
        for step in range(_SCALE_CELLS):
            text.append(" ", Style(bgcolor=heat(step / (_SCALE_CELLS - 1))[0]))
    else:
        text.append("…")
    text.append(f" {od(picture.full_scale, 2)} OD")
    notes = [
        f"{(mark.short if width >= 5 else mark.letter)} {mark.meaning}" for mark in picture.legend()
    ]
    if any(cell.odd and cell.value is not None for cell in picture.cells):
        notes.append("! flagged")
    if any(cell.masked and cell.value is not None for cell in picture.cells):
        notes.append("* masked, left out")
    for note in notes:
        text.append(f"   {note}")
    return text
