"""Rest from any state: cancelling, parking, the carrier, and the dirty rule."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, cast

from readerd.driver.conformance.cancelling import cancelled_at, suspensions
from readerd.driver.conformance.plates import PLATES
from readerd.driver.conformance.reading import is_resender, now_s, require_plate
from readerd.driver.conformance.rule import Broken, Rule, Stage, require
from readerd.driver.conformance.subject import Subject
from readerd.driver.contract import Carrier, Reader, Resender
from readerd.driver.link import DirtyLink
from readerd.errors import InstrumentError

# A plate of thousands of pieces is not cancelled at each of them, but at so many; the driver's
# second plate format differs in nothing but their number.
MOST_CANCELLATIONS, MOST_OF_ANOTHER_FORMAT = 40, 12
# A moment after its first command a read has begun and is not over.
MOMENT_S = 0.5

Verb = Callable[[Subject], Coroutine[Any, Any, object]]


async def require_rest(subject: Subject) -> None:
    """Park and identify answer in time on the link as it is, and leave it clean."""
    began_s, bound_s = now_s(), subject.rest_bound_s
    await subject.reader.park()
    require(not subject.link.dirty, "the link is dirty after park")
    await subject.reader.identify()
    took_s = now_s() - began_s
    require(took_s <= bound_s, f"park and identify took {took_s:.1f} s, more than {bound_s:g} s")


async def _nothing(subject: Subject) -> None:
    """Nothing goes before."""


def _cancelled_everywhere(stage: Stage, verb: Verb, before: Verb = _nothing) -> None:
    """Cancel the verb at each of its awaits, each time on a fresh twin, and use the reader on."""

    async def count(subject: Subject) -> int:
        await subject.settle()
        await before(subject)
        return await suspensions(verb(subject))

    awaits = stage.run(count)
    require(awaits > 0, "it never waits")
    usual = stage.format == stage.driver.formats[0]
    most = MOST_CANCELLATIONS if usual else MOST_OF_ANOTHER_FORMAT
    for number in range(1, awaits + 1, -(-awaits // most)):

        async def talk(subject: Subject, number: int = number) -> None:
            await subject.settle()
            await before(subject)
            await cancelled_at(number, lambda: verb(subject))
            subject.lay(PLATES[1])
            await _require_use(subject)

        try:
            stage.run(talk)
        except Exception as error:  # whatever it is: cancelling is nobody's fault
            raise Broken(f"cancelled at await {number} of {awaits}: {error!r}") from error


async def _require_use(subject: Subject) -> None:
    """At rest, and the plate that lies there can be read."""
    await require_rest(subject)
    if isinstance(subject.reader, Carrier):
        await subject.reader.admit()
    require_plate(subject, await subject.read())


def identify_can_be_cancelled(stage: Stage) -> None:
    """`identify` cancelled at any await: park, identify, and the next plate is read."""
    _cancelled_everywhere(stage, _identify)


def read_can_be_cancelled(stage: Stage) -> None:
    """`read` cancelled at any await: park, identify, and the next plate is read, not the old."""
    _cancelled_everywhere(stage, _read)


def park_can_be_cancelled(stage: Stage) -> None:
    """`park` cancelled at any await, at rest or in mid-read: park, identify, the next plate."""
    _cancelled_everywhere(stage, _park)
    _cancelled_everywhere(stage, _park, before=give_up_in_mid_read)


def carrier_can_be_cancelled(stage: Stage) -> None:
    """`present` and `admit` cancelled at any await: park, identify, and the next plate is read."""
    _cancelled_everywhere(stage, _present_and_admit)


def resend_can_be_cancelled(stage: Stage) -> None:
    """`resend` cancelled at any await: park, identify, and the next plate is read."""
    _cancelled_everywhere(stage, _resend, before=_read)


async def _identify(subject: Subject) -> None:
    await subject.reader.identify()


async def _read(subject: Subject) -> None:
    await subject.read()


async def _park(subject: Subject) -> None:
    await subject.reader.park()


async def _present_and_admit(subject: Subject) -> None:
    carrier = cast(Carrier, subject.reader)
    await carrier.present()
    await carrier.admit()


async def _resend(subject: Subject) -> None:
    await cast(Resender, subject.reader).resend()


async def give_up_in_mid_read(subject: Subject) -> None:
    """Cancel a read a moment after it began; whatever else it ends with is its own affair."""
    reading = asyncio.create_task(subject.read())
    await asyncio.wait({reading}, timeout=MOMENT_S)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError, InstrumentError):
        await reading


def parks_from_any_state(stage: Stage) -> None:
    """`park` at birth, twice, in mid-read, on a new connection; and then `identify` answers."""

    async def talk(subject: Subject) -> None:
        await subject.reader.park()
        await subject.settle()
        await subject.reader.park()
        await require_rest(subject)
        await give_up_in_mid_read(subject)
        await require_rest(subject)
        await give_up_in_mid_read(subject)
        await subject.link.close()
        await subject.plug_in()
        subject.lay(PLATES[1])
        await _require_use(subject)

    stage.run(talk)


def never_takes_the_abandoned_plate(stage: Stage) -> None:
    """A read right behind an abandoned one is refused, fails, or shows what lies there now."""

    async def talk(subject: Subject) -> None:
        await subject.settle()
        await give_up_in_mid_read(subject)
        subject.lay(PLATES[1])
        dirty = subject.link.dirty
        try:
            reading = await subject.read()
        except (DirtyLink, InstrumentError):
            pass
        else:
            require(not dirty or stage.is_twin, "a dirty link was read from without a challenge")
            require_plate(subject, reading)
        await _require_use(subject)

    stage.run(talk)


def moves_to_a_state(stage: Stage) -> None:
    """`present` and `admit` move to a state, they never toggle; then the plate is read."""

    async def talk(subject: Subject) -> None:
        await subject.settle()
        carrier = cast(Carrier, subject.reader)
        for moves in ((carrier.present, carrier.present, carrier.admit), (carrier.admit,)):
            for move in moves:
                await move()
                require(not subject.link.dirty, f"the link is dirty after {move.__name__}")
            require_plate(subject, await subject.read())
        await carrier.present()
        await require_rest(subject)
        await carrier.admit()
        require_plate(subject, await subject.read())

    stage.run(talk)


def is_carrier(reader: Reader) -> bool:
    return isinstance(reader, Carrier)


RULES = (
    Rule(name="parks-from-any-state", check=parks_from_any_state, on_port=True),
    Rule(
        name="never-takes-the-abandoned-plate", check=never_takes_the_abandoned_plate, on_port=True
    ),
    Rule(name="moves-to-a-state", check=moves_to_a_state, on_port=True, applies=is_carrier),
    Rule(name="identify-can-be-cancelled", check=identify_can_be_cancelled),
    Rule(name="read-can-be-cancelled", check=read_can_be_cancelled, every_format=True),
    Rule(name="park-can-be-cancelled", check=park_can_be_cancelled),
    Rule(name="carrier-can-be-cancelled", check=carrier_can_be_cancelled, applies=is_carrier),
    Rule(name="resend-can-be-cancelled", check=resend_can_be_cancelled, applies=is_resender),
)
