"""A 96-well plate at 450 and 570 nm from a SpectraMax twin, ours beside PyLabRobot's; ours paced.

Both clients read the same twin through the same pseudo-terminal, one after the other. Without
pacing a read is what the client itself costs: round trips, and the pauses it makes. With pacing at
9600 baud and an instrument that takes no time of its own, the wire's own time is that of the bytes
that went over it, both ways.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import chain

from pylabrobot.plate_reading.molecular_devices import (  # type: ignore[import-untyped]
    MolecularDevicesSpectraMax384PlusBackend,
)
from pylabrobot.resources import cor_96_wellplate_360uL_Fb  # type: ignore[import-untyped]

from readerd.driver import catalog
from readerd.driver.chemistry import from_plates
from readerd.driver.contract import Driver, Reader
from readerd.driver.link import Link, Transcript
from readerd.driver.serve import serve_pty
from readerd.driver.transport import open_transport
from readerd.driver.virtual import TwinSetup
from readerd.plate import FORMATS, OpticalDensity, ReadRequest

DUAL = ReadRequest(wavelengths_nm=(450, 570))
LAID = {
    nm: tuple(round(0.04 + step * index, 4) for index in range(96))
    for nm, step in ((450, 0.0301), (570, 0.0001))
}
OUR_READS, THEIR_READS, PACED_READS = 10, 3, 10
BUDGET_RATIO, BUDGET_OVER_WIRE = 0.1, 1.1

Plates = dict[int, tuple[OpticalDensity, ...]]


def main() -> int:
    return asyncio.run(measure())


async def measure() -> int:
    driver = catalog.find("spectramax384plus")
    ours_s, theirs_s = await unpaced(driver)
    over_wire, wire_s = await paced(driver)
    ours, theirs = statistics.median(ours_s), statistics.median(theirs_s)
    rows = [
        ("unpaced, PyLabRobot, median of 3", theirs * 1000, None, "ms"),
        ("unpaced, ours, median of 10", ours * 1000, None, "ms"),
        ("unpaced, ours, slowest", max(ours_s) * 1000, None, "ms"),
        ("ours / PyLabRobot", ours / theirs, BUDGET_RATIO, ""),
        ("wire's own time at 9600 baud", wire_s * 1000, None, "ms"),
        ("paced, ours / wire, median of 10", statistics.median(over_wire), BUDGET_OVER_WIRE, ""),
        ("paced, ours / wire, slowest", max(over_wire), None, ""),
    ]
    for text, value, budget, unit in rows:
        against = "" if budget is None else f"  (budget {budget:g})"
        print(f"{text:<40} {value:10.3f} {unit}{against}")
    return int(any(budget is not None and value > budget for _, value, budget, _ in rows))


async def unpaced(driver: Driver) -> tuple[list[float], list[float]]:
    """Seconds per read, ours and theirs, from one twin that takes no time."""
    line = driver.line(driver.options())
    twin = driver.twin(TwinSetup(chemistry=from_plates(LAID)))
    async with serve_pty(twin, line, time_scale=0) as port:
        theirs_s = await with_pylabrobot(port)
        reader, link = await ours(driver, port)
        ours_s = [await timed(lambda: read(reader)) for _ in range(OUR_READS)]
        await link.close()
    return ours_s, theirs_s


async def paced(driver: Driver) -> tuple[list[float], float]:
    """Our reads over the wire's own time, and that time."""
    line = driver.line(driver.options())
    no_time = {"read_s": 0.0, "answer_s": 0.0}
    twin = driver.twin(TwinSetup(chemistry=from_plates(LAID), options=no_time))
    over, wire_s = [], 0.0
    async with serve_pty(twin, line) as port:
        reader, link = await ours(driver, port)
        for _ in range(PACED_READS):
            link.transcript = Transcript()
            took_s = await timed(lambda: read(reader))
            moved = len(link.transcript.sent) + len(link.transcript.received)
            wire_s = moved * line.seconds_per_byte
            over.append(took_s / wire_s)
        await link.close()
    return over, wire_s


async def ours(driver: Driver, port: str) -> tuple[Reader, Link]:
    """Our reader, at rest and identified."""
    options = driver.options()
    link = Link(await open_transport(port, driver.line(options)))
    reader = driver.open(link, options)
    await reader.park()
    await reader.identify()
    return reader, link


async def read(reader: Reader) -> None:
    check(dict((await reader.read(DUAL, lambda strip: None)).plates))


async def with_pylabrobot(port: str) -> list[float]:
    """Seconds per read; opening the port and saying hello are not counted, here nor there."""
    backend = MolecularDevicesSpectraMax384PlusBackend(port.removeprefix("serial:"))
    plate = cor_96_wellplate_360uL_Fb(name="plate")

    async def read_once() -> None:
        found = await backend.read_absorbance(plate=plate, wavelengths=[450, 570])
        check({each["wavelength"]: tuple(chain.from_iterable(each["data"])) for each in found})

    await backend.setup()
    try:
        return [await timed(read_once) for _ in range(THEIR_READS)]
    finally:
        await backend.stop()


async def timed(action: Callable[[], Awaitable[None]]) -> float:
    began_s = time.perf_counter()
    await action()
    return time.perf_counter() - began_s


def check(plates: Plates) -> None:
    """A fast wrong answer is none."""
    if plates != LAID or any(len(values) != FORMATS[96].size for values in plates.values()):
        raise ValueError("the plate that was read is not the plate that was laid")
