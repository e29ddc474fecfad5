"""The founding plate: human IL-6 with known true concentrations, the same for every seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from readerd.assay.definition import Assay, load_assay
from readerd.driver.chemistry import Chemistry, simulated_elisa

SEED = 6
# Some samples lie below the lowest and above the highest standard, as in life.
OUTSIDE = {"U31": 1.5, "U32": 2.5, "U37": 420.0, "U38": 800.0}
# At the LLOQ itself the plate's noise alone is 12 % of a duplicate's concentration: a plate that
# is to be judged by 20 % keeps its other samples above this many times the lowest standard.
LOWEST_SAMPLE = 2.0


@dataclass(frozen=True, slots=True)
class TruePlate:
    """A simulated plate and the truth about it: concentration in the well by position."""

    assay_text: str
    chemistry: Chemistry
    truth: Mapping[str, float]


def il6_assay_text() -> str:
    """The shipped IL-6 assay file."""
    return files("readerd.demo").joinpath("il6-elisa.toml").read_text(encoding="utf-8")


def il6_plate(seed: int = SEED) -> TruePlate:
    """Standards and controls as the assay file has them, samples spread over the range."""
    text, assay = _shipped()
    truth = _truth(assay, random.Random(seed))
    positions = zip(assay.layout.wells, assay.layout.positions, strict=True)
    wells = {well: truth[position] for well, position in positions if position is not None}
    return TruePlate(text, simulated_elisa(wells, seed=seed, format=assay.layout.format), truth)


@cache
def _shipped() -> tuple[str, Assay]:
    text = il6_assay_text()
    return text, load_assay(text, "il6-elisa.toml")


def _truth(assay: Assay, dice: random.Random) -> dict[str, float]:
    layout = assay.layout
    levels = [value for value in layout.standards.values() if value > 0]
    low, high = LOWEST_SAMPLE * min(levels), max(levels)
    truth: dict[str, float] = dict(layout.standards)
    for position in layout.groups:
        if layout.role(position) == "control":
            truth[position] = sum(layout.controls[position.partition(":")[0]]) / 2
        elif layout.role(position) == "sample":
            inside = low * (high / low) ** dice.random()
            truth[position] = OUTSIDE.get(position, inside)
    return {name: round(value, 2) for name, value in truth.items()}
