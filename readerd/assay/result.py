"""What the numbers of one plate mean: the contract's vocabulary as frozen values.

These are the words of the wire, of `fit --json`, of `quantify --json` and of the report: `fit`,
`levels[]`, `samples[]`, `wells`, `qc`. They are written once, here; `readerd.payload` puts them on
the wire as they stand. Everything that is not known is None. No NaN, no infinity.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Acquisition = Literal["complete", "incomplete", "failed"]
CurveState = Literal["accepted", "rejected", "none"]
Verdict = Literal["pass", "warn", "fail", "none"]
Qualifier = Literal["=", "<", ">"]
Role = Literal["standard", "control", "sample", "blank", "empty"]
Status = Literal[
    "ok",
    "out_of_range",  # outside [LLOQ, ULOQ]: qualifier and limit say which side
    "unreadable",  # at or beyond an asymptote, or on no usable part of the curve
    "no_reading",  # no well of it holds a number
    "no_curve",  # the curve was rejected or there is none
]


class Flag(StrEnum):
    """The closed list of flags, on wells, samples and plates."""

    # why a well has no number, and what is odd about the number it has
    SATURATED = "SATURATED"
    UNREADABLE = "UNREADABLE"
    NOT_MEASURED = "NOT_MEASURED"
    HIGH_ABSORBANCE = "HIGH_ABSORBANCE"  # above the assay's warning limit, still a number
    REFERENCE_HIGH = "REFERENCE_HIGH"  # dirt, a bubble or a scratch at the reference wavelength
    REFERENCE_LOW = "REFERENCE_LOW"
    MASKED = "MASKED"
    # samples and controls
    ABOVE_RANGE = "ABOVE_RANGE"
    BELOW_RANGE = "BELOW_RANGE"
    HIGH_CV = "HIGH_CV"
    SINGLE_REPLICATE = "SINGLE_REPLICATE"  # the others have no number
    CONTROL_OUT = "CONTROL_OUT"
    NON_PARALLEL = "NON_PARALLEL"
    HOOK_SUSPECTED = "HOOK_SUSPECTED"
    # the plate and its curve
    CURVE_REJECTED = "CURVE_REJECTED"
    LOW_SAMPLES_UNREADABLE = "LOW_SAMPLES_UNREADABLE"  # lower asymptote above the low samples
    NOT_MONOTONIC = "NOT_MONOTONIC"
    LEVEL_DROPPED = "LEVEL_DROPPED"
    REFERENCE_ALTERNATIVE = "REFERENCE_ALTERNATIVE"
    OPTICAL_SPREAD = "OPTICAL_SPREAD"
    NO_PLATE_SUSPECTED = "NO_PLATE_SUSPECTED"
    STRIP_ABSENT = "STRIP_ABSENT"
    ROTATED_SUSPECTED = "ROTATED_SUSPECTED"
    INCOMPLETE = "INCOMPLETE"
    RECOVERED = "RECOVERED"
    CLOCK_UNSYNCHRONISED = "CLOCK_UNSYNCHRONISED"
    KIT_EXPIRED = "KIT_EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """Weights of the fit; s0 (OD) and cv belong to `variance`: w = 1/(s0² + (cv·f)²)."""

    kind: Literal["variance", "none", "1/y", "1/y^2"]
    s0: float | None = None
    cv: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariance:
    """Covariance of the natural parameters: row i of `upper` starts at the diagonal."""

    order: tuple[str, ...]
    upper: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One standard level: what was put in, what was seen, what the curve reads back."""

    position: str
    nominal: float
    n: int
    mean: float | None
    cv_pct: float | None
    fitted: float | None
    back_calculated: float | None
    recovery_pct: float | None
    passed: bool | None  # None: no verdict (an anchor at zero, a masked level)
    masked: str | None = None  # the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class LackOfFit:
    """F test of the curve against pure error between replicates."""

    f: float
    df1: int
    df2: int
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted curve. When `converged` is false, `reason` says why there are no parameters."""

    model: str
    equation: str
    fit_to: Literal["wells", "level_means"]
    weighting: Weighting
    converged: bool
    params: dict[str, float]
    stderr: dict[str, float] | None
    covariance: Covariance | None
    wssr: float | None
    df: int | None
    sigma: float | None
    r2: float | None
    rmse: float | None
    lloq: float | None
    uloq: float | None
    unit: str | None
    levels: tuple[Level, ...]
    reason: str | None = None
    identifiable: bool | None = None
    aicc: float | None = None
    lack_of_fit: LackOfFit | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One acceptance rule with what was seen, what was allowed, and in words what that means."""

    id: str
    verdict: Verdict
    observed: float | None
    limit: float | None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Qc:
    """The rules with what each saw; `limits` are all that were in force, by their names in the
    assay file (None: the file states none)."""

    profile: str
    rules: tuple[Rule, ...]
    limits: dict[str, bool | int | float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample or control: `concentration` in the well, `value` = concentration x dilution.

    `ci95` is of `value`; one side may be None (an open interval). Outside the range `value` is
    None and `qualifier` with `limit` (times the dilution) say which side.
    """

    position: str
    sample_id: str | None
    wells: tuple[str, ...]
    mean: float | None
    cv_pct: float | None
    concentration: float | None
    dilution: float
    value: float | None
    ci95: tuple[float | None, float | None] | None
    unit: str
    qualifier: Qualifier | None
    limit: float | None
    extrapolated: float | None
    status: Status
    flags: tuple[Flag, ...] = ()
    se: float | None = None  # standard error of `value`
    concentration_cv_pct: float | None = None  # CV of the wells' own concentrations
    ci95_method: Literal["delta", "inversion"] | None = None  # inversion where the curve is flat
    role: Literal["sample", "control"] = "sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """One unknown on a loose curve; n replicates hold a number. The words are those of `Sample`."""

    id: str
    n: int
    mean: float | None
    cv_pct: float | None
    concentration: float | None
    se: float | None
    ci95: tuple[float | None, float | None] | None
    ci95_method: Literal["delta", "inversion"] | None
    qualifier: Qualifier | None
    limit: float | None
    extrapolated: float | None
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Wells:
    """Columns of equal length, wells row by row: A1, A2 … `corrected` = measurement - reference."""

    id: tuple[str, ...]
    role: tuple[Role, ...]
    position: tuple[str | None, ...]
    a_measurement: tuple[float | None, ...]
    a_reference: tuple[float | None, ...]
    corrected: tuple[float | None, ...]
    response: tuple[float | None, ...]
    concentration: tuple[float | None, ...]
    flags: tuple[tuple[Flag, ...], ...]
    masked: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateResult:
    """Everything the assay room says of one plate."""

    acquisition: Acquisition
    curve: CurveState
    verdict: Verdict
    wells: Wells
    fit: Fit | None
    qc: Qc
    samples: tuple[Sample, ...]
    flags: tuple[Flag, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    fit_before_drop: Fit | None = None  # the first curve, when failing levels were dropped


def verdict_of(rules: Iterable[Rule]) -> Verdict:
    """The worst of them."""
    seen = {rule.verdict for rule in rules}
    for verdict in ("fail", "warn", "pass"):
        if verdict in seen:
            return verdict
    return "none"
