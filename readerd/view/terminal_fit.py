"""A curve in the terminal in words: how it was fitted, how sure it is, what it says of unknowns,
and what every number, state and flag on the screen means."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from readerd.assay.result import Fit, Sample, Status, Unknown
from readerd.view.rounding import (
    concentration,
    interval,
    nominal,
    od,
    percent,
    qualified,
    quantity,
    significant,
    statistic,
)
from readerd.view.svg import RECOVERY_LIMITS_PCT
from readerd.view.terminal_tables import plain_table
from readerd.view.terminal_text import Portable
from readerd.view.words import SAID_BY_STATUS, STATUS_WORDS, Outcome, flag_legend, printable

_FITTED_TO: Final = {"wells": "every well", "level_means": "level means"}
_ZERO: Final = {
    "anchor": "a point at x = 0",
    "exclude": "left out",
    "subtract": "subtracted from every response",
}
_SIGMOID: Final = {
    "a": "response at concentration 0",
    "b": "slope",
    "c": "concentration at half height",
    "d": "response at infinite concentration",
    "g": "asymmetry; 1 is a 4PL",
}
# at the inflection only where g is 1
_C_OF_5PL: Final = "places the bend; half height only where g = 1"
_MEANING: Final[Mapping[Status, str]] = {
    "ok": "",
    "out_of_range": "beyond the standards, so only the side is said",
    "unreadable": "the curve has no concentration for this response, or replicates contradict",
    "no_reading": "no replicate holds a number",
    "no_curve": "there is none to read from, or it was rejected",
}
_LACK_OF_FIT: Final = 0.05


def fit_lines(fit: Fit, zero_standard: str | None = None) -> Iterator[str]:
    """The curve in words: model, weights, parameters, statistics, range, notes."""
    yield f"{fit.model}  {fit.equation}"
    how = f"fitted to {_FITTED_TO[fit.fit_to]}, weights {_weights(fit)}"
    if zero_standard is not None and any(level.nominal == 0 for level in fit.levels):
        how += f"; zero standard: {_ZERO[zero_standard]}"
    yield f"  {how}"
    for name, value in fit.params.items():
        yield f"  {name} = {_parameter(fit, name, value)}"
    yield from (f"  {line}" for line in _statistics(fit))
    if fit.reason is not None:
        yield f"  rejected, so it reports nothing: {printable(fit.reason)}"
    elif fit.lloq is not None and fit.uloq is not None:
        unit = f" {printable(fit.unit)}" if fit.unit else ""
        ends = "" if zero_standard is None else ": the lowest and the highest standard"
        yield f"  reports from {nominal(fit.lloq)} to {nominal(fit.uloq)}{unit}{ends}"
    yield from (f"  note: {printable(warning)}" for warning in fit.warnings)


def _weights(fit: Fit) -> str:
    weighting = fit.weighting
    if weighting.s0 is None or weighting.cv is None:
        return weighting.kind
    s0, cv = nominal(weighting.s0), nominal(weighting.cv)
    return f"{weighting.kind}: 1/({s0}² + ({cv}·f)²), f = the curve"


def _parameter(fit: Fit, name: str, value: float) -> str:
    error = fit.stderr.get(name) if fit.stderr else None
    text = significant(value, 5)
    if error is not None:
        text = f"{text} ± {significant(error)}"
    elif fit.stderr is not None:
        text = f"{text} (fixed)"
    if "g" in fit.params and name == "c":
        return f"{text:<22} {_C_OF_5PL}"
    return f"{text:<22} {_SIGMOID[name]}" if "c" in fit.params else text


def _statistics(fit: Fit) -> Iterator[str]:
    if fit.sigma is not None:
        text = f"sigma {significant(fit.sigma)} with {fit.df} degrees of freedom"
        if fit.weighting.kind == "variance" and fit.fit_to == "wells":
            text += "; 1 = scatter as the weights assume"
        yield text
    parts = [("R²", fit.r2), ("RMSE", fit.rmse), ("AICc", fit.aicc)]
    said = [f"{name} {statistic(value)}" for name, value in parts if value is not None]
    if said:
        yield " · ".join(said)
    test = fit.lack_of_fit
    if test is not None:
        holds = "the curve misses means by more than replicates scatter"
        if test.p >= _LACK_OF_FIT:
            holds = "no sign that the model does not fit"
        yield f"lack of fit F = {quantity(test.f)}, p = {significant(test.p, 2)}: {holds}"


def recovery_lines(fit: Fit) -> Iterator[str]:
    """The levels that an acceptance rule would question; there is none here."""
    ranged = [level for level in fit.levels if level.nominal > 0]
    off = []
    for level in ranged:
        limit = RECOVERY_LIMITS_PCT[level.nominal in (fit.lloq, fit.uloq)]
        if level.recovery_pct is None or abs(level.recovery_pct - 100.0) > limit:
            off.append(level.position)
    inner, ends = RECOVERY_LIMITS_PCT
    if off:
        yield f"  not within ±{inner:g} % (±{ends:g} % at the ends): {', '.join(off)}"
        yield "  no level is judged or dropped here; `readerd quantify` does so, by an assay file"


def unknowns_table(unknowns: Sequence[Unknown], unit: str | None) -> Portable:
    """One row per id: what was seen, what the curve says, how sure that is."""
    table = plain_table(f"unknowns, {printable(unit)}" if unit else "unknowns")
    heads = ["n", "mean", "CV %", "value", "± SE", "95 % CI"]
    if any(one.extrapolated is not None for one in unknowns):
        heads.append("extrapolated")
    table.add_column("id", overflow="fold")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("status")
    for one in unknowns:
        cells = [
            str(one.n),
            od(one.mean),
            percent(one.cv_pct),
            qualified(one.concentration, one.qualifier, one.limit),
            concentration(one.se),
            interval(one.ci95),
            concentration(one.extrapolated),
        ]
        words = Text(_state(one), style="green" if one.status == "ok" else "yellow")
        table.add_row(Text(printable(one.id)), *cells[: len(heads)], words)
    return Portable(table)


def _state(one: Unknown) -> str:
    if one.status == "out_of_range":
        words = "above range" if one.qualifier == ">" else "below range"
        return words if one.mean is not None else f"{words}, saturated"
    return STATUS_WORDS[one.status]


def plate_lines(outcome: Outcome) -> Iterator[str]:
    """Below a plate's tables: the curve in words, and what its states and flags mean."""
    if outcome.fit is not None and outcome.fit.converged:
        yield from fit_lines(outcome.fit)
    yield from legend(outcome.samples)
    for flag, meaning in flag_legend(outcome):
        if flag not in SAID_BY_STATUS:
            yield f"  {flag}: {meaning}"


def legend(said: Sequence[Unknown | Sample]) -> Iterator[str]:
    """What the states and signs of these samples mean, each once."""
    seen = {one.status for one in said}
    for status, meaning in _MEANING.items():
        if status in seen and meaning:
            words = "above, below range" if status == "out_of_range" else STATUS_WORDS[status]
            yield f"  {words}: {meaning}"
    if any(one.ci95 is not None and None in one.ci95 for one in said):
        yield "  ≤, ≥ in an interval: it is open on the other side, the curve is too flat there"
    if any(one.extrapolated is not None for one in said):
        yield "  extrapolated: read beyond the standards, never reported as a value"
