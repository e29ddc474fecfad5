"""Two plates that no instrument can confuse, with every kind of cell, and what agreeing means.

Numbers have three decimals, because every instrument's wire carries those; a reading shows them to
the last digit. One cell has five.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from readerd.plate import FORMATS, OpticalDensity, Reading, Strip, Unread

PLATES = (1, 2)
# Known wells lie at these wavelengths; in between the nearest answers (`Chemistry`).
WAVELENGTHS_NM = (450, 570)
# So much every reader in the field can show; some driver's range is only what its wire can carry.
EVERYBODY_OD = 3.0
FINE = 1.23456
FINE_STEP_OD = 0.00051


@cache
def laid(
    plate: int, format: int, range_od: tuple[float, float]
) -> Mapping[int, Sequence[OpticalDensity]]:
    """Every well of every plate and wavelength different; all kinds of cells at the first."""
    low, high = max(range_od[0], -EVERYBODY_OD), min(range_od[1], EVERYBODY_OD)
    plates: dict[int, list[OpticalDensity]] = {}
    for position, nm in enumerate(WAVELENGTHS_NM):
        start = 0.031 + 0.101 * plate + 0.013 * position
        plates[nm] = [round(start + 0.005 * i, 3) for i in range(FORMATS[format].size)]
    kinds: list[OpticalDensity] = [
        round(max(low, -0.005 * plate), 3),
        Unread.SATURATED,
        0.0,
        round(high - 0.001, 3),
        range_od[1] + 0.25,
        Unread.NOT_MEASURED,
        round(low + 0.001, 3),
        FINE,
    ]
    plates[WAVELENGTHS_NM[0]][1 : 1 + len(kinds)] = kinds
    return plates


def disagreements(
    plates: Mapping[int, Sequence[OpticalDensity]],
    expected: Mapping[int, Sequence[OpticalDensity]],
    format: int,
    range_od: tuple[float, float],
) -> list[str]:
    """One line per well that shows something else than what lies in it."""
    if set(plates) != set(expected):
        return [f"wavelengths {sorted(plates)} instead of {sorted(expected)}"]
    return [
        f"{well} at {nm} nm reads {seen}, in it is {there}"
        for nm in expected
        for well, seen, there in zip(FORMATS[format].wells, plates[nm], expected[nm], strict=True)
        if not _agrees(seen, there, range_od)
    ]


def _agrees(seen: OpticalDensity, there: OpticalDensity, range_od: tuple[float, float]) -> bool:
    low, high = range_od
    if not isinstance(there, Unread) and not low <= there <= high:
        there = Unread.SATURATED
    if isinstance(there, Unread):
        return seen is there or (there is not Unread.SATURATED and isinstance(seen, Unread))
    if isinstance(seen, Unread):
        return False
    return abs(seen - there) <= (FINE_STEP_OD if there == FINE else 0.0)


def contradictions(strips: Sequence[Strip], reading: Reading) -> list[str]:
    """What the last word of the strips says otherwise than the reading."""
    last: dict[tuple[int, str], OpticalDensity] = {}
    for strip in strips:
        last.update({(strip.wavelength_nm, well): seen for well, seen in strip.values.items()})
    wells = set(FORMATS[reading.format].wells)
    return [
        f"a strip says {seen} for {well} at {nm} nm"
        for (nm, well), seen in last.items()
        if nm not in reading.plates or well not in wells or reading.value(nm, well) != seen
    ]
