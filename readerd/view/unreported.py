"""Why samples have no value, in words: one line per reason, naming everybody it holds for."""

from collections.abc import Sequence

from readerd.assay.result import Flag, Sample, Wells
from readerd.view.rounding import nominal
from readerd.view.words import FLAG_MEANING, Outcome, counted, no_curve_reason, printable

# More names than this say less than their number does.
_ALL = 12


def unreported(outcome: Outcome) -> tuple[str, ...]:
    """`above the highest accepted standard, 300 pg/mL: U2, U9`; empty when all have a value."""
    groups: dict[str, list[str]] = {}
    for sample in outcome.samples:
        if sample.value is None:
            groups.setdefault(why_no_value(outcome, sample), []).append(sample.position)
    total = len(outcome.samples)
    return tuple(f"{reason}: {_named(names, total)}" for reason, names in groups.items())


def _named(names: Sequence[str], total: int) -> str:
    if len(names) == total and total > _ALL:
        return f"all {counted(total, 'sample and control', 'samples and controls')}"
    return ", ".join(names)


def why_no_value(outcome: Outcome, sample: Sample) -> str:
    """The reason for one sample that has none."""
    if sample.status == "no_curve":
        return f"no accepted curve ({no_curve_reason(outcome.fit, outcome.qc)})"
    if sample.status == "no_reading":
        return f"no well with a number ({_lost(outcome.wells, sample)})"
    if sample.status == "out_of_range":
        return _beyond(outcome, sample)
    if Flag.SATURATED in sample.flags and sample.qualifier is None:
        return "one well is saturated and another contradicts it"
    side = {">": ", on the high side", "<": ", on the low side"}.get(sample.qualifier or "", "")
    return f"response at or beyond the end of the curve{side}: no concentration has it"


def _beyond(outcome: Outcome, sample: Sample) -> str:
    """The side of the range, with its end in the well (not times the dilution)."""
    above = sample.qualifier == ">"
    fit = outcome.fit
    end = None if fit is None else fit.uloq if above else fit.lloq
    limit = "" if end is None else f", {nominal(end)} {printable(sample.unit)} in the well"
    saturated = "saturated, so " if sample.mean is None else ""
    if above:
        return f"{saturated}above the highest accepted standard{limit}: dilute and repeat"
    return f"{saturated}below the lowest accepted standard{limit}"


def _lost(wells: Wells | None, sample: Sample) -> str:
    """What became of its wells: masks with their reasons, flags in words."""
    if wells is None:
        return "no plate was delivered"
    told: list[str] = []
    for well in sample.wells:
        index = wells.id.index(well)
        mask = wells.masked[index]
        if mask is not None:
            told.append(f"masked: {printable(mask)}")
        else:
            told += [FLAG_MEANING[flag] for flag in wells.flags[index]]
    return "; ".join(dict.fromkeys(told)) or "no value at one of the wavelengths"
