"""How a curve is fitted: the assay's choices, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Model = Literal["4pl", "5pl", "5pl-mirrored", "auto", "linear", "log-log", "point-to-point"]
FitTo = Literal["wells", "level_means"]
WeightKind = Literal["variance", "none", "1/y", "1/y^2"]
ZeroStandard = Literal["anchor", "exclude", "subtract"]

# no response lies further out; NaN and infinity fail the comparison
_LARGEST = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveSettings:
    """The defaults are the house's; s0 (in response units) and cv belong to `variance`."""

    model: Model = "4pl"
    fit_to: FitTo = "wells"
    weighting: WeightKind = "variance"
    s0: float = 0.005
    cv: float = 0.05
    zero_standard: ZeroStandard = "anchor"
    fixed: Mapping[str, float] = field(default_factory=dict)
    min_span: float = 0.2  # in response units; a curve that spans less is refused
    unit: str | None = None


def mistake_in(settings: CurveSettings) -> str | None:
    """What contradicts itself in these settings, in one line, or None."""
    names = {"4pl": "abcd", "auto": "abcd", "5pl": "abcdg", "5pl-mirrored": "abcdg"}
    known = tuple(names.get(settings.model, ""))
    for name, value in settings.fixed.items():
        if name not in known:
            of = f"; it has {', '.join(known)}" if known else ""
            return f"{settings.model} has no parameter {name} to fix{of}"
        if not abs(value) <= _LARGEST:
            return f"{name} cannot be fixed at {value:g}"
        if name in "bcg" and value <= 0.0:
            return f"{name} can only be fixed above 0, not at {value:g}"
    if known and len(settings.fixed) == len(known):
        return "every parameter is fixed: nothing is left to fit"
    if settings.fixed.get("a") is not None and settings.fixed.get("a") == settings.fixed.get("d"):
        return "a and d are fixed at the same response: no curve lies between them"
    if not all(abs(one) <= _LARGEST for one in (settings.s0, settings.cv, settings.min_span)):
        return "s0, cv and the least span are finite numbers"
    if settings.weighting == "variance" and settings.s0 <= 0.0 and settings.cv <= 0.0:
        return "s0 and cv are both 0: no weight is defined"
    if settings.weighting == "variance" and min(settings.s0, settings.cv) < 0.0:
        return "s0 and cv cannot be negative"
    return None
