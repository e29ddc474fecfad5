"""The rules of acceptance as people read them: name, what was seen, every limit with its unit.

A rule has one limit on the wire; the wider one at the ends of the curve, and limits without a rule
of their own, come from `Qc.limits`, so that no number that was in force is missing on paper.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from readerd.assay.result import Fit, Flag, Qc, Rule, Wells
from readerd.view.rounding import MISSING, nominal, od, quantity, statistic

Limit = bool | int | float | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of the table: a verdict or `flag`, and the three texts."""

    verdict: str
    name: str
    seen: str
    limit: str


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a rule reads: its limits by their names in the assay file, the wider one second."""

    name: str
    unit: str = ""
    sign: str = "≤"
    limits: tuple[str, ...] = ()
    times: float = 1.0


_RULES: dict[str, _Reading] = {
    "curve": _Reading("curve, R²"),
    "standard-recovery": _Reading(
        "recovery off by",
        " %",
        limits=("standard_recovery_pct", "standard_recovery_ends_pct"),
    ),
    "levels-passing": _Reading("levels that hold", sign="≥", limits=("min_levels",)),
    "levels-passing-pct": _Reading("share that hold", " %", "≥", ("min_levels_passing_pct",)),
    "range": _Reading("stated range"),
    "replicate-cv-standards": _Reading(
        "CV of standards", " %", limits=("replicate_cv_pct", "replicate_cv_ends_pct")
    ),
    "replicate-cv-samples": _Reading("CV of samples", " %", limits=("replicate_cv_pct",)),
    "controls": _Reading("controls in range", " %", "≥", ("min_controls_passing_pct",)),
    "controls-each-level": _Reading(
        "controls, worst level", " %", "≥", ("min_controls_passing_each_level_pct",)
    ),
    "parallelism": _Reading("CV over dilutions", " %", limits=("parallelism_cv_pct",)),
    "hook-samples": _Reading("rise with dilution", " %", limits=("hook_rise_pct",)),
    "monotonic": _Reading("level means step back", " SE"),
    "hook-standards": _Reading("top standard falls", " SE", limits=("hook_standard_errors",)),
    "low-asymptote": _Reading("samples under the zero", " SE"),
    "optical-spread": _Reading("reference, spread", " OD", limits=("reference_spread_od",)),
    "plate-present": _Reading("wells like air", " %", "<", times=100.0),
    "standard-wells": _Reading("standards without number"),
    "complete": _Reading("wells not delivered"),
    "orientation": _Reading("plate not turned"),
    "kit-expiry": _Reading("kit past its date", " d"),
}

_BELOW, _ABOVE = "range_low", "range_high"
_LOW, _HIGH, _MADS = "reference_low_od", "reference_high_od", "reference_mads"
_DROP = "drop_failing_levels"


def rule_name(rule: Rule) -> str:
    """The rule in words; its id where nobody gave it any."""
    return _RULES[rule.id].name if rule.id in _RULES else rule.id


def criteria(qc: Qc, fit: Fit | None, wells: Wells | None) -> tuple[Criterion, ...]:
    """Every rule, then every limit that no rule shows."""
    rows = [_of_rule(rule, qc.limits) for rule in qc.rules]
    shown = {name for rule in qc.rules if rule.id in _RULES for name in _RULES[rule.id].limits}
    shown |= {_BELOW, _ABOVE, _LOW, _HIGH, _MADS, _DROP}
    for rule_id, reading in _RULES.items():
        hidden = [name for name in reading.limits if name not in shown and name in qc.limits]
        if hidden and reading.limits[0] == hidden[0]:
            unseen = Rule(id=rule_id, verdict="none", observed=None, limit=None)
            rows.append(_of_rule(unseen, qc.limits))
            shown.update(reading.limits)
    rows += _own_lines(qc.limits, fit, wells)
    rest = (name for name in qc.limits if name not in shown)
    rows += [Criterion("none", name, MISSING, _plain(qc.limits[name])) for name in rest]
    return tuple(rows)


def _of_rule(rule: Rule, limits: Mapping[str, Limit]) -> Criterion:
    reading = _RULES.get(rule.id, _Reading(rule.id, sign=""))
    seen = MISSING
    if rule.observed is not None:
        shown = statistic if rule.id == "curve" else quantity
        seen = shown(rule.observed * reading.times) + reading.unit
    known = [limits[name] for name in reading.limits if name in limits]
    usual = known[0] if known else rule.limit
    limit = MISSING
    # a limit of nothing, where nothing was counted, says nothing
    if usual is not None and (usual != 0 or rule.observed is not None):
        limit = f"{reading.sign} {quantity(usual * reading.times)}{reading.unit}".strip()
    if len(known) > 1 and known[1] is not None:
        limit += f", ends {quantity(known[1])}"
    return Criterion(rule.verdict, reading.name, seen, limit)


def _own_lines(
    limits: Mapping[str, Limit], fit: Fit | None, wells: Wells | None
) -> Iterator[Criterion]:
    """The limits that judge a well or a level, not the plate."""
    if _BELOW in limits or _ABOVE in limits:
        seen = MISSING
        if fit is not None and not fit.reason and fit.lloq is not None and fit.uloq is not None:
            seen = f"{nominal(fit.lloq)} to {nominal(fit.uloq)}"
        low, high = (_plain(limits.get(name)) for name in (_BELOW, _ABOVE))
        stated = "none" if low == high == MISSING else f"{low} to {high}"
        yield Criterion("none", "reported range", seen, stated)
    if _HIGH in limits:
        yield _reference(limits, wells)
    if _DROP in limits:
        levels = fit.levels if fit is not None else ()
        dropped = [level.position for level in levels if _was_dropped(level.masked)]
        allowed = "may be dropped" if limits[_DROP] else "kept"
        yield Criterion("none", "failing levels", ", ".join(dropped) or "none dropped", allowed)


def _was_dropped(masked: str | None) -> bool:
    return masked is not None and masked.startswith("dropped")


def _reference(limits: Mapping[str, Limit], wells: Wells | None) -> Criterion:
    """The reference absorbance of the filled wells against its band."""
    columns = () if wells is None else zip(wells.role, wells.a_reference, wells.flags, strict=True)
    filled = [(a, marks) for role, a, marks in columns if role != "empty" and a is not None]
    limit = f"{_plain(limits.get(_LOW))} – {_plain(limits[_HIGH])}"
    if limits.get(_MADS) is not None:
        limit += f", {_plain(limits[_MADS])} MAD"
    if not filled:
        return Criterion("none", "reference, wells", MISSING, limit)
    odd = any(Flag.REFERENCE_HIGH in m or Flag.REFERENCE_LOW in m for _, m in filled)
    values = [a for a, _ in filled]
    seen = f"{od(min(values))} to {od(max(values))}"
    return Criterion("flag" if odd else "pass", "reference, wells", seen, limit)


def _plain(value: Limit) -> str:
    if value is None:
        return MISSING
    return ("yes" if value else "no") if isinstance(value, bool) else nominal(value)
