"""All questions in the order in which a bench comes to life: port, machine, journal, broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from readerd.config import Config
from readerd.doctor import broker, instrument, machine
from readerd.doctor.finding import Finding
from readerd.driver.address import parse_port
from readerd.edge.mqtt_settings import MqttSettings
from readerd.house import OpenStream

ETC = Path("/etc/readerd")


async def examine(
    config: Config, open_stream: OpenStream, *, probe: bool, now: Callable[[], datetime]
) -> AsyncIterator[Finding]:
    """Every finding of one reader, as soon as it is known."""
    reader = config.reader
    address = parse_port(reader.port)
    if address.kind == "serial":
        yield machine.access(Path(address.path), machine.acting_user())
        yield machine.disturbers(Path(address.path))
    status = await asyncio.to_thread(instrument.ask_daemon, config.socket)
    if isinstance(status, Finding):
        yield status
    elif status is not None:
        yield instrument.as_the_daemon_says(status)
    else:
        yield await instrument.by_ourselves(config, open_stream)
    for finding in of_the_machine(reader.id):
        yield finding
    yield machine.disk(config.store.path)
    yield machine.journal(config.store.path)
    settings = with_password(config.mqtt, reader.id)
    async for finding in broker.certificates(settings, now()):
        yield finding
    running = isinstance(status, dict)
    root_topic = f"readerd/v1/{reader.site}/{reader.id}"
    async for finding in broker.rights(
        settings, root_topic, probe=probe and not running, tell_time=now
    ):
        yield finding
    if running and probe:
        yield Finding(
            "acl", "ok", "--probe left out: a daemon runs, and says what the broker refuses"
        )
    yield said_so_far(status if isinstance(status, dict) else None, probe)


def of_the_machine(reader: str) -> list[Finding]:
    """What can be asked without a configuration."""
    return [machine.clock(), machine.unit(reader)]


def said_so_far(status: dict[str, Any] | None, probe: bool) -> Finding:
    """Whether the reader's own topics are open: a daemon at work knows, without one nobody does."""
    if status is None:
        if probe:
            return Finding("delivery", "ok", "no daemon runs; its topics were tried")
        todo = "--probe says a marked message there, before the LIMS listens"
        return Finding("delivery", "warn", "no daemon runs; its own topics were not tried", todo)
    if not status["mqtt"]["connected"]:
        return Finding("delivery", "fail", "the daemon is not connected", "see its log")
    if alarms := status.get("alarms"):
        text = "; ".join(f"{code}: {text}" for code, text in alarms.items())
        todo = (
            broker.ACL if "refused" in text else "docs/reference/messages.md says what each means"
        )
        return Finding("delivery", "fail", text, todo)
    waiting = status["outbox"]["stored"]
    return Finding("delivery", "ok", f"the daemon delivers; {waiting} messages wait")


def with_password(settings: MqttSettings, reader: str) -> MqttSettings:
    """The settings with the file that systemd would hand over as the credential."""
    source = ETC / f"{reader}.password"
    if settings.password_file and not Path(settings.password_file).exists() and source.exists():
        return settings.model_copy(update={"password_file": str(source)})
    return settings
