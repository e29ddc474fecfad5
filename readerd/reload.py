"""SIGHUP: the configuration is read again, and what can change in a running daemon changes.

The problem: a service that runs for years must take a new assay without losing its place, and a
typing error must not stop it at night. The rule: the file is judged as at a start, with all its
mistakes; a bad one changes nothing and is an event. A good one takes effect between two runs, never
in one, so that a result has one configuration and names it. What was opened with the old values
(port, broker, socket, journal) waits for a restart, and is named until then.
Rejected: reopening parts (each is a second way to start, which nobody tries), a restart on SIGHUP
(it forgets what is armed, and ends a read).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from pydantic import BaseModel, JsonValue

from readerd.config import Config
from readerd.edge.notify import notify, reloading
from readerd.errors import ConfigError
from readerd.house import House, rules_of
from readerd.run.feed import News
from readerd.run.log_run import of_run

log = logging.getLogger(__name__)

# What a running daemon can take over, a whole section or one key of it; the rest needs a restart.
LIVE = (
    "assays",
    "plates",
    "store.retention_days",
    "mqtt.commands",
    "mqtt.required_receipts",
)
# Made of other keys, or compared by itself.
_DERIVED = ("driver", "options", "assay_by_id", "sha256")
# What the file calls otherwise; the panel is three sections.
_NAMED = {"socket": "http.socket", "panel": ""}
# An event has a bounded size; whoever has made more mistakes than that runs `readerd check`.
MOST_MISTAKES = 20


class Reload:
    """The configuration of one daemon, again; `load` reads the file and may take its time."""

    def __init__(self, house: House, load: Callable[[], Config]) -> None:
        self._house = house
        self._load = load
        self._in_force = house.config
        self._waiting: Config | None = None
        house.feed.call(self._on_news)

    async def run(self, asked: asyncio.Event) -> None:
        """Read it again whenever asked, until cancelled. StoreError passes."""
        while True:
            await asked.wait()
            asked.clear()
            notify(*reloading())
            await self.once()
            notify("READY=1")

    async def once(self) -> None:
        """Judge the file; take it over now, or when the run that is under way has ended."""
        try:
            config = await asyncio.to_thread(self._load)
        except ConfigError as error:
            self._keep(error)
            return
        self._waiting = config
        run_id = self._house.runner.current_run
        if run_id is None:
            self._apply(config)
        else:
            log.info("config=waits for=%s", run_id)

    def _on_news(self, news: News) -> None:
        if news.kind == "run" and self._waiting is not None:
            with of_run(None):  # told by the run, and not of it
                self._apply(self._waiting)

    def _keep(self, error: ConfigError) -> None:
        for mistake in error.mistakes:
            log.error("config=kept mistake=%s", mistake)
        told = [str(mistake)[:200] for mistake in error.mistakes[:MOST_MISTAKES]]
        text = f"the new configuration has {len(error.mistakes)} mistakes; the old one stays"
        self._house.runner.tally.config_ok = False
        self._waiting = None  # an earlier file, held up by a run, is not meant any more
        self._tell(text, {"outcome": "kept", "mistakes": [*told]})

    def _apply(self, config: Config) -> None:
        self._waiting = None
        changed = sorted(differences(self._in_force, config))
        restart = [name for name in changed if not _is_live(name)]
        taken = [name for name in changed if _is_live(name)]
        self._in_force = _merged(self._in_force, config)
        _take_over(self._house, self._in_force)
        text = f"taken over: {', '.join(taken) or 'nothing'}"
        if restart:
            text += f"; a restart is needed for {', '.join(restart)}"
        log.log(logging.WARNING if restart else logging.INFO, "config=applied text=%s", text)
        self._house.runner.tally.config_ok = True
        self._tell(text, {"outcome": "applied", "changed": [*taken], "restart": [*restart]})

    def _tell(self, text: str, details: dict[str, JsonValue]) -> None:
        runner = self._house.runner
        details["config_sha256"] = runner.scribe.bridge.config_sha256
        runner.tell("config", text=text, details=details)


def _is_live(name: str) -> bool:
    return any(name == live or name.startswith((f"{live}.", f"{live} ")) for live in LIVE)


def differences(before: Config, after: Config) -> Iterator[str]:
    """Dotted names of all that differs; an assay whose file differs is `assays ID`."""
    old, new = before.assay_by_id, after.assay_by_id
    yield from (f"assays {key}" for key in {*old, *new} if old.get(key) != new.get(key))
    for name in type(before).model_fields:
        if name not in _DERIVED:
            where = _NAMED.get(name, name)
            yield from _differing(where, getattr(before, name), getattr(after, name))


def _differing(where: str, old: object, new: object) -> Iterator[str]:
    if isinstance(old, BaseModel) and type(old) is type(new):
        for key in type(old).model_fields:
            inner = f"{where}.{key}" if where else key
            yield from _differing(inner, getattr(old, key), getattr(new, key))
    elif old != new:
        yield where


def _merged(before: Config, after: Config) -> Config:
    """What is in force now: the live parts of the new file, the rest as it was opened."""
    return before.model_copy(
        update={
            "assays": after.assays,
            "assay_by_id": after.assay_by_id,
            "plates": after.plates,
            "store": before.store.model_copy(update={"retention_days": after.store.retention_days}),
            "mqtt": before.mqtt.model_copy(
                update={
                    "commands": after.mqtt.commands,
                    "required_receipts": after.mqtt.required_receipts,
                }
            ),
            "sha256": after.sha256,
        }
    )


def _take_over(house: House, config: Config) -> None:
    runner = house.runner
    runner.rules = rules_of(config)
    runner.scribe.bridge = replace(runner.scribe.bridge, config_sha256=config.sha256)
    house.presence.assays = sorted(config.assay_by_id)
    house.upkeep.keep_days(config.store.retention_days)
    house.edge.commands.enable(config.mqtt.commands)
    house.store.outbox.require(config.mqtt.required_receipts, runner.scribe.at())
    house.edge.outbox.settle()
    house.publish_retained()
