"""One IL-6 plate from the contract's example curve, with noise from fixed numbers, and its ills."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from readerd.assay.result import (
    Covariance,
    Fit,
    Flag,
    Level,
    PlateResult,
    Qc,
    Qualifier,
    Role,
    Rule,
    Sample,
    Status,
    Weighting,
    Wells,
)
from readerd.plate import FORMATS

A, B, C, D = 0.045, 1.05, 420.0, 3.2
NOMINALS = (300.0, 150.0, 75.0, 37.5, 18.75, 9.38, 4.69, 0.0)
# Deviations in units of the noise model's standard deviation, taken in turn.
NOISE = (0.4, -0.9, 0.2, 1.1, -0.5, -0.1, 0.8, -1.2, 0.6, -0.3, 0.0, 0.9, -0.7, 0.3, -0.4, 0.5)
LLOQ, ULOQ = 4.69, 300.0
UNIT = "pg/mL"


def curve(x: float) -> float:
    """The contract's 4PL."""
    return A if x == 0 else D + (A - D) / (1 + (x / C) ** B)


def inverse(y: float) -> float | None:
    if not A < y < D:
        return None
    return float(C * ((A - D) / (y - D) - 1) ** (1 / B))


def truth_of(number: int) -> float:
    """True concentration in the well of U1 … U38: two beyond each end of the range."""
    return 2.2 * math.exp(number * 0.145)


def _layout() -> list[tuple[Role, str, float]]:
    """Role, position and true concentration, row by row, as in the contract's example."""
    wells: list[tuple[Role, str, float]] = []
    for row in range(8):
        for column in range(12):
            pair, strip = row, column // 2
            if strip == 0:
                wells.append(("standard", f"S{pair + 1}", NOMINALS[pair]))
            elif strip == 1 and pair < 2:
                wells.append(("control", ("QL", "QH")[pair], (30.0, 200.0)[pair]))
            else:
                number = pair - 1 if strip == 1 else 6 + (strip - 2) * 8 + pair + 1
                wells.append(("sample", f"U{number}", truth_of(number)))
    return wells


def wells_of(layout: list[tuple[Role, str, float]]) -> Wells:
    corrected, reference = [], []
    for index, (_, _, x) in enumerate(layout):
        y = curve(x)
        spread = math.hypot(0.005, 0.02 * y)
        corrected.append(round(y + NOISE[index % len(NOISE)] * spread, 3))
        reference.append(round(0.038 + 0.001 * NOISE[(index * 7) % len(NOISE)], 3))
    size = len(layout)
    return Wells(
        id=FORMATS[size].wells,
        role=tuple(role for role, _, _ in layout),
        position=tuple(position for _, position, _ in layout),
        a_measurement=tuple(round(y + r, 3) for y, r in zip(corrected, reference, strict=True)),
        a_reference=tuple(reference),
        corrected=tuple(corrected),
        response=tuple(corrected),
        concentration=tuple(inverse(y) for y in corrected),
        flags=((),) * size,
        masked=(None,) * size,
    )


def _mean_cv(values: list[float]) -> tuple[float, float | None]:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return mean, sd / mean * 100


def _at(wells: Wells, position: str) -> tuple[tuple[str, ...], list[float]]:
    found = [i for i, name in enumerate(wells.position) if name == position]
    return tuple(wells.id[i] for i in found), [
        y for i in found if (y := wells.response[i]) is not None
    ]


def fit_of(wells: Wells) -> Fit:
    levels = []
    for number, nominal in enumerate(NOMINALS, 1):
        names, values = _at(wells, f"S{number}")
        mean, cv = _mean_cv(values)
        back = inverse(mean) if nominal else None
        recovery = back / nominal * 100 if back is not None else None
        levels.append(
            Level(
                position=f"S{number}",
                nominal=nominal,
                n=len(names),
                mean=mean,
                cv_pct=cv,
                fitted=curve(nominal),
                back_calculated=back,
                recovery_pct=recovery,
                passed=None if recovery is None else abs(recovery - 100) <= 20,
            )
        )
    upper = ((4e-6, 1e-5, -1e-3, -5e-6), (4e-4, -0.55, -2.7e-3), (961.0, 4.4), (0.0225,))
    return Fit(
        model="4pl",
        equation="y=d+(a-d)/(1+(x/c)^b)",
        fit_to="wells",
        weighting=Weighting(kind="variance", s0=0.005, cv=0.05),
        converged=True,
        params={"a": A, "b": B, "c": C, "d": D},
        stderr={"a": 0.002, "b": 0.02, "c": 31.0, "d": 0.15},
        covariance=Covariance(order=("a", "b", "c", "d"), upper=upper),
        wssr=11.2,
        df=12,
        sigma=0.97,
        r2=0.9991,
        rmse=0.021,
        lloq=LLOQ,
        uloq=ULOQ,
        unit=UNIT,
        levels=tuple(levels),
    )


def sample_of(wells: Wells, position: str, number: int) -> Sample:
    names, values = _at(wells, position)
    mean, cv = _mean_cv(values)
    dilution = 2.0 if position.startswith("U") and number % 5 == 1 else 1.0
    x = inverse(mean)
    status: Status = "ok"
    qualifier: Qualifier | None = "="
    limit: float | None = None
    flags: tuple[Flag, ...] = ()
    if x is None or x > ULOQ:
        status, qualifier, limit, x, flags = "out_of_range", ">", ULOQ, None, (Flag.ABOVE_RANGE,)
    elif x < LLOQ:
        status, qualifier, limit, x, flags = "out_of_range", "<", LLOQ, None, (Flag.BELOW_RANGE,)
    value = None if x is None else x * dilution
    return Sample(
        position=position,
        sample_id=f"S26-{number:04d}" if position.startswith("U") else None,
        wells=names,
        mean=mean,
        cv_pct=cv,
        concentration=x,
        dilution=dilution,
        value=value,
        ci95=None if value is None else (value * 0.944, value * 1.059),
        unit=UNIT,
        qualifier=qualifier,
        limit=None if limit is None else limit * dilution,
        extrapolated=None,
        status=status,
        flags=flags,
        role="control" if position.startswith("Q") else "sample",
    )


QC = Qc(
    profile="m10",
    rules=(
        Rule(
            id="levels-passing",
            verdict="pass",
            observed=7.0,
            limit=6.0,
            text="7 of 7 standard levels read back within ±20 % (±25 % at the ends)",
        ),
        Rule(
            id="replicate-cv",
            verdict="pass",
            observed=3.1,
            limit=20.0,
            text="largest replicate CV 3.1 % (limit 20 %)",
        ),
        Rule(
            id="controls",
            verdict="pass",
            observed=2.0,
            limit=2.0,
            text="QL and QH within their accepted ranges",
        ),
    ),
)


def good_plate() -> PlateResult:
    """A plate without a fault; six samples lie outside the range."""
    wells = wells_of(_layout())
    positions = ["QL", "QH", *(f"U{number}" for number in range(1, 39))]
    samples = [
        sample_of(wells, name, number - 1 if number > 1 else number)
        for number, name in enumerate(positions)
    ]
    return PlateResult(
        acquisition="complete",
        curve="accepted",
        verdict="pass",
        wells=wells,
        fit=fit_of(wells),
        qc=QC,
        samples=tuple(samples),
    )


def lose(wells: Wells, reasons: dict[str, Flag]) -> Wells:
    """The wells without the numbers of those named, each with its reason."""
    lost = [reasons.get(name) for name in wells.id]

    def gone(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
        return tuple(
            value if flag is None or flag is Flag.MASKED else None
            for value, flag in zip(values, lost, strict=True)
        )

    return replace(
        wells,
        a_measurement=gone(wells.a_measurement),
        corrected=gone(wells.corrected),
        response=gone(wells.response),
        concentration=gone(wells.concentration),
        flags=tuple(() if flag is None else (flag,) for flag in lost),
        masked=tuple("pipetting error" if flag is Flag.MASKED else None for flag in lost),
    )


def refused(fit: Fit, reason: str) -> Fit:
    """The fit without parameters, with its reason."""
    return replace(
        fit,
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
        reason=reason,
    )


def without_curve(sample: Sample) -> Sample:
    return replace(
        sample,
        concentration=None,
        value=None,
        ci95=None,
        qualifier=None,
        limit=None,
        status="no_curve",
        flags=(Flag.CURVE_REJECTED,),
    )


LOST = {
    "A1": Flag.SATURATED,
    "B2": Flag.MASKED,
    "C3": Flag.UNREADABLE,
    "H11": Flag.NOT_MEASURED,
    "H12": Flag.NOT_MEASURED,
}


def failed_plate() -> PlateResult:
    """Curve rejected, some wells without numbers."""
    plate = good_plate()
    reason = "level means change direction beyond their noise"
    rule = Rule(id="curve", verdict="fail", observed=None, limit=None, text=reason)
    return replace(
        plate,
        curve="rejected",
        verdict="fail",
        wells=lose(plate.wells, LOST),
        fit=refused(fit_of(plate.wells), reason),
        qc=replace(QC, rules=(rule,)),
        samples=tuple(map(without_curve, plate.samples)),
        flags=(Flag.CURVE_REJECTED,),
    )


def empty_plate() -> PlateResult:
    """A run that delivered no plate."""
    none = Wells(
        id=(),
        role=(),
        position=(),
        a_measurement=(),
        a_reference=(),
        corrected=(),
        response=(),
        concentration=(),
        flags=(),
        masked=(),
    )
    return PlateResult(
        acquisition="failed",
        curve="none",
        verdict="none",
        wells=none,
        fit=None,
        qc=Qc(profile="m10", rules=()),
        samples=(),
    )


def saturated_plate() -> PlateResult:
    """Every well beyond the photometric range."""
    plate = failed_plate()
    wells = lose(plate.wells, dict.fromkeys(plate.wells.id, Flag.SATURATED))
    assert plate.fit is not None
    levels = tuple(
        replace(level, mean=None, cv_pct=None, fitted=None, back_calculated=None, recovery_pct=None)
        for level in plate.fit.levels
    )
    samples = tuple(
        replace(sample, mean=None, cv_pct=None, status="no_reading", flags=(Flag.SATURATED,))
        for sample in plate.samples
    )
    return replace(plate, wells=wells, fit=replace(plate.fit, levels=levels), samples=samples)


def large_plate() -> PlateResult:
    """384 wells: the 96-well layout in each quadrant."""
    small = _layout()
    layout = [
        small[(index // 24 // 2) * 12 + (index % 24) // 2] for index in range(FORMATS[384].size)
    ]
    return replace(good_plate(), wells=wells_of(layout))


PLATES: dict[str, Callable[[], PlateResult]] = {
    "good": good_plate,
    "failed": failed_plate,
    "empty": empty_plate,
    "saturated": saturated_plate,
    "large": large_plate,
}


@pytest.fixture(params=sorted(PLATES))
def any_plate(request: pytest.FixtureRequest) -> PlateResult:
    """Each of the plates in turn."""
    return PLATES[request.param]()


@pytest.fixture
def good() -> PlateResult:
    return good_plate()


@pytest.fixture
def failed() -> PlateResult:
    return failed_plate()


@pytest.fixture
def empty() -> PlateResult:
    return empty_plate()


@pytest.fixture
def saturated() -> PlateResult:
    return saturated_plate()


@pytest.fixture
def large() -> PlateResult:
    return large_plate()


@pytest.fixture
def truth() -> dict[str, float]:
    """True values by position, times the dilution."""
    samples = good_plate().samples
    return {s.position: truth_of(int(s.position[1:])) * s.dilution for s in samples if s.sample_id}
