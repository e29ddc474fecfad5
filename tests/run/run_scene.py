"""A runner with all its rooms: real journal, driver and link, a twin, virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from readerd.assay.definition import load_assay
from readerd.demo.plate import il6_plate
from readerd.demo.twin import simulated
from readerd.driver import catalog
from readerd.driver.contract import Driver
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Twin
from readerd.payload import ResultEnvelope, Trigger
from readerd.run.bench import Bench
from readerd.run.feed import Feed, News
from readerd.run.plan import Rules, RunRequest
from readerd.run.report import Bridge
from readerd.run.runner import Runner
from readerd.run.scribe import Scribe
from readerd.run.settings import AssaysSettings, PlatesSettings
from readerd.run.store import Store
from tests.virtual_clock import run_virtual

DRIVER = catalog.find("biorad680")
OPTIONS = DRIVER.options()
PLATE = il6_plate()
BRIDGE = Bridge(site="lab1", reader="b1", driver="biorad680", version="0", config_sha256="c")


def at() -> datetime:
    return datetime(2026, 3, 4, 9, 15, tzinfo=UTC)


def request(key: str, plate: str | None = "PLT1", **more: Any) -> RunRequest:
    return RunRequest(key=key, plate=plate, trigger=Trigger(kind="cli"), **more)


@dataclass
class Scene:
    """A runner with all its rooms, and what it told."""

    runner: Runner
    bench: Bench
    store: Store
    news: list[News] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def finished(self) -> None:
        await asyncio.wait(self.tasks)
        for task in self.tasks:
            if not task.cancelled():
                task.result()

    def result(self, run_id: str) -> ResultEnvelope:
        newest = self.store.result(run_id)
        assert newest is not None
        return ResultEnvelope.model_validate_json(newest.payload)

    async def read(self, key: str, plate: str | None = "PLT1", **more: Any) -> ResultEnvelope:
        """One run from its request to its newest result."""
        ticket = self.runner.submit(request(key, plate, **more))
        await self.finished()
        return self.result(ticket.run_id)

    def events(self) -> list[tuple[str, str | None]]:
        rows = [row for row in self.store.outbox.pending(100) if row.topic == "event"]
        data = [json.loads(row.payload)["data"] for row in rows]
        return [(one["kind"], one["code"]) for one in data]


def bench_with(twin: Twin, driver: Driver = DRIVER, expect: str = "") -> Bench:
    """A bench whose port leads to this twin."""
    options = driver.example_options()
    return Bench(
        driver,
        options,
        lambda: open_transport("twin:", driver.line(options), twin=lambda: twin),
        now=at,
        on_change=lambda: None,
        expect_identity=expect,
    )


def rules_of(texts: Sequence[str], by_barcode: dict[str, str], plates: PlatesSettings) -> Rules:
    choice = AssaysSettings(directory=Path("assays"), default="il6-elisa", by_barcode=by_barcode)
    assays = [load_assay(text, "il6") for text in texts]
    return Rules(assays={one.id: one for one in assays}, choice=choice, plates=plates)


@asynccontextmanager
async def scene(
    journal: Path,
    *faults: str,
    plates: PlatesSettings | None = None,
    assay: str = PLATE.assay_text,
    more_assays: Sequence[str] = (),
    by_barcode: dict[str, str] | None = None,
    driver: Driver = DRIVER,
    expect: str = "",
) -> AsyncIterator[Scene]:
    store, feed, tasks = Store(journal), Feed(), list[asyncio.Task[None]]()
    twin = simulated(driver, PLATE.chemistry, faults)

    def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    bench = bench_with(twin, driver, expect)
    runner = Runner(
        scribe=Scribe(replace(BRIDGE, driver=driver.name, expect_identity=expect), store, at),
        rules=rules_of((assay, *more_assays), by_barcode or {}, plates or PlatesSettings()),
        bench=bench,
        store=store,
        feed=feed,
        spawn=spawn,
        on_stored=lambda: None,
    )
    stage = Scene(runner, bench, store, tasks=tasks)
    feed.call(stage.news.append)
    work = asyncio.create_task(bench.run())
    try:
        await bench.until_ready()
        yield stage
    finally:
        for task in [*tasks, work]:
            task.cancel()
        await asyncio.wait([*tasks, work])
        store.close()


Script = Callable[[Scene], Coroutine[Any, Any, None]]


def play(journal: Path, script: Script, *faults: str, **more: Any) -> None:
    async def main() -> None:
        async with scene(journal, *faults, **more) as stage:
            await script(stage)

    run_virtual(main())
