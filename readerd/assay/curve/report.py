"""A fit in the contract's words: parameters, errors, statistics, and the levels read back."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import fdtrc

from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.curve import Curve
from readerd.assay.curve.guard import aicc
from readerd.assay.curve.models import EQUATIONS, NAMES, Array, log_of
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.sigmoid import Points
from readerd.assay.curve.solve import Rest
from readerd.assay.result import Covariance, Fit, LackOfFit, Level, Weighting


def report(
    settings: CurveSettings,
    ordered: Sequence[LevelData],
    used: Sequence[LevelData],
    points: Points,
    curve: Curve,
    rest: Rest,
    warnings: tuple[str, ...],
) -> Fit:
    """The accepted fit; `ordered` are all levels, `used` those that took part."""
    stderr, covariance = _errors(curve)
    above = [level.nominal for level in used if level.nominal > 0]
    r2, rmse = _plain(used, curve)
    no_error = curve.sigma2 is None
    return Fit(
        model=curve.model,
        equation=EQUATIONS[curve.model],
        fit_to=settings.fit_to,
        weighting=_weighting(settings),
        converged=True,
        params=curve.params,
        stderr=stderr,
        covariance=covariance,
        wssr=None if no_error else rest.wssr,
        df=curve.df,
        sigma=None if curve.sigma2 is None else math.sqrt(curve.sigma2),
        r2=r2,
        rmse=rmse,
        lloq=min(above),
        uloq=max(above),
        unit=settings.unit,
        levels=_levels(ordered, curve),
        identifiable=None if no_error else True,
        aicc=None if no_error else aicc(rest.wssr, rest.v, len(curve.free)),
        lack_of_fit=_lack_of_fit(settings, used, points, curve, rest),
        warnings=(*warnings, *_remarks(curve, rest, above)),
    )


def report_refusal(
    settings: CurveSettings,
    ordered: Sequence[LevelData],
    reason: str,
    warnings: tuple[str, ...] = (),
) -> Fit:
    """A fit without parameters, with its reason; the levels keep what was seen."""
    name = "4pl" if settings.model == "auto" else settings.model
    return Fit(
        model=name,
        equation=EQUATIONS[name],
        fit_to=settings.fit_to,
        weighting=_weighting(settings),
        converged=False,
        params={},
        stderr=None,
        covariance=None,
        wssr=None,
        df=None,
        sigma=None,
        r2=None,
        rmse=None,
        lloq=None,
        uloq=None,
        unit=settings.unit,
        levels=_levels(ordered, None),
        reason=reason,
        identifiable=False if "identifiable" in reason else None,
        warnings=warnings,
    )


def _weighting(settings: CurveSettings) -> Weighting:
    if settings.weighting == "variance":
        return Weighting(kind="variance", s0=settings.s0, cv=settings.cv)
    return Weighting(kind=settings.weighting)


def _plain(used: Sequence[LevelData], curve: Curve) -> tuple[float, float]:
    """R² and root mean square of the residuals, unweighted, over all wells."""
    sizes = [len(level.responses) for level in used]
    y = np.array([value for level in used for value in level.responses])
    nominal = np.array([level.nominal for level in used], dtype=float)
    residual = y - np.repeat(curve.value(log_of(nominal)), sizes)
    about = y - y.mean()
    squares = float(np.dot(residual, residual))
    return 1.0 - squares / float(np.dot(about, about)), math.sqrt(squares / y.size)


def _errors(curve: Curve) -> tuple[dict[str, float] | None, Covariance | None]:
    """Standard errors and covariance of the natural parameters, in alphabetical order."""
    if curve.covariance is None:
        return None, None
    params = curve.params
    names = [curve.names[index] for index in curve.free]
    logarithmic = set(NAMES.get(curve.model, ())) & {"b", "c", "g"}
    scale = np.array([params[name] if name in logarithmic else 1.0 for name in names])
    natural = curve.covariance * np.outer(scale, scale)
    order = sorted(range(len(names)), key=lambda index: names[index])
    natural = natural[np.ix_(order, order)]
    ordered = tuple(names[index] for index in order)
    errors = np.sqrt(natural.diagonal()).tolist()
    upper = tuple(tuple(natural[row, row:].tolist()) for row in range(len(names)))
    return dict(zip(ordered, errors, strict=True)), Covariance(order=ordered, upper=upper)


def _levels(ordered: Sequence[LevelData], curve: Curve | None) -> tuple[Level, ...]:
    """The levels from the highest dose down, as kits print them."""
    means = [level.mean if level.responses else 0.0 for level in ordered]
    fitted: list[float] = [0.0] * len(means)
    doses: list[float] = [0.0] * len(means)
    exists: list[bool] = [False] * len(means)
    if curve is not None and ordered:
        nominal = np.array([level.nominal for level in ordered], dtype=float)
        fitted = curve.value(log_of(nominal)).tolist()
        log_x, there = curve.log_dose(np.array(means))
        doses, exists = np.exp(np.where(there, log_x, 0.0)).tolist(), there.tolist()
    return tuple(
        _level(
            level,
            fitted[rank] if _has_value(curve, level.nominal) else None,
            doses[rank] if exists[rank] and level.responses else None,
        )
        for rank, level in reversed(list(enumerate(ordered)))
    )


def _has_value(curve: Curve | None, nominal: float) -> bool:
    """A log-log line has no value at dose zero."""
    return curve is not None and (nominal > 0 or curve.model != "log-log")


def _level(level: LevelData, fitted: float | None, dose: float | None) -> Level:
    recovery = None
    if dose is not None and level.nominal > 0:
        recovery = 100.0 * dose / level.nominal
    return Level(
        position=level.position,
        nominal=level.nominal,
        n=len(level.responses),
        mean=level.mean if level.responses else None,
        cv_pct=cv_pct(level.responses),
        fitted=fitted,
        back_calculated=dose,
        recovery_pct=recovery,
        passed=None,
        masked=level.masked,
    )


def cv_pct(values: Sequence[float]) -> float | None:
    """Coefficient of variation in per cent; None for one value or a mean that is not positive.

    What is left of a subtracted zero standard is a rounding error, not a mean.
    """
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    if mean <= 1e-9 * max(map(abs, values)):
        return None
    squares = math.fsum((value - mean) ** 2 for value in values)
    return 100.0 * math.sqrt(squares / (len(values) - 1)) / mean


def _lack_of_fit(
    settings: CurveSettings,
    used: Sequence[LevelData],
    points: Points,
    curve: Curve,
    rest: Rest,
) -> LackOfFit | None:
    """F test of the curve against the replicates; None without replicates or without residuals."""
    n, levels, p = points.y.size, len(used), len(curve.free)
    df1, df2 = levels - p, n - levels
    if settings.fit_to == "level_means" or df1 <= 0 or df2 <= 0 or curve.sigma2 is None:
        return None
    y = np.log(points.y) if curve.model == "log-log" else points.y
    pure = float(np.dot((y - _group_means(points.x, y)) ** 2, 1.0 / rest.v))
    if pure <= 0.0:
        return None
    f = max(rest.wssr - pure, 0.0) / df1 / (pure / df2)
    return LackOfFit(f=f, df1=df1, df2=df2, p=float(fdtrc(df1, df2, f)))


def _group_means(x: Array, y: Array) -> Array:
    starts = np.flatnonzero(np.r_[True, x[1:] != x[:-1]])
    sizes = np.diff(np.r_[starts, x.size])
    return np.repeat(np.add.reduceat(y, starts) / sizes, sizes)


def _remarks(curve: Curve, rest: Rest, above: Sequence[float]) -> list[str]:
    remarks = []
    if curve.model in NAMES and curve.params["c"] > max(above):
        remarks.append("no upper plateau: c and d are tied; judge concentrations, not c and d")
    if curve.variance.floored(rest.f):
        remarks.append("the curve comes near zero: weights there are held up")
    return remarks
