"""A simulated Model 680 (or 550) with exchangeable plates, and the real reader on its line."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from readerd.driver.contract import Driver
from readerd.plate import Identity, OpticalDensity, Unread
from readerd_biorad import DRIVER
from tests.drivers.twin_bench import DUAL, PLATE_1, PLATE_2, SINGLE, Bench, now_s

__all__ = ["DUAL", "PLATE_1", "PLATE_2", "SINGLE", "Bench", "commands", "identified", "now_s",
           "simulated", "values"]  # fmt: skip


@cache
def values(plate: int, wavelength_nm: int, format: int = 96) -> Sequence[OpticalDensity]:
    """Every well of every plate and wavelength different, three decimals, all kinds of cells."""
    if wavelength_nm != 450:
        return [round(0.03 + plate / 100 + index / 10_000, 3) for index in range(format)]
    numbers: list[OpticalDensity] = [round(plate + index / 50, 3) for index in range(format)]
    numbers[1], numbers[2], numbers[3] = -0.005 * plate, Unread.SATURATED, 0.0
    numbers[4], numbers[5] = 3.5, -3.5
    return [n if isinstance(n, Unread) or n <= 3.5 else Unread.SATURATED for n in numbers]


def simulated(faults: tuple[str, ...] = (), *, driver: Driver = DRIVER, **more: Any) -> Bench:
    low, high = driver.photometric_range

    def shown(value: OpticalDensity) -> OpticalDensity:
        return value if isinstance(value, Unread) or low <= value <= high else Unread.SATURATED

    nm = (405, 450, 490, 570, 630)
    return Bench(driver=driver, lies=values, laid_nm=nm, shown=shown, faults=faults, **more)


def commands(bench: Bench) -> list[str]:
    """What the reader has sent so far, command by command."""
    sent = bench.link.transcript.sent.decode("ascii")
    return [line.removeprefix("EIA.READER ") for line in sent.split("\r")[:-1]]


async def identified(bench: Bench) -> Identity:
    """Identify, and forget what was said for it."""
    identity: Identity = await bench.reader.identify()
    bench.forget()
    return identity
