"""The frame of a plot against concentration: axes, grid, the break before zero."""

from dataclasses import dataclass

from readerd.view.axis import BREAK_AT, LOG_FROM, BrokenLogAxis, LinearAxis
from readerd.view.markup import Markup, join, number, tag
from readerd.view.palette import INK, QUIET, RULE


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot area in user units; `x` and `y` of a point in it."""

    left: float
    top: float
    width: float
    height: float
    x_axis: BrokenLogAxis
    y_axis: LinearAxis

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def right(self) -> float:
        return self.left + self.width

    def x(self, value: float) -> float:
        return self.left + self.x_axis.at(value) * self.width

    def y(self, value: float) -> float:
        return self.bottom - self.y_axis.at(value) * self.height

    def grid(self) -> Markup:
        """Horizontal lines, light enough to be overlooked."""
        ys = (self.bottom - tick.at * self.height for tick in self.y_axis.ticks())
        data = "".join(f"M{number(self.left)} {number(y)}h{number(self.width)}" for y in ys)
        return tag("path", d=data, stroke=RULE, fill="none")

    def axes(self, x_label: str, y_label: str) -> Markup:
        """Lines, ticks and labels."""
        turned = f"translate({number(self.left - 38)} {number(self.top + self.height / 2)})"
        return join(
            [
                self._lines(),
                tag("g", *self._y_labels(), text_anchor="end", fill=INK),
                tag(
                    "g",
                    *self._x_labels(),
                    tag("text", x_label, x=self.left + self.width / 2, y=self.bottom + 34),
                    tag(
                        "text",
                        y_label,
                        transform=f"{turned}rotate(-90)",
                    ),
                    text_anchor="middle",
                    fill=INK,
                ),
            ]
        )

    def _lines(self) -> Markup:
        data = f"M{number(self.left)} {number(self.top)}V{number(self.bottom)}"
        if self.x_axis.zero:
            data += f"H{number(self.left + BREAK_AT * self.width)}"
            data += f"M{number(self.left + (LOG_FROM - 0.01) * self.width)} {number(self.bottom)}"
        data += f"H{number(self.right)}"
        for tick in self.x_axis.ticks():
            x = self.left + tick.at * self.width
            data += f"M{number(x)} {number(self.bottom)}v{5 if tick.label else 3}"
        if self.x_axis.zero:
            for share in (BREAK_AT, LOG_FROM - 0.01):
                x = self.left + share * self.width
                data += f"M{number(x - 3)} {number(self.bottom + 5)}l6-10"
        return tag("path", d=data, stroke=QUIET, fill="none")

    def _x_labels(self) -> list[Markup]:
        return [
            tag("text", tick.label, x=self.left + tick.at * self.width, y=self.bottom + 17)
            for tick in self.x_axis.ticks()
            if tick.label
        ]

    def _y_labels(self) -> list[Markup]:
        return [
            tag("text", tick.label, x=self.left - 7, y=self.bottom - tick.at * self.height + 4)
            for tick in self.y_axis.ticks()
        ]
