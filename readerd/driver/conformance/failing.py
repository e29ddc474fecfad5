"""A line that fails, and an instrument that is another: every fault at every step, twice in a row.

Whatever happens, a verb ends in a stated outcome within its bound, a reading that comes is of the
plate that lies there, and after the ladder the next read works. Before every read another plate is
laid, so that an answer that comes late cannot pass for a new one.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from readerd.driver.conformance.plates import PLATES, disagreements
from readerd.driver.conformance.reading import now_s, require_plate
from readerd.driver.conformance.resting import give_up_in_mid_read
from readerd.driver.conformance.rule import Broken, Rule, Stage, require
from readerd.driver.conformance.subject import Subject
from readerd.driver.link import DirtyLink
from readerd.driver.virtual import Emission, Fault, Twin
from readerd.errors import InstrumentError, LinkLost, RequestError

KINDS: dict[str, tuple[str, ...]] = {
    "silence": ("silence",),
    "garbage": ("garbage", "garbage:2000"),
    "truncated": ("truncate", "truncate:1", "truncate:3"),
    "a-flipped-bit": ("flip", "flip:0", "flip:-1", "flip:-4"),
    "a-stale-answer": ("stale",),
    "a-late-answer": ("late:4", "late:400"),
    "one-byte-chunks": ("split",),
    "coalesced-chunks": ("coalesce",),
    "unplugging": ("unplug", "unplug:1", "unplug:7"),
}
VERBS = ("identify", "read", "park")
# A protocol without a sum cannot tell that one digit is another; it must not be more than that.
MOST_WELLS_BY_ONE_BIT = 1
# The answer is whole and in time, in other pieces: nothing may come of it.
HARMLESS = ("split", "coalesce")
# The port is gone: nobody waits for a deadline any more.
AT_ONCE_S = 0.01


@dataclass(frozen=True, slots=True)
class Step:
    """The twin's name for one answer, and which of them all (from 1)."""

    name: str
    occurrence: int


def survives(kinds: Sequence[str], stage: Stage) -> None:
    for verb in VERBS:
        for step in _steps(stage, verb):
            for kind in kinds:
                _try(stage, verb, _fault(kind, step))


def _try(stage: Stage, verb: str, fault: Fault) -> None:
    try:
        stage.run(lambda subject: _conversation(subject, verb, fault.kind), faults=[fault])
    except Exception as error:  # whatever it is: nothing may come out of a failing line
        raise Broken(f"{fault} in {verb}: {error!r}") from error


def _fault(kind: str, step: Step) -> Fault:
    """This answer and the next of its name: in the verb, and in what follows it."""
    name, _, arg = kind.partition(":")
    first = step.occurrence
    return Fault(kind=name, step=step.name, first=first, last=first + 1, arg=arg)


def _steps(stage: Stage, verb: str) -> list[Step]:
    """The answers that a verb gets when nothing fails: the first and the last of each name."""

    async def talk(subject: Subject) -> list[Step]:
        await subject.settle()
        if verb == "park":
            await give_up_in_mid_read(subject)
        before = dict(subject.answered)
        await _verb(subject, verb)
        return [
            Step(name, occurrence)
            for name, count in subject.answered.items()
            for occurrence in sorted({before.get(name, 0) + 1, count})
            if count > before.get(name, 0)
        ]

    return stage.run(talk)


def _verb(subject: Subject, verb: str) -> Coroutine[Any, Any, object]:
    verbs: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "identify": subject.reader.identify,
        "read": subject.read,
        "park": subject.reader.park,
    }
    return verbs[verb]()


async def _conversation(subject: Subject, verb: str, kind: str) -> None:
    identity = await subject.settle()
    for plate in PLATES:
        subject.lay(plate)
        if verb == "read":
            await _read(subject, kind)
        else:
            if verb == "park":
                await give_up_in_mid_read(subject)
            bound_s = subject.rest_bound_s
            answer = await _within(bound_s, subject, _verb(subject, verb), kind)
            require(kind == "flip" or answer in (None, identity), f"{answer}, not {identity}")
        await subject.settle()
    subject.lay(PLATES[0])
    require_plate(subject, await subject.read())


async def _read(subject: Subject, kind: str) -> None:
    """The plate that lies there, or a stated failure in time."""
    most = MOST_WELLS_BY_ONE_BIT if kind == "flip" else 0
    reading = await _within(subject.read_bound_s, subject, subject.read(), kind)
    lies = subject.lies()
    if reading is not None and lies is not None:
        range_od = subject.driver.photometric_range
        wrong = disagreements(reading.plates, lies, subject.format, range_od)
        require(len(wrong) <= most, f"{len(wrong)} wells differ: {'; '.join(wrong[:4])}")


async def _within(
    bound_s: float, subject: Subject, verb: Coroutine[Any, Any, Any], kind: str
) -> Any:
    """What the verb returns, None when it fails as it may; Broken when it takes too long."""
    lost = asyncio.create_task(_lost_at(subject))
    began_s = now_s()
    try:
        result = await verb
    except LinkLost as error:
        await asyncio.sleep(0)
        gone_s = lost.result() if lost.done() else now_s()
        require(now_s() - gone_s <= AT_ONCE_S, f"told {now_s() - gone_s:.1f} s late: {error}")
        result = None
    except (InstrumentError, RequestError, DirtyLink) as error:
        require(kind not in HARMLESS, f"the answer was whole and in time: {error!r}")
        result = None
    finally:
        lost.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await lost
    took_s = now_s() - began_s
    require(took_s <= bound_s, f"it took {took_s:.1f} s, the bound is {bound_s:g} s")
    return result


async def _lost_at(subject: Subject) -> float:
    await subject.link.lost()
    return now_s()


class _Mute:
    """Nobody is there."""

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        return []


@dataclass(frozen=True, slots=True)
class _Foreign:
    """Another instrument: it says the same to everything, or everything back."""

    says: bytes | None = None

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        said = data if self.says is None else self.says
        return [Emission(after_s=0.01, data=said, step="FOREIGN")]


STRANGERS: dict[str, Twin] = {
    "nobody": _Mute(),
    "an echo": _Foreign(),
    "a line of text": _Foreign(b"UNKNOWN COMMAND\r\n"),
    "a prompt": _Foreign(b"\r\n> "),
    "a zero byte": _Foreign(b"\x00"),
    "a balance": _Foreign(b"S S     123.4567 g\r\n"),
    "a talker": _Foreign(b"0123456789" * 2000),
}


def knows_a_stranger(stage: Stage) -> None:
    """Another instrument on the port, or none: a stated failure in time, never an identity."""
    for name, stranger in STRANGERS.items():

        async def talk(subject: Subject, name: str = name) -> None:
            for _ in range(2):
                for verb in ("identify", "park"):
                    began_s = now_s()
                    with contextlib.suppress(InstrumentError):
                        answer = await _verb(subject, verb)
                        raise Broken(f"{name} is taken for the instrument: {verb} says {answer}")
                    took_s, bound_s = now_s() - began_s, subject.rest_bound_s
                    require(took_s <= bound_s, f"{name}: {verb} took {took_s:.1f} s")

        stage.run(talk, stranger=stranger)


def _rule(name: str, kinds: tuple[str, ...]) -> Rule:
    check = partial(survives, kinds)
    text = name.replace("-", " ")
    law = f"{text} at each step of identify, read and park, twice in a row: an outcome in its bound"
    return Rule(name=f"survives-{name}", check=check, told=law)


RULES = (
    *(_rule(name, kinds) for name, kinds in KINDS.items()),
    Rule(name="knows-a-stranger", check=knows_a_stranger),
)
