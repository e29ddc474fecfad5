"""The composition root: wires the rooms of one reader's daemon, starts them, stops them in order.

`serve` receives everything that touches the world (how to open the instrument, how to connect to
the broker, the clock, when to stop), so a test starts the whole daemon in its own loop.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from readerd import __version__
from readerd.config import Config
from readerd.driver.contract import Driver
from readerd.driver.stream import ByteStream
from readerd.edge import http
from readerd.edge.mqtt import Publisher
from readerd.edge.presence import Presence
from readerd.errors import ReaderdError
from readerd.run.bench import Bench
from readerd.run.feed import Feed, News
from readerd.run.plan import Rules
from readerd.run.report import Bridge
from readerd.run.runner import Runner
from readerd.run.store import Store

log = logging.getLogger(__name__)

OpenStream = Callable[[], Awaitable[ByteStream]]
# contract.md §4: health every 60 s and on change.
HEALTH_EVERY_S = 60.0
# The last rows of a stopped daemon get this long to reach the broker.
DRAIN_ON_STOP_S = 2.0


def wall_clock() -> datetime:
    """The time of day with its offset."""
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class House:
    """One bridge, wired."""

    config: Config
    store: Store
    bench: Bench
    feed: Feed
    runner: Runner
    presence: Presence
    publisher: Publisher

    def status(self) -> dict[str, Any]:
        """The answer of `GET /v1/status`."""
        config, identity = self.config, self.bench.identity
        state, health = self.presence.state(), self.presence.health()
        return {
            "ok": health.ok,
            "site": config.reader.site,
            "reader": config.reader.id,
            "version": __version__,
            "driver": config.reader.driver,
            "port": config.reader.port,
            "state": state.model_dump(mode="json"),
            "instrument": None
            if identity is None
            else {"model": identity.model, "serial": identity.serial},
            "mqtt": {"url": config.mqtt.url, "connected": self.publisher.connected},
            "outbox": health.outbox,
            "last_sequence": health.last_sequence,
        }
