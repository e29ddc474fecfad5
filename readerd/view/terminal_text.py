"""The terminal's border: plain ASCII where the terminal knows no more, and rendering to text."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

_ASCII = str.maketrans(
    {
        "–": "-",
        "±": "+/-",
        "×": "x",
        "≤": "<=",
        "≥": ">=",
        "µ": "u",
        "μ": "u",
        "°": " deg",
        "²": "2",
        "·": ".",
        "…": "...",
        "✓": "y",
        "✗": "N",
        "▲": "^",
        "▼": "v",
        "█": "#",
    }
)


@dataclass(frozen=True, slots=True)
class Portable:
    """Renders its content; where the output is not Unicode every sign gets an ASCII stand-in."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not options.ascii_only:
            yield self.content
            return
        for segment in console.render(self.content, options):
            text = segment.text.translate(_ASCII)
            yield Segment(ascii_text(text), segment.style, segment.control)


def ascii_text(text: str) -> str:
    """The text with `?` for every sign that ASCII lacks."""
    return text.encode("ascii", "replace").decode("ascii")


def plain(content: RenderableType, width: int = 80, *, ascii_only: bool = False) -> str:
    """The content as text of at most `width` columns: no colour, no escape, no trailing blanks."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii" if ascii_only else "utf-8", newline="\n")
    console = Console(
        file=file,
        width=width,
        color_system=None,
        force_terminal=False,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    console.print(content)
    file.flush()
    lines = raw.getvalue().decode().split("\n")
    return "\n".join(line.rstrip() for line in lines)


def shows_colour(console: Console) -> bool:
    """Whether a heat map may be coloured: sixteen colours would break its order."""
    return console.color_system in ("truecolor", "256") and not console.no_color


def widest(texts: Iterable[str]) -> int:
    return max((len(text) for text in texts), default=0)
