"""Two virtual days of one reader: everything real in one loop, everything goes wrong, all is told.

`live` plays a weekend and says what was found; `complaints` says what of it may not be. What is
random comes from the seed: the same seed is the same weekend.
"""

import asyncio
import gc
import json
import logging
import os
import random
import re
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from readerd.config import load_config
from readerd.demo.plate import il6_assay_text
from readerd.driver import catalog
from readerd.run.audit import verify_file
from readerd.run.journal import Journal
from tests.virtual_clock import run_virtual
from tests.whole.weekend_broker import LoopBroker
from tests.whole.weekend_fate import FAMILIES, HOUR_S, Trouble, World, draw, play
from tests.whole.weekend_instrument import Instrument
from tests.whole.weekend_people import Daemon, Lims, Technician, WallClock, until, virtual_s

END_S: Final = 48 * HOUR_S
LAST_PLATE_S: Final = 47 * HOUR_S
SAMPLE_EVERY_S: Final = 6 * HOUR_S
# The longest pause between two offers of an unanswered result, and a little.
SETTLED_WITHIN_S: Final = HOUR_S + 300
# A moment for a sample: nothing is under way. Looked for this often.
LOOK_S: Final = 30.0
# What changes from line to line: numbers, and everything behind a reason.
_VALUES: Final = re.compile(r"(reason|text)=.*|[0-9.]+")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the process held at one quiet moment, after a collection of garbage."""

    at_h: float
    resident_mb: float
    blocks: int  # of memory, as the interpreter counts them
    tasks: int
    threads: int
    files: int
    journal_mb: float
    outbox_rows: int


@dataclass(kw_only=True)
class Found:
    """What there was at the end."""

    seed: int
    driver: str
    timeline: list[str]
    troubles: list[Trouble]
    runs: dict[str, int]  # accepted run -> plate that lay on the carrier
    states: dict[str, str]  # the same, as the journal has them
    told: list[dict[str, Any]]  # envelopes of results that the LIMS has
    streams: dict[str, list[int]]  # kind -> sequence numbers that the LIMS has
    last_sequence: dict[str, int]
    waiting: dict[str, int]
    missing: object
    broken_promises: list[str]  # messages that went from the journal before anybody had them
    retained: list[str]  # topics that stand on the broker, below the root
    lims_complaints: list[str]
    audit: str | None
    audit_lines: int
    state: str
    samples: list[Sample]
    log: Counter[tuple[str, str]]
    log_bytes: int
    refused: Counter[str]
    doubles: int
    given_up: int
    starts: int
    published: int
    most_wal_mb: float
    oldest_settled_h: float
    lims_counts: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def story(self) -> list[str]:
        """What the same seed brings about again."""
        counts = {**self.refused, **self.lims_counts, "published": self.published}
        runs = [
            f"plate {plate}: {state}"
            for plate, state in zip(self.runs.values(), self.states.values(), strict=True)
        ]
        told = [f"{name}: {count}" for name, count in counts.items()]
        return [*self.timeline, *runs, *told]


class Log(logging.Handler):
    """Counts what the daemon says by level and message, without the values."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: Counter[tuple[str, str]] = Counter()
        self.bytes = 0
        self.deaf = False

    def emit(self, record: logging.LogRecord) -> None:
        if self.deaf:
            return
        what = _VALUES.sub("", str(record.msg))
        self.lines[record.levelname, f"{record.name.removeprefix('readerd.')}: {what}"] += 1
        if record.levelno >= logging.INFO:
            self.bytes += len(record.getMessage()) + 1

    def be_deaf(self, deaf: bool) -> None:
        self.deaf = deaf


@contextmanager
def listening() -> Iterator[Log]:
    """The daemon's log, and nobody else's ear on it."""
    log, logger = Log(), logging.getLogger("readerd")
    level, propagates = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)
        logger.propagate = propagates


@contextmanager
def dice_of(seed: int) -> Iterator[None]:
    """What the daemon throws is thrown with the module's own dice."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def write_config(directory: Path, driver: str) -> Path:
    (directory / "assays").mkdir(exist_ok=True)
    (directory / "assays" / "il6.toml").write_text(il6_assay_text())
    path = directory / "bench2.toml"
    path.write_text(
        f"""
[reader]
site = "lab1"
id = "bench2"
driver = "{driver}"
port = "twin:"

[assays]
directory = "assays"
default = "il6-elisa"

[store]
path = "journal.db"
retention_days = 1

[mqtt]
url = "mqtt://broker"
required_receipts = ["lims"]

[http]
socket = "bench2.sock"
"""
    )
    return path


def live(
    seed: int,
    directory: Path,
    *,
    driver: str = "biorad680",
    every_s: float = 1200,
    share: float = 1,
) -> Found:
    """One weekend, or a `share` of it with everything that goes wrong in two days."""
    with listening() as log, dice_of(seed):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            found = run_virtual(_weekend(seed, directory, log, driver, every_s, share))
        except BaseException as error:
            error.add_note(f"in the weekend of {driver} with seed {seed}")
            raise
        found.wall_s, found.cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return found


async def _weekend(
    seed: int, directory: Path, log: Log, driver: str, every_s: float, share: float
) -> Found:
    dice = random.Random(seed)
    world = made_world(dice, directory, log.be_deaf, driver, every_s)
    troubles = draw(dice, share)
    await world.lims.start()
    await world.daemon.start()
    samples: list[Sample] = []
    async with asyncio.TaskGroup() as group:
        for trouble in troubles:
            group.create_task(play(world, trouble), name="weekend trouble")
        group.create_task(world.technician.work(LAST_PLATE_S * share), name="weekend technician")
        await _watch(world, samples, share)
    found = _look(world, seed, log, troubles, samples)
    await world.daemon.stop()
    await world.lims.stop()
    found.lims_counts = world.lims.counts
    return found


def made_world(
    dice: random.Random,
    directory: Path,
    deafen: Callable[[bool], None] = lambda deaf: None,
    driver: str = "biorad680",
    every_s: float = HOUR_S,
) -> World:
    """Everybody in their places; nothing has been started."""
    family, config = FAMILIES[driver], load_config(write_config(directory, driver))
    clock, broker = WallClock(), LoopBroker(dice)
    instrument = Instrument(catalog.find(driver), (family.stranger,))
    daemon = Daemon(config, instrument, broker, clock, deafen)
    lims = Lims(directory / "lims.db", broker, WallClock(), dice)
    technician = Technician(daemon, instrument, every_s, dice)
    return World(family, clock, broker, instrument, daemon, lims, technician)


async def _watch(world: World, samples: list[Sample], share: float) -> None:
    """Samples on the way; in the end the last one, when all is told."""
    for number in range(1, round(END_S / SAMPLE_EVERY_S)):
        await until(number * SAMPLE_EVERY_S * share)
        await _calm(world)
        samples.append(_sample(world))
    await until(END_S * share)
    await _settled(world)
    await _calm(world)
    samples.append(_sample(world))


async def _settled(world: World) -> None:
    """A result whose receipt was lost is offered again within an hour."""
    house = world.daemon.house
    assert house is not None
    for _ in range(int(SETTLED_WITHIN_S / LOOK_S)):
        if not house.store.outbox.unsettled(1):
            break
        await asyncio.sleep(LOOK_S)


async def _calm(world: World) -> None:
    while not (world.daemon.is_calm() and world.lims.is_calm()):
        world.daemon.well()
        await asyncio.sleep(LOOK_S)


def _sample(world: World) -> Sample:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    journal = world.daemon.config.store.path
    house = world.daemon.house
    assert house is not None
    return Sample(
        at_h=virtual_s() / HOUR_S,
        resident_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        blocks=sys.getallocatedblocks(),
        tasks=sum(not task.get_name().startswith("weekend") for task in asyncio.all_tasks()),
        threads=threading.active_count(),
        files=len(os.listdir("/proc/self/fd")),
        journal_mb=journal.stat().st_size / 1e6,
        outbox_rows=int(house.store.journal.one("SELECT count(*) FROM outbox")[0]),
    )


def _look(
    world: World, seed: int, log: Log, troubles: list[Trouble], samples: list[Sample]
) -> Found:
    house, technician = world.daemon.house, world.technician
    assert house is not None
    told, streams = _told(world.lims.shelf_at)
    rows = {run_id: house.store.run(run_id) for run_id in technician.runs}
    audit = verify_file(house.store.journal.path)
    return Found(
        seed=seed,
        driver=world.family.driver,
        timeline=world.timeline,
        troubles=troubles,
        runs=technician.runs,
        states={run_id: row.state if row else "gone" for run_id, row in rows.items()},
        told=told,
        streams=streams,
        last_sequence=house.store.outbox.last_sequence(),
        waiting={"unsettled": len(house.store.outbox.unsettled()), **house.store.outbox.counts()},
        missing=world.lims.missing(),
        broken_promises=world.daemon.broken_promises,
        retained=sorted(topic.split("/", 4)[4] for topic in world.broker.retained),
        lims_complaints=world.lims.complaints,
        audit=audit.broken,
        audit_lines=audit.lines,
        state=house.bench.state,
        samples=samples,
        log=log.lines,
        log_bytes=log.bytes,
        refused=technician.refused,
        doubles=technician.doubles,
        given_up=technician.given_up,
        starts=world.daemon.starts,
        published=world.broker.published,
        most_wal_mb=world.daemon.most_wal_bytes / 1e6,
        oldest_settled_h=_oldest_settled_h(world, house.store.journal),
    )


def _oldest_settled_h(world: World, journal: Journal) -> float:
    """How long ago the oldest message was settled that retention has left."""
    (oldest,) = journal.one("SELECT min(settled_at) FROM outbox WHERE settled_at IS NOT NULL")
    now = world.clock()
    return (now - now.fromisoformat(oldest)).total_seconds() / HOUR_S if oldest else 0.0


def _told(shelf: Path) -> tuple[list[dict[str, Any]], dict[str, list[int]]]:
    """What the LIMS has: result envelopes, and the numbers of each stream."""
    with closing(sqlite3.connect(shelf)) as db:
        rows = db.execute("SELECT kind, sequence, payload FROM messages ORDER BY sequence")
        streams: dict[str, list[int]] = {"result": [], "event": []}
        told = []
        for kind, sequence, payload in rows:
            streams[kind].append(sequence)
            if kind == "result":
                told.append(json.loads(payload))
    return told, streams
