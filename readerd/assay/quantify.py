"""One plate from optical densities to a verdict, and the provisional curve on the way there.

Both go through the same doors: `measure` (450 - 570 and blank), `levels_of` and `calibrate`. The
wells are taken in row order, whatever order they came in, so the last provisional curve and the
final one are the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.fit import Calibration, calibrate
from readerd.assay.definition import Assay
from readerd.assay.dilution import judge_dilutions
from readerd.assay.layout import Layout, PlateMap, bind
from readerd.assay.low_end import judge_low_end
from readerd.assay.optical import Optics, inspect
from readerd.assay.qc import (
    Judged,
    judge_controls,
    judge_levels,
    rejection,
    replicate_rules,
    standard_rules,
)
from readerd.assay.result import (
    Acquisition,
    Fit,
    Flag,
    PlateResult,
    Rule,
    Sample,
    Wells,
    verdict_of,
)
from readerd.assay.samples import Found, read_samples
from readerd.assay.saying import Range, range_of
from readerd.assay.wells import WellTable, levels_of, lost_standards, measure, turned
from readerd.errors import ErrorCode, RequestError
from readerd.plate import OpticalDensity, Reading, Unread, complete

PROVISIONAL = "provisional"
_DISTINCT_LEVELS = 5


@dataclass(frozen=True, slots=True)
class _Curve:
    """The calibration that counts, with its verdict; `first` is the curve before a drop."""

    fit: Fit
    usable: Range | None
    calibration: Calibration
    rules: tuple[Rule, ...]
    first: Fit | None = None


def quantify(
    assay: Assay,
    reading: Reading,
    *,
    reference_nm: int | None,
    photometric_range: tuple[float, float] | None = None,
    plate_map: PlateMap | None = None,
    masks: Mapping[str, str] | None = None,
) -> PlateResult:
    """Everything that one reading means under one assay.

    `reference_nm` is the wavelength that was used. RequestError when the reading cannot serve the
    assay (wavelength, format); InputError when plate map or masks name strangers.
    """
    _fits(assay, reading, reference_nm)
    bindings = bind(assay.layout, assay.samples, plate_map)
    measurement = reading.plates[assay.read.measurement_nm]
    reference = reading.plates[reference_nm] if reference_nm else None
    table = measure(assay, measurement, reference, photometric_range, masks or {})
    optics = inspect(assay.layout, table, assay.acceptance)
    curve = _calibrated(assay, levels_of(assay.layout, table))
    found = read_samples(assay, table, bindings, curve.usable)
    missing = _missing(assay.layout, measurement, reference)
    flags = (
        [Flag.REFERENCE_ALTERNATIVE] if reference_nm != (assay.read.reference_nm or None) else []
    )
    return _result(assay, table, optics, curve, found, missing, flags)


def provisional(
    assay: Assay,
    measurement: Mapping[str, OpticalDensity],
    reference: Mapping[str, OpticalDensity] | None,
    *,
    photometric_range: tuple[float, float] | None = None,
) -> Fit | None:
    """The curve of the wells that have arrived so far, None while they are too few.

    Marked in its warnings, without verdicts. Values by well name, in any order.
    """
    layout = assay.layout
    if assay.read.reference_nm and not reference:
        return None
    table = measure(
        assay,
        complete(measurement, layout.format),
        complete(reference, layout.format) if assay.read.reference_nm and reference else None,
        photometric_range,
        {},
    )
    levels = levels_of(layout, table)
    if not _enough(levels):
        return None
    fit = calibrate(levels, assay.curve_settings).fit
    return replace(fit, warnings=(PROVISIONAL, *fit.warnings))


def _enough(levels: Sequence[LevelData]) -> bool:
    """At least 5 distinct levels, one in the bottom and one in the top third of the layout's."""
    ranked = sorted(levels, key=lambda level: level.nominal)
    third = max(len(ranked) // 3, 1)
    seen = [bool(level.responses) for level in ranked]
    return sum(seen) >= _DISTINCT_LEVELS and any(seen[:third]) and any(seen[-third:])


def _fits(assay: Assay, reading: Reading, reference_nm: int | None) -> None:
    """RequestError unless the reading holds what the assay needs."""
    read = assay.read
    if reading.format != assay.layout.format:
        text = f"assay {assay.id} has {assay.layout.format} wells, the reading {reading.format}"
        raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
    allowed: tuple[int | None, ...] = (None,)
    if read.reference_nm:
        allowed = (read.reference_nm, *read.reference_alternatives_nm)
    if reference_nm not in allowed:
        text = f"assay {assay.id} corrects with {allowed[0]} nm, not with {reference_nm}"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    for wavelength_nm in (read.measurement_nm, reference_nm):
        if wavelength_nm is not None and wavelength_nm not in reading.plates:
            held = ", ".join(str(known) for known in reading.plates)
            text = f"the reading lacks {wavelength_nm} nm; it holds {held or 'nothing'}"
            raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)


def _calibrated(assay: Assay, levels: Sequence[LevelData]) -> _Curve:
    """Fit, judge, and where the profile allows drop the worst failing level and fit again."""
    tried = _judged(assay, levels)
    if not assay.acceptance.drop_failing_levels:
        return tried
    first = tried.fit
    allowed = sum(level.nominal > 0 for level in levels)
    allowed -= max(
        assay.acceptance.min_levels,
        -int(-allowed * assay.acceptance.min_levels_passing_pct // 100),
    )
    for _ in range(allowed):
        failing = [level for level in tried.fit.levels if level.passed is False and level.n]
        if not failing:
            break
        worst = max(failing, key=lambda level: abs((level.recovery_pct or 1e9) - 100.0))
        seen = "no recovery" if worst.recovery_pct is None else f"{worst.recovery_pct:.1f} %"
        levels = [
            replace(level, masked=f"dropped: {seen}") if level.position == worst.position else level
            for level in levels
        ]
        tried = replace(_judged(assay, levels), first=first)
    return tried


def _judged(assay: Assay, levels: Sequence[LevelData]) -> _Curve:
    calibration = calibrate(levels, assay.curve_settings)
    fit, curve = calibration.fit, calibration.curve
    if curve is None:
        rule = Rule(id="curve", verdict="fail", observed=None, limit=None, text=fit.reason)
        return _Curve(fit, None, calibration, (rule,))
    judged = judge_levels(fit, assay.acceptance)
    rule = Rule(id="curve", verdict="pass", observed=fit.r2, limit=None, text=None)
    fit = replace(fit, levels=judged.levels, lloq=judged.lloq, uloq=judged.uloq)
    if not judged.accepted:
        fit = replace(fit, reason=rejection(judged))
    return _Curve(fit, _range(calibration, judged), calibration, (rule, *judged.rules))


def _range(calibration: Calibration, judged: Judged) -> Range | None:
    low, high = judged.lloq, judged.uloq
    if calibration.curve is None or not judged.accepted or low is None or high is None:
        return None
    return range_of(calibration.curve, low, high) if low < high else None


def _missing(
    layout: Layout,
    measurement: Sequence[OpticalDensity],
    reference: Sequence[OpticalDensity] | None,
) -> list[str]:
    """Filled wells that the reader did not deliver."""
    absent = Unread.NOT_MEASURED
    return [
        well
        for index, well in enumerate(layout.wells)
        if layout.positions[index] is not None
        and (measurement[index] is absent or (reference is not None and reference[index] is absent))
    ]


def _result(
    assay: Assay,
    table: WellTable,
    optics: Optics,
    curve: _Curve,
    found: Found,
    missing: Sequence[str],
    flags: list[Flag],
) -> PlateResult:
    samples, rules, more = _verdicts(assay, table, curve, found)
    flags = [*flags, *optics.plate, *more]
    every = [*curve.rules, *rules, *optics.rules]
    warnings: list[str] = []
    if missing:
        flags.append(Flag.INCOMPLETE)
        warnings.append(f"not delivered: {', '.join(missing)}")
        every.append(_warn("complete", float(len(missing)), warnings[-1]))
    if lost := lost_standards(assay.layout, table):
        every.append(_warn("standard-wells", float(len(lost)), f"no number: {', '.join(lost)}"))
    if curve.usable is None:
        flags.append(Flag.CURVE_REJECTED)
        if _judged(assay, levels_of(assay.layout, turned(table))).usable is not None:
            flags.append(Flag.ROTATED_SUSPECTED)
            warnings.append("turned by 180 degrees the standards would make a good curve")
            every.append(replace(_warn("orientation", None, warnings[-1]), verdict="fail"))
    acquisition: Acquisition = "incomplete" if missing else "complete"
    return PlateResult(
        acquisition=acquisition,
        curve="rejected" if curve.usable is None else "accepted",
        verdict=verdict_of(every),
        wells=_wells(assay, table, optics, found),
        fit=curve.fit,
        qc=assay.acceptance.qc(every),
        samples=tuple(_with_optics(assay, sample, optics) for sample in samples),
        flags=tuple(dict.fromkeys(flags)),
        warnings=(*warnings, *curve.fit.warnings),
        fit_before_drop=curve.first,
    )


def _verdicts(
    assay: Assay, table: WellTable, curve: _Curve, found: Found
) -> tuple[tuple[Sample, ...], list[Rule], list[Flag]]:
    acceptance = assay.acceptance
    samples, control_rules = judge_controls(assay.layout, found.samples, acceptance)
    samples, dilution_rules = judge_dilutions(samples, acceptance)
    shape, flags = standard_rules(curve.fit, curve.calibration.direction, acceptance)
    low_end = judge_low_end(curve.calibration.curve, samples)
    if low_end.verdict == "warn":
        flags.append(Flag.LOW_SAMPLES_UNREADABLE)
    if curve.first is not None:
        flags.append(Flag.LEVEL_DROPPED)
    replicates = replicate_rules(curve.fit, samples, acceptance)
    rules = [*replicates, *control_rules, *dilution_rules, *shape, low_end]
    return samples, rules, flags


def _warn(name: str, observed: float | None, text: str) -> Rule:
    return Rule(id=name, verdict="warn", observed=observed, limit=0.0, text=text)


def _with_optics(assay: Assay, sample: Sample, optics: Optics) -> Sample:
    """A sample on an absent strip says so itself."""
    wells = assay.layout.groups[sample.position]
    if any(Flag.STRIP_ABSENT in optics.wells.get(index, ()) for index in wells):
        return replace(sample, flags=(*sample.flags, Flag.STRIP_ABSENT))
    return sample


def _wells(assay: Assay, table: WellTable, optics: Optics, found: Found) -> Wells:
    layout = assay.layout
    flags = tuple(
        tuple(dict.fromkeys((*marks, *optics.wells.get(index, ()))))
        for index, marks in enumerate(table.flags)
    )
    return Wells(
        id=layout.wells,
        role=layout.roles,
        position=layout.positions,
        a_measurement=table.a_measurement,
        a_reference=table.a_reference,
        corrected=table.corrected,
        response=table.response,
        concentration=tuple(found.wells.get(index) for index in range(len(layout.positions))),
        flags=flags,
        masked=table.masked,
    )
