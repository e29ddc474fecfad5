"""The standard curve as SVG: band, curve, replicates, range, unknowns."""

from collections.abc import Sequence

from readerd.assay.result import Fit, Qc, Sample, Wells
from readerd.view.markup import Markup, join, number, path, svg, tag
from readerd.view.palette import CURVE, INK, QUIET, UNKNOWN
from readerd.view.rounding import concentration, nominal
from readerd.view.scene import CurveScene, Unknown, curve_scene
from readerd.view.svg_frame import Frame
from readerd.view.words import counted, no_curve_reason

WIDTH, HEIGHT = 560, 340
# Letters that fit above the plot; the description holds them all.
_HEADLINE = 80
# Mean width of a letter of the legend.
_LETTER = 5.3


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
    note: str = "",
) -> str:
    """The picture as text; without anything to draw it says why in its place.

    `named` gives each sample a name to point at (on a page), for about 60 bytes each;
    `points` are the standards (concentration, response) when there is no plate;
    `note` stands in the plot (`provisional`).
    """
    scene = curve_scene(fit, wells, samples, points=points, band=True)
    title = f"Standard curve {analyte}".strip()
    reason = ""
    if fit is None or not fit.converged:
        reason = no_curve_reason(fit, qc or Qc(profile="", rules=()))
    if scene is None:
        return svg(WIDTH, HEIGHT, title, f"No curve: {reason}.", _notice(reason))
    frame = Frame(54, 24, WIDTH - 54 - 18, HEIGHT - 24 - 64, scene.x, scene.y)
    x_label = ", ".join(part for part in (analyte, scene.unit) if part) or "concentration"
    return svg(
        WIDTH,
        HEIGHT,
        title,
        _in_words(scene, fit, reason),
        frame.grid(),
        frame.axes(x_label, response),
        *_layers(frame, scene, named),
        _headline(reason),
        tag("text", note, x=frame.left + 12, y=frame.top + 18, fill=QUIET) if note else "",
    )


def _layers(frame: Frame, scene: CurveScene, named: bool) -> tuple[Markup, ...]:
    """From the back to the front."""
    return (
        _limits(frame, scene),
        _band(frame, scene),
        _line(frame, scene),
        _unknowns(frame, scene.unknowns, named),
        _replicates(frame, scene),
        _legend(frame, scene),
    )


def _in_words(scene: CurveScene, fit: Fit | None, reason: str) -> str:
    points = counted(len(scene.replicates), "standard point")
    words = f"{points} over {nominal(scene.x.low)} to {nominal(scene.x.high)} {scene.unit}".strip()
    if reason:
        return f"No curve: {reason}. {words}."
    model = fit.model if fit is not None else ""
    on = sum(unknown.side == "on" for unknown in scene.unknowns)
    beyond = len(scene.unknowns) - on
    return f"{model} curve, {words}; {counted(on, 'sample')} on the curve, {beyond} beyond it."


def _headline(reason: str) -> Markup:
    if not reason:
        return Markup("")
    words = f"No curve: {reason}"
    short = words if len(words) <= _HEADLINE else words[: _HEADLINE - 1] + "…"
    return tag("text", short, x=54, y=15, fill=INK, font_weight=600)


def _notice(reason: str) -> Markup:
    text = tag("text", "No curve", x=WIDTH / 2, y=HEIGHT / 2 - 8, font_size=15, font_weight=600)
    why = tag("text", reason[:_HEADLINE], x=WIDTH / 2, y=HEIGHT / 2 + 14, fill=QUIET)
    return tag("g", text, why, text_anchor="middle", fill=INK)


def _limits(frame: Frame, scene: CurveScene) -> Markup:
    parts = []
    for name, limit in (("LLOQ", scene.lloq), ("ULOQ", scene.uloq)):
        if limit is not None:
            x = frame.x(limit)
            data = f"M{number(x)} {number(frame.top)}V{number(frame.bottom)}"
            parts.append(tag("path", d=data, stroke=QUIET, stroke_dasharray="3 3"))
            label = f"{name} {nominal(limit)}"
            parts.append(tag("text", label, x=x, y=frame.top - 6, text_anchor="middle"))
    return tag("g", *parts, fill=QUIET, font_size=10)


def _band(frame: Frame, scene: CurveScene) -> Markup:
    data = ""
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
    return tag("path", d=data, stroke=CURVE, stroke_width=2, fill="none")


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


def _legend(frame: Frame, scene: CurveScene) -> Markup:
    """One row below the plot, where no curve of whatever shape can run through it."""
    dot = tag("path", d="M6 0h0", stroke=INK, stroke_width=6, stroke_linecap="round")
    rows: list[tuple[Markup, str]] = [(dot, "standard")]
    if any(mark.masked for mark in scene.replicates):
        rows.append((tag("path", d="M2-4l8 8m-8 0l8-8", stroke=INK), "standard left out"))
    if scene.curve:
        rows.append(_curve_key(any(point.low is not None for point in scene.curve)))
    sides = {unknown.side for unknown in scene.unknowns}
    if "on" in sides:
        rows.append((tag("path", d="M6-4l4 4-4 4-4-4z", stroke=UNKNOWN), "sample"))
    if sides - {"on"}:
        rows.append((tag("path", d="M3-4l7 4l-7 4z", stroke=UNKNOWN), "sample beyond the range"))
    parts, x = [], frame.left
    for mark, words in rows:
        label = tag("text", words, x=19, y=4, fill=INK)
        parts.append(tag("g", mark, label, transform=f"translate({number(x)} {HEIGHT - 10})"))
        x += 36 + len(words) * _LETTER
    return tag("g", *parts, fill="none", font_size=10)


def _curve_key(band: bool) -> tuple[Markup, str]:
    line = tag("path", d="M-2 0h16", stroke=CURVE, stroke_width=2)
    if not band:
        return line, "curve"
    shade = tag("path", d="M-2-5h16v10h-16z", fill=CURVE, fill_opacity="0.16")
    return join([shade, line]), "curve with 95 % band"
