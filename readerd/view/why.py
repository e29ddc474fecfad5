"""Why a number is what it is: one position of a plate followed with a finger, step by step.

The steps need nothing but the result itself, so they can be told from a file, from a stored run and
from a message alike. What the result does not say (the error's parts) is computed again by the
code that made it, from the parameters that the result carries.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from readerd.assay.curve.curve import Curve
from readerd.assay.curve.inverse import Budget, budget
from readerd.assay.curve.models import INVERSES
from readerd.assay.curve.reported import curve_of
from readerd.assay.result import Fit, Flag, Level, Sample, Weighting, Wells
from readerd.errors import InputError, Mistake
from readerd.plate import FORMATS
from readerd.view.rounding import (
    factor,
    interval,
    nominal,
    od,
    percent,
    quantity,
    significant,
    statistic,
)
from readerd.view.unreported import why_no_value
from readerd.view.words import (
    FLAG_MEANING,
    Outcome,
    counted,
    no_curve_reason,
    printable,
    rule_text,
)

_DECIMALS = 4
# so many positions say how they are called
_NAMED = 8
# flags that only repeat the status
_SAID = (Flag.ABOVE_RANGE, Flag.BELOW_RANGE, Flag.CURVE_REJECTED)
_OF_CONTROLS = ("controls", "controls-each-level")
_COUNTS = {"wells": "every well counts", "level_means": "every level counts once"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is done, and the lines that show it."""

    title: str
    lines: tuple[str, ...]


def positions_named(outcome: Outcome, name: str) -> tuple[str, ...]:
    """The positions that a well, a position or a sample id means; InputError for a stranger."""
    wells = outcome.wells
    if wells is None or not wells.id:
        raise InputError("--why", Mistake(name, "the run delivered no plate"))
    if name in wells.position:
        return (name,)
    named = tuple(s.position for s in outcome.samples if s.sample_id == name)
    if named:
        return named
    try:
        position = wells.position[FORMATS[len(wells.id)].index(name)]
    except ValueError:
        known = list(dict.fromkeys(one for one in wells.position if one is not None))
        some = ", ".join(known[:_NAMED]) + (", …" if len(known) > _NAMED else "")
        what = f"no well, position or sample id of this plate; its positions are {some}"
        raise InputError("--why", Mistake(name, what)) from None
    if position is None:
        what = "is empty in the layout: it takes part in nothing"
        raise InputError("--why", Mistake(name, what))
    return (position,)


def why(outcome: Outcome, position: str, response: str = "corrected") -> tuple[Step, ...]:
    """The steps from the readings of one position to what is reported of it.

    `response` names what the readings are, such as `450 – 570 nm`.
    """
    wells, fit = outcome.wells, outcome.fit
    if wells is None:
        return ()
    read = Step(f"{position}: what was read, {response}", tuple(_read(wells, position)))
    level = _level(fit, position)
    sample = next((one for one in outcome.samples if one.position == position), None)
    if level is None and sample is None:
        return read, Step("what it is for", ("a blank: its mean is what the assay may subtract",))
    curve = Step("the standard curve", tuple(_curve(outcome)))
    found = curve_of(fit) if outcome.curve == "accepted" else None
    if level is not None and fit is not None:
        judged = Step("the verdict", tuple(_judged(outcome, fit, level)))
        return read, curve, Step("read back", tuple(_read_back(level, fit))), judged
    if sample is None:
        return read, curve
    steps: Iterable[Step] = ()
    if found is not None and fit is not None:
        steps = _inverted(found, fit, sample, len(_responses(wells, position)))
    return read, curve, *steps, Step("what is reported", tuple(_reported(outcome, sample)))


def followed(outcome: Outcome, names: Sequence[str], response: str) -> str:
    """The steps of every position that the names mean, as text; InputError for a stranger."""
    positions = [found for name in names for found in positions_named(outcome, name)]
    told = [as_text(why(outcome, position, response)) for position in dict.fromkeys(positions)]
    return "\n\n".join(told)


def as_text(steps: Sequence[Step]) -> str:
    """The steps numbered, for a terminal and for a page."""
    lines: list[str] = []
    for number, step in enumerate(steps, start=1):
        lines += [f"{number}  {step.title}", *(f"   {line}" for line in step.lines)]
    return "\n".join(lines)


def _level(fit: Fit | None, position: str) -> Level | None:
    levels = fit.levels if fit is not None else ()
    return next((one for one in levels if one.position == position), None)


def _read(wells: Wells, position: str) -> Iterator[str]:
    """A line per well, with every number that was subtracted, and why a well has none."""
    for index, place in enumerate(wells.position):
        if place == position:
            yield f"{wells.id[index]:4} {_difference(wells, index)}{_remarks(wells, index)}"
    used = _responses(wells, position)
    if used:
        mean = math.fsum(used) / len(used)
        yield f"mean of {counted(len(used), 'well')} = {od(mean, _DECIMALS)}"


def _responses(wells: Wells, position: str) -> list[float]:
    """The responses that count."""
    columns = zip(wells.position, wells.response, wells.masked, strict=True)
    return [y for place, y, mask in columns if place == position and y is not None and mask is None]


def _difference(wells: Wells, index: int) -> str:
    measured, reference = wells.a_measurement[index], wells.a_reference[index]
    corrected, response = wells.corrected[index], wells.response[index]
    if measured is None:
        return "no number"
    parts = od(measured, _DECIMALS)
    if reference is not None:
        parts += f" - {od(reference, _DECIMALS)}"
    if response is None or corrected is None:
        return f"{parts}: no value"
    if response != corrected:
        parts += f" - {od(corrected - response, _DECIMALS)} (blank)"
    return parts if " - " not in parts else f"{parts} = {od(response, _DECIMALS)}"


def _remarks(wells: Wells, index: int) -> str:
    told = [FLAG_MEANING[flag] for flag in wells.flags[index] if flag is not Flag.MASKED]
    if (reason := wells.masked[index]) is not None:
        told.append(f"left out: {printable(reason)}")
    return f"   {'; '.join(told)}" if told else ""


def _curve(outcome: Outcome) -> Iterator[str]:
    fit = outcome.fit
    if fit is None or not fit.converged:
        yield f"there is none: {no_curve_reason(fit, outcome.qc)}"
        return
    yield f"{fit.model}: {fit.equation}"
    for name, value in fit.params.items():
        error = fit.stderr.get(name) if fit.stderr else None
        held = ", fixed" if fit.stderr and error is None else ""
        yield f"{name} = {significant(value, 5)}" + (
            held if error is None else f" ± {significant(error, 2)}"
        )
    weights = fit.weighting
    if fit.model != "point-to-point":
        yield f"weights {_law(weights)}; {_COUNTS[fit.fit_to]}"
    if fit.sigma is not None:
        told = f"sigma = {statistic(fit.sigma)} with {counted(fit.df or 0, 'degree')} of freedom"
        absolute = weights.kind == "variance" and fit.fit_to == "wells"
        usual = ": 1 is a scatter as the weights assume" if absolute else ""
        yield told + usual
    yield from (f"note: {printable(warning)}" for warning in fit.warnings)
    if outcome.curve != "accepted":
        yield f"rejected: {no_curve_reason(fit, outcome.qc)}"


def _law(weights: Weighting) -> str:
    if weights.s0 is not None and weights.cv is not None:
        return f"1/({weights.s0:g}² + ({weights.cv:g}·f)²), f being the curve itself"
    if weights.kind == "none":
        return "1: all alike"
    return f"1/f{'²' if weights.kind == '1/y^2' else ''}, f being the curve itself"


def _inverted(curve: Curve, fit: Fit, sample: Sample, n: int) -> Iterator[Step]:
    """Back to a concentration, and its error."""
    if sample.mean is None:
        return
    y = od(sample.mean, _DECIMALS)
    found = budget(curve, np.array([sample.mean]), np.array([float(n)]))
    if not bool(found.exists[0]):
        told = f"no concentration has the response {y}{_end(fit, sample.mean)}"
        yield Step("back to a concentration", (told,))
        return
    unit, x = sample.unit, math.exp(float(found.log_x[0]))
    lines = [f"{INVERSES[fit.model]}, y = {y}", f"x = {statistic(x)} {unit}"]
    if sample.concentration is not None and not math.isclose(x, sample.concentration):
        told = f"{statistic(sample.concentration)} {unit}: each well is read back, then the mean"
        lines.append(told)
    yield Step("back to a concentration", tuple(lines))
    if sample.se is not None:
        yield Step("how sure", tuple(_sure(curve, found, sample)))
    elif curve.covariance is None and sample.status == "ok":
        yield Step("how sure", ("a line from dot to dot has no error, and no interval",))


def _end(fit: Fit, y: float) -> str:
    """Which asymptote of a sigmoid the response has reached."""
    a, d = (fit.params.get(name) for name in ("a", "d"))
    if a is None or d is None:
        return ""
    if abs(y - a) < abs(y - d):
        return f": the curve begins at a = {od(a, _DECIMALS)}"
    return f": the curve ends at d = {od(d, _DECIMALS)}"


def _sure(curve: Curve, found: Budget, sample: Sample) -> Iterator[str]:
    wells, line = (math.sqrt(float(part[0])) for part in (found.of_wells, found.of_curve))
    slope = abs(float(found.slope[0]))
    yield f"the wells {significant(wells)}, the curve {significant(line)}, in units of the response"
    yield f"slope {significant(slope, 4)} per unit of ln x"
    if sample.se is None or sample.value is None:
        return
    times = sample.dilution
    error, share = significant(sample.se / times), percent(100 * sample.se / sample.value)
    yield f"standard error {error} {sample.unit}, {share} %"
    if sample.ci95 is None:
        return
    ends = (None if side is None else side / times for side in sample.ci95)
    low, high = ("open" if end is None else statistic(end) for end in ends)
    how = f"{statistic(curve.t_975)} standard errors on ln x"
    if sample.ci95_method == "inversion":
        how = "the curve is flat here: every concentration whose response agrees with the mean"
    yield f"95 % interval {low} to {high} {sample.unit}: {how}"


def _reported(outcome: Outcome, sample: Sample) -> Iterator[str]:
    fit = outcome.fit
    if sample.status == "ok" and sample.concentration is not None and fit is not None:
        low, high = nominal(fit.lloq or 0.0), nominal(fit.uloq or 0.0)
        inside = f"{low} <= {statistic(sample.concentration)} <= {high} {sample.unit}"
        yield f"{inside}: within the accepted standards"
        if sample.dilution != 1:
            yield f"all of it times the dilution {factor(sample.dilution)}"
        yield f"value {statistic(sample.value)} {sample.unit}, 95 % {interval(sample.ci95)}"
    else:
        yield f"no number: {why_no_value(outcome, sample)}"
    if sample.limit is not None:
        times = f", times the dilution {factor(sample.dilution)}" if sample.dilution != 1 else ""
        limit = nominal(sample.limit)
        yield f"value {sample.qualifier} {limit} {sample.unit}: the end of the range{times}"
    if sample.extrapolated is not None:
        number = f"{statistic(sample.extrapolated)} {sample.unit}"
        yield f"extrapolated {number}, because the assay asks for it"
    yield from (f"{flag}: {FLAG_MEANING[flag]}" for flag in sample.flags if flag not in _SAID)
    if sample.role == "control":
        judged = [rule for rule in outcome.qc.rules if rule.id in _OF_CONTROLS and rule.text]
        yield from (f"{rule.verdict}: {rule_text(rule)}" for rule in judged)


def _read_back(level: Level, fit: Fit) -> Iterator[str]:
    unit = fit.unit or ""
    yield f"nominal {nominal(level.nominal)} {unit}".rstrip()
    if level.masked is not None:
        yield f"left out of the curve: {printable(level.masked)}"
    if level.fitted is not None:
        yield f"the curve there {od(level.fitted, _DECIMALS)}"
    if level.back_calculated is not None:
        told = f"{INVERSES[fit.model]} = {statistic(level.back_calculated)} {unit}"
        yield told.rstrip()
    if level.recovery_pct is not None:
        yield f"recovery {percent(level.recovery_pct)} %"


def _judged(outcome: Outcome, fit: Fit, level: Level) -> Iterator[str]:
    """Passed or not, by which limit; the rules that fell because of the standards."""
    if level.nominal == 0:
        yield "a zero standard has no recovery: it is not judged"
    elif level.passed is None:
        yield "not judged"
    else:
        held = [one.nominal for one in fit.levels if one.passed]
        inside = bool(held) and min(held) < level.nominal < max(held)
        name = "standard_recovery_pct" if inside else "standard_recovery_ends_pct"
        limit = outcome.qc.limits.get(name)
        verdict = "pass" if level.passed else "fail"
        accepted = f"100 ± {quantity(limit)} % is accepted ({name})"
        # results of older versions do not carry their limits
        yield verdict if limit is None else f"{verdict}: {accepted}"
    ids = ("standard-recovery", "levels-passing", "levels-passing-pct", "replicate-cv-standards")
    for rule in outcome.qc.rules:
        if rule.id in ids and rule.verdict in ("warn", "fail"):
            yield f"{rule.verdict}: {rule_text(rule)}"
