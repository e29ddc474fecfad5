"""How a curve is fitted: the assay's choices, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Model = Literal["4pl", "5pl", "5pl-mirrored", "auto", "linear", "log-log", "point-to-point"]
FitTo = Literal["wells", "level_means"]
WeightKind = Literal["variance", "none", "1/y", "1/y^2"]
ZeroStandard = Literal["anchor", "exclude", "subtract"]


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
