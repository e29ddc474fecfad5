"""The standard curve as SVG: band, curve, replicates, range, unknowns."""

from collections.abc import Iterator, Sequence

from readerd.assay.result import Fit, Qc, Sample, Wells
from readerd.assay.result import Unknown as Loose
from readerd.view.axis import amount
from readerd.view.markup import Markup, join, number, path, svg, tag
from readerd.view.palette import CURVE, INK, QUIET, UNKNOWN
from readerd.view.rounding import concentration, nominal
from readerd.view.scene import CurveScene, Unknown, curve_scene
from readerd.view.svg_frame import Frame, left_of
from readerd.view.svg_text import figure, fitting, rows_of, width_of
from readerd.view.words import counted, no_curve_reason

WIDTH, HEIGHT = 560, 304
_TOP, _RIGHT = 24, 18
# From the plot to the end of the picture: tick labels, the axis's name, one row of the legend.
_BELOW = 62
_ROW = 15
# Font size of the legend and of the limits' names; where words of the legend start.
_SMALL, _WORDS_AT, _APART = 10, 19, 13


def curve_svg(
    fit: Fit | None,
    wells: Wells | None = None,
    samples: Sequence[Sample] = (),
    *,
    qc: Qc | None = None,
    analyte: str = "",
    response: str = "OD",
    named: bool = False,
    points: Sequence[tuple[float, float]] = (),
    loose: Sequence[Loose] = (),
    before: Fit | None = None,
) -> str:
    """The picture as text; without anything to draw it says why in its place.

    `named` gives each sample a name to point at (on a page), for about 60 bytes each; without a
    plate `points` are the standards (concentration, response) and `loose` the samples; `before`
    is the fit before levels were dropped.
    """
    scene = curve_scene(fit, wells, samples, points=points, loose=loose, before=before, band=True)
    title, reason = f"Standard curve {analyte}".strip(), _refusal(fit, qc)
    if scene is None:
        return svg(WIDTH, HEIGHT, title, f"{reason}.", _notice(reason))
    frame = _frame(scene)
    keys = _legend(scene)
    rows = rows_of([_key_width(words) for _, words in keys], WIDTH - frame.left)
    x_label = ", ".join(part for part in (analyte, scene.unit) if part) or "concentration"
    return svg(
        WIDTH,
        HEIGHT + _ROW * (len(rows) - 1),
        title,
        _in_words(scene, fit, reason),
        frame.grid(),
        frame.axes(x_label, response),
        *_layers(frame, scene, named),
        _drawn_legend(frame, keys, rows),
        _headline(frame, reason),
    )


def _frame(scene: CurveScene) -> Frame:
    left = left_of(scene.y)
    return Frame(left, _TOP, WIDTH - left - _RIGHT, HEIGHT - _TOP - _BELOW, scene.x, scene.y)


def _refusal(fit: Fit | None, qc: Qc | None) -> str:
    """Why nothing may be read from the picture; empty for a curve that holds."""
    if fit is None or not fit.converged:
        return f"No curve: {no_curve_reason(fit, qc or Qc(profile='', rules=()))}"
    return f"Curve rejected: {fit.reason}" if fit.reason else ""


def _layers(frame: Frame, scene: CurveScene, named: bool) -> tuple[Markup, ...]:
    """From the back to the front."""
    return (
        _limits(frame, scene),
        _band(frame, scene),
        _before(frame, scene),
        _line(frame, scene),
        _unknowns(frame, scene.unknowns, named),
        _replicates(frame, scene),
    )


def _in_words(scene: CurveScene, fit: Fit | None, reason: str) -> str:
    points = counted(len(scene.replicates), "standard point")
    doses = [mark.x for mark in scene.replicates] or [scene.x.low, scene.x.high]
    words = f"{points} over {nominal(min(doses))} to {nominal(max(doses))} {scene.unit}".strip()
    if reason:
        return f"{reason}. {words}."
    model = fit.model if fit is not None else ""
    on = sum(unknown.side == "on" for unknown in scene.unknowns)
    beyond = len(scene.unknowns) - on
    words = f"{model} curve, {words}; {counted(on, 'sample')} on the curve, {beyond} beyond it"
    return (
        f"{words}; dashed: the curve before levels were dropped." if scene.before else f"{words}."
    )


def _headline(frame: Frame, reason: str) -> Markup:
    """Above the plot, where a curve that holds has its limits; the description has it whole."""
    if not reason:
        return Markup("")
    short = fitting(reason, 11, WIDTH - frame.left - 8, bold=True)
    return tag("text", short, x=frame.left, y=15, fill=INK, font_weight=600)


def _notice(reason: str) -> Markup:
    text = tag("text", "No curve", x=WIDTH / 2, y=HEIGHT / 2 - 8, font_size=15, font_weight=600)
    why = fitting(reason.removeprefix("No curve: "), 11, WIDTH - 40)
    told = tag("text", why, x=WIDTH / 2, y=HEIGHT / 2 + 14, fill=QUIET)
    return tag("g", text, told, text_anchor="middle", fill=INK)


def _limits(frame: Frame, scene: CurveScene) -> Markup:
    """LLOQ and ULOQ with their names over them, moved apart where they would touch."""
    parts = []
    end = WIDTH - 4.0
    for name, limit in (("ULOQ", scene.uloq), ("LLOQ", scene.lloq)):
        if limit is not None:
            x = frame.x(limit)
            data = f"M{number(x)} {number(frame.top)}V{number(frame.bottom)}"
            parts.append(tag("path", d=data, stroke=QUIET, stroke_dasharray="3 3"))
            label = f"{name} {figure(amount(limit))}"
            width = width_of(label, _SMALL)
            start = min(x - width / 2, end - width)
            parts.append(tag("text", label, x=start, y=frame.top - 6))
            end = start - 8
    return tag("g", *parts, fill=QUIET, font_size=_SMALL)


def _band(frame: Frame, scene: CurveScene) -> Markup:
    data = ""
    if scene.rejected:
        return Markup("")
    for points in ([scene.at_zero] if scene.at_zero else [], scene.curve):
        upper = [(frame.x(p.x), frame.y(p.high)) for p in points if p.high is not None]
        lower = [(frame.x(p.x), frame.y(p.low)) for p in points if p.low is not None]
        if len(points) == 1 and upper and lower:
            upper = [(frame.left, upper[0][1]), (_stub_end(frame), upper[0][1])]
            lower = [(frame.left, lower[0][1]), (_stub_end(frame), lower[0][1])]
        data += path([*upper, *reversed(lower)], close=True)
    return tag("path", d=data, fill=CURVE, fill_opacity="0.16") if data else Markup("")


def _stub_end(frame: Frame) -> float:
    return frame.left + 0.068 * frame.width


def _line(frame: Frame, scene: CurveScene) -> Markup:
    data = path((frame.x(point.x), frame.y(point.y)) for point in scene.curve)
    if scene.at_zero is not None:
        data += f"M{number(frame.left)} {number(frame.y(scene.at_zero.y))}"
        data += f"H{number(_stub_end(frame))}"
    if scene.rejected:
        return tag("path", d=data, stroke=QUIET, stroke_dasharray="7 4", fill="none")
    return tag("path", d=data, stroke=CURVE, stroke_width=2, fill="none")


def _before(frame: Frame, scene: CurveScene) -> Markup:
    """The curve that failing levels had their say in."""
    data = path((frame.x(point.x), frame.y(point.y)) for point in scene.before)
    dashed = tag("path", d=data, stroke=INK, stroke_dasharray="2 4", fill="none")
    return dashed if data else Markup("")


def _replicates(frame: Frame, scene: CurveScene) -> Markup:
    """Filled dots; what was left out is a cross. Dots are strokes of no length with round ends."""
    dots = "".join(
        f"M{number(frame.x(mark.x))} {number(frame.y(mark.y))}h0"
        for mark in scene.replicates
        if not mark.masked
    )
    crosses = "".join(
        f"M{number(frame.x(mark.x) - 4)} {number(frame.y(mark.y) - 4)}l8 8m-8 0l8-8"
        for mark in scene.replicates
        if mark.masked
    )
    parts = []
    if dots:
        parts.append(tag("path", d=dots, stroke="#fff", stroke_width=8))
        parts.append(tag("path", d=dots, stroke=INK, stroke_width=6))
    if crosses:
        parts.append(tag("path", d=crosses, stroke=INK, stroke_width="1.5"))
    return tag("g", *parts, fill="none", stroke_linecap="round")


def _unknowns(frame: Frame, unknowns: Sequence[Unknown], named: bool) -> Markup:
    if named:
        parts = [
            tag("path", tag("title", f"{each.name} {_value(each)}"), d=_shape(frame, each))
            for each in unknowns
        ]
    else:
        data = "".join(_shape(frame, each) for each in unknowns)
        parts = [tag("path", d=data)] if data else []
    return tag("g", *parts, fill="#fff", stroke=UNKNOWN, stroke_width="1.4")


def _value(unknown: Unknown) -> str:
    sign = {"on": "", "above": "> ", "below": "< "}[unknown.side]
    return f"{sign}{concentration(unknown.x) if not sign else nominal(unknown.x)}"


def _shape(frame: Frame, unknown: Unknown) -> str:
    """A diamond on the curve; a triangle that points out of the range at its edge."""
    y = frame.y(unknown.y)
    if unknown.side == "on":
        return f"M{number(frame.x(unknown.x))} {number(y - 4)}l4 4-4 4-4-4z"
    if unknown.side == "above":
        return f"M{number(frame.right - 7)} {number(y - 4)}l7 4l-7 4z"
    x = frame.left + frame.x_axis.log_from * frame.width
    return f"M{number(x + 7)} {number(y - 4)}l-7 4l7 4z"


def _legend(scene: CurveScene) -> list[tuple[Markup, str]]:
    """What each mark on the picture is, for the marks that occur."""
    return [*_standard_keys(scene), *_curve_keys(scene), *_sample_keys(scene)]


def _standard_keys(scene: CurveScene) -> Iterator[tuple[Markup, str]]:
    if any(not mark.masked for mark in scene.replicates):
        dot = tag("path", d="M6 0h0", stroke=INK, stroke_width=6, stroke_linecap="round")
        yield dot, "standard"
    if any(mark.masked for mark in scene.replicates):
        yield tag("path", d="M2-4l8 8m-8 0l8-8", stroke=INK), "standard left out"


def _sample_keys(scene: CurveScene) -> Iterator[tuple[Markup, str]]:
    sides = {unknown.side for unknown in scene.unknowns}
    if "on" in sides:
        yield tag("path", d="M6-4l4 4-4 4-4-4z", stroke=UNKNOWN), "sample"
    if sides - {"on"}:
        yield tag("path", d="M3-4l7 4l-7 4z", stroke=UNKNOWN), "sample beyond the range"


def _curve_keys(scene: CurveScene) -> Iterator[tuple[Markup, str]]:
    line = tag("path", d="M-2 0h16", stroke=CURVE, stroke_width=2)
    if scene.curve and scene.rejected:
        yield tag("path", d="M-2 0h16", stroke=QUIET, stroke_dasharray="7 4"), "rejected curve"
    elif any(point.low is not None for point in scene.curve):
        shade = tag("path", d="M-2-5h16v10h-16z", fill=CURVE, fill_opacity="0.16")
        yield join([shade, line]), "curve with 95 % band"
    elif scene.curve:
        yield line, "curve"
    if scene.before:
        dashed = tag("path", d="M-2 0h16", stroke=INK, stroke_dasharray="2 4")
        yield dashed, "before levels were dropped"


def _key_width(words: str) -> float:
    return _WORDS_AT + width_of(words, _SMALL) + _APART


def _drawn_legend(
    frame: Frame, keys: Sequence[tuple[Markup, str]], rows: Sequence[Sequence[tuple[int, float]]]
) -> Markup:
    """Below the plot, where no curve of whatever shape can run through it."""
    parts = []
    for line, row in enumerate(rows):
        y = HEIGHT - 10 + _ROW * line
        for index, x in row:
            mark, words = keys[index]
            label = tag("text", words, x=_WORDS_AT, y=4, fill=INK)
            place = f"translate({number(frame.left + x)} {number(y)})"
            parts.append(tag("g", mark, label, transform=place))
    return tag("g", *parts, fill="none", font_size=_SMALL)
