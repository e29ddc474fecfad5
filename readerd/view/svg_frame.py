"""The frame of a plot against concentration: axes, grid, the break before zero."""

from dataclasses import dataclass

from readerd.view.axis import BREAK_AT, LOG_FROM, BrokenLogAxis, LinearAxis
from readerd.view.markup import Markup, join, number, tag
from readerd.view.palette import INK, QUIET, RULE
from readerd.view.svg_text import figure, fitting, width_of

# Of tick labels and of the axes' names.
SIZE = 11


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot area in user units; `x` and `y` of a point in it."""

    left: float
    top: float
    width: float
    height: float
    x_axis: BrokenLogAxis
    y_axis: LinearAxis
    most_ticks: int = 8  # on the x axis

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
        turned = f"translate({number(self.left - self._y_room())} {number(self._middle())})"
        x_name = fitting(x_label, SIZE, self.width + 30)
        y_name = fitting(y_label, SIZE, self.height + 30)
        return join(
            [
                self._lines(),
                tag("g", *self._y_labels(), text_anchor="end", fill=INK),
                tag(
                    "g",
                    *self._x_labels(),
                    tag("text", x_name, x=self.left + self.width / 2, y=self.bottom + 34),
                    tag("text", y_name, transform=f"{turned}rotate(-90)"),
                    text_anchor="middle",
                    fill=INK,
                ),
            ]
        )

    def _middle(self) -> float:
        return self.top + self.height / 2

    def _y_room(self) -> float:
        """From the axis to the base line of its name: past the widest tick label."""
        return y_label_width(self.y_axis) + 14

    def _lines(self) -> Markup:
        data = f"M{number(self.left)} {number(self.top)}V{number(self.bottom)}"
        if self.x_axis.zero:
            data += f"H{number(self.left + BREAK_AT * self.width)}"
            data += f"M{number(self.left + (LOG_FROM - 0.01) * self.width)} {number(self.bottom)}"
        data += f"H{number(self.right)}"
        for tick in self.x_axis.ticks(self.most_ticks):
            x = self.left + tick.at * self.width
            data += f"M{number(x)} {number(self.bottom)}v{5 if tick.label else 3}"
        for tick in self.y_axis.ticks():
            data += f"M{number(self.left)} {number(self.bottom - tick.at * self.height)}h-4"
        if self.x_axis.zero:
            for share in (BREAK_AT, LOG_FROM - 0.01):
                x = self.left + share * self.width
                data += f"M{number(x - 3)} {number(self.bottom + 5)}l6-10"
        return tag("path", d=data, stroke=QUIET, fill="none")

    def _x_labels(self) -> list[Markup]:
        return [
            tag("text", figure(tick.label), x=self.left + tick.at * self.width, y=self.bottom + 17)
            for tick in self.x_axis.ticks(self.most_ticks)
            if tick.label
        ]

    def _y_labels(self) -> list[Markup]:
        return [
            tag(
                "text",
                figure(tick.label),
                x=self.left - 7,
                y=self.bottom - tick.at * self.height + 4,
            )
            for tick in self.y_axis.ticks()
        ]


def y_label_width(axis: LinearAxis) -> float:
    return max(width_of(figure(tick.label), SIZE) for tick in axis.ticks())


def left_of(axis: LinearAxis) -> float:
    """Room left of a plot for the y axis: its ticks, their labels and its name."""
    return y_label_width(axis) + 28
