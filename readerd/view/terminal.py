"""The plate in the terminal. First the verdict and why, then the pictures, then the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from readerd.view.terminal_curve import CurveChart
from readerd.view.terminal_fit import plate_lines
from readerd.view.terminal_plate import PlateMap
from readerd.view.terminal_tables import (
    VERDICT_STYLE,
    SamplesTable,
    rules_table,
    standards_table,
)
from readerd.view.terminal_text import Portable, plain
from readerd.view.words import VERDICT_WORDS, Outcome, printable, reasons, tally

__all__ = [
    "CurveChart",
    "PlateMap",
    "PlateScreen",
    "SamplesTable",
    "plain",
    "rules_table",
    "standards_table",
    "verdict_lines",
]

# Plate (62 columns) and curve (at least 50) side by side need this much room.
_SIDE_BY_SIDE_FROM = 116
_REASONS_SHOWN = 4


def verdict_lines(outcome: Outcome, title: str = "", failure: str = "") -> RenderableType:
    """The verdict and its gravest reason in one line; below it more reasons, the plate, a count."""
    why = reasons(outcome, failure)
    badge = Text(f" {VERDICT_WORDS[outcome.verdict]} ", f"bold reverse {_style(outcome)}")
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(badge, Text(why[0], "bold"))
    for reason in why[1:_REASONS_SHOWN]:
        grid.add_row("", reason)
    if len(why) > _REASONS_SHOWN:
        grid.add_row("", Text(f"and {len(why) - _REASONS_SHOWN} more", "dim"))
    if title:
        grid.add_row("", Text(printable(title), "dim"))
    if outcome.samples:
        grid.add_row("", tally(outcome.samples))
    return Portable(grid)


def _style(outcome: Outcome) -> str:
    style = VERDICT_STYLE[outcome.verdict]
    return "" if style == "dim" else style


@dataclass(frozen=True, slots=True)
class PlateScreen:
    """Everything about one plate; `truth` by position adds true concentrations to the samples.

    `failure` is the run's own sentence when it delivered no plate.
    """

    outcome: Outcome
    title: str = ""
    truth: Mapping[str, float] | None = None
    failure: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        outcome = self.outcome
        yield verdict_lines(outcome, self.title, self.failure)
        if outcome.wells is None or not outcome.wells.id:
            return
        yield Text()
        plate = PlateMap(outcome.wells)
        curve = CurveChart(outcome.fit, outcome.wells, tuple(outcome.samples), outcome.qc)
        if options.max_width >= _SIDE_BY_SIDE_FROM:
            yield _beside(plate, CurveChart(curve.fit, curve.wells, curve.samples, curve.qc, 10))
        else:
            yield Group(plate, Text(), curve)
        yield Text()
        yield standards_table(outcome.fit)
        yield Text()
        yield SamplesTable(outcome.samples, self.truth)
        yield Text()
        yield rules_table(outcome.qc)
        for line in ("", *plate_lines(outcome)):
            yield Portable(Text(line))


def _beside(left: RenderableType, right: RenderableType) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=62)
    grid.add_column(ratio=1)
    grid.add_row(left, right)
    grid.expand = True
    return grid
