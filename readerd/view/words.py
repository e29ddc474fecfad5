"""Words for people: what a well without a number says, what a flag means, why a verdict fell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from readerd.assay.result import (
    Acquisition,
    CurveState,
    Fit,
    Flag,
    Qc,
    Rule,
    Sample,
    Status,
    Verdict,
    Wells,
)
from readerd.view.criteria import rule_name
from readerd.view.rounding import quantity


class Outcome(Protocol):
    """What the views need of a plate: `PlateResult` has it, and so has the message on the wire."""

    @property
    def acquisition(self) -> Acquisition: ...
    @property
    def curve(self) -> CurveState: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def flags(self) -> Sequence[Flag]: ...
    @property
    def wells(self) -> Wells | None: ...
    @property
    def fit(self) -> Fit | None: ...
    @property
    def qc(self) -> Qc: ...
    @property
    def samples(self) -> Sequence[Sample]: ...


FLAG_MEANING: dict[Flag, str] = {
    Flag.SATURATED: "beyond the photometric range, no number",
    Flag.UNREADABLE: "the instrument's answer was no number",
    Flag.NOT_MEASURED: "the instrument did not deliver this well",
    Flag.HIGH_ABSORBANCE: "absorbance above the assay's warning limit",
    Flag.REFERENCE_HIGH: "reference absorbance high: dirt, bubble or scratch",
    Flag.REFERENCE_LOW: "reference absorbance implausibly low",
    Flag.MASKED: "left out, with a reason",
    Flag.ABOVE_RANGE: "above the highest accepted standard",
    Flag.BELOW_RANGE: "below the lowest accepted standard",
    Flag.HIGH_CV: "replicates differ more than the limit allows",
    Flag.SINGLE_REPLICATE: "only one replicate holds a number",
    Flag.CONTROL_OUT: "control outside its accepted range",
    Flag.NON_PARALLEL: "dilutions of the sample do not agree",
    Flag.HOOK_SUSPECTED: "response falls at high dose: dilute and repeat",
    Flag.CURVE_REJECTED: "the standard curve was rejected",
    Flag.LOW_SAMPLES_UNREADABLE: "lower asymptote lies above the low samples",
    Flag.NOT_MONOTONIC: "standard means change direction",
    Flag.LEVEL_DROPPED: "a standard level was dropped and the curve refitted",
    Flag.REFERENCE_ALTERNATIVE: "another reference wavelength was used",
    Flag.OPTICAL_SPREAD: "reference absorbance varies over the plate",
    Flag.NO_PLATE_SUSPECTED: "hardly any absorbance: was a plate in the reader?",
    Flag.STRIP_ABSENT: "a strip of the layout seems absent",
    Flag.ROTATED_SUSPECTED: "the plate seems turned by 180°",
    Flag.INCOMPLETE: "not all wells were delivered",
    Flag.RECOVERED: "fetched again from the instrument after an interruption",
    Flag.CLOCK_UNSYNCHRONISED: "the clock was not synchronised",
    Flag.KIT_EXPIRED: "the kit's expiry date has passed",
}

STATUS_WORDS: dict[Status, str] = {
    "ok": "ok",
    "out_of_range": "out of range",
    "unreadable": "unreadable",
    "no_reading": "no reading",
    "no_curve": "no curve",
}

# Flags that say no more than the status beside them.
SAID_BY_STATUS = (Flag.ABOVE_RANGE, Flag.BELOW_RANGE, Flag.CURVE_REJECTED)

_SAID_BEFORE = (Flag.CURVE_REJECTED, Flag.INCOMPLETE)

# Flags of the plate that a rule raises together with its own, more telling, text.
_RULE_OF_FLAG = {
    Flag.OPTICAL_SPREAD: "optical-spread",
    Flag.STRIP_ABSENT: "plate-present",
    Flag.NO_PLATE_SUSPECTED: "plate-present",
    Flag.NOT_MONOTONIC: "monotonic",
    Flag.HOOK_SUSPECTED: "hook-standards",
    Flag.LOW_SAMPLES_UNREADABLE: "low-asymptote",
    Flag.LEVEL_DROPPED: "standard-recovery",
    Flag.ROTATED_SUSPECTED: "orientation",
    Flag.KIT_EXPIRED: "kit-expiry",
}

VERDICT_WORDS: dict[Verdict, str] = {
    "pass": "PASS",
    "warn": "PASS WITH WARNINGS",
    "fail": "FAIL",
    "none": "NO VERDICT",
}


@dataclass(frozen=True, slots=True)
class WellMark:
    """How a well without a number shows: 4 and 1 characters wide, and what they mean."""

    short: str
    letter: str
    meaning: str


SATURATED = WellMark("SAT", "S", "saturated")
UNREADABLE = WellMark("???", "?", "unreadable")
NOT_MEASURED = WellMark("N/M", "N", "not measured")
MASKED = WellMark("MSK", "M", "masked, no number")
NO_VALUE = WellMark("n/a", "n", "no value at one of the wavelengths")
EMPTY = WellMark("·", "·", "empty")

_MARK_OF_FLAG = {
    Flag.SATURATED: SATURATED,
    Flag.UNREADABLE: UNREADABLE,
    Flag.NOT_MEASURED: NOT_MEASURED,
    Flag.MASKED: MASKED,
}


def missing_mark(wells: Wells, index: int) -> WellMark:
    """The mark of a well that holds no number: its reason, except where nothing was expected."""
    if wells.role[index] == "empty":
        return EMPTY
    for flag, mark in _MARK_OF_FLAG.items():
        if flag in wells.flags[index]:
            return mark
    return MASKED if wells.masked[index] is not None else NO_VALUE


def printable(text: str) -> str:
    """The text with everything that could steer a terminal or break XML made visible."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """`1 well`, `3 wells`."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def rule_text(rule: Rule) -> str:
    """The rule's own sentence, else its numbers."""
    if rule.text:
        return printable(rule.text)
    return f"{rule.id}: observed {quantity(rule.observed)}, limit {quantity(rule.limit)}"


def _said_of(rule: Rule) -> str:
    """What follows the rule's name."""
    return rule_text(rule).removeprefix(f"{rule.id}: ")


def no_curve_reason(fit: Fit | None, qc: Qc) -> str:
    """Why there is no accepted curve, in one line."""
    if fit is not None and fit.reason:
        return printable(fit.reason)
    failed = [rule_text(rule) for rule in qc.rules if rule.verdict == "fail"]
    return failed[0] if failed else "no standards to fit"


def reasons(outcome: Outcome, failure: str = "") -> tuple[str, ...]:
    """Why the verdict is what it is: the gravest first, one line each, never empty.

    `failure` is the run's own sentence when it delivered no plate.
    """
    lines: list[str] = []
    wells = outcome.wells
    if wells is None or not wells.id:
        lines.append(printable(failure) or "no plate was delivered")
    elif outcome.acquisition == "incomplete":
        lost = sum(Flag.NOT_MEASURED in flags for flags in wells.flags)
        lines.append(f"incomplete reading: {counted(lost, 'well')} not delivered")
    elif outcome.curve != "accepted":
        state = "curve rejected" if outcome.curve == "rejected" else "no curve"
        lines.append(f"{state}: {no_curve_reason(outcome.fit, outcome.qc)}")
    said = " ".join(lines)
    for verdict in ("fail", "warn"):
        for rule in outcome.qc.rules:
            if rule.verdict == verdict and rule_text(rule) not in said:
                lines.append(f"{printable(rule_name(rule))}: {_said_of(rule)}")
    told = {rule.id for rule in outcome.qc.rules if rule.verdict in ("fail", "warn")}
    rest = [
        flag
        for flag in outcome.flags
        if flag not in _SAID_BEFORE and _RULE_OF_FLAG.get(flag) not in told
    ]
    lines += [f"{flag}: {FLAG_MEANING[flag]}" for flag in rest]
    if not lines:
        rules = [rule for rule in outcome.qc.rules if rule.verdict == "pass"]
        lines.append(f"all {counted(len(rules), 'rule')} of profile {outcome.qc.profile} met")
    return tuple(lines)


def sample_state(sample: Sample) -> str:
    """The status in words with the flags that add something to it: `above range`, `ok HIGH_CV`."""
    words = STATUS_WORDS[sample.status]
    if sample.status == "out_of_range" and sample.qualifier in ("<", ">"):
        words = "above range" if sample.qualifier == ">" else "below range"
    return " ".join([words, *(flag for flag in sample.flags if flag not in SAID_BY_STATUS)])


def tally(samples: Sequence[Sample]) -> str:
    """`36 of 38 samples have a value · 1 above range · 1 unreadable`."""
    unknowns = [sample for sample in samples if sample.role == "sample"]
    if not unknowns:
        return "no samples on this plate"
    counts = {
        "above range": sum(s.status == "out_of_range" and s.qualifier == ">" for s in unknowns),
        "below range": sum(s.status == "out_of_range" and s.qualifier == "<" for s in unknowns),
        "unreadable": sum(s.status == "unreadable" for s in unknowns),
        "without a reading": sum(s.status == "no_reading" for s in unknowns),
        "without a curve": sum(s.status == "no_curve" for s in unknowns),
    }
    valued = sum(sample.value is not None for sample in unknowns)
    total = counted(len(unknowns), "sample")
    parts = [f"{valued} of {total} with a value"]
    parts += [f"{count} {words}" for words, count in counts.items() if count]
    return " · ".join(parts)


def flag_legend(outcome: Outcome) -> tuple[tuple[Flag, str], ...]:
    """The flags that occur on this plate with their meaning, in the order of the closed list."""
    seen = set(outcome.flags)
    for sample in outcome.samples:
        seen.update(sample.flags)
    if outcome.wells is not None:
        for flags in outcome.wells.flags:
            seen.update(flags)
    return tuple((flag, meaning) for flag, meaning in FLAG_MEANING.items() if flag in seen)
