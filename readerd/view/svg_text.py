"""Text in pictures: how wide it is before anybody draws it, and numbers as papers print them."""

import re
from collections.abc import Iterable, Sequence

# Advance widths of Helvetica in 1/1000 em (Adobe font metrics); Arial and Liberation Sans agree.
_NARROW = {**dict.fromkeys("ijl'|", 222), **dict.fromkeys(" .,:;!/\\It·f[]", 278)}
_MIDDLE = {**dict.fromkeys('-()r"*', 350), **dict.fromkeys("cksvxyzJ", 500), "°": 400, "•": 350}
_WIDE = {
    **dict.fromkeys("ABEKPSVXY&", 667),
    **dict.fromkeys("CDHNRUw", 722),
    **dict.fromkeys("GOQ", 778),
    **dict.fromkeys("mMW@%—…", 950),
    **dict.fromkeys("<>=+±×−≤≥~", 584),
    **dict.fromkeys("FTZ", 611),
}
_WIDTHS = {**_NARROW, **_MIDDLE, **_WIDE, **dict.fromkeys("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", 350)}
# Digits and most small letters; anything unheard of takes a whole em.
_USUAL, _UNKNOWN = 556, 1000
_BOLD = 1.07
SEPARATOR = " · "

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SCIENTIFIC = re.compile(r"(-?[\d.]+)e(-?\d+)")


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Width in user units of one line at a font size."""
    widths = (_WIDTHS.get(sign, _USUAL if sign.isascii() else _UNKNOWN) for sign in text)
    return sum(widths) * size / 1000 * (_BOLD if bold else 1.0)


def figure(label: str) -> str:
    """A number as a paper prints it: `4.69e-8` is `4.69×10⁻⁸`, `-1` has a real minus."""

    def raised(match: re.Match[str]) -> str:
        mantissa, exponent = match[1], match[2].translate(_RAISED)
        return f"10{exponent}" if mantissa == "1" else f"{mantissa}×10{exponent}"

    return _SCIENTIFIC.sub(raised, label).replace("-", "−")


def fitting(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """The text, cut with `…` where it is wider than its room."""
    if width_of(text, size, bold=bold) <= room:
        return text
    while text and width_of(f"{text}…", size, bold=bold) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def rows_of(widths: Sequence[float], room: float) -> list[list[tuple[int, float]]]:
    """Index and left edge of things side by side, in as many rows as they need."""
    rows: list[list[tuple[int, float]]] = [[]]
    x = 0.0
    for index, width in enumerate(widths):
        if rows[-1] and x + width > room:
            rows.append([])
            x = 0.0
        rows[-1].append((index, x))
        x += width
    return rows


def lines_of(
    words: Iterable[str], size: float, room: float, *, first: float | None = None
) -> list[str]:
    """Phrases joined into lines that fit; a phrase that is too wide alone is cut.

    `first` is the room of the first line, which may stay empty.
    """
    lines: list[str] = [""]
    for phrase in words:
        here = first if first is not None and len(lines) == 1 else room
        longer = f"{lines[-1]}{SEPARATOR}{phrase}" if lines[-1] else phrase
        if width_of(longer, size) <= here:
            lines[-1] = longer
        elif lines == [""] and first is None:
            lines = [fitting(phrase, size, room)]
        else:
            lines.append(fitting(phrase, size, room))
    return lines
