"""One sample at several dilutions: do the corrected results agree, and does one betray a hook?"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from readerd.assay.acceptance import Acceptance
from readerd.assay.curve.report import cv_pct
from readerd.assay.result import Flag, Rule, Sample

# a trend counts when first and last differ by more than this many of their joint standard errors
_TREND_ERRORS = 2.0
_TREND_LEAST = 3


def judge_dilutions(
    samples: Sequence[Sample], acceptance: Acceptance
) -> tuple[tuple[Sample, ...], list[Rule]]:
    """The samples with NON_PARALLEL and HOOK_SUSPECTED set, and the two rules."""
    series: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.role == "sample" and sample.sample_id is not None:
            series.setdefault(sample.sample_id, []).append(sample)
    marks: dict[str, list[Flag]] = {}
    cvs: list[float] = []
    rises: list[float] = []
    for found in series.values():
        found.sort(key=lambda sample: sample.dilution)
        if found[0].dilution == found[-1].dilution:
            continue
        cv = _spread(found)
        if cv is not None:
            cvs.append(cv)
            if cv > acceptance.parallelism_cv_pct or _trend(found):
                _mark(marks, found, Flag.NON_PARALLEL)
        rise = _rise(found)
        if rise is not None:
            rises.append(rise)
            if rise > acceptance.hook_rise_pct:
                _mark(marks, found, Flag.HOOK_SUSPECTED)
    marked = tuple(
        replace(sample, flags=(*sample.flags, *marks[sample.position]))
        if sample.position in marks
        else sample
        for sample in samples
    )
    return marked, [
        _rule("parallelism", cvs, acceptance.parallelism_cv_pct, marked, Flag.NON_PARALLEL),
        _rule("hook-samples", rises, acceptance.hook_rise_pct, marked, Flag.HOOK_SUSPECTED),
    ]


def _mark(marks: dict[str, list[Flag]], found: Sequence[Sample], flag: Flag) -> None:
    for sample in found:
        marks.setdefault(sample.position, []).append(flag)


def _spread(found: Sequence[Sample]) -> float | None:
    """CV of the corrected results over the dilutions that lie in range."""
    return cv_pct([sample.value for sample in found if sample.value is not None])


def _trend(found: Sequence[Sample]) -> bool:
    """Whether the results go one way all along the dilutions, beyond their errors."""
    inside = [sample for sample in found if sample.value is not None]
    values = [sample.value for sample in inside if sample.value is not None]
    if len(values) < _TREND_LEAST or values not in (sorted(values), sorted(values)[::-1]):
        return False
    errors = [sample.se for sample in (inside[0], inside[-1]) if sample.se is not None]
    return abs(values[-1] - values[0]) > _TREND_ERRORS * math.hypot(*errors) if errors else False


def _rise(found: Sequence[Sample]) -> float | None:
    """The largest rise of the corrected result with dilution, in per cent of the less diluted.

    Over every pair of dilutions. A result out of range counts with its limit where the truth can
    only lie farther: one below the range when it is the less diluted (the deepest hooks are those),
    one above when it is the more diluted.
    """
    rises = []
    for less, more in itertools.combinations(found, 2):
        at_most = less.limit if less.qualifier == "<" else less.value
        at_least = more.limit if more.qualifier == ">" else more.value
        if at_most and at_least is not None and more.dilution > less.dilution:
            rises.append(100.0 * (at_least / at_most - 1.0))
    return max(rises, default=None)


def _rule(
    name: str, seen: Sequence[float], limit: float, samples: Sequence[Sample], flag: Flag
) -> Rule:
    flagged = dict.fromkeys(str(sample.sample_id) for sample in samples if flag in sample.flags)
    return Rule(
        id=name,
        verdict="warn" if flagged else "pass" if seen else "none",
        observed=max(seen, default=None),
        limit=limit,
        text=f"suspected: {', '.join(flagged)}" if flagged else None,
    )
