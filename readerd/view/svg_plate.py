"""The plate as SVG: wells in the colour and number of their density, or their reason."""

from textwrap import wrap

from readerd.assay.result import Wells
from readerd.view.markup import Markup, number, svg, tag
from readerd.view.palette import BAD, INK, QUIET, RULE, UNKNOWN, heat
from readerd.view.plate_picture import Cell, Layer, PlatePicture, plate_picture
from readerd.view.rounding import od
from readerd.view.words import EMPTY, counted

_LEFT, _TOP = 22, 40
# Room for the colour scale below the wells, and for each line of the legend.
_SCALE, _LINE = 25, 11
# Mean width of a letter of the legend.
_LETTER = 4.3
_PITCH = {96: 30.0, 384: 16.0}
_BAR_STEPS = 16
_RING = "#8a94a3"


def plate_svg(wells: Wells | None, layer: Layer = "corrected", *, title: str = "") -> str:
    """One layer of a plate; `title` names it (`450 nm`), else the layer's own name does."""
    heading = title or layer
    picture = plate_picture(wells, layer)
    if picture is None:
        text = tag("text", "no plate was delivered", x=200, y=120, text_anchor="middle", fill=INK)
        return svg(400, 240, heading, "No plate was delivered.", text)
    pitch = _PITCH[picture.format.size]
    width = _LEFT + picture.format.columns * pitch + 10
    below = _TOP + picture.format.rows * pitch
    notes = wrap(_notes(picture), int((width - _LEFT) / _LETTER))
    return svg(
        width,
        below + _SCALE + _LINE * len(notes),
        heading,
        _in_words(picture),
        tag("text", heading, x=_LEFT, y=14, fill=INK, font_weight=600, font_size=12),
        _outline(picture, pitch),
        _names(picture, pitch),
        _wells(picture, pitch),
        _scale(picture, below + 18),
        _legend(notes, below + _SCALE + 8),
    )


def _in_words(picture: PlatePicture) -> str:
    values = [cell.value for cell in picture.cells if cell.value is not None]
    lost = [cell for cell in picture.cells if cell.missing and cell.role != "empty"]
    words = counted(len(values), "well") + " with a number"
    if values:
        words += f", {od(min(values))} to {od(max(values))} OD"
    if lost:
        words += "; without a number: "
        words += ", ".join(f"{c.well} {c.missing.meaning}" for c in lost if c.missing)
    return words + "."


def _outline(picture: PlatePicture, pitch: float) -> Markup:
    """The plate with its cut corners at A1 and the row below: which way round it lies."""
    wide, high = picture.format.columns * pitch + 4, picture.format.rows * pitch + 4
    data = f"M{_LEFT + 6} {_TOP - 2}h{number(wide - 8)}v{number(high)}h{number(8 - wide)}"
    data += f"l-8-8v{number(16 - high)}z"
    return tag("path", d=data, stroke=RULE, fill="none")


def _names(picture: PlatePicture, pitch: float) -> Markup:
    columns = [
        tag("text", str(column + 1), x=_LEFT + (column + 0.5) * pitch, y=_TOP - 7)
        for column in range(picture.format.columns)
    ]
    rows = [
        tag("text", chr(ord("A") + row), x=10, y=_TOP + (row + 0.5) * pitch + 3.5)
        for row in range(picture.format.rows)
    ]
    size = 10 if pitch > 20 else 8
    return tag("g", *columns, *rows, text_anchor="middle", fill=QUIET, font_size=size)


def _wells(picture: PlatePicture, pitch: float) -> Markup:
    drawn = []
    for index, cell in enumerate(picture.cells):
        row, column = divmod(index, picture.format.columns)
        x, y = _LEFT + (column + 0.5) * pitch, _TOP + (row + 0.5) * pitch
        drawn.append(_well(picture, cell, (x, y), pitch))
    return tag("g", *drawn, text_anchor="middle", font_size=number(pitch * 0.3))


def _well(picture: PlatePicture, cell: Cell, at: tuple[float, float], pitch: float) -> Markup:
    x, y = at
    fill, ink, stroke = _colours(picture, cell)
    circle = tag(
        "circle",
        cx=x,
        cy=y,
        r=pitch * 0.46,
        fill=fill,
        stroke=stroke,
        stroke_width=2 if cell.odd else 0.7,
        stroke_dasharray="3 2" if cell.missing and cell.role != "empty" else None,
    )
    label = tag("text", _written(picture, cell), x=x, y=y + pitch * 0.11, fill=ink)
    reach = pitch * 0.32
    strike = f"M{number(x - reach)} {number(y + reach)}l{number(2 * reach)}-{number(2 * reach)}"
    lines = [tag("path", d=strike, stroke=BAD, stroke_width="1.5")] if cell.masked else []
    return tag("g", tag("title", _told(cell)), circle, *lines, label)


def _colours(picture: PlatePicture, cell: Cell) -> tuple[str, str, str]:
    """Fill, ink and ring. Only a number that counts has the colour of its density."""
    if cell.role == "empty":
        return "#fff", QUIET, RULE
    if cell.value is None:
        return "#fff", BAD, BAD
    return *heat(picture.share(cell.value)), UNKNOWN if cell.odd else _RING


def _written(picture: PlatePicture, cell: Cell) -> str:
    large = picture.format.size <= 96
    if cell.value is not None:
        return od(cell.value, picture.decimals if large else 1)
    mark = cell.missing
    return "" if mark is None else (mark.short if large else mark.letter)


def _told(cell: Cell) -> str:
    value = od(cell.value) if cell.value is not None else ""
    reason = cell.missing.meaning if cell.missing else ""
    masked = "masked" if cell.masked else ""
    return " ".join(part for part in (cell.well, cell.position, value, reason, masked) if part)


def _scale(picture: PlatePicture, y: float) -> Markup:
    step = 8
    bars = [
        tag(
            "rect",
            x=_LEFT + 12 + index * step,
            y=y - 8,
            width=step,
            height=9,
            fill=heat(index / (_BAR_STEPS - 1))[0],
        )
        for index in range(_BAR_STEPS)
    ]
    end = _LEFT + 12 + _BAR_STEPS * step
    frame = tag(
        "path", d=f"M{_LEFT + 12} {number(y - 8)}H{end}v9H{_LEFT + 12}z", stroke=RULE, fill="none"
    )
    texts = [
        tag("text", "0", x=_LEFT, y=y),
        tag("text", f"{od(picture.full_scale, 2)} OD", x=end + 6, y=y),
    ]
    return tag("g", *bars, frame, *texts, fill=QUIET, font_size=10)


def _notes(picture: PlatePicture) -> str:
    small = picture.format.size > 96
    notes = [
        f"{mark.letter if small else mark.short} {mark.meaning}"
        for mark in picture.legend()
        if mark is not EMPTY
    ]
    if any(cell.odd for cell in picture.cells):
        notes.append("thick ring: flagged")
    if any(cell.masked and cell.value is not None for cell in picture.cells):
        notes.append("struck: masked")
    return " · ".join(notes)


def _legend(lines: list[str], y: float) -> Markup:
    texts = [tag("text", line, x=_LEFT, y=y + _LINE * index) for index, line in enumerate(lines)]
    return tag("g", *texts, fill=INK, font_size=9) if lines else Markup("")
