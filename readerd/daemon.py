"""The composition root: wires the rooms of one reader's daemon, starts them, stops them in order.

`serve` receives everything that touches the world (how to open the instrument, how to connect to
the broker, the clock, when to stop), so a test starts the whole daemon in its own loop.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from readerd import __version__
from readerd.config import Config
from readerd.driver.stream import ByteStream
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Twin
from readerd.edge import http
from readerd.edge.broker import Connect
from readerd.edge.mqtt import connector
from readerd.edge.presence import Presence
from readerd.edge.publisher import Publisher
from readerd.errors import ReaderdError
from readerd.payload import encode
from readerd.run.bench import Bench
from readerd.run.feed import Feed, News
from readerd.run.plan import Rules
from readerd.run.report import Bridge
from readerd.run.rows import OutboxRow
from readerd.run.runner import Runner
from readerd.run.scribe import Scribe
from readerd.run.store import Store

log = logging.getLogger(__name__)

OpenStream = Callable[[], Awaitable[ByteStream]]
Clock = Callable[[], datetime]
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

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


class Outbox:
    """The journal's outbox, and an event for whoever waits until rows have been acknowledged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.settled = asyncio.Event()

    def pending(self, limit: int, after_row_id: int = 0) -> Sequence[OutboxRow]:
        return self._store.outbox.pending(limit, after_row_id)

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        self._store.outbox.broker_acked(row_ids, at)
        self.settled.set()


@dataclass(frozen=True, slots=True)
class House:
    """One bridge, wired."""

    config: Config
    store: Store
    bench: Bench
    feed: Feed
    runner: Runner
    presence: Presence
    outbox: "Outbox"
    publisher: Publisher

    def status(self) -> dict[str, Any]:
        """The answer of `GET /v1/status`."""
        config, identity = self.config, self.bench.identity
        health = self.presence.health()
        instrument = identity and {"model": identity.model, "serial": identity.serial}
        return {
            "ok": health.ok,
            "site": config.reader.site,
            "reader": config.reader.id,
            "version": __version__,
            "driver": config.reader.driver,
            "port": config.reader.port,
            "state": self.presence.state().model_dump(mode="json"),
            "instrument": instrument,
            "mqtt": {"url": config.mqtt.url, "connected": self.publisher.connected},
            "outbox": health.outbox,
            "last_sequence": health.last_sequence,
        }


def wire(
    config: Config,
    store: Store,
    *,
    open_stream: OpenStream,
    connect: Connect,
    now: Clock,
    spawn: Spawn,
) -> House:
    """Build the rooms of one bridge and tie them together."""
    feed = Feed()
    bridge = _bridge(config)
    bench = _bench(config, open_stream, now, lambda: feed.tell("state", presence.state()))
    runner = Runner(
        scribe=Scribe(bridge, store, now),
        rules=Rules(assays=config.assay_by_id, choice=config.assays, plates=config.plates),
        bench=bench,
        store=store,
        feed=feed,
        spawn=spawn,
        on_stored=lambda: publisher.wake(),
    )
    presence = Presence(
        bridge=bridge,
        bench=bench,
        runner=runner,
        store=store,
        assays=sorted(config.assay_by_id),
        now=now,
    )
    outbox = Outbox(store)
    publisher = _publisher(config, connect, outbox, presence, store.next_session(), now)
    house = House(config, store, bench, feed, runner, presence, outbox, publisher)
    feed.call(lambda news: _tell_broker(house, news))
    return house


def _bridge(config: Config) -> Bridge:
    reader = config.reader
    return Bridge(
        site=reader.site,
        reader=reader.id,
        driver=reader.driver,
        version=__version__,
        config_sha256=config.sha256,
        verified_identity=bool(reader.expect_identity),
    )


def _bench(
    config: Config, open_stream: OpenStream, now: Clock, on_change: Callable[[], None]
) -> Bench:
    return Bench(
        config.driver,
        config.options,
        open_stream,
        now=now,
        on_change=on_change,
        expect_identity=config.reader.expect_identity,
        probe_every_s=config.reader.probe_every_s,
    )


def _publisher(
    config: Config,
    connect: Connect,
    outbox: Outbox,
    presence: Presence,
    session: int,
    now: Clock,
) -> Publisher:
    def on_alarm(code: str, text: str | None) -> None:
        publisher.publish_retained(f"alarm/{code}", presence.alarm(code, text))

    root_topic = f"readerd/v1/{config.reader.site}/{config.reader.id}"
    publisher = Publisher(connect, root_topic, outbox, session=session, now=now, on_alarm=on_alarm)
    return publisher


def _tell_broker(house: House, news: News) -> None:
    """What just happened, on the topics that show it."""
    if news.kind == "progress":
        house.publisher.publish_progress(encode(news.message))
        return
    for topic, payload in house.presence.retained().items():
        house.publisher.publish_retained(topic, payload)


async def serve(
    config: Config,
    *,
    open_stream: OpenStream,
    connect: Connect | None = None,
    now: Clock = wall_clock,
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
    listener = http.bind_unix(socket_path)
    house.runner.resume()
    app = http.application(house.runner, house.store, house.feed, house.status)
    silence = asyncio.Event()
    publisher = group.create_task(house.publisher.run(silence))
    bench = group.create_task(house.bench.run())
    door = group.create_task(http.serve(app, listener, socket_path))
    pulse = group.create_task(_pulse(house))
    on_ready(house)
    await stop.wait()
    await _end(door, pulse)
    await _end(*runs.tasks)
    await _end(bench)
    await _last_rows(house)
    silence.set()
    await publisher


async def _pulse(house: House) -> None:
    """Health at its interval, whatever happens or does not."""
    while True:
        for topic, payload in house.presence.retained().items():
            house.publisher.publish_retained(topic, payload)
        await asyncio.sleep(HEALTH_EVERY_S)


async def _last_rows(house: House) -> None:
    """Give what the stop itself stored a moment to reach the broker; the rest waits on disk."""
    try:
        async with asyncio.timeout(LAST_ROWS_S):
            while house.publisher.connected and house.store.outbox.pending(1):
                house.outbox.settled.clear()
                await house.outbox.settled.wait()
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
