"""A simulated reader on a cable, with a plate on its carrier; fate pulls the cable."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from readerd.demo.plate import il6_plate
from readerd.driver.chemistry import Chemistry
from readerd.driver.contract import Driver
from readerd.driver.stream import ByteStream
from readerd.driver.transport import TwinStream
from readerd.driver.virtual import (
    LINE_FAULTS,
    Emission,
    Fault,
    Twin,
    TwinSetup,
    parse_fault,
    with_faults,
)
from readerd.driver.wire import Wire
from readerd.errors import LinkLost
from readerd.plate import OpticalDensity

FORMAT = 96
# What lies on the carrier; no more are kept, since the weekend measures what grows.
_lying = lru_cache(maxsize=4)(il6_plate)


class _Carrier(Mapping[int, Sequence[OpticalDensity]]):
    """Optical densities by wavelength, of whatever plate lies there now."""

    def __init__(self) -> None:
        self.plate = 0

    @property
    def _wells(self) -> Mapping[int, Sequence[OpticalDensity]]:
        return _lying(self.plate).chemistry.plates

    def __getitem__(self, wavelength_nm: int) -> Sequence[OpticalDensity]:
        return self._wells[wavelength_nm]

    def __iter__(self) -> Iterator[int]:
        return iter(self._wells)

    def __len__(self) -> int:
        return len(self._wells)


@dataclass(eq=False)
class _Switched:
    """A twin whose faults come and go."""

    driver: Driver
    chemistry: Chemistry
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._own: list[Fault] = []
        self._bare: Twin
        self._bent: Twin
        self.power_up()

    def power_up(self) -> None:
        """As after the mains switch: mode, memory and the last plate are gone."""
        setup = TwinSetup(chemistry=self.chemistry, faults=tuple(self._own))
        self._bare = self.driver.twin(setup)
        self._bend()

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        return self._bent.receive(data, now_s)

    @contextmanager
    def having(self, *specs: str) -> Iterator[None]:
        mine = [parse_fault(spec) for spec in specs]
        self.faults += mine
        self._changed()
        try:
            yield
        finally:
            for fault in mine:
                self.faults.remove(fault)
            self._changed()

    def _changed(self) -> None:
        own = [fault for fault in self.faults if fault.kind not in LINE_FAULTS]
        if own != self._own:
            self._own = own
            self.power_up()
        self._bend()

    def _bend(self) -> None:
        line = [fault for fault in self.faults if fault.kind in LINE_FAULTS]
        self._bent = with_faults(self._bare, line) if line else self._bare


class Instrument:
    """The reader in the laboratory. `open` is what the daemon opens."""

    def __init__(self, driver: Driver, stranger: tuple[str, ...]) -> None:
        self._line = driver.line(driver.options())
        self._carrier = _Carrier()
        chemistry = Chemistry(format=FORMAT, plates=self._carrier)
        self.twin = _Switched(driver, chemistry)
        self._wire = Wire(self.twin, self._line)
        other = _Switched(driver, chemistry)
        self._other_stays = other.having(*stranger)
        self._other_stays.__enter__()
        self._other = Wire(other, self._line)
        self._unplugged = 0
        self._strangers = 0

    def lay(self, plate: int) -> None:
        """Put this plate on the carrier."""
        self._carrier.plate = plate

    async def open(self) -> ByteStream:
        if self._unplugged:
            raise LinkLost("could not open port: no such device")
        return TwinStream(self._other if self._strangers else self._wire)

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        self._unplugged += 1
        self.sever()
        try:
            yield
        finally:
            self._unplugged -= 1

    @contextmanager
    def another_instead(self) -> Iterator[None]:
        """Somebody plugged the cable into the reader next to it."""
        self._strangers += 1
        self.sever()
        try:
            yield
        finally:
            self._strangers -= 1
            self.sever()

    def power_cut(self) -> None:
        """Off and on again; the adapter of a serial line does not notice."""
        self._wire.stop()
        self.twin.power_up()

    def sever(self) -> None:
        """The open port ends now, whatever was under way."""
        self._wire.unplug()
        self._other.unplug()
