"""A simulated instrument with a plate that can be exchanged, and the real driver on its line.

What a family's tests need more (its plates, its options, what it has been told) stands beside them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from readerd.driver.chemistry import Chemistry
from readerd.driver.contract import Driver
from readerd.driver.link import Link
from readerd.driver.stream import LineSettings
from readerd.driver.transport import TwinStream
from readerd.driver.virtual import TwinSetup, parse_fault
from readerd.driver.wire import Wire
from readerd.errors import InstrumentError
from readerd.plate import Identity, OpticalDensity, ReadRequest, Strip
from tests.virtual_clock import run_virtual

T = TypeVar("T")

DUAL = ReadRequest(wavelengths_nm=(450, 570))
SINGLE = ReadRequest(wavelengths_nm=(450,))
PLATE_1, PLATE_2 = 1, 2
# The ladder gives up after so many rungs.
RUNGS = 100


class Lies(Protocol):
    """Every well of a plate at a wavelength; no two plates and wavelengths alike."""

    def __call__(self, plate: int, wavelength_nm: int, format: int) -> Sequence[OpticalDensity]: ...


Shown = Callable[[OpticalDensity], OpticalDensity]


@dataclass(kw_only=True)
class Bench:
    """One twin that outlives its connections, one open link and reader at a time."""

    driver: Driver
    lies: Lies
    laid_nm: tuple[int, ...]
    shown: Shown = lambda value: value  # what the wire can say about a well
    format: int = 96
    faults: tuple[str, ...] = ()
    filters_nm: tuple[int | None, ...] | None = None
    twin_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    faster_line: LineSettings | None = None  # than the options have it

    def __post_init__(self) -> None:
        self.plates: dict[int, Sequence[OpticalDensity]] = {}
        self.lay(PLATE_1)
        setup = TwinSetup(
            chemistry=Chemistry(format=self.format, plates=self.plates),
            filters_nm=self.filters_nm,
            faults=tuple(parse_fault(spec) for spec in self.faults),
            options=self.twin_options,
        )
        self.twin = self.driver.twin(setup)
        self.settings: Any = self.driver.options(**{**self.driver.example, **self.options})
        self.line = self.faster_line or self.driver.line(self.settings)
        self.strips: list[Strip] = []
        self.wire: Wire | None = None

    def lay(self, plate: int) -> None:
        """Put another plate on the carrier."""
        self.plates.update({nm: self.lies(plate, nm, self.format) for nm in self.laid_nm})

    def plug_in(self) -> None:
        """Open the port; what the instrument still says to an earlier opening comes here."""
        if self.wire is None:
            self.wire = Wire(self.twin, self.line)
        self.link = Link(TwinStream(self.wire))
        self.reader: Any = self.driver.open(self.link, self.settings)

    async def read(self, request: ReadRequest = DUAL) -> dict[int, tuple[OpticalDensity, ...]]:
        return dict((await self.reader.read(request, self.strips.append)).plates)

    def expected(self, request: ReadRequest = DUAL) -> dict[int, tuple[OpticalDensity, ...]]:
        """What the instrument shows of the plate that lies there."""
        return {nm: tuple(map(self.shown, self.plates[nm])) for nm in request.wavelengths_nm}

    async def settle(self) -> None:
        """The daemon's ladder in small: park and identify; else plug in again."""
        for _ in range(RUNGS):
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

    async def settle_within(self, within_s: float) -> None:
        bound_s = now_s() + within_s
        await self.settle()
        assert now_s() <= bound_s

    def forget(self) -> None:
        """What was said so far."""
        self.link.transcript = type(self.link.transcript)()

    async def identified(self) -> Identity:
        """Park, identify, and forget what was said for it."""
        await self.reader.park()
        identity: Identity = await self.reader.identify()
        self.forget()
        return identity

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


async def tried(verb: Awaitable[object], within_s: float) -> bool:
    """The verb ends in time: well, or with a stated failure."""
    began_s = now_s()
    went_well = False
    with contextlib.suppress(InstrumentError):
        await verb
        went_well = True
    assert now_s() - began_s <= within_s
    return went_well


async def given_up(reading: Awaitable[object], after_s: float) -> None:
    """Begin it and cancel it; a fault may have ended it before."""
    task = asyncio.ensure_future(reading)
    await asyncio.sleep(after_s)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
