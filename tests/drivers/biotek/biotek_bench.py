"""A simulated BioTek reader with a plate that can be exchanged, and the real driver on its line."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from readerd.driver.chemistry import Chemistry
from readerd.driver.contract import Driver
from readerd.driver.link import Link
from readerd.driver.transport import TwinStream
from readerd.driver.virtual import TwinSetup, parse_fault
from readerd.driver.wire import Wire
from readerd.errors import InstrumentError
from readerd.plate import OpticalDensity, ReadRequest, Strip, Unread
from readerd_biotek import ELX800, ELX808, SYNERGYH1
from tests.virtual_clock import run_virtual

T = TypeVar("T")

DUAL = ReadRequest(wavelengths_nm=(450, 570))
SINGLE = ReadRequest(wavelengths_nm=(450,))
PLATE_1, PLATE_2 = 1, 2
DRIVERS: Mapping[str, Driver] = {"elx808": ELX808, "elx800": ELX800, "synergyh1": SYNERGYH1}
# What the wire of each carries behind the point.
DECIMALS = {"elx808": 3, "elx800": 3, "synergyh1": 4}
OVER_RANGE_OD = 4.0


@cache
def values(plate: int, wavelength_nm: int) -> Sequence[OpticalDensity]:
    """Every well of every plate and wavelength different, all kinds of cells, four decimals."""
    if wavelength_nm != 450:
        base = 0.03 + plate / 100 + wavelength_nm / 1e4
        return [round(base + index / 1_000 + 0.0004, 4) for index in range(96)]
    numbers: list[OpticalDensity] = [round(plate + index / 50 + 0.0003, 4) for index in range(96)]
    numbers[1], numbers[2], numbers[3] = -0.0052 * plate, Unread.SATURATED, 0.0
    numbers[4], numbers[5], numbers[6] = 3.9999, 4.0001, -0.00004
    numbers[7], numbers[8] = Unread.NOT_MEASURED, Unread.UNREADABLE
    return numbers


@cache
def as_sent(driver: str, value: OpticalDensity) -> OpticalDensity:
    """What the wire of this driver can say about a well."""
    if value is Unread.NOT_MEASURED and driver == "synergyh1":
        return value
    if isinstance(value, Unread) or abs(value) > OVER_RANGE_OD:
        return Unread.SATURATED
    return round(value, DECIMALS[driver]) + 0.0


@dataclass
class Bench:
    """One twin that outlives its connections, one open link and reader at a time."""

    name: str = "elx808"
    faults: tuple[str, ...] = ()
    filters_nm: tuple[int | None, ...] | None = None
    twin_options: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.driver = DRIVERS[self.name]
        self.plates: dict[int, Sequence[OpticalDensity]] = {}
        self.lay(PLATE_1)
        setup = TwinSetup(
            chemistry=Chemistry(format=96, plates=self.plates),
            filters_nm=self.filters_nm,
            faults=tuple(parse_fault(spec) for spec in self.faults),
            options={"over_range_od": OVER_RANGE_OD, **self.twin_options},
        )
        self.twin = self.driver.twin(setup)
        self.settings: Any = self.driver.options(**self.options)
        self.line = self.driver.line(self.settings)
        self.strips: list[Strip] = []
        self.wire: Wire | None = None

    def lay(self, plate: int) -> None:
        """Put another plate on the carrier."""
        self.plates.update({nm: values(plate, nm) for nm in (405, 450, 490, 570, 630)})

    def plug_in(self) -> None:
        """Open the port; what the instrument still says to an earlier opening comes here."""
        if self.wire is None:
            self.wire = Wire(self.twin, self.line)
        self.link = Link(TwinStream(self.wire))
        self.reader: Any = self.driver.open(self.link, self.settings)

    async def read(self, request: ReadRequest = DUAL) -> dict[int, tuple[OpticalDensity, ...]]:
        return dict((await self.reader.read(request, self.strips.append)).plates)

    def expected(self, request: ReadRequest = DUAL) -> dict[int, tuple[OpticalDensity, ...]]:
        return {
            nm: tuple(as_sent(self.name, value) for value in self.plates[nm])
            for nm in request.wavelengths_nm
        }

    async def settle(self) -> None:
        """The daemon's ladder in small: park and identify; else plug in again."""
        for _ in range(40):
            try:
                await self.reader.park()
                await self.reader.identify()
            except InstrumentError:
                await self.link.close()
                await asyncio.sleep(1)
                self.plug_in()
            else:
                return
        raise AssertionError("never came back")

    def run(self, talk: Callable[["Bench"], Awaitable[T]]) -> T:
        """Power up, plug in and talk, in virtual time."""

        async def main() -> T:
            self.plug_in()
            try:
                return await talk(self)
            finally:
                await self.link.close()

        return run_virtual(main())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def sent(bench: Bench) -> list[bytes]:
    """What the driver has sent so far, one piece for each question."""
    return [entry.data for entry in bench.link.transcript.entries if entry.direction == ">"]


async def at_rest(bench: Bench) -> None:
    """Park and identify, and forget what was said for it."""
    await bench.reader.park()
    await bench.reader.identify()
    bench.link.transcript = type(bench.link.transcript)()
