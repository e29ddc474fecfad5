"""What lies in the simulated wells: optical density by well and wavelength."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from readerd.errors import InputError, Mistake
from readerd.plate import FORMATS, OpticalDensity, Unread

# The IL-6 example of the contract: 4PL with concentrations in pg/mL.
TRUE_A, TRUE_B, TRUE_C, TRUE_D = 0.045, 1.05, 420.0, 3.2
# Reader noise in OD and pipetting noise relative to the signal, per well.
NOISE_OD, NOISE_RELATIVE = 0.004, 0.04
# Plastic and fluid, the same at every wavelength.
BACKGROUND_OD, BACKGROUND_SD_OD = 0.038, 0.002
# Stopped TMB peaks at 450 nm and is colourless from 550 nm on.
PEAK_NM, COLOURLESS_NM = 450, 550


@dataclass(frozen=True, slots=True, kw_only=True)
class Chemistry:
    """One filled plate: `plates` by wavelength, `concentrations` by well when they are known."""

    format: int
    plates: Mapping[int, Sequence[OpticalDensity]]
    concentrations: Mapping[str, float] | None = None

    def optical_density(self, well: str, wavelength_nm: int) -> OpticalDensity:
        """What is in the well; between known wavelengths the nearest one answers."""
        return self._nearest(wavelength_nm)[FORMATS[self.format].index(well)]

    def plate(self, wavelength_nm: int) -> tuple[OpticalDensity, ...]:
        """All wells row by row."""
        return tuple(self._nearest(wavelength_nm)[: FORMATS[self.format].size])

    def _nearest(self, wavelength_nm: int) -> Sequence[OpticalDensity]:
        nearest_nm = min(
            self.plates, key=lambda known_nm: (abs(known_nm - wavelength_nm), known_nm)
        )
        return self.plates[nearest_nm]


def from_plates(plates: Mapping[int, Sequence[OpticalDensity]], format: int = 96) -> Chemistry:
    """Wells with given optical densities (a plate file); InputError when a plate is not whole."""
    if not plates:
        raise InputError("plate", Mistake("", "it has no wavelength"))
    for wavelength_nm, values in plates.items():
        if len(values) != FORMATS[format].size:
            what = f"{len(values)} wells instead of {FORMATS[format].size}"
            raise InputError("plate", Mistake(f"{wavelength_nm} nm", what))
    return Chemistry(format=format, plates=dict(plates))


def true_signal_od(concentration: float) -> float:
    """The curve behind `simulated_elisa`, without background and noise."""
    return TRUE_D + (TRUE_A - TRUE_D) / (1 + math.pow(concentration / TRUE_C, TRUE_B))


def simulated_elisa(
    concentrations: Mapping[str, float],
    *,
    seed: int,
    format: int = 96,
    wavelengths_nm: Sequence[int] = (405, 450, 490, 550, 570, 595, 620, 630, 650, 655),
) -> Chemistry:
    """A stopped TMB sandwich ELISA: wells with a concentration carry colour, the others none.

    At 450 nm background + curve + noise with SD² = 0.004² + (0.04 f)²; from 550 nm on background
    alone; in between the colour falls off linearly. The same seed gives the same plate, whatever
    the order of `concentrations`.
    """
    wells = FORMATS[format].wells
    if not set(concentrations) <= set(wells):
        stray = ", ".join(sorted(set(concentrations) - set(wells)))
        raise InputError("plate", Mistake("", f"no such wells on {format}: {stray}"))
    dice = random.Random(seed)
    plates: dict[int, list[OpticalDensity]] = {nm: [] for nm in wavelengths_nm}
    for well in wells:
        background = dice.gauss(BACKGROUND_OD, BACKGROUND_SD_OD)
        noise = dice.gauss(0.0, 1.0)
        colour = 0.0
        if well in concentrations:
            signal = true_signal_od(concentrations[well])
            colour = signal + noise * math.hypot(NOISE_OD, NOISE_RELATIVE * signal)
        for nm, values in plates.items():
            values.append(background + colour * _colour_share(nm))
    return Chemistry(format=format, plates=plates, concentrations=dict(concentrations))


def _colour_share(wavelength_nm: int) -> float:
    return max(0.0, 1 - abs(wavelength_nm - PEAK_NM) / (COLOURLESS_NM - PEAK_NM))


def reported(value: OpticalDensity, decimals: int, limit_od: float) -> OpticalDensity:
    """The value as an instrument with so many decimals and this range can show it."""
    if isinstance(value, Unread):
        return value
    return Unread.SATURATED if abs(value) > limit_od else round(value, decimals)
