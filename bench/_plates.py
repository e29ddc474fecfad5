"""Simulated IL-6 plates with known truth, for `bench.science`: the generator that its tables name.

True curve y = d + (a-d)/(1+(x/c)^b) with a 0.045, b 1.05, c 420, d 3.2 and the shipped layout: 8
standards x 2 wells (300 to 0 pg/mL), controls at 30 and 200, 38 samples x 2 wells whose true
concentrations are log-uniform between 6 and 240 pg/mL. 570 nm is 0.038 plus normal noise of SD
0.002, the same value at 450 nm. `numpy.random.default_rng([seed, number])` per plate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from readerd.assay.definition import Assay
from readerd.plate import Identity, Reading

Array = NDArray[np.float64]
SEED = 20260304
TRUE = {"a": 0.045, "b": 1.05, "c": 420.0, "d": 3.2}
CONTROLS = {"QL": 30.0, "QH": 200.0}
LOW_DOSE, HIGH_DOSE = 6.0, 240.0
_OUTLIER_SHARE, _OUTLIER_TIMES = 0.02, 1.3


@dataclass(frozen=True)
class Scenario:
    """How a well's noise follows its true response."""

    name: str
    noise: Callable[[np.random.Generator, Array], Array]
    well_specified: bool = False


def _following(s0: float, cv: float) -> Callable[[np.random.Generator, Array], Array]:
    def noise(dice: np.random.Generator, f: Array) -> Array:
        return np.asarray(dice.normal(size=f.size) * np.sqrt(s0**2 + (cv * f) ** 2))

    return noise


def _constant(dice: np.random.Generator, f: Array) -> Array:
    return np.asarray(dice.normal(scale=0.02, size=f.size))


def _power(dice: np.random.Generator, f: Array) -> Array:
    return np.asarray(dice.normal(size=f.size) * 0.05 * f**0.7)


def _outliers(dice: np.random.Generator, f: Array) -> Array:
    noise = _following(0.004, 0.04)(dice, f)
    hit = dice.random(f.size) < _OUTLIER_SHARE
    return np.asarray(np.where(hit, f * (_OUTLIER_TIMES - 1.0), noise))


SCENARIOS = (
    Scenario("SD² = 0.004² + (0.04 f)²: follows the weights", _following(0.004, 0.04), True),
    Scenario("SD² = 0.005² + (0.10 f)²: twice the assumed CV", _following(0.005, 0.10)),
    Scenario("SD = 0.02 everywhere", _constant),
    Scenario("SD = 0.05 f^0.7", _power),
    Scenario("follows the weights, 2 % of wells read 30 % high", _outliers),
)


@dataclass(frozen=True)
class Plate:
    """One simulated plate: the reading, and the true dose of every position."""

    reading: Reading
    doses: dict[str, float]


def true_response(dose: Array) -> Array:
    """The true curve; dose 0 gives a."""
    return np.asarray(TRUE["d"] + (TRUE["a"] - TRUE["d"]) / (1.0 + (dose / TRUE["c"]) ** TRUE["b"]))


def simulate(assay: Assay, scenario: Scenario, number: int) -> Plate:
    """Plate `number` of a scenario, always the same one."""
    dice = np.random.default_rng([SEED, number])
    layout = assay.layout
    samples = [name for name in layout.groups if layout.role(name) == "sample"]
    drawn = LOW_DOSE * (HIGH_DOSE / LOW_DOSE) ** dice.random(len(samples))
    doses = {**layout.standards, **CONTROLS, **dict(zip(samples, drawn.tolist(), strict=True))}
    f = true_response(np.array([doses[str(position)] for position in layout.positions]))
    background = 0.038 + dice.normal(scale=0.002, size=f.size)
    measured = f + scenario.noise(dice, f) + background
    reading = Reading(
        identity=Identity(model="simulated"),
        format=layout.format,
        plates={450: tuple(measured.tolist()), 570: tuple(background.tolist())},
    )
    return Plate(reading, doses)
