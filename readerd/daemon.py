"""The composition root: wires the rooms of one reader's daemon, starts them, stops them in order.

`serve` receives everything that touches the world (how to open the instrument, how to connect to
the broker, the clock, when to stop), so a test starts the whole daemon in its own loop.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from datetime import datetime
from importlib import import_module
from typing import Any

from readerd.config import Config
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Twin
from readerd.edge import http, inputs
from readerd.edge.broker import Connect
from readerd.edge.inputs import OpenInput
from readerd.edge.mqtt import connector
from readerd.edge.passed import passed_socket
from readerd.errors import ReaderdError, StoreError
from readerd.house import Clock, House, OpenStream, wire
from readerd.run.store import Store
from readerd.run.upkeep import RETAIN_EVERY_S

log = logging.getLogger(__name__)

# contract.md §4: health every 60 s and on change.
HEALTH_EVERY_S = 60.0
# A stop ends within 10 s; this much of it is for rows that the stop itself stored.
LAST_ROWS_S = 2.0


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
    on_ready: Callable[[House], None] = lambda house: None,
) -> None:
    """One reader's daemon until `stop`; `on_ready` when the local door is open.

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
            await _live(house, group, runs, stop, on_ready)
    finally:
        store.close()


def _connect(config: Config) -> Connect:
    reader = config.reader
    return connector(config.mqtt, f"readerd-{reader.site}-{reader.id}")


async def _live(
    house: House,
    group: asyncio.TaskGroup,
    runs: "_Runs",
    stop: asyncio.Event,
    on_ready: Callable[[House], None],
) -> None:
    """Start in the order of need, stop in reverse: door, runs, reader, broker."""
    socket_path = house.config.socket
    passed = passed_socket(socket_path)
    listener = passed or http.bind_unix(socket_path)
    house.runner.resume()
    house.edge.commands.resume()
    broken = _Broken()
    app = http.application(
        house.runner,
        house.store,
        house.feed,
        house.status,
        house.edge.verbs.resend,
        broken.tell,
    )
    silence = asyncio.Event()
    publisher = group.create_task(house.edge.run(silence))
    bench = group.create_task(house.bench.run())
    door = group.create_task(http.serve(app, listener, None if passed else socket_path))
    pulse = group.create_task(_pulse(house))
    upkeep = group.create_task(_retain(house))
    panel = group.create_task(house.panel.run())
    on_ready(house)
    group.create_task(_warm())
    watch = group.create_task(broken.watch())
    await stop.wait()
    await _end(door, pulse, upkeep, watch, panel)
    await _end(*runs.tasks)
    await _end(bench)
    await _last_rows(house)
    silence.set()
    await publisher


async def _warm() -> None:
    """Half of a start would be the import of the mathematics; nobody needs it before a plate."""
    await asyncio.to_thread(import_module, "readerd.assay.quantify")


async def _pulse(house: House) -> None:
    """Health at its interval, whatever happens or does not."""
    while True:
        for topic, payload in house.presence.retained().items():
            house.edge.publisher.publish_retained(topic, payload)
        house.upkeep.look()
        await asyncio.sleep(HEALTH_EVERY_S)


async def _retain(house: House) -> None:
    """Retention at the start and daily."""
    while True:
        house.upkeep.retain()
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

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def main(config: Config, twin: Callable[[], Twin] | None = None) -> None:
    """The daemon as a process: signals stop it, systemd is told; ReaderdError when it cannot."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if not config.driver.proven:
        log.warning("driver=%s is proven by no transcript and no client yet", config.driver.name)

    def ready(house: House) -> None:
        log.info("door=%s journal=%s", config.socket, config.store.path)
        notify("READY=1")

    try:
        await serve(config, open_stream=opener(config, twin), stop=stop, on_ready=ready)
    except BaseExceptionGroup as group:
        expected, bugs = group.split(ReaderdError)
        if expected is None or bugs is not None:
            raise
        raise expected.exceptions[0] from None
    finally:
        notify("STOPPING=1")


def notify(message: str) -> None:
    """Tell systemd, where it asked to be told (sd_notify(3): one datagram)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        name = "\0" + address[1:] if address.startswith("@") else address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
            datagram.sendto(message.encode(), name)
