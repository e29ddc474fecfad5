"""Who lives through the weekend: the daemon, the LIMS, the technician, the clock on the wall."""

import asyncio
import random
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from readerd.collect.collector import Collector
from readerd.collect.settings import CollectSettings
from readerd.collect.shelf import open_shelf
from readerd.config import Config
from readerd.daemon import serve
from readerd.errors import ErrorCode, RequestError
from readerd.house import House
from readerd.payload import Trigger
from readerd.run.plan import RunRequest
from tests.whole.weekend_broker import LoopBroker
from tests.whole.weekend_instrument import Instrument

# The night to a Sunday on which summer time begins: at one o'clock UTC.
BEGINS = datetime(2026, 3, 27, 23, tzinfo=UTC)
SUMMER = datetime(2026, 3, 29, 1, tzinfo=UTC)
# How the LIMS looks for gaps: rarely, because every look is a look in the figures.
LOOK_EVERY_S = 30.0
# How often the journal's unsettled messages are compared with those of the look before.
LOOK_AT_JOURNAL_EVERY_S = 600.0
FINAL = ("done", "failed", "interrupted")
# The technician looks at the reader this often while it works, and comes back when it refused.
GLANCE_S, COME_BACK_S = 5.0, 120.0
TIRED_AFTER = 10
ATTEMPTS = 3
NOT_NOW = {
    ErrorCode.BUSY,
    ErrorCode.READER_OFFLINE,
    ErrorCode.READER_FAULT,
    ErrorCode.STORE_FULL,
}


def virtual_s() -> float:
    return asyncio.get_running_loop().time()


async def until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - virtual_s()))


@dataclass
class WallClock:
    """Local time, as a machine shows it whose clock may be wrong by `skew_s`."""

    skew_s: float = 0.0

    def __call__(self) -> datetime:
        utc = BEGINS + timedelta(seconds=virtual_s() + self.skew_s)
        return utc.astimezone(timezone(timedelta(hours=2 if utc >= SUMMER else 1)))


@dataclass(eq=False)
class Daemon:
    """One journal, and one daemon after another on it."""

    config: Config
    instrument: Instrument
    broker: LoopBroker
    clock: WallClock
    deafen: Callable[[bool], None]  # a dead process writes no log
    house: House | None = None
    starts: int = 0
    most_wal_bytes: int = 0
    disk_full: bool = False
    promised: set[str] = field(default_factory=set)  # messages that nobody has settled yet
    broken_promises: list[str] = field(default_factory=list)
    _look_at_s: float = 0.0

    async def start(self) -> None:
        ready: asyncio.Future[House] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        work = serve(
            self.config,
            open_stream=self.instrument.open,
            connect=self.broker.connect,
            now=self.clock,
            stop=self._stop,
            on_ready=ready.set_result,
        )
        self._task = asyncio.create_task(work, name="daemon")
        either: set[asyncio.Future[Any]] = {self._task, ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        self.house = ready.result()
        self.starts += 1
        self.fill_disk(self.disk_full)

    async def stop(self) -> None:
        """SIGTERM, and its own end."""
        self.house = None
        self._stop.set()
        await self._task

    async def kill(self) -> None:
        """SIGKILL: from this moment on nothing leaves the process and nothing reaches its disk."""
        house, self.house = self.house, None
        assert house is not None
        with self._disk_as_it_is():
            house.store.journal.db.close()
            self.broker.cut()
            self.instrument.sever()
            self.deafen(True)
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()  # what a dead process would have said
            self.deafen(False)

    @contextmanager
    def _disk_as_it_is(self) -> Iterator[None]:
        """Nobody cleans up behind a killed process: journal, write-ahead log and socket stay."""
        journal = self.config.store.path
        files = [journal, Path(f"{journal}-wal")]
        for path in files:
            shutil.copy(path, f"{path}.killed")
        yield
        Path(f"{journal}-shm").unlink(missing_ok=True)
        for path in files:
            Path(f"{path}.killed").replace(path)
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(self.config.socket))

    def fill_disk(self, is_full: bool) -> None:
        """Leave the journal 2 MB to grow in; or as much as ever."""
        self.disk_full = is_full
        if self.house is not None:
            db = self.house.store.journal.db
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + 500 if is_full else 2**30}")

    def well(self) -> None:
        """The daemon's own exception when it ended by itself: nobody but us may end it."""
        if self.house is not None and self._task.done():
            self._task.result()
            raise AssertionError("the daemon ended by itself")
        if self.house is not None and virtual_s() >= self._look_at_s:
            self._look_at_s = virtual_s() + LOOK_AT_JOURNAL_EVERY_S
            self._look_at_journal(self.house)

    def _look_at_journal(self, house: House) -> None:
        """What nobody had settled at the last look is still there."""
        wal = Path(f"{self.config.store.path}-wal")
        self.most_wal_bytes = max(self.most_wal_bytes, wal.stat().st_size)
        open_now = {row.event_id for row in house.store.outbox.unsettled()}
        for event_id in self.promised - open_now:
            if house.store.outbox.state_of(event_id) is None:
                self.broken_promises.append(event_id)
        self.promised = open_now

    def is_calm(self) -> bool:
        house = self.house
        return (
            house is not None
            and house.bench.state == "ready"
            and house.runner.current_run is None
            and house.edge.publisher.connected
        )


@dataclass(eq=False)
class Lims:
    """The real collector on the broker in the loop."""

    shelf_at: Path
    broker: LoopBroker
    clock: Callable[[], datetime]
    dice: random.Random
    complaints: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    here: bool = False

    async def start(self) -> None:
        self._stop = asyncio.Event()
        self._shelf = open_shelf(f"sqlite:{self.shelf_at}")
        settings = CollectSettings(
            url="mqtt://broker", look_every_s=LOOK_EVERY_S, uniform=self.dice.uniform
        )
        self._collector = Collector(
            settings, self._shelf, tell=self._hear, now=self.clock, connect=self.broker.connect_lims
        )
        self._task = asyncio.create_task(self._collector.run(self._stop), name="lims")
        self.here = True

    async def stop(self) -> None:
        self.here = False
        self._stop.set()
        await self._task
        self.counts += Counter(self._collector.counts)
        self._shelf.close()

    def missing(self) -> object:
        return self._collector.missing()

    def is_calm(self) -> bool:
        return self.here and self._collector.connected.is_set()

    def _hear(self, line: str) -> None:
        if line.startswith(("GARBAGE", "DIFFERS", "DOUBLED", "REFUSED")):
            self.complaints.append(line)


@dataclass(eq=False)
class Technician:
    """Brings a plate every so often, presses, waits, reads again what failed."""

    daemon: Daemon
    instrument: Instrument
    every_s: float
    dice: random.Random
    began: asyncio.Event = field(default_factory=asyncio.Event)
    runs: dict[str, int] = field(default_factory=dict)  # accepted run -> plate on the carrier
    refused: Counter[str] = field(default_factory=Counter)
    doubles: int = 0
    given_up: int = 0

    async def work(self, until_s: float) -> None:
        plate, due_s = 0, self.every_s / 2
        while due_s < until_s:
            await until(due_s)
            plate += 1
            self.instrument.lay(plate)
            await self._plate(plate)
            due_s = max(due_s + self.every_s, virtual_s())

    async def _plate(self, plate: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            run_id = await self._press(plate, f"press-{plate}-{attempt}")
            if run_id is None:
                self.given_up += 1
                return
            self.began.set()
            state = await self._ended(run_id)
            self.began.clear()
            if state == "done":
                return

    async def _press(self, plate: int, key: str) -> str | None:
        """The run; None when the reader would not take the plate for a long while."""
        for _ in range(TIRED_AFTER):
            self.daemon.well()
            if self.daemon.house is not None:
                try:
                    return self._submit(self.daemon.house, plate, key)
                except RequestError as refusal:
                    if refusal.code not in NOT_NOW:
                        raise
                    self.refused[refusal.code] += 1
            await asyncio.sleep(COME_BACK_S)
        return None

    def _submit(self, house: House, plate: int, key: str) -> str:
        trigger = Trigger(kind="button", source="bench")
        request = RunRequest(key=key, plate=f"PLT{plate:05d}", trigger=trigger)
        ticket = house.runner.submit(request)
        assert not ticket.duplicate
        self.runs[ticket.run_id] = plate
        if self.dice.random() < 0.2:
            self._press_again(house, request, ticket.run_id)
        return ticket.run_id

    def _press_again(self, house: House, request: RunRequest, run_id: str) -> None:
        """A bounced button is the same run; another key during a read is busy."""
        self.doubles += 1
        again = house.runner.submit(request)
        assert (again.run_id, again.duplicate) == (run_id, True)
        other = RunRequest(key=f"{request.key}-other", plate="PLT99999", trigger=request.trigger)
        with suppress(RequestError):
            self.runs[house.runner.submit(other).run_id] = -1

    async def _ended(self, run_id: str) -> str:
        while True:
            await asyncio.sleep(GLANCE_S)
            self.daemon.well()
            if self.daemon.house is not None:
                run = self.daemon.house.store.run(run_id)
                assert run is not None, "an accepted run is gone from the journal"
                if run.state in FINAL:
                    return run.state
