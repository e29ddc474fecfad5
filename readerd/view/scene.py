"""What a picture of the standard curve shows, decided once for text and SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from readerd.assay.result import Fit, Sample, Wells
from readerd.assay.result import Unknown as Loose
from readerd.view.axis import BrokenLogAxis, LinearAxis, linear_axis
from readerd.view.fitted import CurvePoint, trace

# Room left and right of the outermost standards, as a factor of concentration.
_MARGIN = 1.5
_CURVE_STEPS = 48


@dataclass(frozen=True, slots=True)
class Replicate:
    """One standard well; a masked one is drawn hollow."""

    well: str
    x: float
    y: float
    masked: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """A sample's mean on the curve, or at the edge of the range that it lies beyond."""

    name: str
    x: float
    y: float
    side: Literal["on", "above", "below"]


@dataclass(frozen=True, slots=True)
class CurveScene:
    """Axes, the curve right of the break, its value at zero, points, and the range's limits.

    `before` is the curve as it was before failing levels were dropped. A curve that was rejected
    has a `rejected` reason and no range: nothing is reported from it.
    """

    x: BrokenLogAxis
    y: LinearAxis
    curve: tuple[CurvePoint, ...]
    at_zero: CurvePoint | None
    replicates: tuple[Replicate, ...]
    unknowns: tuple[Unknown, ...]
    lloq: float | None
    uloq: float | None
    unit: str
    before: tuple[CurvePoint, ...] = ()
    rejected: str = ""


def curve_scene(
    fit: Fit | None,
    wells: Wells | None,
    samples: Sequence[Sample] = (),
    *,
    points: Sequence[tuple[float, float]] = (),
    loose: Sequence[Loose] = (),
    before: Fit | None = None,
    band: bool = False,
) -> CurveScene | None:
    """The scene, or None when there is not one positive standard to draw.

    Without wells the standards are `points` (concentration, response), else the level means, and
    the samples are `loose` ones. `before` is the fit before failing levels were dropped.
    The 95 % band is drawn where it is asked for: it takes scipy, and a terminal shows none.
    """
    if fit is None:
        return None
    positive = [level.nominal for level in fit.levels if level.nominal > 0]
    if not positive:
        return None
    has_zero = any(level.nominal == 0 for level in fit.levels)
    x = BrokenLogAxis(min(positive) / _MARGIN, max(positive) * _MARGIN, has_zero)
    steps = range(_CURVE_STEPS + 1)
    xs = [x.low * (x.high / x.low) ** (step / _CURVE_STEPS) for step in steps]
    curve = trace(fit, xs, band=band)
    zero = trace(fit, [0.0], band=band) if has_zero else ()
    replicates = _replicates(fit, wells, points)
    unknowns = (*_unknowns(fit, samples), *_marks(fit, ((one.id, one) for one in loose)))
    ys = [point.y for point in (*curve, *zero)]
    ys += [*(mark.y for mark in replicates), *(mark.y for mark in unknowns)]
    if not ys:
        return None
    y = linear_axis(min(0.0, *ys), max(*ys, 0.05))
    rejected = fit.reason or "" if fit.converged else ""
    lloq, uloq = (None, None) if rejected else (fit.lloq, fit.uloq)
    at_zero = zero[0] if zero else None
    drawn = CurveScene(x, y, curve, at_zero, replicates, unknowns, lloq, uloq, fit.unit or "")
    return replace(drawn, before=trace(before, xs), rejected=rejected)


def _replicates(
    fit: Fit, wells: Wells | None, points: Sequence[tuple[float, float]]
) -> tuple[Replicate, ...]:
    if wells is None and points:
        return tuple(Replicate("", x, y, False) for x, y in points)
    if wells is None:
        return _level_means(fit)
    nominal = {level.position: level.nominal for level in fit.levels}
    dropped = {level.position for level in fit.levels if level.masked}
    marks = []
    for index, position in enumerate(wells.position):
        y = wells.response[index]
        if y is None:
            y = wells.corrected[index]
        if wells.role[index] == "standard" and position in nominal and y is not None:
            masked = wells.masked[index] is not None or position in dropped
            marks.append(Replicate(wells.id[index], nominal[position], y, masked))
    return tuple(marks)


def _level_means(fit: Fit) -> tuple[Replicate, ...]:
    return tuple(
        Replicate(level.position, level.nominal, level.mean, level.masked is not None)
        for level in fit.levels
        if level.mean is not None
    )


def _unknowns(fit: Fit, samples: Sequence[Sample]) -> tuple[Unknown, ...]:
    return _marks(fit, ((sample.sample_id or sample.position, sample) for sample in samples))


def _marks(fit: Fit, found: Iterable[tuple[str, Sample | Loose]]) -> tuple[Unknown, ...]:
    marks = []
    for name, one in found:
        if one.mean is None:
            continue
        if one.concentration is not None and one.status == "ok":
            marks.append(Unknown(name, one.concentration, one.mean, "on"))
        elif one.qualifier == ">" and fit.uloq is not None:
            marks.append(Unknown(name, fit.uloq, one.mean, "above"))
        elif one.qualifier == "<" and fit.lloq is not None:
            marks.append(Unknown(name, fit.lloq, one.mean, "below"))
    return tuple(marks)
