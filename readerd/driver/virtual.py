"""Simulated instruments: sans-IO twins, and the faults that every twin can have.

A twin takes bytes and a time and says what the instrument would send and when; it never waits. It
keeps the instrument's state and refuses what the instrument refuses. Faults are positions, not
dice. They are written `KIND[@STEP[#N]][:ARG]`: STEP is what the twin calls the answer (for most the
name of the command), `#N` the Nth such answer only (`#2-4` a span; without it every one).

| kind | what happens to that answer |
|---|---|
| `silence` | it never comes |
| `late:S` | it comes S seconds later |
| `garbage[:N]` | N (24) bytes that are no protocol come instead |
| `truncate[:N]` | it ends after N bytes (half of it), nothing follows |
| `flip[:N]` | byte N (the middle one; negative counts from the end) has its lowest bit flipped |
| `stale` | the answer before it comes once more, first |
| `split[:N]` | it comes in pieces of N (1) bytes |
| `coalesce` | it comes in one piece with what follows it |
| `unplug[:N]` | the line is gone after N (0) bytes of it |

Each twin adds its own kinds (`bad-checksum`, `missing-filter:570`, `operator-stop` …).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from readerd.driver.chemistry import Chemistry
from readerd.errors import InputError, Mistake

LINE_FAULTS = frozenset(
    {"silence", "late", "garbage", "truncate", "flip", "stale", "split", "coalesce", "unplug"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """Bytes that leave the instrument `after_s` after the command came or the line became free.

    An instrument does one thing at a time: what it sends never overtakes what it sent before,
    unless it `replaces` everything that has not left yet (an abort).
    """

    after_s: float
    data: bytes
    step: str
    replaces: bool = False
    piece: int = 0  # bytes per piece on the line; 0 = as the line's speed has it
    hang_up: bool = False  # the line is gone after the data


class Twin(Protocol):
    """The instrument's side of a codec. No I/O, no clock of its own, no waiting."""

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        """Bytes came in at `now_s` (seconds since power-up): what the instrument answers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One positional fault."""

    kind: str
    step: str | None = None
    first: int = 1
    last: int | None = None  # None = every occurrence from `first` on
    arg: str = ""

    def applies(self, step: str, occurrence: int) -> bool:
        if self.step is not None and self.step.upper() != step.upper():
            return False
        return occurrence >= self.first and (self.last is None or occurrence <= self.last)

    def number(self, default: float) -> float:
        """The argument as a number; InputError when it is none."""
        if not self.arg:
            return default
        try:
            return float(self.arg)
        except ValueError:
            raise _mistake(str(self), f"{self.arg!r} is no number") from None

    def __str__(self) -> str:
        span = "" if self.last is None else f"#{self.first}-{self.last}"
        step = "" if self.step is None else f"@{self.step}{span}"
        return f"{self.kind}{step}{':' if self.arg else ''}{self.arg}"


_SPEC = re.compile(
    r"(?P<kind>[a-z][a-z-]*)"
    r"(?:@(?P<step>[A-Za-z0-9!_-]+)(?:#(?P<first>\d+)(?:-(?P<last>\d+))?)?)?"
    r"(?::(?P<arg>.+))?"
)


def parse_fault(spec: str) -> Fault:
    """A fault from its SPEC; InputError says how it is written."""
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise _mistake(spec, "write KIND[@STEP[#N]][:ARG], for example silence@RPLATE#1")
    if match["first"] is None:
        return Fault(kind=match["kind"], step=match["step"], arg=match["arg"] or "")
    first = int(match["first"])
    last = int(match["last"] or first)
    if first < 1 or last < first:
        raise _mistake(spec, "#N counts from 1, and #N-M upwards")
    return Fault(
        kind=match["kind"], step=match["step"], first=first, last=last, arg=match["arg"] or ""
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSetup:
    """What a simulated instrument is made of; `options` are typed by the driver."""

    chemistry: Chemistry
    filters_nm: tuple[int | None, ...] | None = None  # None = as the driver's twin has them
    faults: tuple[Fault, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    powered_up_at: datetime = datetime(2024, 2, 1, 10, 11, 12)  # noqa: DTZ001 - its own clock


class FaultPlan:
    """Counts the answers of each step and says which faults have their turn."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        self._seen: dict[str, int] = {}

    def turn(self, step: str) -> tuple[Fault, ...]:
        """Count one more answer of this step; the faults that meet it."""
        occurrence = self._seen.get(step, 0) + 1
        self._seen[step] = occurrence
        return tuple(fault for fault in self._faults if fault.applies(step, occurrence))


def with_faults(twin: Twin, faults: Sequence[Fault], *, own: Sequence[str] = ()) -> Twin:
    """The twin behind a line that has these faults; `own` are the kinds the twin does itself.

    InputError when a kind is unknown to both, naming the known ones.
    """
    known = sorted({*LINE_FAULTS, *own})
    for fault in faults:
        if fault.kind not in known:
            raise _mistake(str(fault), f"unknown kind; known are {', '.join(known)}")
        if fault.kind in LINE_FAULTS:
            fault.number(0)
            if fault.kind == "late" and not fault.arg:
                raise _mistake(str(fault), "say how late, in seconds: late@STEP:30")
    return _Faulty(twin, [fault for fault in faults if fault.kind in LINE_FAULTS])


class _Faulty:
    def __init__(self, twin: Twin, faults: Sequence[Fault]) -> None:
        self._twin = twin
        self._plan = FaultPlan(faults)
        self._previous = b""

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        damaged: list[Emission] = []
        coalesced = False
        for emission in self._twin.receive(data, now_s):
            faults = self._plan.turn(emission.step)
            bent = emission
            for fault in faults:
                bent = _bend(bent, fault, self._previous)
            self._previous = emission.data
            if coalesced:
                bent = _join(damaged.pop(), bent)
            coalesced = any(fault.kind == "coalesce" for fault in faults)
            damaged.append(bent)
        return damaged


def _join(first: Emission, second: Emission) -> Emission:
    data = first.data + second.data
    return replace(
        second,
        after_s=first.after_s + second.after_s,
        data=data,
        piece=max(1, len(data)),
        replaces=first.replaces or second.replaces,
    )


def _bend(emission: Emission, fault: Fault, previous: bytes) -> Emission:
    data = emission.data
    match fault.kind:
        case "silence":
            return replace(emission, data=b"")
        case "late":
            return replace(emission, after_s=emission.after_s + fault.number(0))
        case "garbage":
            return replace(emission, data=_garbage(int(fault.number(24))))
        case "truncate":
            return replace(emission, data=data[: int(fault.number(len(data) // 2))])
        case "flip":
            return replace(emission, data=_flipped(data, int(fault.number(len(data) // 2))))
        case "stale":
            return replace(emission, data=previous + data)
        case "split":
            return replace(emission, piece=max(1, int(fault.number(1))))
        case "coalesce":
            return replace(emission, piece=max(1, len(data)))
        case _:  # unplug
            return replace(emission, data=data[: int(fault.number(0))], hang_up=True)


def _garbage(length: int) -> bytes:
    """Bytes that no ASCII protocol contains, the same every time."""
    return bytes(0x80 | (index * 37 & 0x7F) for index in range(length))


def _flipped(data: bytes, position: int) -> bytes:
    if not -len(data) <= position < len(data):
        return data
    flipped = bytearray(data)
    flipped[position] ^= 0x01
    return bytes(flipped)


def _mistake(spec: str, what: str) -> InputError:
    return InputError(f"fault {spec!r}", Mistake("", what))
