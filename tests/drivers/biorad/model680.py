"""A simulated Model 680 (or 550) with exchangeable plates, and the real reader on its line."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, cast

from readerd.driver.chemistry import Chemistry
from readerd.driver.contract import Driver
from readerd.driver.link import Link
from readerd.driver.stream import LineSettings
from readerd.driver.transport import TwinStream
from readerd.driver.virtual import TwinSetup, parse_fault
from readerd.driver.wire import Wire
from readerd.errors import InstrumentError
from readerd.plate import Identity, OpticalDensity, ReadRequest, Strip, Unread
from readerd_biorad import DRIVER
from readerd_biorad.reader import EiaReader
from tests.virtual_clock import run_virtual

T = TypeVar("T")

DUAL = ReadRequest(wavelengths_nm=(450, 570))
PLATE_1, PLATE_2 = 1, 2


@cache
def values(plate: int, wavelength_nm: int) -> Sequence[OpticalDensity]:
    """Every well of every plate and wavelength different, three decimals, all kinds of cells."""
    if wavelength_nm != 450:
        return [round(0.03 + plate / 100 + index / 10_000, 3) for index in range(96)]
    numbers: list[OpticalDensity] = [round(plate + index / 50, 3) for index in range(96)]
    numbers[1], numbers[2], numbers[3] = -0.005 * plate, Unread.SATURATED, 0.0
    numbers[4], numbers[5] = 3.5, -3.5
    return [n if isinstance(n, Unread) or n <= 3.5 else Unread.SATURATED for n in numbers]


@dataclass
class Bench:
    """One twin that outlives its connections, one open link and reader at a time."""

    faults: tuple[str, ...] = ()
    filters_nm: tuple[int | None, ...] | None = None
    twin_options: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    line: LineSettings = field(default_factory=LineSettings)
    driver: Driver = DRIVER

    def __post_init__(self) -> None:
        self.plates: dict[int, Sequence[OpticalDensity]] = {}
        self.lay(PLATE_1)
        setup = TwinSetup(
            chemistry=Chemistry(format=96, plates=self.plates),
            filters_nm=self.filters_nm,
            faults=tuple(parse_fault(spec) for spec in self.faults),
            options=self.twin_options,
        )
        self.twin = self.driver.twin(setup)
        self.settings: Any = self.driver.options(**{**self.driver.example, **self.options})
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
        self.reader = cast(EiaReader, self.driver.open(self.link, self.settings))

    async def read(self, request: ReadRequest = DUAL) -> dict[int, tuple[OpticalDensity, ...]]:
        return dict((await self.reader.read(request, self.strips.append)).plates)

    def expected(self, request: ReadRequest = DUAL) -> dict[int, tuple[OpticalDensity, ...]]:
        """What the instrument shows of the plate that lies there."""
        low, high = self.driver.photometric_range
        return {
            nm: tuple(
                value if isinstance(value, Unread) or low <= value <= high else Unread.SATURATED
                for value in self.plates[nm]
            )
            for nm in request.wavelengths_nm
        }

    async def settle(self) -> None:
        """The bench's ladder in small: park and identify; else plug in again."""
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


def commands(bench: Bench) -> list[str]:
    """What the reader has sent so far, command by command."""
    sent = bench.link.transcript.sent.decode("ascii")
    return [line.removeprefix("EIA.READER ") for line in sent.split("\r")[:-1]]


async def identified(bench: Bench) -> Identity:
    """Identify, and forget what was said for it."""
    identity = await bench.reader.identify()
    bench.link.transcript = type(bench.link.transcript)()
    return identity
