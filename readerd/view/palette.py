"""Colours that survive colour blindness and a black-and-white printer.

The heat ramp falls steadily in lightness (pale straw, green, teal, navy), so its grey copy keeps
the order. Steps are mixed in OKLab (Björn Ottosson, "A perceptual color space for image
processing", 2020), where equal steps look equal.
"""

# Lightness of the stops in OKLab falls by about 0.17 from each to the next.
_STOPS = ("#fbf8dc", "#b9e0b5", "#56b3b4", "#2a72a8", "#1d2c66")
STEPS = 48
# Black and white writing have the same contrast (4.6) on this relative luminance:
# WCAG 2.2, contrast ratio (L1 + 0.05) / (L2 + 0.05).
_WHITE_INK_BELOW = 0.179

# Blue, vermilion, green: Okabe and Ito's colour-universal set, one hue per meaning.
CURVE = "#0072b2"
UNKNOWN = "#d55e00"
GOOD = "#00694b"
WARN = "#8a5a00"
BAD = "#b3330a"
INK = "#1c2430"
QUIET = "#5f6b7a"
RULE = "#d5dae1"

Colour = tuple[float, float, float]


def heat(share: float) -> tuple[str, str]:
    """(fill, ink) as #rrggbb for a share of the scale; shares outside 0-1 take the end colours."""
    return _RAMP[round(min(1.0, max(0.0, share)) * (STEPS - 1))]


def luminance(code: str) -> float:
    """Relative luminance of #rrggbb, 0 black to 1 white (WCAG 2.2)."""
    r, g, b = (_linear(int(code[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _gamma(channel: float) -> float:
    value = min(1.0, max(0.0, channel))
    return value * 12.92 if value <= 0.0031308 else float(1.055 * value ** (1 / 2.4) - 0.055)


def _to_oklab(code: str) -> Colour:
    r, g, b = (_linear(int(code[i : i + 2], 16) / 255) for i in (1, 3, 5))
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _to_code(colour: Colour) -> str:
    lightness, a, b = colour
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    channels = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(_gamma(channel) * 255):02x}" for channel in channels)


def _ramp() -> tuple[tuple[str, str], ...]:
    stops = [_to_oklab(code) for code in _STOPS]
    colours = []
    for step in range(STEPS):
        at = step / (STEPS - 1) * (len(stops) - 1)
        left = min(int(at), len(stops) - 2)
        part = at - left
        mixed = [p + (q - p) * part for p, q in zip(stops[left], stops[left + 1], strict=True)]
        fill = _to_code((mixed[0], mixed[1], mixed[2]))
        colours.append((fill, "#ffffff" if luminance(fill) < _WHITE_INK_BELOW else "#000000"))
    return tuple(colours)


_RAMP = _ramp()
