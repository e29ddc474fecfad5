"""From optical densities to responses, well by well: saturation first, then 450 - 570, then blank.

A well has a response only when both wavelengths gave a number within their limits; there is no
uncorrected fallback. Masked wells keep their numbers and take part in nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from readerd.assay.curve.checks import LevelData
from readerd.assay.definition import Assay, Read
from readerd.assay.layout import BLANK, Layout
from readerd.assay.result import Flag
from readerd.errors import InputError, Mistake
from readerd.plate import FORMATS, OpticalDensity, Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class WellTable:
    """One entry per well, row by row. `over` = the measurement wavelength saturated."""

    a_measurement: tuple[float | None, ...]
    a_reference: tuple[float | None, ...]
    corrected: tuple[float | None, ...]
    response: tuple[float | None, ...]
    flags: tuple[tuple[Flag, ...], ...]
    over: tuple[bool, ...]
    masked: tuple[str | None, ...]
    blank: float | None = 0.0  # what was subtracted; None = it should have been and is unknown

    def usable(self, index: int) -> bool:
        """Whether the well has a response and is not masked."""
        return self.response[index] is not None and self.masked[index] is None

    def responses(self, wells: Sequence[int]) -> list[float]:
        """The responses of those wells that may be used."""
        found = [self.response[index] for index in wells if self.masked[index] is None]
        return [value for value in found if value is not None]


def measure(
    assay: Assay,
    measurement: Sequence[OpticalDensity],
    reference: Sequence[OpticalDensity] | None,
    photometric_range: tuple[float, float] | None,
    masks: Mapping[str, str],
) -> WellTable:
    """The table of a plate; wells of `measurement` and `reference` run row by row."""
    layout = assay.layout
    top = photometric_range[1] if photometric_range else math.inf
    masked = _masks(layout, masks)
    judged = [_judge(value, assay.read, top) for value in measurement]
    other = [_judge(value, assay.read, top) for value in reference] if reference else None
    corrected: list[float | None] = []
    flags: list[tuple[Flag, ...]] = []
    for index, (value, usable, marks) in enumerate(judged):
        difference = value if usable else None
        if other is not None:
            base, base_usable, base_marks = other[index]
            if difference is not None and base is not None and base_usable:
                difference -= base
            else:
                difference = None
            marks = (*marks, *(mark for mark in base_marks if mark not in marks))
        if masked[index] is not None:
            marks = (*marks, Flag.MASKED)
        corrected.append(difference)
        flags.append(() if layout.positions[index] is None else marks)
    table = WellTable(
        a_measurement=tuple(value for value, _, _ in judged),
        a_reference=tuple(value for value, _, _ in other) if other else (None,) * len(judged),
        corrected=tuple(corrected),
        response=tuple(corrected),
        flags=tuple(flags),
        over=tuple(Flag.SATURATED in marks for _, _, marks in judged),
        masked=masked,
    )
    return _blanked(assay, table)


def _masks(layout: Layout, masks: Mapping[str, str]) -> tuple[str | None, ...]:
    masked: list[str | None] = [None] * len(layout.positions)
    for well, reason in masks.items():
        try:
            index = FORMATS[layout.format].index(well)
        except ValueError as error:
            held = ", ".join(layout.wells[index] for index in layout.groups.get(well, ()))
            what = f"a mask names a well, and {well} is in {held}" if held else str(error)
            raise InputError("masks", Mistake(well, what)) from error
        if masked[index] is not None:
            raise InputError("masks", Mistake(well, "is masked twice"))
        masked[index] = reason or "masked"
    return tuple(masked)


def _judge(
    value: OpticalDensity, read: Read, top: float
) -> tuple[float | None, bool, tuple[Flag, ...]]:
    """The number as read (None when there is none), whether it may be used, and its flags."""
    if isinstance(value, Unread):
        return None, False, (Flag(value.value),)
    if value > read.no_value_above_od or value >= top:
        return value, False, (Flag.SATURATED,)
    if value > read.warn_above_od:
        return value, True, (Flag.HIGH_ABSORBANCE,)
    return value, True, ()


def _blanked(assay: Assay, table: WellTable) -> WellTable:
    """Subtract the mean of the blank, or of the zero standard, when the assay says so."""
    layout = assay.layout
    if assay.curve.blank == "subtract":
        wells = layout.groups[BLANK]
    elif assay.curve.zero_standard == "subtract":
        zero = next(name for name, nominal in layout.standards.items() if nominal == 0.0)
        wells = layout.groups[zero]
    else:
        return table
    seen = sorted(table.responses(wells))
    if not seen:
        return replace(table, response=(None,) * len(table.response), blank=None)
    blank = math.fsum(seen) / len(seen)
    response = tuple(None if value is None else value - blank for value in table.corrected)
    return replace(table, response=response, blank=blank)


def levels_of(layout: Layout, table: WellTable) -> list[LevelData]:
    """The standard levels as measured; a level without any usable well says why in `masked`."""
    levels = []
    for name, nominal in layout.standards.items():
        wells = layout.groups[name]
        responses = tuple(sorted(table.responses(wells)))
        why = None if responses else _why_missing(wells, table)
        levels.append(LevelData(position=name, nominal=nominal, responses=responses, masked=why))
    return levels


def lost_standards(layout: Layout, table: WellTable) -> list[str]:
    """Standard wells that were read and gave no number: the rest of a saturated level is low."""
    mute = (Flag.SATURATED, Flag.UNREADABLE)
    return [
        f"{name} in {layout.wells[index]} ({mark})"
        for name in layout.standards
        for index in layout.groups[name]
        for mark in table.flags[index][:1]
        if mark in mute and table.masked[index] is None
    ]


def _why_missing(wells: Sequence[int], table: WellTable) -> str:
    reasons = [reason for index in wells if (reason := table.masked[index])]
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    marks = [mark.value for index in wells for mark in table.flags[index]]
    if marks:
        return ", ".join(dict.fromkeys(marks))
    return "no blank" if table.blank is None else "no value"


def turned(table: WellTable) -> WellTable:
    """The same plate read the other way round: turned by 180 degrees."""
    return replace(table, response=table.response[::-1], masked=table.masked[::-1])
