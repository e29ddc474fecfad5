"""The instrument: asked through the daemon where one runs, else opened, known and put to rest."""

import asyncio
import os
from pathlib import Path
from typing import Any

from readerd.config import Config
from readerd.doctor.finding import Finding
from readerd.driver.link import Link
from readerd.edge.door import Door
from readerd.errors import InstrumentError, LinkLost, NoDaemon, NoReply, ReaderdError
from readerd.house import OpenStream

# Twice the longest that a challenge after an abandoned read of a minute may take is too long to
# wait for; an instrument at rest answers in two seconds.
INSTRUMENT_WITHIN_S = 30.0
RUNS_WELL = ("ready", "armed", "reading")

ADVICE = {
    LinkLost: "look at the cable, the port's name and who else has it open",
    NoReply: "look at power, cable (crossed or straight) and line settings",
}


def ask_daemon(socket: Path) -> dict[str, Any] | Finding | None:
    """The running daemon's status; None when there is none, a finding when nobody can tell."""
    if socket.exists() and not os.access(socket, os.R_OK | os.W_OK):
        todo = f"usermod -aG readerd-operators {os.environ.get('USER', 'NAME')}, or use sudo"
        return Finding("daemon", "warn", f"{socket} may not be opened", todo)
    try:
        status: dict[str, Any] = Door(socket).get("/v1/status")
    except NoDaemon:
        return None
    except ReaderdError as error:
        return Finding("daemon", "fail", str(error), "look into its log")
    return status


def as_the_daemon_says(status: dict[str, Any]) -> Finding:
    """The bench as the daemon that has it sees it."""
    state = status["state"]["state"]
    why = f": {status['state']['reason']}" if status["state"]["reason"] else ""
    model = (status["instrument"] or {}).get("model") or "the instrument"
    seen = f"{model} on {status['port']} is {state}{why}"
    if state in RUNS_WELL:
        return Finding("instrument", "ok", seen)
    todo = "what each state asks for: docs/how-to/connect-a-reader.md"
    return Finding("instrument", "warn" if state == "recovering" else "fail", seen, todo)


async def by_ourselves(config: Config, open_stream: OpenStream) -> Finding:
    """Open the port, put the instrument to rest, ask who it is, let go."""
    port, expected = config.reader.port, config.reader.expect_identity
    try:
        async with asyncio.timeout(INSTRUMENT_WITHIN_S):
            link = Link(await open_stream())
            try:
                reader = config.driver.open(link, config.options)
                await reader.park()
                identity = await reader.identify()
            finally:
                await link.close()
    except TimeoutError:
        text = f"{port}: no answer within {INSTRUMENT_WITHIN_S:g} s"
        return Finding("instrument", "fail", text, ADVICE[NoReply])
    except InstrumentError as error:
        todo = ADVICE.get(type(error), "is it the instrument that reader.driver names?")
        return Finding("instrument", "fail", f"{port}: {error}", todo)
    seen = f"{identity.model} {identity.serial or 'without a serial number'} answers on {port}"
    if expected and expected not in (identity.serial, identity.model):
        return Finding("instrument", "fail", seen, f"reader.expect_identity says {expected!r}")
    return Finding("instrument", "ok", seen)
