"""Chaos: what a LIMS has in the end, when everything between it and the readers dies in turn.

Real daemons on twins make results at a steady pace. Meanwhile the broker is killed three times with
SIGKILL (it writes nothing down, so it forgets sessions, queues and retained messages), the
collector is killed and stays away, one daemon is killed. At the end the collector's store is
compared with the journals, byte for byte. Three ways to close a row are compared: on the LIMS's
receipt, on the broker's acknowledgement with gaps found and replayed, and on the broker's
acknowledgement alone, as most bridges do.
"""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import aiomqtt

from bench._parts import free_port
from bench._scene import Program, Reader, broker, collector, listening, readers, rows
from readerd.errors import ErrorCode, NoDaemon, RequestError

Mode = Literal["receipts", "replay", "puback"]
# What the collector is told; and the receipts that the daemons wait for.
OPTIONS: dict[Mode, tuple[str, ...]] = {
    "receipts": ("--receipts",),
    "replay": ("--no-receipts",),
    "puback": ("--no-receipts", "--no-replay"),
}
REQUIRED: dict[Mode, str] = {"receipts": '"lims"', "replay": "", "puback": ""}
TITLES: dict[Mode, str] = {
    "receipts": "row closed on receipt",
    "replay": "row closed on PUBACK, gaps replayed",
    "puback": "row closed on PUBACK, nothing else",
}
# A reader takes no plate while it is busy or its daemon is away; asked again after this.
ASK_AGAIN_S = 0.02
BUSY = {ErrorCode.BUSY, ErrorCode.READER_OFFLINE}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Moments in seconds from the first plate."""

    mode: Mode
    plates: int = 120
    per_s: float = 12.0
    readers: int = 4
    broker_dies_s: tuple[float, ...] = (1.5, 4.5, 8.0)
    broker_back_after_s: float = 0.3
    collector_away_s: tuple[float, float] = (3.0, 6.0)
    daemon_dies_s: float = 6.5
    settled_within_s: float = 60.0


@dataclass(kw_only=True)
class Outcome:
    """What was found at the end."""

    plates: int  # asked for and accepted
    results: int  # in the journals
    unsaid: int  # accepted, and no result in a journal
    lost: int  # in a journal, not in the collector's store
    doubled: int  # in the collector's store under more than one id
    differing: int  # kept or delivered with other bytes than the journal's
    again: int  # deliveries beyond the first, as a bystander on the broker saw them
    made_in_s: float
    settled_in_s: float


@dataclass
class Bystander:
    """A plain subscriber: counts deliveries and compares their bytes."""

    port: int
    bytes_by_id: dict[str, bytes] = field(default_factory=dict)
    deliveries: Counter[str] = field(default_factory=Counter)
    differing: int = 0

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, timeout=5) as client:
                    topics = ("readerd/v1/+/+/result", "readerd/v1/+/+/replay/+")
                    await client.subscribe([(topic, 1) for topic in topics])
                    async for message in client.messages:
                        if isinstance(message.payload, bytes):
                            self.hear(message.payload)
            await asyncio.sleep(0.02)

    def hear(self, payload: bytes) -> None:
        envelope = json.loads(payload)
        if envelope["type"] != "org.readerd.result.v1":
            return
        self.deliveries[envelope["id"]] += 1
        self.differing += self.bytes_by_id.setdefault(envelope["id"], payload) != payload


@dataclass(frozen=True)
class Scene:
    plan: Plan
    port: int
    broker: Program
    collector: Program
    readers: list[Reader]
    store: Path
    bystander: Bystander


@asynccontextmanager
async def scene(plan: Plan, directory: Path) -> AsyncIterator[Scene]:
    """Everything up: the readers ready and the collector subscribed."""
    port = free_port()
    mosquitto = broker(directory, port)
    lims = collector(directory, port, *OPTIONS[plan.mode])
    async with readers(directory, port, plan.readers, REQUIRED[plan.mode]) as daemons:
        bystander = Bystander(port)
        mosquitto.start()
        await listening(port)
        watching = asyncio.create_task(bystander.run())
        try:
            lims.start()
            for reader in daemons:
                reader.program.start()
            for reader in daemons:
                await until(20.0, partial(is_ready, reader))
            await until(20.0, lambda: "connected" in lims.log.read_text())
            store = directory / "collected.db"
            yield Scene(plan, port, mosquitto, lims, daemons, store, bystander)
        finally:
            watching.cancel()
            await asyncio.wait({watching})
            lims.end(signal.SIGKILL)
            mosquitto.end(signal.SIGKILL)


async def until(within_s: float, condition: Callable[[], bool], every_s: float = 0.05) -> bool:
    """Ask now and then, in a thread; whether it became true in time."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < within_s:
        if await asyncio.to_thread(condition):
            return True
        await asyncio.sleep(every_s)
    return False


def is_ready(reader: Reader) -> bool:
    try:
        status = reader.door.get("/v1/status")
    except NoDaemon:
        return False
    return bool(status["state"]["state"] == "ready" and status["mqtt"]["connected"])


async def run(plan: Plan, directory: Path) -> Outcome:
    """One whole chaos run."""
    async with scene(plan, directory) as stage:
        began_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(kill_broker(stage))
            group.create_task(kill_collector(stage))
            group.create_task(kill_daemon(stage))
            made = [group.create_task(make_plates(stage, number)) for number in range(plan.readers)]
        made_s = time.monotonic()
        await until(plan.settled_within_s, lambda: is_settled(stage))
        settled_s = time.monotonic()
        keys = [key for task in made for key in task.result()]
        return look(stage, keys, made_s - began_s, settled_s - made_s)


async def make_plates(stage: Scene, number: int) -> list[str]:
    """This reader's share of the plates, each at its moment or as soon as the reader is free."""
    plan, reader = stage.plan, stage.readers[number]
    began_s = time.monotonic()
    keys = []
    for plate in range(number, plan.plates, plan.readers):
        await asyncio.sleep(max(0.0, began_s + plate / plan.per_s - time.monotonic()))
        key = f"{reader.name}-{plate}"
        body: dict[str, object] = {"plate_barcode": f"P{plate:05d}", "key": key}
        await until(60.0, partial(asked, reader, body), ASK_AGAIN_S)
        keys.append(key)
    return keys


def asked(reader: Reader, body: dict[str, object]) -> bool:
    """Whether the reader took the plate; the same key twice is the same run."""
    try:
        reader.door.post("/v1/runs", body)
    except NoDaemon:
        return False
    except RequestError as error:
        if error.code in BUSY:
            return False
        raise
    return True


async def kill_broker(stage: Scene) -> None:
    began_s = time.monotonic()
    for moment_s in stage.plan.broker_dies_s:
        await asyncio.sleep(began_s + moment_s - time.monotonic())
        stage.broker.end(signal.SIGKILL)
        await asyncio.sleep(stage.plan.broker_back_after_s)
        stage.broker.start()
        await listening(stage.port)


async def kill_collector(stage: Scene) -> None:
    away_s, back_s = stage.plan.collector_away_s
    await asyncio.sleep(away_s)
    await asyncio.to_thread(stage.collector.end, signal.SIGKILL)
    await asyncio.sleep(back_s - away_s)
    stage.collector.start()


async def kill_daemon(stage: Scene) -> None:
    await asyncio.sleep(stage.plan.daemon_dies_s)
    await asyncio.to_thread(stage.readers[0].program.end, signal.SIGKILL)
    stage.readers[0].program.start()


def collected(stage: Scene) -> dict[str, bytes]:
    sql = "SELECT id, payload FROM messages WHERE kind = 'result'"
    return dict(rows(stage.store, sql))


def is_settled(stage: Scene) -> bool:
    """All runs have ended, all journals are drained; where more will be sent, all of it is kept."""
    if any(reader.unfinished() or reader.waiting() for reader in stage.readers):
        return False
    if stage.plan.mode == "puback":
        return True
    journals = {name for reader in stage.readers for name in reader.results()}
    return journals <= collected(stage).keys()


def look(stage: Scene, keys: list[str], made_in_s: float, settled_in_s: float) -> Outcome:
    """Compare the collector's store with the journals."""
    journals = {name: said for reader in stage.readers for name, said in reader.results().items()}
    sql = "SELECT count(*) FROM runs JOIN outbox ON run_id = id WHERE topic = 'result'"
    told = sum(int(rows(reader.journal, sql)[0][0]) for reader in stage.readers)
    kept = collected(stage)
    runs = Counter(
        (data["run"]["id"], data["revision"])
        for data in (json.loads(payload)["data"] for payload in kept.values())
    )
    seen = stage.bystander
    strange = sum(journals.get(name) != payload for name, payload in kept.items())
    strange += sum(journals.get(name) != payload for name, payload in seen.bytes_by_id.items())
    return Outcome(
        plates=len(keys),
        results=len(journals),
        unsaid=len(keys) - told,
        lost=len(journals.keys() - kept.keys()),
        doubled=sum(count - 1 for count in runs.values()),
        differing=strange + seen.differing,
        again=sum(count - 1 for count in seen.deliveries.values()),
        made_in_s=made_in_s,
        settled_in_s=settled_in_s,
    )


def main() -> int:
    """All three ways, one after the other; 1 when a way that promises it loses or doubles."""
    missed = False
    for mode in ("receipts", "replay", "puback"):
        with tempfile.TemporaryDirectory(prefix="readerd-chaos-") as name:
            found = asyncio.run(run(Plan(mode=mode), Path(name)))
        pace = found.results / found.made_in_s
        print(
            f"{TITLES[mode]:<38} {found.results} results at {pace:.1f}/s: lost {found.lost},"
            f" doubled {found.doubled}, other bytes {found.differing}, delivered again"
            f" {found.again}, accepted and untold {found.unsaid}; settled after"
            f" {found.settled_in_s:.1f} s",
            flush=True,
        )
        faults = found.doubled + found.differing + found.unsaid
        missed |= bool(faults or (mode != "puback" and found.lost))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
