"""Writing XML and HTML: the one place where text becomes markup, so the one place that escapes."""

from collections.abc import Iterable
from dataclasses import dataclass

from readerd.view.words import printable

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})

SVG_NAMESPACE = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, slots=True)
class Markup:
    """Text that is markup already; everything else gets escaped."""

    text: str

    def __str__(self) -> str:
        return self.text


Content = Markup | str | float | int
Attribute = str | float | int | None


def escape(text: str) -> str:
    """Text for content and attributes alike; control characters become visible."""
    return printable(text).translate(_ESCAPES)


def number(value: float) -> str:
    """A coordinate: one decimal, no trailing zero, no minus zero."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def join(parts: Iterable[Content], separator: str = "") -> Markup:
    return Markup(separator.join(_written(part) for part in parts))


def tag(name: str, /, *content: Content, **attributes: Attribute) -> Markup:
    """One element; `stroke_width` is written `stroke-width`, `class_` `class`; None is left out.

    Without content it closes itself, as XML wants (HTML's void elements accept that).
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_written(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(_written(part) for part in content)
    return Markup(f"<{name}{written}>{inner}</{name}>" if content else f"<{name}{written}/>")


def _written(value: Content) -> str:
    if isinstance(value, Markup):
        return value.text
    return escape(value) if isinstance(value, str) else number(value)


def svg(width: float, height: float, title: str, description: str, *content: Content) -> str:
    """A whole picture on white, with its name and its content in words for those who cannot see."""
    picture = tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        tag("rect", width=width, height=height, fill="#fff"),
        *content,
        xmlns=SVG_NAMESPACE,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        # title and desc name the picture by themselves; ids would clash where several share a page
        font_family="Arial,Helvetica,sans-serif",
        font_size=11,
        width=width,
        height=height,
    )
    return picture.text


def path(points: Iterable[tuple[float, float]], *, close: bool = False) -> str:
    """Path data of a polyline in relative steps of 0.1; rounding errors do not add up."""
    data = ""
    x0 = y0 = 0
    for x, y in points:
        x1, y1 = round(x * 10), round(y * 10)
        step = f"{number((x1 - x0) / 10)},{number((y1 - y0) / 10)}"
        data += f"l{step}" if data else f"M{step}"
        x0, y0 = x1, y1
    return f"{data}z" if close and data else data
