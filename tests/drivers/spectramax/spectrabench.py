"""A simulated SpectraMax with a plate that can be exchanged, and the real reader on its line."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from readerd.driver.contract import Driver
from readerd.plate import FORMATS, OpticalDensity, Unread
from readerd_spectramax import DRIVER_384_PLUS
from tests.drivers.twin_bench import DUAL, PLATE_1, PLATE_2, Bench, now_s

__all__ = ["DUAL", "PLATE_1", "PLATE_2", "Bench", "commands", "now_s", "simulated", "values",
           "without_polls"]  # fmt: skip


@cache
def values(plate: int, wavelength_nm: int, format: int = 96) -> Sequence[OpticalDensity]:
    """Every well of every plate and wavelength different, four decimals, all kinds of cells."""
    size = FORMATS[format].size
    if wavelength_nm != 450:
        return [round(0.03 + plate / 100 + index / 100_000, 4) for index in range(size)]
    numbers: list[OpticalDensity] = [round(plate + index / 400, 4) for index in range(size)]
    numbers[1], numbers[2], numbers[3] = -0.0051 * plate, Unread.SATURATED, 0.0
    numbers[4], numbers[5], numbers[6] = 4.0, Unread.NOT_MEASURED, Unread.UNREADABLE
    return numbers


def simulated(
    faults: tuple[str, ...] = (), *, driver: Driver = DRIVER_384_PLUS, **more: Any
) -> Bench:
    return Bench(driver=driver, lies=values, laid_nm=(450, 570), faults=faults, **more)


def commands(bench: Bench) -> list[str]:
    """What the reader has sent so far, command by command."""
    return bench.link.transcript.sent.decode("ascii").split("\r")[:-1]


def without_polls(sent: list[str]) -> list[str]:
    """Repeated questions for the status count once."""
    return [each for at, each in enumerate(sent) if not (at and each == sent[at - 1] == "!STATUS")]
