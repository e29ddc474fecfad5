"""What goes wrong in a weekend, and when: drawn once from the seed, then played on the minute."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from typing import Final

from tests.whole.weekend_broker import LoopBroker, Meets
from tests.whole.weekend_instrument import Instrument
from tests.whole.weekend_people import Daemon, Lims, Technician, WallClock, until, virtual_s

MINUTE_S: Final = 60.0
HOUR_S: Final = 3600.0
# The first hour is quiet, and everything is whole again two hours before the end.
FIRST_S, LAST_S = 1 * HOUR_S, 46 * HOUR_S
# Somebody goes home and comes back: hour 20 of the first day to hour 7 of the second.
NIGHT_S = (20 * HOUR_S, 31 * HOUR_S)
# `{"event_id": "` and the ULID: how a receipt begins.
ID_BYTES: Final = 40
# How long a trouble that wants a read under way waits for one.
READ_WITHIN_S = 2 * HOUR_S


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the faults of a weekend are called in one family of instruments."""

    driver: str
    plate: str  # the step that carries the plate
    busy: str
    stopped: str
    checksum: str
    flipped: str = "flip@{plate}"
    stranger: str = "wrong-instrument"
    read_s: float  # about how long a plate takes


FAMILIES: Final = {
    family.driver: family
    for family in (
        Family(
            driver="biorad680",
            plate="RPLATE",
            busy="error@RPLATE:0042",
            stopped="operator-stop@RPLATE",
            checksum="bad-checksum",
            read_s=10,
        ),
        Family(
            driver="elx808",
            plate="S-data",
            busy="busy@S:300",
            stopped="operator-stop@S-data",
            checksum="bad-checksum@S-data",
            read_s=20,
        ),
        Family(
            driver="spectramaxm5",
            plate="TRANSFER",
            busy="busy@READ",
            stopped="operator-stop@STATUS",
            checksum="error@READ:200",
            flipped="split@{plate}:7",  # no checksum: nobody could tell a flipped bit
            read_s=12,
        ),
        Family(
            driver="synergyh1",
            plate="O-data",
            busy="busy@D:300",
            stopped="operator-stop@O-data",
            checksum="bad-checksum@O-data",
            read_s=25,
        ),
    )
}


@dataclass(eq=False)
class World:
    family: Family
    clock: WallClock
    broker: LoopBroker
    instrument: Instrument
    daemon: Daemon
    lims: Lims
    technician: Technician
    timeline: list[str] = field(default_factory=list)
    active: int = 0

    def __post_init__(self) -> None:
        self.daemon_hands = asyncio.Lock()
        self.lims_hands = asyncio.Lock()

    def note(self, text: str) -> None:
        self.timeline.append(f"{virtual_s() / HOUR_S:7.3f} h  {text}")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """One thing that goes wrong: `mid_read` waits for a read and begins at this share of it."""

    kind: str
    at_s: float
    for_s: float
    mid_read: float | None = None


Play = Callable[[World, float], AbstractAsyncContextManager[None]]


def _while(change: Callable[[World], AbstractContextManager[None]]) -> Play:
    """Trouble that begins, lasts and is over."""

    @asynccontextmanager
    async def play(world: World, for_s: float) -> AsyncIterator[None]:
        with change(world):
            await asyncio.sleep(for_s)
            yield

    return play


def _says(spec: Callable[[Family], str]) -> Play:
    """The instrument has this fault; {plate} stands for the step that carries the plate."""

    def having(world: World) -> AbstractContextManager[None]:
        named = spec(world.family).format(plate=world.family.plate)
        return world.instrument.twin.having(named)

    return _while(having)


def _is(spec: str) -> Play:
    """The same for every family."""
    return _says(lambda family: spec)


@contextmanager
def _on(fates: list[Meets], *ends: str, share: int = 1) -> Iterator[None]:
    """Messages on these topics; with a `share` of 3 those of every third id, as ids come up."""
    numbers: dict[bytes, int] = {}

    def meets(topic: str, payload: bytes) -> bool:
        if not topic.endswith(ends):
            return False
        return share == 1 or numbers.setdefault(payload[:ID_BYTES], len(numbers)) % share == 0

    fates.append(meets)
    try:
        yield
    finally:
        fates.remove(meets)


def _lost(*ends: str, share: int = 1) -> Play:
    return _while(lambda world: _on(world.broker.loses, *ends, share=share))


@contextmanager
def _clock_set(world: World, by_s: float) -> Iterator[None]:
    world.clock.skew_s += by_s
    try:
        yield
    finally:
        world.clock.skew_s -= by_s


@contextmanager
def _disk_full(world: World) -> Iterator[None]:
    world.daemon.fill_disk(True)
    try:
        yield
    finally:
        world.daemon.fill_disk(False)


@contextmanager
def _power_cut(world: World) -> Iterator[None]:
    world.instrument.power_cut()
    yield


@contextmanager
def _taken_over(world: World) -> Iterator[None]:
    world.broker.take_over()
    yield


@asynccontextmanager
async def _killed(world: World, for_s: float) -> AsyncIterator[None]:
    async with world.daemon_hands:
        await world.daemon.kill()
        await asyncio.sleep(for_s)
        await world.daemon.start()
    yield


@asynccontextmanager
async def _restarted(world: World, for_s: float) -> AsyncIterator[None]:
    async with world.daemon_hands:
        await world.daemon.stop()
        await asyncio.sleep(for_s)
        await world.daemon.start()
    yield


@asynccontextmanager
async def _lims_away(world: World, for_s: float) -> AsyncIterator[None]:
    async with world.lims_hands:
        await world.lims.stop()
        await asyncio.sleep(for_s)
        await world.lims.start()
    yield


@dataclass(frozen=True)
class Kind:
    """How often in two days, how long (minutes, from and to), in the middle of a read or not."""

    play: Play
    times: int
    minutes: tuple[float, float]
    mid_read: bool = False
    at_night: bool = False


KINDS: Final[dict[str, Kind]] = {
    "cable out": Kind(_while(lambda world: world.instrument.unplugged()), 3, (1, 40)),
    "cable out in mid-read": Kind(
        _while(lambda world: world.instrument.unplugged()), 3, (0.1, 10), mid_read=True
    ),
    "silence": Kind(_is("silence"), 2, (1, 30)),
    "rubbish": Kind(_is("garbage"), 2, (1, 20)),
    "answers break off": Kind(_is("truncate"), 2, (1, 30)),
    "plates break off": Kind(_is("truncate@{plate}"), 1, (30, 60)),
    "plates come too late": Kind(_is("late@{plate}:200"), 1, (30, 60)),
    "a bit is flipped": Kind(_says(lambda family: family.flipped), 2, (30, 60)),
    "wrong checksums": Kind(_says(lambda family: family.checksum), 1, (30, 60)),
    "instrument busy": Kind(_says(lambda family: family.busy), 2, (20, 60)),
    "stopped at the instrument": Kind(_says(lambda family: family.stopped), 1, (20, 40)),
    "another instrument": Kind(
        _while(lambda world: world.instrument.another_instead()), 1, (60, 60)
    ),
    "power cut at the instrument": Kind(_while(_power_cut), 2, (0, 0), mid_read=True),
    "broker down": Kind(_while(lambda world: world.broker.away()), 4, (0.2, 10)),
    "broker down for hours": Kind(_while(lambda world: world.broker.away()), 1, (60, 180)),
    "broker down overnight": Kind(
        _while(lambda world: world.broker.away()), 1, (480, 640), at_night=True
    ),
    "broker half open": Kind(_while(lambda world: world.broker.half_open()), 3, (0.5, 10)),
    "broker refuses results": Kind(
        _while(lambda world: _on(world.broker.refuses, "/result")), 1, (30, 120)
    ),
    "broker loses messages": Kind(_lost("/result", "/event"), 2, (10, 60)),
    "session taken over": Kind(_while(_taken_over), 2, (0, 0)),
    "LIMS away": Kind(_lims_away, 2, (5, 30)),
    "LIMS away for hours": Kind(_lims_away, 1, (120, 300)),
    "receipts lost": Kind(_lost("/receipt/lims"), 2, (30, 180)),
    "every third receipt lost for a day": Kind(
        _lost("/receipt/lims", share=3), 1, (26 * 60, 30 * 60)
    ),
    "clock an hour ahead": Kind(_while(lambda world: _clock_set(world, HOUR_S)), 1, (30, 120)),
    "clock an hour behind": Kind(_while(lambda world: _clock_set(world, -HOUR_S)), 1, (30, 120)),
    "daemon killed": Kind(_killed, 3, (0.1, 10)),
    "daemon killed in mid-read": Kind(_killed, 3, (0.05, 0.2), mid_read=True),
    "daemon killed overnight": Kind(_killed, 1, (0.1, 60), at_night=True),
    "daemon restarted": Kind(_restarted, 1, (0.05, 0.1)),
    "daemon restarted in mid-read": Kind(_restarted, 1, (0.05, 0.1), mid_read=True),
    "disk nearly full": Kind(_while(_disk_full), 1, (60, 60)),
}


def draw(dice: random.Random, share: float = 1.0) -> list[Trouble]:
    """The troubles of a weekend of `share` of two days, in the order of their beginnings."""
    troubles = []
    for name, kind in KINDS.items():
        for _ in range(kind.times):
            for_s = dice.uniform(*kind.minutes) * MINUTE_S
            first_s, last_s = NIGHT_S if kind.at_night else (FIRST_S, LAST_S)
            at_s = dice.uniform(first_s, last_s - for_s) * share
            mid_read = dice.random() if kind.mid_read else None
            trouble = Trouble(kind=name, at_s=at_s, for_s=for_s * share, mid_read=mid_read)
            troubles.append(trouble)
    return sorted(troubles, key=lambda trouble: trouble.at_s)


async def play(world: World, trouble: Trouble) -> None:
    """From its moment to its end."""
    await until(trouble.at_s)
    if trouble.mid_read is not None and not await _mid_read(world, trouble.mid_read):
        world.note(f"{trouble.kind}: no plate came for it")
        return
    world.active += 1
    world.note(f"{trouble.kind}, for {trouble.for_s / MINUTE_S:.1f} min")
    async with KINDS[trouble.kind].play(world, trouble.for_s):
        pass
    world.note(f"{trouble.kind}: over")
    world.active -= 1


async def _mid_read(world: World, share: float) -> bool:
    """Wait for the next read, and into it."""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            await world.technician.began.wait()
    except TimeoutError:
        return False
    await asyncio.sleep(share * world.family.read_s)
    return True
