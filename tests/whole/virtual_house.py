"""A bridge in virtual time: journal, twin and edge of a daemon, and a broker that says yes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from readerd.config import Config, load_config
from readerd.daemon import opener
from readerd.demo.plate import il6_assay_text
from readerd.demo.twin import simulated
from readerd.edge.broker import Connect, Connection, Incoming, Outgoing
from readerd.house import House, wire
from readerd.payload import Trigger
from readerd.run.plan import RunRequest
from readerd.run.store import Store

FILE = """
[reader]
site = "lab1"
id = "bench2"
driver = "biorad680"
port = "twin:"

[assays]
directory = "assays"
default = "il6-elisa"

[store]
path = "journal.db"

[mqtt]
url = "mqtt://127.0.0.1:1"

[http]
socket = "bench2.sock"
"""


def write_files(folder: Path) -> Path:
    """The configuration of one reader and its assay; the file's path."""
    (folder / "assays").mkdir()
    (folder / "assays" / "il6.toml").write_text(il6_assay_text())
    path = folder / "bench2.toml"
    path.write_text(FILE)
    return path


class Yes:
    """A broker that acknowledges everything at once and never says a word itself."""

    version, window = "5", 20

    def __init__(self) -> None:
        self.heard: list[Outgoing] = []

    def takes(self, message: Outgoing) -> bool:
        return True

    def publish(self, message: Outgoing) -> asyncio.Future[int]:
        self.heard.append(message)
        return _done()

    def is_congested(self) -> bool:
        return False

    def subscribe(self, topic_filter: str, *, retained: bool = False) -> asyncio.Future[int]:
        return _done()

    async def incoming(self) -> AsyncIterator[Incoming]:
        await asyncio.Event().wait()
        yield Incoming(topic="", payload=b"", retained=False)

    async def goodbye(self) -> None:
        pass

    @asynccontextmanager
    async def connect(self, will: Outgoing) -> AsyncIterator[Connection]:
        yield self


def _done() -> asyncio.Future[int]:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(0)
    return future


def now() -> datetime:
    """The time of day on the loop's own clock."""
    return datetime(2026, 3, 4, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())


def twin_of(config: Config) -> Callable[[], Awaitable[Any]]:
    return opener(config, lambda: simulated(config.driver))


def a_read(key: str, plate: str) -> RunRequest:
    return RunRequest(key=key, plate=plate, trigger=Trigger(kind="cli"))


@asynccontextmanager
async def living(
    path: Path,
    *,
    connect: Connect | None = None,
    open_stream: Callable[[], Awaitable[Any]] | None = None,
) -> AsyncIterator[House]:
    """The bridge at work; what its tasks raise comes out of here."""
    config = load_config(path)
    store = Store(config.store.path, config.mqtt.required_receipts)
    try:
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []

            def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
                tasks.append(group.create_task(work))
                return tasks[-1]

            house = wire(
                config,
                store,
                open_stream=open_stream or twin_of(config),
                connect=connect or Yes().connect,
                now=now,
                spawn=spawn,
            )
            silence = asyncio.Event()
            house.watchdog.follow((spawn(house.edge.run(silence)), spawn(house.bench.run())))
            yield house
            for task in tasks:
                task.cancel()
    finally:
        store.close()


async def ended(house: House, run_id: str) -> str:
    """Wait for the end of a run; its last state."""
    with house.feed.watch() as news:
        while house.runner.current_run == run_id:
            await news.get()
    run = house.store.run(run_id)
    assert run is not None
    return run.state
