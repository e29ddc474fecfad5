"""Plates for laws: one draw for a whole plate, where 96 draws would be most of a test's time."""

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from readerd.plate import OpticalDensity, Unread


def well_values(
    low: int, high: int, decimals: int, unread: Sequence[Unread], wells: int = 96
) -> st.SearchStrategy[list[OpticalDensity]]:
    """Numbers of so many decimals from `low` to `high` in their last digit, limits included."""
    limits = (low, high, 0, -1, 1)

    def value(dice: Random) -> OpticalDensity:
        kind = dice.randrange(8)
        if kind == 0:
            return dice.choice(unread)
        last_digits = dice.choice(limits) if kind == 1 else dice.randint(low, high)
        return float(last_digits / 10**decimals)

    def plate(seed: int) -> list[OpticalDensity]:
        dice = Random(seed)
        return [value(dice) for _ in range(wells)]

    return st.integers(0, 2**64).map(plate)
