"""Where conversations take place: on twins in virtual time, or on a port in real time."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from readerd.driver.chemistry import Chemistry
from readerd.driver.conformance.clock import run_virtual
from readerd.driver.conformance.plates import PLATES, laid
from readerd.driver.conformance.subject import Subject
from readerd.driver.contract import Driver, Options
from readerd.driver.stream import ByteStream
from readerd.driver.transport import TwinStream, open_transport
from readerd.driver.virtual import Emission, Fault, Twin, TwinSetup
from readerd.driver.wire import Wire
from readerd.plate import OpticalDensity

T = TypeVar("T")

# A line at 9600 baud brings 16 bytes at a time. Larger pieces change nothing but the time that a
# rule takes: a plate still comes in enough of them to be given up in its middle, and what a fault
# does to an answer does not hang on its pieces at all. In bytes.
LEAST_PIECE, LEAST_PIECE_WITH_FAULTS = 64, 512
# Somebody stands there and waits.
PORT_LADDER_S = 30.0


class _Counted:
    """The twin, and how often it gave each answer."""

    def __init__(self, twin: Twin, answered: Counter[str]) -> None:
        self._twin = twin
        self._answered = answered

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        emissions = self._twin.receive(data, now_s)
        for emission in emissions:
            self._answered[emission.step] += 1
        return emissions


@dataclass(frozen=True, slots=True)
class TwinStage:
    """A fresh twin for every conversation, with its options and the driver's as they come."""

    driver: Driver
    format: int
    is_twin: ClassVar[bool] = True

    def run(
        self,
        talk: Callable[[Subject], Awaitable[T]],
        *,
        faults: Sequence[Fault] = (),
        stranger: Twin | None = None,
    ) -> T:
        plates: dict[int, Sequence[OpticalDensity]] = {}

        def lay(plate: int) -> None:
            plates.update(laid(plate, self.format, self.driver.photometric_range))

        lay(PLATES[0])
        chemistry = Chemistry(format=self.format, plates=plates)
        setup = TwinSetup(chemistry=chemistry, faults=tuple(faults))
        answered: Counter[str] = Counter()
        twin = _Counted(stranger or self.driver.twin(setup), answered)
        piece = LEAST_PIECE_WITH_FAULTS if faults or stranger else LEAST_PIECE
        options = self.driver.example_options()
        line = self.driver.line(options)
        wires: list[Wire] = []

        async def open_stream() -> ByteStream:
            if not wires:
                wires.append(Wire(twin, line, least_piece=piece))
            return TwinStream(wires[0])

        subject = Subject(
            self.driver,
            options,
            self.format,
            open_stream,
            lay=lay,
            lies=lambda: plates,
            answered=answered,
        )
        return run_virtual(_conversation(subject, talk))


@dataclass(frozen=True, slots=True)
class PortStage:
    """One instrument on a port. `lies` is what its wells hold, where that is known exactly."""

    driver: Driver
    format: int
    port: str
    options: Options
    lies: Mapping[int, Sequence[OpticalDensity]] | None = None
    is_twin: ClassVar[bool] = False

    def run(
        self,
        talk: Callable[[Subject], Awaitable[T]],
        *,
        faults: Sequence[Fault] = (),
        stranger: Twin | None = None,
    ) -> T:
        if faults or stranger is not None:
            raise ValueError("an instrument has no faults on order")
        line = self.driver.line(self.options)
        subject = Subject(
            self.driver,
            self.options,
            self.format,
            lambda: open_transport(self.port, line),
            lies=lambda: self.lies,
            ladder_s=PORT_LADDER_S,
        )
        return asyncio.run(_conversation(subject, talk))


def _conversation(
    subject: Subject, talk: Callable[[Subject], Awaitable[T]]
) -> Coroutine[Any, Any, T]:
    async def main() -> T:
        await subject.plug_in()
        try:
            return await talk(subject)
        finally:
            await subject.link.close()

    return main()
