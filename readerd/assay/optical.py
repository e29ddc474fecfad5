"""What the reference wavelength says about the plate itself: dirt, a missing strip, no plate.

570 nm sees plastic, bubbles and scratches, not colour. Everything here is reported and nothing is
corrected. Without a reference wavelength only presence is judged, at the measurement wavelength.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from readerd.assay.acceptance import Acceptance
from readerd.assay.layout import Layout
from readerd.assay.result import Flag, Rule
from readerd.assay.wells import WellTable
from readerd.plate import FORMATS, well_name

# the median absolute deviation of normal noise is SD / 1.4826
_MAD_TO_SD = 1.4826
# so many of the filled wells must look like air before the plate is said to be missing
_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Optics:
    """Flags by well index, flags of the plate, and the rules that say what was seen."""

    wells: dict[int, tuple[Flag, ...]]
    plate: tuple[Flag, ...]
    rules: tuple[Rule, ...]


def inspect(layout: Layout, table: WellTable, acceptance: Acceptance) -> Optics:
    """Judge the filled wells of a plate."""
    filled = [index for index, position in enumerate(layout.positions) if position is not None]
    referenced = any(value is not None for value in table.a_reference)
    column = table.a_reference if referenced else table.a_measurement
    seen = {index: value for index in filled if (value := column[index]) is not None}
    wells: dict[int, tuple[Flag, ...]] = {}
    rules: list[Rule] = []
    plate: list[Flag] = []
    if referenced and seen:
        wells = _odd_wells(seen, acceptance)
        rules.append(_spread(seen, acceptance))
        if rules[0].verdict == "warn":
            plate.append(Flag.OPTICAL_SPREAD)
    presence, flag, absent = _presence(layout, seen, acceptance)
    rules.append(presence)
    if flag is not None:
        plate.append(flag)
    for index in absent:
        wells[index] = (*wells.get(index, ()), Flag.STRIP_ABSENT)
    return Optics(wells, tuple(plate), tuple(rules))


def _odd_wells(seen: dict[int, float], acceptance: Acceptance) -> dict[int, tuple[Flag, ...]]:
    middle = statistics.median(seen.values())
    mad = _MAD_TO_SD * statistics.median(abs(value - middle) for value in seen.values())
    high = min(middle + acceptance.reference_mads * mad, acceptance.reference_high_od)
    # of identical wells every other value would be odd: then only the fixed limit counts
    if mad == 0.0:
        high = acceptance.reference_high_od
    flags: dict[int, tuple[Flag, ...]] = {}
    for index, value in seen.items():
        if value > high:
            flags[index] = (Flag.REFERENCE_HIGH,)
        elif value < max(acceptance.reference_low_od, 0.0):
            flags[index] = (Flag.REFERENCE_LOW,)
    return flags


def _spread(seen: dict[int, float], acceptance: Acceptance) -> Rule:
    mean = math.fsum(seen.values()) / len(seen)
    squares = math.fsum((value - mean) ** 2 for value in seen.values())
    spread = math.sqrt(squares / max(len(seen) - 1, 1))
    wide = spread > acceptance.reference_spread_od
    return Rule(
        id="optical-spread",
        verdict="warn" if wide else "pass",
        observed=spread,
        limit=acceptance.reference_spread_od,
        text="the reference wavelength varies from well to well" if wide else None,
    )


def _presence(
    layout: Layout, seen: dict[int, float], acceptance: Acceptance
) -> tuple[Rule, Flag | None, Sequence[int]]:
    """The rule `plate-present`, its flag, and the wells of absent strips."""
    low = {index for index, value in seen.items() if value < acceptance.reference_low_od}
    share = len(low) / len(seen) if seen else 0.0
    rule = Rule(
        id="plate-present",
        verdict="pass" if seen else "none",
        observed=share,
        limit=_NEARLY_ALL,
        text=None,
    )
    if seen and share >= _NEARLY_ALL:
        text = f"{len(low)} of {len(seen)} filled wells look like air: no plate?"
        return replace(rule, verdict="fail", text=text), Flag.NO_PLATE_SUSPECTED, ()
    absent: set[int] = set()
    names: list[str] = []
    for name, strip in _strips(layout):
        measured = [index for index in strip if index in seen]
        if len(measured) > 1 and low.issuperset(measured):
            names.append(name)
            absent.update(measured)
    if not names:
        return rule, None, ()
    text = f"absent: {', '.join(names)}, which the layout fills"
    return replace(rule, verdict="fail", text=text), Flag.STRIP_ABSENT, sorted(absent)


def _strips(layout: Layout) -> Iterator[tuple[str, list[int]]]:
    """Columns (strips of 8), then rows (strips of 12): name and filled wells."""
    plate = FORMATS[layout.format]
    filled = [position is not None for position in layout.positions]
    for column in range(plate.columns):
        wells = [row * plate.columns + column for row in range(plate.rows)]
        yield f"column {column + 1}", [index for index in wells if filled[index]]
    for row in range(plate.rows):
        wells = [row * plate.columns + column for column in range(plate.columns)]
        yield f"row {well_name(row, 0)[0]}", [index for index in wells if filled[index]]
