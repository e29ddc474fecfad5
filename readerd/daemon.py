"""The composition root: wires the rooms of one reader's daemon, starts them, stops them in order.

`serve` receives everything that touches the world (how to open the instrument, how to connect to
the broker, the clock, when to stop), so a test starts the whole daemon in its own loop.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from readerd.config import Config
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Twin
from readerd.edge import http, http_server, inputs
from readerd.edge.broker import Connect
from readerd.edge.inputs import OpenInput
from readerd.edge.mqtt import connector
from readerd.edge.notify import notify, status, watchdog_s
from readerd.edge.passed import passed_socket
from readerd.errors import ReaderdError, StoreError
from readerd.house import Clock, House, OpenStream, wire
from readerd.reload import Reload
from readerd.run.feed import News
from readerd.run.store import Store
from readerd.run.upkeep import RETAIN_EVERY_S

log = logging.getLogger(__name__)

# docs/reference/messages.md: health every 60 s and on change.
HEALTH_EVERY_S = 60.0
# A stop ends within 10 s; this much of it is for rows that the stop itself stored.
LAST_ROWS_S = 2.0
# An import that was begun ends in this time; nothing else in a thread is worth waiting for.
LAST_THREADS_S = 2.0

P = ParamSpec("P")
T = TypeVar("T")
Work = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Reread:
    """The configuration, once more: how to read it, and the wish (SIGHUP)."""

    load: Callable[[], Config]
    asked: asyncio.Event = field(default_factory=asyncio.Event)


def wall_clock() -> datetime:
    """The time of day with its offset."""
    return datetime.now().astimezone()


def opener(config: Config, twin: Callable[[], Twin] | None = None) -> OpenStream:
    """How to open the configured port; `twin` makes the instrument behind `twin:`."""
    line = config.driver.line(config.options)
    return lambda: open_transport(config.reader.port, line, twin=twin)


async def serve(
    config: Config,
    *,
    open_stream: OpenStream,
    connect: Connect | None = None,
    now: Clock = wall_clock,
    open_input: OpenInput = inputs.open_input,
    stop: asyncio.Event,
    reread: Reread | None = None,
    on_ready: Callable[[House], None] = lambda house: None,
) -> None:
    """One reader's daemon until `stop`; `on_ready` when the local door is open, `reread` on demand.

    StoreError when the journal fails; anything else that escapes is a bug and ends the process.
    """
    store = Store(config.store.path, config.mqtt.required_receipts)
    try:
        async with asyncio.TaskGroup() as group:
            runs = _Runs(group)
            house = wire(
                config,
                store,
                open_stream=open_stream,
                connect=connect or _connect(config),
                now=now,
                spawn=runs.spawn,
                open_input=open_input,
            )
            await _live(house, group, runs, lambda: _beside(house, reread), stop, on_ready)
    finally:
        store.close()


def _connect(config: Config) -> Connect:
    reader = config.reader
    return connector(config.mqtt, f"readerd-{reader.site}-{reader.id}")


async def _live(
    house: House,
    group: asyncio.TaskGroup,
    runs: "_Runs",
    beside: Callable[[], Sequence[Work]],
    stop: asyncio.Event,
    on_ready: Callable[[House], None],
) -> None:
    """Start in the order of need, stop in reverse: runs, door, reader, broker."""
    socket_path = house.config.socket
    passed = passed_socket(socket_path)
    listener = passed or http_server.bind_unix(socket_path)
    house.runner.resume()
    house.edge.commands.resume()
    broken = _Broken()
    app = http.application(
        house.runner,
        house.store,
        house.feed,
        house.status,
        house.edge.verbs.resend,
        house.metrics,
        broken.tell,
    )
    silence = asyncio.Event()
    publisher = group.create_task(house.edge.run(silence), name="publisher")
    bench = group.create_task(house.bench.run(), name="bench")
    house.watchdog.follow((publisher, bench))
    door = http_server.serve(app, listener, None if passed else socket_path)
    around = [group.create_task(work) for work in (door, broken.watch(), *beside())]
    on_ready(house)
    group.create_task(_warm())
    await stop.wait()
    notify("STOPPING=1", status("stopping"))
    await _leave(house, runs, around, bench)
    silence.set()
    await publisher


async def _leave(
    house: House, runs: "_Runs", around: Sequence[asyncio.Task[None]], bench: asyncio.Task[None]
) -> None:
    """Everything but the broker's side, which tells what the others have still to say."""
    house.runner.close()
    await _end(*runs.tasks)
    house.feed.end()  # whoever waits for a run has heard how it ended
    await _end(*around)
    await _end(bench)
    await _last_rows(house)


def _beside(house: House, reread: Reread | None) -> list[Work]:
    """What goes on beside the plates until the stop."""
    if os.environ.get("NOTIFY_SOCKET"):
        house.feed.call(lambda news: _tell_systemd(house, news))
    work: list[Work] = [_pulse(house), _retain(house), house.panel.run()]
    if reread is not None:
        work.append(Reload(house, reread.load).run(reread.asked))
    within_s = watchdog_s(os.environ, os.getpid())
    if within_s is not None:
        work.append(house.watchdog.run(within_s, house.summary))
    return work


def _tell_systemd(house: House, news: News) -> None:
    if news.kind != "progress":
        notify(status(house.summary()))


async def _warm() -> None:
    """Half of a start would be the import of the mathematics; nobody needs it before a plate."""
    await asyncio.to_thread(import_module, "readerd.assay.quantify")


async def _pulse(house: House) -> None:
    """Health at its interval, whatever happens or does not."""
    while True:
        house.publish_retained()
        house.upkeep.look()
        notify(status(house.summary()))
        await asyncio.sleep(HEALTH_EVERY_S)


async def _retain(house: House) -> None:
    """Retention at the start and daily."""
    while True:
        await house.upkeep.retain()
        await asyncio.sleep(RETAIN_EVERY_S)


class _Broken:
    """A journal that failed under a request of the local door ends the daemon all the same."""

    def __init__(self) -> None:
        self._happened = asyncio.Event()
        self._error: StoreError | None = None

    def tell(self, error: StoreError) -> None:
        self._error = self._error or error
        self._happened.set()

    async def watch(self) -> None:
        """StoreError when it happens."""
        await self._happened.wait()
        if self._error is not None:
            raise self._error


async def _last_rows(house: House) -> None:
    """Give what the stop itself stored a moment to reach the broker; the rest waits on disk."""
    try:
        async with asyncio.timeout(LAST_ROWS_S):
            while house.edge.publisher.connected and house.store.outbox.pending(1):
                house.edge.outbox.settled.clear()
                await house.edge.outbox.settled.wait()
    except TimeoutError:
        log.info("outbox waiting=%d", house.store.outbox.waiting())


class _Runs:
    """The runs under way, as tasks of the daemon: what a run cannot handle ends the daemon."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Work) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


class Aside(ThreadPoolExecutor):
    """A thread for each thing that blocks: none waits for another's, and the end for none.

    asyncio's own pool is small and its end waits for ever: with a name server that hangs, a stop
    had waited for it, and a command to the reader had stood in line behind the broker's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self._running: set[threading.Thread] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # it belongs to whoever waits for the result
                    future.set_exception(error)
            self._running.discard(threading.current_thread())

        thread = threading.Thread(target=work, name="aside", daemon=True)
        self._running.add(thread)
        thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Returns within LAST_THREADS_S; who blocks longer is left behind."""
        until_s = time.monotonic() + (LAST_THREADS_S if wait else 0.0)
        for thread in list(self._running):
            thread.join(max(0.0, until_s - time.monotonic()))


async def main(
    config: Config,
    twin: Callable[[], Twin] | None = None,
    load: Callable[[], Config] | None = None,
) -> None:
    """The daemon as a process: signals stop it, systemd is told; ReaderdError when it cannot.

    SIGHUP reads the configuration again with `load`.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.set_default_executor(Aside())
    reread = Reread(load) if load else None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if reread is not None:
        loop.add_signal_handler(signal.SIGHUP, reread.asked.set)
    if not config.driver.proven:
        log.warning("driver=%s is proven by no transcript and no client yet", config.driver.name)

    def ready(house: House) -> None:
        log.info("door=%s journal=%s", config.socket, config.store.path)
        notify("READY=1")

    try:
        await serve(
            config, open_stream=opener(config, twin), stop=stop, reread=reread, on_ready=ready
        )
    except BaseExceptionGroup as group:
        expected, bugs = group.split(ReaderdError)
        if expected is None or bugs is not None:
            raise
        raise first_of(expected) from None


def first_of(group: BaseExceptionGroup[ReaderdError]) -> ReaderdError:
    """The first error itself: groups lie in groups where a part has tasks of its own."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
