"""A 96-well plate at 450 and 570 nm from each family's twin, paced as its line is, over a pty.

The instrument takes no time of its own, so the wire's own time is that of the bytes that went over
it, both ways: what is more is ours. All lines are measured at once: each is idle nearly all the
time, and the slow ones would take minutes one after the other.
"""

import asyncio
import statistics
import time
from typing import Any

from readerd.driver import catalog
from readerd.driver.chemistry import from_plates
from readerd.driver.link import Link, Transcript
from readerd.driver.serve import serve_pty
from readerd.driver.transport import open_transport
from readerd.driver.virtual import TwinSetup
from readerd.plate import ReadRequest

DUAL = ReadRequest(wavelengths_nm=(450, 570))
LAID = {
    nm: tuple(round(0.04 + step * index, 3) for index in range(96))
    for nm, step in ((450, 0.03), (570, 0.001))
}
READS, BUDGET_OVER_WIRE = 10, 1.1
# Driver and baud (0 = fixed); 1200 baud is left out, it would take two minutes alone. The
# SpectraMax has its own bench, beside another client.
LINES = (
    ("biorad680", 0),
    ("elx808", 2400),
    ("elx808", 9600),
    ("elx800", 9600),
    ("synergyh1", 9600),
    ("synergyh1", 38461),
)
NO_TIME = {"read_s": 0.0, "answer_s": 0.0}
NO_CARRIER = {"elx808": "carrier_s", "elx800": "carrier_s", "synergyh1": "tray_s"}


def main() -> int:
    return asyncio.run(measure())


async def measure() -> int:
    results = await asyncio.gather(*(paced(name, baud) for name, baud in LINES))
    missed = False
    for (name, baud), (over_wire, wire_s) in zip(LINES, results, strict=True):
        median = statistics.median(over_wire)
        missed = missed or median > BUDGET_OVER_WIRE
        print(
            f"{name:<10} {baud or 9600:>6} baud  wire {wire_s:6.3f} s  ours / wire {median:.3f}, "
            f"slowest {max(over_wire):.3f}  (budget {BUDGET_OVER_WIRE:g})"
        )
    return int(missed)


async def paced(name: str, baud: int) -> tuple[list[float], float]:
    """Our reads over the wire's own time, and that time."""
    driver = catalog.find(name)
    options: Any = driver.options.model_validate({"baud": baud} if baud else {})
    line = driver.line(options)
    no_time = {**NO_TIME, **({NO_CARRIER[name]: 0.0} if name in NO_CARRIER else {})}
    twin = driver.twin(TwinSetup(chemistry=from_plates(LAID), options=no_time))
    over: list[float] = []
    wire_s = 0.0
    async with serve_pty(twin, line) as port:
        link = Link(await open_transport(port, line))
        reader = driver.open(link, options)
        await reader.park()
        await reader.identify()
        for _ in range(READS):
            link.transcript = Transcript()
            began_s = time.perf_counter()
            reading = await reader.read(DUAL, lambda strip: None)
            took_s = time.perf_counter() - began_s
            if dict(reading.plates) != LAID:
                raise SystemExit(f"{name}: another plate came than lies there")
            moved = len(link.transcript.sent) + len(link.transcript.received)
            wire_s = moved * line.seconds_per_byte
            over.append(took_s / wire_s)
        await link.close()
    return over, wire_s
