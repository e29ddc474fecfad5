"""Tables for the terminal: standards, samples, rules."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from readerd.assay.result import Fit, Level, Qc, Sample, Verdict
from readerd.view.rounding import (
    MISSING,
    concentration,
    factor,
    interval,
    nominal,
    od,
    percent,
    quantity,
    reported,
    signed_percent,
)
from readerd.view.terminal_text import Portable
from readerd.view.words import printable, sample_state

VERDICT_STYLE: dict[Verdict, str] = {
    "pass": "green",
    "warn": "yellow",
    "fail": "red",
    "none": "dim",
}


# What can be looked up elsewhere goes first when the terminal is narrow.
_DROPPED_FIRST = ("CV %", "in well", "OD", "95 % CI")


_ANY_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    justify: Literal["left", "right"]
    written: Callable[[Sample], Text | str]
    style: str = ""


def standards_table(
    fit: Fit | None, *, response: str = "mean OD", judged: bool = True
) -> RenderableType:
    """Levels with what was put in, seen and read back; no fit is said in words.

    Without `judged` nobody has judged the levels, and there is no column for it.
    """
    if fit is None or not fit.levels:
        return Text("no standards")
    unit = printable(fit.unit or "")
    table = plain_table("standards")
    for heading in ("", f"nominal {unit}".strip(), response, "CV %", "back-calc.", "recovery %"):
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True)
    if judged:
        table.add_column("verdict")
    for level in fit.levels:
        cells = (
            printable(level.position),
            nominal(level.nominal),
            od(level.mean),
            percent(level.cv_pct),
            concentration(level.back_calculated),
            percent(level.recovery_pct),
        )
        table.add_row(*cells, *([_level_verdict(level)] if judged else []))
    return Portable(table)


def _level_verdict(level: Level) -> Text:
    if level.masked is not None:
        return Text(f"left out: {printable(level.masked)}", style="yellow")
    if level.passed is None:
        return Text("anchor" if level.nominal == 0 else MISSING, style="dim")
    return Text("pass", style="green") if level.passed else Text("FAIL", style="red")


@dataclass(frozen=True, slots=True)
class SamplesTable:
    """Samples and controls, one row each; `truth` by position (times the dilution) adds two
    columns. Where it is narrow, columns that can be derived from others go first."""

    samples: Sequence[Sample]
    truth: Mapping[str, float] | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.samples:
            yield Text("no samples on this plate")
            return
        dropped: set[str] = set()
        for heading in ("", *_DROPPED_FIRST):
            dropped.add(heading)
            table = self._table(dropped)
            if (
                Measurement.get(console, options.update(width=_ANY_WIDTH), table).maximum
                <= options.max_width
            ):
                break
        yield Portable(table)

    def _columns(self) -> list[_Column]:
        samples, truth = self.samples, self.truth
        columns = [_Column("at", "left", lambda s: printable(s.position))]
        if any(sample.sample_id for sample in samples):
            columns.append(_Column("sample", "left", _name))
        columns.append(_Column("OD", "right", lambda s: od(s.mean)))
        if any(sample.cv_pct is not None for sample in samples):
            columns.append(_Column("CV %", "right", lambda s: percent(s.cv_pct)))
        if any(sample.dilution != 1 for sample in samples):
            columns.append(_Column("in well", "right", lambda s: concentration(s.concentration)))
            columns.append(_Column("dil.", "right", lambda s: factor(s.dilution)))
        columns.append(_Column("value", "right", reported, "bold"))
        columns.append(_Column("95 % CI", "right", lambda s: interval(s.ci95)))
        if truth is not None:
            columns.append(_Column("true", "right", lambda s: concentration(truth.get(s.position))))
            columns.append(_Column("diff %", "right", lambda s: _difference(s, truth)))
        columns.append(_Column("status", "left", _state))
        return columns

    def _table(self, dropped: Collection[str]) -> Table:
        units = {sample.unit for sample in self.samples}
        table = plain_table(f"samples, {printable(units.pop())}" if len(units) == 1 else "samples")
        columns = [column for column in self._columns() if column.heading not in dropped]
        for column in columns:
            narrow = column.heading in ("sample", "status")
            table.add_column(
                column.heading,
                justify=column.justify,
                style=column.style,
                no_wrap=not narrow,
                overflow="fold",
            )
        for sample in self.samples:
            table.add_row(*(column.written(sample) for column in columns))
        return table


def _name(sample: Sample) -> Text | str:
    if sample.sample_id:
        return printable(sample.sample_id)
    return Text("control", "dim") if sample.role == "control" else Text(MISSING, "dim")


def _difference(sample: Sample, truth: Mapping[str, float]) -> str:
    true = truth.get(sample.position)
    if not true or sample.value is None:
        return MISSING
    return signed_percent((sample.value / true - 1) * 100)


def _state(sample: Sample) -> Text:
    words = sample_state(sample)
    return Text(words, style="green" if words == "ok" else "yellow")


def rules_table(qc: Qc) -> RenderableType:
    """Every acceptance rule with what was seen and what was allowed."""
    if not qc.rules:
        return Text(f"no rules were applied (profile {printable(qc.profile)})")
    table = plain_table(f"acceptance, profile {printable(qc.profile)}")
    table.add_column("rule", no_wrap=True)
    table.add_column("observed", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("in words", overflow="fold")
    for rule in qc.rules:
        table.add_row(
            printable(rule.id),
            quantity(rule.observed),
            quantity(rule.limit),
            Text(rule.verdict, style=VERDICT_STYLE[rule.verdict]),
            printable(rule.text or ""),
        )
    return Portable(table)


def plain_table(title: str) -> Table:
    """An empty table as all of ours look."""
    return Table(
        title=f"  {title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        header_style="dim",
        pad_edge=True,
        padding=(0, 1),
        show_edge=False,
    )
