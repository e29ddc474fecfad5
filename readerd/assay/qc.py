"""Verdicts: which standards, controls, replicates and dilutions hold, by the profile's limits.

Every rule is reported with what was seen and what was allowed, held or not. Too few good levels
reject the curve; controls and a missing plate fail the run; everything else warns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from readerd.assay.acceptance import Acceptance
from readerd.assay.curve.checks import Direction
from readerd.assay.layout import Layout, control_name
from readerd.assay.result import Fit, Flag, Level, Rule, Sample, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """The levels with their verdicts, the range that they leave, and the rules about them."""

    levels: tuple[Level, ...]
    lloq: float | None
    uloq: float | None
    rules: tuple[Rule, ...]

    @property
    def accepted(self) -> bool:
        return all(rule.verdict != "fail" for rule in self.rules)


def judge_levels(fit: Fit, acceptance: Acceptance) -> Judged:
    """Standards by their recovery. The lowest and the highest that hold are LLOQ and ULOQ.

    An end that fails even the wider limit of the ends gives way to the next level, which is then
    judged as an end. A zero standard is an anchor: exempt, and never part of the range.
    """
    above = sorted((level for level in fit.levels if level.nominal > 0), key=_nominal)
    ends = acceptance.standard_recovery_ends_pct
    holding = [rank for rank, level in enumerate(above) if _off(level) <= ends]
    passed: dict[str, bool | None] = {}
    low = high = None
    if holding:
        first, last = holding[0], holding[-1]
        low, high = above[first].nominal, above[last].nominal
        for rank, level in enumerate(above):
            limit = ends if rank in (first, last) else acceptance.standard_recovery_pct
            passed[level.position] = _off(level) <= limit
    levels = tuple(
        replace(level, passed=_passed(level, passed.get(level.position, False)))
        for level in fit.levels
    )
    rules = _level_rules(levels, acceptance)
    low, high, nothing = _stated(low, high, acceptance)
    return Judged(levels, low, high, (*rules, *nothing))


def _stated(
    low: float | None, high: float | None, acceptance: Acceptance
) -> tuple[float | None, float | None, list[Rule]]:
    """The range narrowed to the assay's own; with a rule that fails when nothing is left of it."""
    if low is None or high is None:
        return low, high, []
    narrow_low = max(low, acceptance.range_low or low)
    narrow_high = min(high, acceptance.range_high or high)
    if narrow_low < narrow_high or low == high:
        return narrow_low, narrow_high, []
    text = f"the accepted standards, {low:g} to {high:g}, hold nothing of the stated range"
    return None, None, [Rule(id="range", verdict="fail", observed=None, limit=None, text=text)]


def _nominal(level: Level) -> float:
    return level.nominal


def _off(level: Level) -> float:
    """How far a recovery lies from 100 %; infinity when there is none."""
    if level.recovery_pct is None or level.masked is not None:
        return math.inf
    return abs(level.recovery_pct - 100.0)


def _passed(level: Level, verdict: bool | None) -> bool | None:
    return None if level.nominal == 0 or level.masked is not None else verdict


def _level_rules(levels: Sequence[Level], acceptance: Acceptance) -> list[Rule]:
    above = [level for level in levels if level.nominal > 0]
    passing = sum(level.passed is True for level in above)
    failing = [level for level in above if level.passed is False]
    share = 100.0 * passing / len(above) if above else 0.0
    offs = [
        _off(level) for level in above if level.recovery_pct is not None and level.masked is None
    ]
    said = []
    if failing:
        said.append(f"outside: {', '.join(map(_named, failing))}")
    dropped = [level for level in above if level.masked is not None and level.n]
    if dropped:
        said.append(", ".join(f"{level.position} {level.masked}" for level in dropped))
    return [
        Rule(
            id="standard-recovery",
            verdict="warn" if said else "pass",
            observed=max(offs, default=None),
            limit=acceptance.standard_recovery_pct,
            text="; ".join(said) or None,
        ),
        Rule(
            id="levels-passing",
            verdict="pass" if passing >= acceptance.min_levels else "fail",
            observed=float(passing),
            limit=float(acceptance.min_levels),
            text=f"{passing} of {len(above)} levels hold (zero standards are exempt)",
        ),
        Rule(
            id="levels-passing-pct",
            verdict="pass" if share >= acceptance.min_levels_passing_pct else "fail",
            observed=share,
            limit=acceptance.min_levels_passing_pct,
        ),
    ]


def _named(level: Level) -> str:
    if level.recovery_pct is None:
        return f"{level.position} cannot be read back"
    return f"{level.position} {level.recovery_pct:.1f} %"


def rejection(judged: Judged) -> str:
    """Why judged levels reject their curve, in one line."""
    return "; ".join(
        rule.text or rule.id
        if rule.observed is None or rule.limit is None
        else f"{rule.id} {rule.observed:.4g}, needs {rule.limit:g}"
        for rule in judged.rules
        if rule.verdict == "fail"
    )


def replicate_rules(
    fit: Fit | None, samples: Sequence[Sample], acceptance: Acceptance
) -> list[Rule]:
    """CV of the responses: standards (wider at LLOQ and ULOQ), then samples and controls."""
    rules = []
    levels = [level for level in (fit.levels if fit else ()) if level.nominal > 0]
    ends = (fit.lloq, fit.uloq) if fit else ()
    over = []
    for level in levels:
        limit = acceptance.replicate_cv_pct
        if level.nominal in ends:
            limit = acceptance.replicate_cv_ends_pct
        if level.cv_pct is not None and level.cv_pct > limit:
            over.append(level.position)
    seen = [level.cv_pct for level in levels if level.cv_pct is not None]
    rules.append(_cv_rule("replicate-cv-standards", seen, over, acceptance))
    seen = [sample.cv_pct for sample in samples if sample.cv_pct is not None]
    over = [sample.position for sample in samples if Flag.HIGH_CV in sample.flags]
    rules.append(_cv_rule("replicate-cv-samples", seen, over, acceptance))
    return rules


def _cv_rule(name: str, seen: Sequence[float], over: Sequence[str], acceptance: Acceptance) -> Rule:
    verdict: Verdict = "warn" if over else "pass"
    return Rule(
        id=name,
        verdict=verdict if seen else "none",
        observed=max(seen, default=None),
        limit=acceptance.replicate_cv_pct,
        text=f"above: {', '.join(over)}" if over else None,
    )


def judge_controls(
    layout: Layout, samples: Sequence[Sample], acceptance: Acceptance
) -> tuple[tuple[Sample, ...], list[Rule]]:
    """Controls against their ranges: the samples with CONTROL_OUT set, and the two rules."""
    marked: list[Sample] = []
    levels: dict[str, list[bool]] = {}
    for sample in samples:
        if sample.role == "control":
            name = control_name(sample.position)
            low, high = layout.controls[name]
            inside = sample.value is not None and low <= sample.value <= high
            levels.setdefault(name, []).append(inside)
            if not inside:
                sample = replace(sample, flags=(*sample.flags, Flag.CONTROL_OUT))
        marked.append(sample)
    return tuple(marked), _control_rules(levels, layout, acceptance)


def _control_rules(
    levels: dict[str, list[bool]], layout: Layout, acceptance: Acceptance
) -> list[Rule]:
    every = [inside for found in levels.values() for inside in found]
    share = 100.0 * sum(every) / len(every) if every else None
    each = {name: 100.0 * sum(found) / len(found) for name, found in levels.items()}
    worst = min(each.values(), default=None)
    least, least_each = (
        acceptance.min_controls_passing_pct,
        acceptance.min_controls_passing_each_level_pct,
    )
    ranges = {name: f"{low:g} to {high:g}" for name, (low, high) in layout.controls.items()}
    low = [f"{name} ({ranges[name]})" for name, value in each.items() if value < least_each]
    return [
        Rule(
            id="controls",
            verdict=_at_least(share, least),
            observed=share,
            limit=least,
            text=f"{sum(every)} of {len(every)} within limits" if every else "no controls",
        ),
        Rule(
            id="controls-each-level",
            verdict=_at_least(worst, least_each),
            observed=worst,
            limit=least_each,
            text=f"outside: {', '.join(low)}" if low else None,
        ),
    ]


def _at_least(observed: float | None, limit: float) -> Verdict:
    if observed is None:
        return "none"
    return "pass" if observed >= limit else "fail"


def standard_rules(
    fit: Fit, direction: Direction | None, acceptance: Acceptance
) -> tuple[list[Rule], list[Flag]]:
    """Do the level means go one way, and does the top one fall back (a hook)?"""
    if direction is None:
        return [], []
    flags = [Flag.NOT_MONOTONIC] if direction.flagged else []
    rules = [
        Rule(
            id="monotonic",
            verdict="warn" if direction.flagged else "pass",
            observed=direction.surest.standard_errors,
            limit=direction.surest.limit,
            text=direction.surest.text if direction.flagged else None,
        )
    ]
    hooked = direction.top_fall > acceptance.hook_standard_errors
    rules.append(
        Rule(
            id="hook-standards",
            verdict="warn" if hooked else "pass",
            observed=direction.top_fall,
            limit=acceptance.hook_standard_errors,
            text="the top standard lies below the next" if hooked else None,
        )
    )
    if hooked:
        flags.append(Flag.HOOK_SUSPECTED)
    return rules, flags
