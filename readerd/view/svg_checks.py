"""Two small plots that show a bad curve at a glance: recoveries and residuals of the standards."""

from collections.abc import Iterable, Sequence

from readerd.assay.curve.reported import took_part
from readerd.assay.result import Fit, Wells
from readerd.view.axis import LinearAxis, linear_axis
from readerd.view.fitted import standardised
from readerd.view.markup import Markup, number, svg, tag
from readerd.view.palette import BAD, CURVE, GOOD, INK, QUIET
from readerd.view.rounding import percent
from readerd.view.scene import CurveScene, curve_scene
from readerd.view.svg_frame import Frame, left_of
from readerd.view.svg_text import lines_of
from readerd.view.words import counted

WIDTH, HEIGHT = 250, 160
_TOP, _RIGHT, _BELOW = 24, 10, 52
_SMALL = 9
# Profile m10: ±20 %, at the ends of the range ±25 %.
RECOVERY_LIMITS_PCT = (20.0, 25.0)
# Standardised residuals beyond 2 are one in twenty.
_USUAL = 2.0
# One wild point must not press all others into a line: beyond these it stands at the edge.
_MOST_RECOVERY_PCT, _MOST_RESIDUAL = 250.0, 8.0


def recovery_svg(
    fit: Fit | None,
    wells: Wells | None = None,
    *,
    limits_pct: tuple[float, float] = RECOVERY_LIMITS_PCT,
) -> str:
    """Back-calculated / nominal of each level in %, between the limits (inner, at the ends)."""
    title = "Recovery of the standards"
    scene = curve_scene(fit, wells)
    found = [
        (level.nominal, level.recovery_pct, level.passed)
        for level in (fit.levels if fit is not None else ())
        if level.recovery_pct is not None and level.nominal > 0
    ]
    if scene is None or not found:
        return _nothing(title, "No standard was read back.")
    doses, recoveries, verdicts = zip(*found, strict=True)
    wide = max(limits_pct) + 5
    top = min(max(100 + wide, *recoveries), _MOST_RECOVERY_PCT)
    axis = linear_axis(max(0.0, min(100 - wide, *recoveries)), top, 4)
    frame = _frame(scene, axis)
    words = (
        f"{counted(len(found), 'level')} read back at {percent(min(recoveries))} to "
        f"{percent(max(recoveries))} %; {verdicts.count(False)} outside the limits."
    )
    keys = _recovery_keys(axis, found)
    return svg(
        WIDTH,
        HEIGHT,
        title,
        words,
        _heading(title),
        frame.grid(),
        _steps(frame, (min(doses), max(doses)), limits_pct),
        _level_line(frame, 100.0),
        frame.axes(scene.unit or "concentration", "recovery, %"),
        _keys(frame, keys),
        *(_mark(frame, x, y, passed) for x, y, passed in found),
    )


def _recovery_keys(
    axis: LinearAxis, found: Sequence[tuple[float, float, bool | None]]
) -> list[str]:
    verdicts = [passed for _, _, passed in found]
    keys = ["dashed: limits"]
    keys += ["× outside"] * (False in verdicts) + ["hollow: left out"] * (None in verdicts)
    return keys + _edge_key(axis, [recovery for _, recovery, _ in found])


def residual_svg(fit: Fit | None, wells: Wells | None = None) -> str:
    """(observed - fitted) / standard deviation of the noise, of each point that was fitted."""
    title = "Residuals of the standards"
    scene = curve_scene(fit, wells)
    if scene is None or fit is None:
        return _nothing(title, "No curve was fitted.")
    if fit.model == "point-to-point" and fit.converged:
        return _nothing(title, "A line from dot to dot leaves none.")
    if fit.fit_to == "level_means":
        scene = curve_scene(fit, None) or scene
    doses = {level.nominal for level in took_part(fit)}
    kept = [mark for mark in scene.replicates if not mark.masked and mark.x in doses]
    found = standardised(fit, [(mark.x, mark.y) for mark in kept])
    scored = [(mark, z) for mark, z in zip(kept, found, strict=True) if z is not None]
    if not scored:
        return _nothing(title, "No curve was fitted.")
    far = min(max(3.0, *(abs(z) for _, z in scored)), _MOST_RESIDUAL)
    axis = linear_axis(-far, far, 6)
    frame = _frame(scene, axis)
    outside = sum(abs(z) > _USUAL for _, z in scored)
    words = f"{counted(len(scored), 'point')}, {outside} further than 2 standard deviations off."
    keys = ["dashed: ±2 SD", *(["hollow: beyond"] if outside else [])]
    keys += _edge_key(axis, [z for _, z in scored])
    return svg(
        WIDTH,
        HEIGHT,
        title,
        words,
        _heading(title),
        frame.grid(),
        _dashes(frame, (-_USUAL, _USUAL)),
        _level_line(frame, 0.0),
        frame.axes(scene.unit or "concentration", "residual, SD"),
        _keys(frame, keys),
        *(_mark(frame, mark.x, z, True if abs(z) <= _USUAL else None, INK) for mark, z in scored),
    )


def _edge_key(axis: LinearAxis, values: Iterable[float]) -> list[str]:
    return [] if all(map(axis.holds, values)) else ["triangle: off the scale"]


def _keys(frame: Frame, keys: Iterable[str]) -> Markup:
    """What the marks mean, in one line below the axis."""
    line = lines_of(keys, _SMALL, WIDTH - 16.0)[0]
    return tag(
        "text", line, x=WIDTH / 2, y=HEIGHT - 5, text_anchor="middle", fill=QUIET, font_size=_SMALL
    )


def _frame(scene: CurveScene, axis: LinearAxis) -> Frame:
    left = left_of(axis)
    return Frame(left, _TOP, WIDTH - left - _RIGHT, HEIGHT - _TOP - _BELOW, scene.x, axis, 5)


def _heading(title: str) -> Markup:
    return tag("text", title, x=8, y=14, fill=INK, font_weight=600, font_size=12)


def _nothing(title: str, words: str) -> str:
    text = tag("text", words, x=WIDTH / 2, y=HEIGHT / 2, text_anchor="middle", fill=QUIET)
    return svg(WIDTH, HEIGHT, title, words, _heading(title), text)


def _level_line(frame: Frame, y: float) -> Markup:
    data = f"M{number(frame.left)} {number(frame.y(y))}h{number(frame.width)}"
    return tag("path", d=data, stroke=CURVE, stroke_width="1.5")


def _dashes(frame: Frame, ys: Iterable[float]) -> Markup:
    data = "".join(f"M{number(frame.left)} {number(frame.y(y))}h{number(frame.width)}" for y in ys)
    return tag("path", d=data, stroke=QUIET, stroke_dasharray="3 3")


def _steps(frame: Frame, ends: tuple[float, float], limits_pct: tuple[float, float]) -> Markup:
    """Limits as dashed lines that step outwards around the first and the last level."""
    inner, outer = limits_pct
    low, high = frame.x(ends[0]) + 8, frame.x(ends[1]) - 8
    left = frame.left + frame.x_axis.log_from * frame.width
    data = ""
    for side in (-1, 1):
        near, far = frame.y(100 + side * inner), frame.y(100 + side * outer)
        data += f"M{number(left)} {number(far)}H{number(low)}V{number(near)}"
        data += f"H{number(high)}V{number(far)}H{number(frame.right)}"
    return tag("path", d=data, stroke=QUIET, stroke_dasharray="3 3", fill="none")


def _mark(
    frame: Frame, dose: float, value: float, passed: bool | None, colour: str = GOOD
) -> Markup:
    """A dot that passed, a cross that failed, a ring without a verdict: no colour needed.

    A triangle at the edge points at what lies off the scale.
    """
    x, y = frame.x(dose), frame.y(value)
    if not frame.y_axis.holds(value):
        way = 1 if value > frame.y_axis.high else -1
        data = f"M{number(x - 4)} {number(y + 7 * way)}l4 {-7 * way} 4 {7 * way}z"
        return tag("path", d=data, fill=BAD)
    if passed is False:
        data = f"M{number(x - 4)} {number(y - 4)}l8 8m-8 0l8-8"
        return tag("path", d=data, stroke=BAD, stroke_width=2)
    if passed is None:
        return tag("circle", cx=x, cy=y, r="3.5", fill="#fff", stroke=BAD, stroke_width="1.5")
    return tag("circle", cx=x, cy=y, r="3.5", fill=colour)
