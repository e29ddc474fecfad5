"""The plate as SVG: wells in the colour and number of their density, or their reason."""

from readerd.assay.result import Wells
from readerd.view.markup import Markup, number, svg, tag
from readerd.view.palette import BAD, INK, QUIET, RULE, UNKNOWN, heat
from readerd.view.plate_picture import Cell, Layer, PlatePicture, plate_picture
from readerd.view.rounding import od
from readerd.view.svg_text import figure, fitting, lines_of, width_of
from readerd.view.words import EMPTY, counted

_LEFT, _TOP, _RIGHT = 22, 36, 10
# Room for the colour scale below the wells with the first line of the legend, and for each other.
_SCALE, _LINE = 24, 12
_SMALL = 10
_PITCH = {96: 30.0, 384: 16.0}
# Font size of a well's number as a share of the pitch, by how many letters it has.
_WRITING = {3: 0.37, 4: 0.35, 5: 0.3}
# The colour scale: its left edge, its steps and their width.
_SCALE_AT, _BAR_STEPS, _STEP = _LEFT + 12, 16, 7
_RING = "#8a94a3"
# Behind the standards; black writing and every colour of the ramp stand out from it.
_GROUND = "#d3d9e1"


def plate_svg(wells: Wells | None, layer: Layer = "corrected", *, title: str = "") -> str:
    """One layer of a plate; `title` names it (`450 nm`), else the layer's own name does."""
    heading = title or layer
    picture = plate_picture(wells, layer)
    if picture is None:
        text = tag("text", "no plate was delivered", x=200, y=120, text_anchor="middle", fill=INK)
        return svg(400, 240, heading, "No plate was delivered.", text)
    pitch = _PITCH[picture.format.size]
    width = _LEFT + picture.format.columns * pitch + _RIGHT
    below = _TOP + picture.format.rows * pitch
    beside = _scale_end(picture) + 14
    notes = lines_of(_notes(picture), _SMALL, width - _LEFT - 4, first=width - beside - 4)
    unit = "" if picture.per_od == 1 else f", {picture.per_od} × OD"
    return svg(
        width,
        below + _SCALE + _LINE * max(0, len(notes) - 1),
        heading,
        _in_words(picture),
        _heading(heading + unit, width),
        _outline(picture, pitch),
        _grounds(picture, pitch),
        _names(picture, pitch),
        _wells(picture, pitch),
        _scale(picture, below + 16),
        _legend(notes, beside, below + 16),
    )


def _heading(text: str, width: float) -> Markup:
    short = fitting(text, 12, width - _LEFT, bold=True)
    return tag("text", short, x=_LEFT, y=14, fill=INK, font_weight=600, font_size=12)


def _grounds(picture: PlatePicture, pitch: float) -> Markup:
    """Grey behind the standards and blanks, a frame around the controls."""
    grounds = {"standard": "", "control": ""}
    for index, cell in enumerate(picture.cells):
        role = "standard" if cell.role == "blank" else cell.role
        if role in grounds:
            row, column = divmod(index, picture.format.columns)
            x, y = _LEFT + column * pitch, _TOP + row * pitch
            side = number(pitch)
            grounds[role] += f"M{number(x)} {number(y)}h{side}v{side}h-{side}z"
    parts = []
    if grounds["standard"]:
        parts.append(tag("path", d=grounds["standard"], fill=_GROUND))
    if grounds["control"]:
        parts.append(tag("path", d=grounds["control"], fill="none", stroke=QUIET))
    return tag("g", *parts) if parts else Markup("")


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
    letters = max((len(_written(picture, cell)) for cell in picture.cells), default=4)
    for index, cell in enumerate(picture.cells):
        row, column = divmod(index, picture.format.columns)
        x, y = _LEFT + (column + 0.5) * pitch, _TOP + (row + 0.5) * pitch
        drawn.append(_well(picture, cell, (x, y), pitch))
    size = pitch * _WRITING.get(letters, 0.37 if letters < 3 else 0.26)
    return tag("g", *drawn, text_anchor="middle", font_size=number(size))


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
        stroke_width=pitch * 0.08 if cell.odd else 0.7,
        stroke_dasharray="3 2" if cell.missing and cell.role != "empty" else None,
    )
    label = tag("text", _written(picture, cell), x=x, y=y + pitch * 0.115, fill=ink)
    lines = _strike(at, pitch * 0.32) if cell.masked else []
    return tag("g", tag("title", _told(cell)), circle, *lines, label)


def _strike(at: tuple[float, float], reach: float) -> list[Markup]:
    """Through a masked well, with a pale edge that shows on dark colours."""
    x, y = at
    data = f"M{number(x - reach)} {number(y + reach)}l{number(2 * reach)}-{number(2 * reach)}"
    return [
        tag("path", d=data, stroke="#fff", stroke_width="2.6"),
        tag("path", d=data, stroke=BAD, stroke_width="1.2"),
    ]


def _colours(picture: PlatePicture, cell: Cell) -> tuple[str, str, str]:
    """Fill, ink and ring. Only a number that counts has the colour of its density."""
    if cell.role == "empty":
        return "#fff", QUIET, RULE
    if cell.value is None:
        return "#fff", BAD, BAD
    return *heat(picture.share(cell.value)), UNKNOWN if cell.odd else _RING


def _written(picture: PlatePicture, cell: Cell) -> str:
    if cell.value is not None:
        return figure(od(cell.value * picture.per_od, picture.decimals))
    mark = cell.missing
    return "" if mark is None else (mark.short if picture.format.size <= 96 else mark.letter)


def _told(cell: Cell) -> str:
    value = od(cell.value) if cell.value is not None else ""
    reason = cell.missing.meaning if cell.missing else ", ".join(cell.odd)
    masked = "masked" if cell.masked else ""
    return " ".join(part for part in (cell.well, cell.position, value, reason, masked) if part)


def _scale_end(picture: PlatePicture) -> float:
    """Where the words of the colour scale end."""
    return _SCALE_AT + _BAR_STEPS * _STEP + 6 + width_of(_full_scale(picture), _SMALL)


def _full_scale(picture: PlatePicture) -> str:
    return f"{od(picture.full_scale, 2)} OD"


def _scale(picture: PlatePicture, y: float) -> Markup:
    bars = [
        tag(
            "rect",
            x=_SCALE_AT + index * _STEP,
            y=y - 8,
            width=_STEP,
            height=9,
            fill=heat(index / (_BAR_STEPS - 1))[0],
        )
        for index in range(_BAR_STEPS)
    ]
    end = _SCALE_AT + _BAR_STEPS * _STEP
    data = f"M{_SCALE_AT} {number(y - 8)}H{end}v9H{_SCALE_AT}z"
    texts = [
        tag("text", "0", x=_LEFT, y=y),
        tag("text", _full_scale(picture), x=end + 6, y=y),
    ]
    frame = tag("path", d=data, stroke=RULE, fill="none")
    return tag("g", *bars, frame, *texts, fill=QUIET, font_size=_SMALL)


def _notes(picture: PlatePicture) -> list[str]:
    small = picture.format.size > 96
    roles = picture.roles()
    notes = []
    if roles & {"standard", "blank"}:
        notes.append("grey ground: standard or blank" if "blank" in roles else "grey: standard")
    if "control" in roles:
        notes.append("framed: control")
    notes += [
        f"{mark.letter if small else mark.short} {mark.meaning}"
        for mark in picture.legend()
        if mark is not EMPTY
    ]
    if picture.oddities():
        notes.append(f"thick ring: {', '.join(picture.oddities())}")
    if any(cell.masked and cell.value is not None for cell in picture.cells):
        notes.append("struck: masked")
    return notes


def _legend(lines: list[str], beside: float, y: float) -> Markup:
    """The first line beside the colour scale, the others below it."""
    texts = [
        tag("text", line, x=_LEFT if index else beside, y=y + _LINE * index)
        for index, line in enumerate(lines)
        if line
    ]
    return tag("g", *texts, fill=INK, font_size=_SMALL) if texts else Markup("")
