"""One bridge, wired: which room knows which. Started and stopped by `daemon`."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from readerd import __version__
from readerd.config import Config
from readerd.driver.stream import ByteStream
from readerd.edge import inputs
from readerd.edge.broker import Connect
from readerd.edge.inputs import OpenInput
from readerd.edge.mqtt_edge import MqttEdge
from readerd.edge.panel import Panel, furnish
from readerd.edge.presence import Presence
from readerd.edge.stall import Stall
from readerd.edge.watchdog import Watchdog
from readerd.payload import RunEnded, encode
from readerd.run.bench import Bench
from readerd.run.clock import ClockWatch
from readerd.run.feed import Feed, News
from readerd.run.plan import Rules
from readerd.run.report import Bridge
from readerd.run.runner import Runner
from readerd.run.scribe import Scribe
from readerd.run.store import Store
from readerd.run.upkeep import Upkeep

OpenStream = Callable[[], Awaitable[ByteStream]]
Clock = Callable[[], datetime]
# The standing condition while the bench is in `needs_human`.
READER_NEEDS_HUMAN: Final = "reader-needs-human"
Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


@dataclass(frozen=True, slots=True)
class House:
    """One bridge, wired."""

    config: Config
    store: Store
    bench: Bench
    feed: Feed
    runner: Runner
    presence: Presence
    edge: MqttEdge
    upkeep: Upkeep
    panel: Panel
    watchdog: Watchdog

    def status(self) -> dict[str, Any]:
        """The answer of `GET /v1/status`."""
        config, identity = self.config, self.bench.identity
        health, checks = self.presence.health(), self.checks()
        instrument = identity and {"model": identity.model, "serial": identity.serial}
        return {
            "ok": health.ok and checks["work"] == "ok",
            "checks": checks,
            "site": config.reader.site,
            "reader": config.reader.id,
            "version": __version__,
            "driver": config.reader.driver,
            "port": config.reader.port,
            "state": self.presence.state().model_dump(mode="json"),
            "instrument": instrument,
            "mqtt": {"url": config.mqtt.url, "connected": self.edge.publisher.connected},
            "journal": str(self.store.journal.path),
            "outbox": health.outbox,
            "last_sequence": health.last_sequence,
            "alarms": self.edge.alarms,
            "config_sha256": self.runner.scribe.bridge.config_sha256,
        }

    def checks(self) -> dict[str, str]:
        """What `/healthz` looks at; the broker is told, and no plate waits for it."""
        return {
            **self.presence.health().checks,
            "work": self.watchdog.complaint() or "ok",
            "broker": "connected" if self.edge.publisher.connected else "away",
        }

    async def metrics(self) -> tuple[bytes, str]:
        """The page of `GET /metrics` and its media type."""
        await asyncio.to_thread(import_module, "readerd.edge.metrics")
        from readerd.edge.metrics import CONTENT_TYPE, Facts, exposition  # see there

        bridge, publisher = self.runner.scribe.bridge, self.edge.publisher
        facts = Facts(
            ok=bool(self.status()["ok"]),
            state=self.bench.state,
            labels={
                "version": __version__,
                "site": bridge.site,
                "reader": bridge.reader,
                "driver": bridge.driver,
                "config_sha256": bridge.config_sha256,
            },
            store=self.store,
            tally=self.runner.tally,
            alarms=self.edge.alarms,
            connected=publisher.connected,
            connections=publisher.connections,
            now=self.runner.scribe.now(),
        )
        return exposition(facts), CONTENT_TYPE

    def summary(self) -> str:
        """One line for whoever asks systemd."""
        waiting, alarms = self.store.outbox.waiting(), sorted(self.edge.alarms)
        words = [f"reader {self.bench.state}", f"{waiting} messages wait for the broker"]
        words += [] if self.edge.publisher.connected else ["broker away"]
        words += [f"alarms {', '.join(alarms)}"] if alarms else []
        return "; ".join(words)

    def publish_retained(self) -> None:
        """Everything that stands on the broker, as it is now."""
        for topic, payload in self.presence.retained().items():
            self.edge.publisher.publish_retained(topic, payload)


def wire(
    config: Config,
    store: Store,
    *,
    open_stream: OpenStream,
    connect: Connect,
    now: Clock,
    spawn: Spawn,
    open_input: OpenInput = inputs.open_input,
) -> House:
    """Build the rooms of one bridge and tie them together."""
    feed, clock = Feed(), ClockWatch(now)
    bridge = _bridge(config)
    bench = _bench(config, open_stream, now, lambda: feed.tell("state", presence.state()))
    scribe = Scribe(bridge, store, now)
    store.outbox.require(config.mqtt.required_receipts, scribe.at())  # others than last time?
    runner = Runner(
        scribe=scribe,
        rules=rules_of(config),
        bench=bench,
        store=store,
        feed=feed,
        spawn=spawn,
        on_stored=lambda: edge.publisher.wake(),
        clock=clock,
    )
    names = sorted(config.assay_by_id)
    presence = Presence(
        bridge=bridge, bench=bench, runner=runner, store=store, assays=names, now=now
    )
    panel = furnish(config.panel, runner, open_input, lambda: edge)
    edge = _edge(config, runner, presence, panel, connect, now)
    upkeep = _upkeep(config, runner, clock, edge)
    promises = (*bench.promises, edge.publisher.promise)
    stall = Stall(edge.publisher, store.outbox)
    watchdog = Watchdog(store.journal, [*(one.broken for one in promises), stall.complaint])
    house = House(config, store, bench, feed, runner, presence, edge, upkeep, panel, watchdog)
    feed.call(panel.heard)
    feed.call(lambda news: _tell_edge(house, news))
    return house


def _edge(
    config: Config,
    runner: Runner,
    presence: Presence,
    panel: Panel,
    connect: Connect,
    now: Clock,
) -> MqttEdge:
    return MqttEdge(
        config.mqtt,
        runner,
        presence,
        root_topic=f"readerd/v1/{config.reader.site}/{config.reader.id}",
        connect=connect,
        now=now,
        elsewhere=dict.fromkeys(config.panel.topics, panel.remote),
        on_settled=panel.signal.look,
    )


def rules_of(config: Config) -> Rules:
    """What this bridge allows."""
    return Rules(assays=config.assay_by_id, choice=config.assays, plates=config.plates)


def _bridge(config: Config) -> Bridge:
    reader = config.reader
    return Bridge(
        site=reader.site,
        reader=reader.id,
        driver=reader.driver,
        version=__version__,
        config_sha256=config.sha256,
        expect_identity=reader.expect_identity,
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


def _upkeep(config: Config, runner: Runner, clock: ClockWatch, edge: MqttEdge) -> Upkeep:
    return Upkeep(
        runner.store,
        runner.scribe,
        clock,
        retention_days=config.store.retention_days,
        on_alarm=edge.on_alarm,
        on_stored=edge.publisher.wake,
    )


def _tell_edge(house: House, news: News) -> None:
    """What just happened, on the topics that show it."""
    publisher = house.edge.publisher
    if news.kind == "progress":
        publisher.publish_progress(encode(news.message))
        return
    if news.kind == "state":
        bench = house.bench
        needs_human = bench.state == "needs_human"
        house.edge.on_alarm(READER_NEEDS_HUMAN, bench.reason if needs_human else None)
    if isinstance(news.message, RunEnded):
        house.edge.commands.run_ended(news.message.run_id)
    house.publish_retained()
