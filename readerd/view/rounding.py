"""Numbers as people read them. The only place where readerd rounds; the wire never does."""

import math
from collections.abc import Sequence

from readerd.assay.result import Qualifier, Sample

MISSING = "–"


def significant(value: float, digits: int = 3) -> str:
    """Plain decimal with `digits` significant digits; digits before the point are all kept."""
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 7:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}"
    # 9.996 rounds to 10.00: one digit too many once the magnitude has grown
    if math.floor(math.log10(abs(float(text)))) > magnitude:
        text = f"{value:.{max(0, digits - 2 - magnitude)}f}"
    return text


def concentration(value: float | None) -> str:
    """A measured concentration: three significant digits."""
    return MISSING if value is None else significant(value)


def nominal(value: float) -> str:
    """A concentration or limit that a person wrote down: as written, up to six digits."""
    return _short(significant(value, 6))


def od(value: float | None, decimals: int = 3) -> str:
    """An optical density; negative ones are ordinary, minus zero is not."""
    return MISSING if value is None else _fixed(value, decimals)


def percent(value: float | None, decimals: int = 1) -> str:
    """A percentage without its sign."""
    return MISSING if value is None else _fixed(value, decimals)


def signed_percent(value: float | None) -> str:
    """A deviation in percent: +3.1, -0.4, 0.0."""
    if value is None:
        return MISSING
    text = _fixed(value, 1)
    return f"+{text}" if float(text) > 0 else text


def quantity(value: float | None) -> str:
    """Any other number (a limit of a rule, a count): three digits, whole ones in full."""
    return MISSING if value is None else _short(significant(value))


def statistic(value: float | None) -> str:
    """A figure of the fit: four significant digits."""
    return MISSING if value is None else significant(value, 4)


def with_error(value: float, error: float) -> str:
    """`469 ± 102`: an estimate with its standard error, both down to the error's second digit."""
    spread = significant(error, 2)
    if "e" in spread or error == 0:
        return f"{statistic(value)} ± {spread}"
    return f"{_fixed(value, len(spread.partition('.')[2]))} ± {spread}"


def factor(value: float) -> str:
    """A dilution factor: 2, 2.5, 100."""
    return nominal(value)


def qualified(value: float | None, qualifier: Qualifier | None, limit: float | None) -> str:
    """`498`, `> 300`, `< 4.69`, or the sign for missing."""
    if qualifier in ("<", ">") and limit is not None:
        return f"{qualifier} {nominal(limit)}"
    return concentration(value)


def reported(sample: Sample) -> str:
    """What stands in a sample's value column."""
    return qualified(sample.value, sample.qualifier, sample.limit)


def interval(bounds: Sequence[float | None] | None) -> str:
    """`470 – 527`; an interval that is open on one side says so."""
    if bounds is None or (bounds[0] is None and bounds[1] is None):
        return MISSING
    low, high = bounds
    if low is None:
        return f"≤ {concentration(high)}"
    if high is None:
        return f"≥ {concentration(low)}"
    return f"{concentration(low)} – {concentration(high)}"


def _short(text: str) -> str:
    mantissa, mark, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + mark + exponent


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text
