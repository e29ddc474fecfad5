"""When standards are no curve: the refusals and flags of the fit, each with its reason.

A plate that is refused here is data, not an error: the reason travels with the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from readerd.assay.curve.settings import CurveSettings, mistake_in
from readerd.assay.curve.weights import Variance

# no dilution series spans more
_DOSE_RATIO = 1e12
# level means that step back by this share of the span and more than so many standard errors are
# worth a flag, by the larger share the end; a smaller step, as between two low standards that were
# swapped, must be surer, and by the assay's own variance, for a plateau has many small ones
_STEP_BACK = 0.05
_GROSS_STEP_BACK = 0.5
_STANDARD_ERRORS = 2.0
_STANDARD_ERRORS_OF_SMALL = 3.0
# without replicates and without a variance model: what a level mean may be off, as share of span
_ASSUMED_NOISE = 0.02
# no sigmoid: an F test against the mean fails at this level, and most of the scatter remains. The
# second half spares good curves on five or six level means, where F has hardly any freedom
_NO_SIGMOID_P = 0.01
_EXPLAINED = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelData:
    """One standard level as it is measured; a masked level carries its reason and no responses."""

    position: str
    nominal: float
    responses: tuple[float, ...]
    masked: str | None = None

    @property
    def mean(self) -> float:
        return math.fsum(self.responses) / len(self.responses)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the level means back against their direction."""

    share: float = 0.0  # of the span
    standard_errors: float = 0.0
    between: tuple[str, str] = ("", "")  # the lower and the higher dose

    @property
    def limit(self) -> float:
        """The standard errors that a step of this size may have."""
        return _STANDARD_ERRORS if self.share > _STEP_BACK else _STANDARD_ERRORS_OF_SMALL

    @property
    def excess(self) -> float:
        return self.standard_errors / self.limit

    @property
    def text(self) -> str:
        share, errors = _short(100.0 * self.share), _short(self.standard_errors)
        size = f"{share} % of the span, {errors} standard errors"
        return f"the level means step back by {size}, from {' to '.join(self.between)}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10.0 else f"{number:.2g}"


@dataclass(frozen=True, slots=True)
class Direction:
    """How the level means go: up or down, and the steps back against it."""

    rising: bool
    surest: Step  # the one that exceeds its limit most
    largest: Step  # in share of the span
    top_fall: float = 0.0  # of the top level below the next, in standard errors; 0 if it rises

    @property
    def flagged(self) -> bool:
        return self.surest.excess > 1.0

    @property
    def gross(self) -> bool:
        return self.largest.excess > 1.0 and self.largest.share > _GROSS_STEP_BACK


def refusal(levels: Sequence[LevelData], settings: CurveSettings, free: int) -> str | None:
    """Why these levels (ascending) cannot carry a curve of so many free parameters, or None."""
    contradiction = mistake_in(settings)
    if contradiction is not None:
        return contradiction
    distinct = len({level.nominal for level in levels})
    if distinct == 0:
        return "no standard has a value"
    if distinct < free + 1:
        return f"{distinct} distinct standard levels, {settings.model} needs at least {free + 1}"
    doses = [level.nominal for level in levels if level.nominal > 0]
    if max(doses) > _DOSE_RATIO * min(doses):
        return f"the doses {min(doses):g} and {max(doses):g} cannot belong to one curve"
    means = [level.mean for level in levels]
    span = max(means) - min(means)
    if span == 0.0:
        return "all standards have the same response"
    least = settings.min_span
    if settings.weighting == "variance":
        least = max(least, 5.0 * settings.s0)
    if span < least:
        return f"the standards span {span:.4g}, a curve needs {least:.4g}"
    return None


def direction(levels: Sequence[LevelData], variance: Variance) -> Direction:
    """The way of the level means (ascending in dose) and the worst step back, with its noise."""
    means = [level.mean for level in levels]
    middle = (len(means) - 1) / 2
    rising = math.fsum((rank - middle) * mean for rank, mean in enumerate(means)) >= 0
    way = 1.0 if rising else -1.0
    span = max(means) - min(means)
    v = variance.of(np.array(means)).tolist()
    noise, quieter = _noise(levels, v, variance, span)
    steps, highest = [Step()], 0
    for rank, mean in enumerate(means):
        if way * mean > way * means[highest]:
            highest = rank
        back = way * (means[highest] - mean)
        if back > 0.0:
            errors = back / math.hypot(noise[highest], noise[rank])
            errors /= 1.0 if back > _STEP_BACK * span else quieter
            between = (levels[highest].position, levels[rank].position)
            steps.append(Step(back / span, errors, between))
    surest = max(steps, key=lambda step: step.excess)
    largest = max(steps, key=lambda step: step.share)
    fall = way * (means[-2] - means[-1]) / math.hypot(*noise[-2:]) if len(means) > 1 else 0.0
    return Direction(rising, surest, largest, max(fall, 0.0))


def _noise(
    levels: Sequence[LevelData], v: Sequence[float], variance: Variance, span: float
) -> tuple[list[float], float]:
    """Standard error of each level mean: pooled over replicates, in units of the variance model.

    And how many times quieter the replicates are than that model says, 1 when they are not.
    """
    within = math.fsum(
        math.fsum((y - level.mean) ** 2 for y in level.responses) / unit
        for level, unit in zip(levels, v, strict=True)
    )
    df = sum(len(level.responses) - 1 for level in levels)
    least = 1e-3 * span
    if df == 0 and variance.kind != "variance":
        return [max(_ASSUMED_NOISE * span, 1e-300)] * len(levels), 1.0
    sigma2 = within / df if df else 1.0
    noise = [
        max(math.sqrt(sigma2 * unit / len(level.responses)), least, 1e-300)
        for level, unit in zip(levels, v, strict=True)
    ]
    modelled = variance.kind == "variance" and sigma2 < 1.0
    return noise, 1.0 / math.sqrt(max(sigma2, 1e-12)) if modelled else 1.0


def explains_nothing(wssr: float, about_mean: float, n: int, parameters: int) -> str | None:
    """Refuse a curve that explains the responses no better than their weighted mean does."""
    df1, df2 = parameters - 1, n - parameters
    if df1 <= 0 or df2 <= 0 or wssr <= 0.0:
        return None
    f = max(about_mean - wssr, 0.0) / df1 / (wssr / df2)
    p = float(fdtrc(df1, df2, f))
    if p <= _NO_SIGMOID_P or wssr <= (1.0 - _EXPLAINED) * about_mean:
        return None
    return f"no sigmoid: the curve explains the responses no better than their mean (p = {p:.2g})"
