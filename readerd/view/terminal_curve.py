"""The standard curve drawn in text: log axis with a broken zero, braille dots or plain ASCII."""

import itertools
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.text import Text

from readerd.assay.result import Fit, Qc, Sample, Wells
from readerd.view.axis import BREAK_AT, LOG_FROM, Tick
from readerd.view.rounding import nominal
from readerd.view.scene import CurveScene, curve_scene
from readerd.view.terminal_text import Portable, widest
from readerd.view.words import no_curve_reason, printable

_SMALLEST_WIDTH = 40
_LARGEST_WIDTH = 100

# Dots of one braille cell: bit of (column, row), as Unicode numbers them.
_BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


@dataclass(frozen=True, slots=True)
class Signs:
    """What the chart is drawn with."""

    standard: str
    masked: str
    sample: str
    beyond: str
    limit: str
    corner: str
    bar: str
    tick: str
    y_axis: str
    y_tick: str
    cut: str


UNICODE = Signs("●", "○", "◆", "▶", "┊", "└", "─", "┴", "│", "┤", "╱")
ASCII = Signs("o", "x", "+", ">", ":", "+", "-", "+", "|", "+", "/")


@dataclass(frozen=True, slots=True)
class CurveChart:
    """Curve, replicates, samples and range; a curve that was not accepted says why, on top."""

    fit: Fit | None
    wells: Wells | None
    samples: tuple[Sample, ...] = ()
    qc: Qc | None = None
    height: int = 14
    title: str = "standard curve"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        scene = curve_scene(self.fit, self.wells, self.samples)
        text = Text(no_wrap=True)
        text.append(f"  {self.title}", "bold")
        if self.fit is None or not self.fit.converged:
            reason = no_curve_reason(self.fit, self.qc or Qc(profile="", rules=()))
            yield Portable(Text.assemble(text, (f": no curve, {reason}", "red")))
        elif scene is not None:
            text.append(f"  {self.fit.model}, OD against {printable(scene.unit)}", "dim")
            yield Portable(text)
        if scene is not None:
            width = min(max(options.max_width, _SMALLEST_WIDTH), _LARGEST_WIDTH)
            signs = ASCII if options.ascii_only else UNICODE
            canvas = Canvas.of(scene, width, self.height, signs)
            yield canvas.text(braille=not options.ascii_only)
            yield Portable(_legend(scene, signs))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_SMALLEST_WIDTH, _LARGEST_WIDTH)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A scene on a grid of character cells; `dots` are the curve's at 2 x 4 per cell."""

    scene: CurveScene
    columns: int
    rows: int
    margin: int
    signs: Signs

    @classmethod
    def of(cls, scene: CurveScene, width: int, rows: int, signs: Signs) -> "Canvas":
        margin = widest(tick.label for tick in scene.y.ticks()) + 2
        return cls(scene, width - margin - 1, rows, margin, signs)

    def cell(self, x: float, y: float) -> tuple[int, int]:
        column = round(self.scene.x.at(x) * (self.columns - 1))
        return column, round((1 - self.scene.y.at(y)) * (self.rows - 1))

    def dots(self) -> dict[tuple[int, int], int]:
        """Braille bits by cell; the curve is broken where the axis is."""
        bits: dict[tuple[int, int], int] = {}
        last = self.columns * 2 - 1
        points = [(self.scene.x.at(p.x) * last, p.y) for p in self.scene.curve]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            for column in range(round(x0), round(x1) + 1):
                part = 0.0 if x1 == x0 else min(1.0, max(0.0, (column - x0) / (x1 - x0)))
                self._dot(bits, column, y0 + part * (y1 - y0))
        if self.scene.at_zero is not None:
            for column in range(round(BREAK_AT * last) - 1):
                self._dot(bits, column, self.scene.at_zero.y)
        return bits

    def _dot(self, bits: dict[tuple[int, int], int], column: int, y: float) -> None:
        row = round((1 - self.scene.y.at(y)) * (self.rows * 4 - 1))
        key = (column // 2, row // 4)
        bits[key] = bits.get(key, 0) | _BRAILLE[column % 2][row % 4]

    def marks(self) -> dict[tuple[int, int], tuple[str, str]]:
        """Sign and style by cell; standards lie on top of samples, samples on limits."""
        marks: dict[tuple[int, int], tuple[str, str]] = {}
        for limit in (self.scene.lloq, self.scene.uloq):
            if limit is not None:
                column = self.cell(limit, 0.0)[0]
                marks.update({(column, row): (self.signs.limit, "dim") for row in range(self.rows)})
        for unknown in self.scene.unknowns:
            column, row = self.cell(unknown.x, unknown.y)
            if unknown.side == "on":
                marks[column, row] = (self.signs.sample, "yellow")
            elif unknown.side == "above":
                marks[self.columns - 1, row] = (self.signs.beyond, "yellow")
        for mark in sorted(self.scene.replicates, key=lambda mark: not mark.masked):
            sign = self.signs.masked if mark.masked else self.signs.standard
            marks[self.cell(mark.x, mark.y)] = (sign, "bold")
        return marks

    def text(self, *, braille: bool) -> Text:
        """The drawing with its two axes."""
        dots, marks = self.dots(), self.marks()
        y_ticks = {round((1 - t.at) * (self.rows - 1)): t.label for t in self.scene.y.ticks()}
        text = Text(no_wrap=True)
        for row in range(self.rows):
            label = y_ticks.get(row)
            text.append(f"{label or '':>{self.margin - 1}} ", "dim")
            text.append(self.signs.y_axis if label is None else self.signs.y_tick, "dim")
            for column in range(self.columns):
                if (column, row) in marks:
                    text.append(*marks[column, row])
                elif (column, row) in dots:
                    text.append(chr(0x2800 + dots[column, row]) if braille else ".", "cyan")
                else:
                    text.append(" ")
            text.append("\n")
        return text.append_text(self._x_axis())

    def _x_axis(self) -> Text:
        line = [self.signs.bar] * self.columns
        labels = [" "] * self.columns
        free_from = 0
        for tick in self.scene.x.ticks(at_most=max(4, self.columns // 8)):
            if not tick.label:
                continue
            column = round(tick.at * (self.columns - 1))
            line[column] = self.signs.tick
            free_from = _label(labels, column, tick, free_from)
        if self.scene.x.zero:
            for share in (BREAK_AT, LOG_FROM - 0.01):
                line[round(share * (self.columns - 1))] = self.signs.cut
        pad = " " * self.margin
        drawn = f"{pad}{self.signs.corner}{''.join(line)}\n{pad} {''.join(labels)}"
        return Text(drawn, style="dim", no_wrap=True)


def _label(labels: list[str], column: int, tick: Tick, free_from: int) -> int:
    start = min(max(0, column - len(tick.label) // 2), len(labels) - len(tick.label))
    if start < free_from:
        return free_from
    labels[start : start + len(tick.label)] = tick.label
    return start + len(tick.label) + 1


def _legend(scene: CurveScene, signs: Signs) -> Padding:
    parts = [f"{signs.standard} standard"]
    if any(mark.masked for mark in scene.replicates):
        parts.append(f"{signs.masked} left out")
    if any(unknown.side == "on" for unknown in scene.unknowns):
        parts.append(f"{signs.sample} sample")
    if any(unknown.side == "above" for unknown in scene.unknowns):
        parts.append(f"{signs.beyond} above range")
    if scene.lloq is not None and scene.uloq is not None:
        span = f"{nominal(scene.lloq)} to {nominal(scene.uloq)} {printable(scene.unit)}"
        parts.append(f"{signs.limit} {span}")
    return Padding(Text("   ".join(parts), style="dim"), (0, 0, 0, 2), expand=False)
