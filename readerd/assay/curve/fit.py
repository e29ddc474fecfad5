"""From standard levels to a calibration: the fit with its statistics, or the reason for none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from readerd.assay.curve.attempt import Attempt, Task, attempt
from readerd.assay.curve.checks import Direction, LevelData, direction, refusal
from readerd.assay.curve.curve import Curve
from readerd.assay.curve.guard import choose, identified
from readerd.assay.curve.models import NAMES
from readerd.assay.curve.report import report, report_refusal
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.sigmoid import points_of
from readerd.assay.curve.weights import Variance, variance_of
from readerd.assay.result import Fit

# share of the largest level mean below which the smallest says more about the blank than the curve
_NEAR_ZERO = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """The fit as it is reported, and the curve to read from; `curve` is None when refused."""

    fit: Fit
    curve: Curve | None
    direction: Direction | None
    blank: float = 0.0  # what `fit_standards` subtracted, to be subtracted from unknowns too


def calibrate(levels: Sequence[LevelData], settings: CurveSettings) -> Calibration:
    """Fit the levels in any order. A refusal is a Calibration whose fit says why.

    With `zero_standard` exclude or subtract the level at 0 takes no part (the subtraction itself
    is the caller's, who has the other wells).
    """
    ordered = sorted(levels, key=lambda level: (level.nominal, level.position))
    if (why := _no_point_at_zero(settings)) is not None:
        ordered = [
            level if level.nominal > 0 or level.masked else replace(level, masked=why)
            for level in ordered
        ]
    used = [level for level in ordered if level.responses and level.masked is None]
    variance = variance_of(settings, max((abs(level.mean) for level in used), default=0.0))
    reason = refusal(used, settings, _free_count(settings))
    if reason is not None:
        return Calibration(report_refusal(settings, ordered, reason), None, None)
    way = direction(used, variance)
    if way.gross:
        return Calibration(report_refusal(settings, ordered, way.largest.text), None, way)
    task = _task(used, settings, variance)
    chosen, warnings = _choose(task, used, settings)
    if way.flagged:
        warnings = (*warnings, way.surest.text)
    if chosen.curve is None or chosen.rest is None:
        reason = (chosen.reason or "no convergence") + _near_zero(used, settings)
        refused = report_refusal(settings, ordered, reason, warnings)
        return Calibration(refused, None, way)
    fit = report(settings, ordered, used, task.points, chosen.curve, chosen.rest, warnings)
    return Calibration(fit, chosen.curve, way)


def _near_zero(levels: Sequence[LevelData], settings: CurveSettings) -> str:
    """Why the purely relative weights may be to blame for a refusal."""
    sizes = [abs(level.mean) for level in levels]
    if settings.weighting not in ("1/y", "1/y^2") or min(sizes) > _NEAR_ZERO * max(sizes):
        return ""
    return f"; responses near zero weigh without limit under {settings.weighting}, try variance"


def _no_point_at_zero(settings: CurveSettings) -> str | None:
    """Why the zero standard takes no part in the curve, None where it anchors it."""
    if settings.zero_standard != "anchor":
        return {"exclude": "excluded", "subtract": "subtracted"}[settings.zero_standard]
    return "no logarithm" if settings.model == "log-log" else None


def fit_standards(
    concentrations: Sequence[float], responses: Sequence[float], settings: CurveSettings
) -> Calibration:
    """Fit loose standard wells, grouped by concentration; subtracts the zero standard if told."""
    wells: dict[float, list[float]] = {}
    for x, y in zip(concentrations, responses, strict=True):
        wells.setdefault(x, []).append(y)
    zero = sorted(wells.get(0.0, ())) if settings.zero_standard == "subtract" else []
    blank = math.fsum(zero) / len(zero) if zero else 0.0
    levels = [
        LevelData(
            position=f"S{rank + 1}",
            nominal=x,
            responses=tuple(sorted(y - blank for y in wells[x])),
        )
        for rank, x in enumerate(sorted(wells, reverse=True))
    ]
    return replace(calibrate(levels, settings), blank=blank)


def _free_count(settings: CurveSettings) -> int:
    counts = {"linear": 2, "log-log": 2, "point-to-point": 1}
    if settings.model in counts:
        return counts[settings.model]
    names = NAMES["4pl" if settings.model == "auto" else settings.model]
    return len([name for name in names if name not in settings.fixed])


def _task(levels: Sequence[LevelData], settings: CurveSettings, variance: Variance) -> Task:
    """The points ascending in dose and response, with what stands behind them."""
    x, y, means, shares, scatter = [], [], [], [], []
    for level in levels:
        mean = level.mean
        shares.append(1.0 / len(level.responses))
        scatter.append(math.fsum((value - mean) ** 2 for value in level.responses))
        ys = [mean] if settings.fit_to == "level_means" else sorted(level.responses)
        x += [level.nominal] * len(ys)
        means += [mean] * len(ys)
        y += ys
    points = points_of(np.array(x, dtype=float), np.array(y), np.array(means))
    if settings.fit_to == "wells":
        return Task(points, variance, settings.fixed)
    df = sum(len(level.responses) - 1 for level in levels)
    per_point = len(shares) / math.fsum(shares)
    if settings.model == "log-log":
        scatter = [
            squares / max(level.mean**2, 1e-300)
            for squares, level in zip(scatter, levels, strict=True)
        ]
    return Task(points, variance, settings.fixed, per_point, np.array(scatter), df)


def _choose(
    task: Task, levels: Sequence[LevelData], settings: CurveSettings
) -> tuple[Attempt, tuple[str, ...]]:
    if settings.model == "auto":
        return choose(task, levels)
    tried = attempt(settings.model, task)
    if settings.model in ("5pl", "5pl-mirrored") and "g" not in settings.fixed:
        tried = identified(tried, len(levels))
    return tried, ()
