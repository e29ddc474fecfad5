"""The budgets of one plate on this machine: readiness, latency, memory, `readerd status`.

Real parts: a daemon process, a twin behind a pseudo-terminal without pacing, mosquitto on loopback,
a journal on disk with fsync on. "Last byte to PUBACK" runs from the moment the twin hands the plate
to the terminal to the moment the daemon notes the broker's acknowledgement of the result (just
before that note is committed), both on this machine's clock.
"""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from bench._parts import daemon, mosquitto, write_config
from readerd.demo.twin import simulated
from readerd.driver import catalog
from readerd.driver.serve import serve_pty
from readerd.driver.virtual import Emission, Twin
from readerd.edge.door import Door
from readerd.errors import NoDaemon

PLATES = 30
# After a result the acknowledgement is noted within this, or the plate counts as late.
SETTLE_S = 0.2
BUDGET_LATENCY_MS, BUDGET_READY_S, BUDGET_MEMORY_MB, BUDGET_STATUS_MS = 30.0, 1.0, 110.0, 100.0


class Watched:
    """The twin, and when it handed over each plate."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self.plates: list[float] = []

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        emissions = self._twin.receive(data, now_s)
        if any(emission.step == "RPLATE" for emission in emissions):
            self.plates.append(time.time())
        return emissions


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="readerd-bench-") as name:
        directory = Path(name)
        with mosquitto(directory) as broker_port:
            return asyncio.run(measure(directory, broker_port))


async def measure(directory: Path, broker_port: int) -> int:
    driver = catalog.find("biorad680")
    twin = Watched(simulated(driver))
    line = driver.line(driver.options())
    async with serve_pty(twin, line, path=str(directory / "tty"), time_scale=0):
        config = write_config(directory, "serial:tty", broker_port)
        began_s = time.perf_counter()
        with daemon(config) as process:
            door = Door(directory / "b1.sock")
            await until_ready(door)
            ready_s = time.perf_counter() - began_s
            await read(door, 0)
            memory_mb = resident_mb(process.pid)
            for number in range(1, PLATES):
                await read(door, number)
            status_ms = await asyncio.to_thread(status_times_ms, door.path)
    latencies_ms = latencies(directory / "journal.db", twin.plates)
    rows = [
        ("last byte to PUBACK, median", statistics.median(latencies_ms), BUDGET_LATENCY_MS, "ms"),
        ("last byte to PUBACK, slowest", max(latencies_ms), None, "ms"),
        ("daemon ready (identified, listening)", ready_s, BUDGET_READY_S, "s"),
        ("resident after one plate", memory_mb, BUDGET_MEMORY_MB, "MB"),
        ("readerd status, whole process, median", status_ms, BUDGET_STATUS_MS, "ms"),
    ]
    for text, value, budget, unit in rows:
        against = "" if budget is None else f"  (budget {budget:g} {unit})"
        print(f"{text:<40} {value:8.2f} {unit}{against}")
    return int(any(budget is not None and value > budget for _, value, budget, _ in rows))


async def until_ready(door: Door) -> None:
    """Ask every few milliseconds, for ten seconds at most."""
    async with asyncio.timeout(10):
        while True:
            try:
                answer = await asyncio.to_thread(door.get, "/v1/status")
                if answer["state"]["state"] == "ready" and answer["mqtt"]["connected"]:
                    return
            except NoDaemon:
                pass
            await asyncio.sleep(0.005)


async def read(door: Door, number: int) -> None:
    """One plate, asked for and then left alone: nobody polls while it is on its way."""
    events = door.events()
    await asyncio.to_thread(next, events)
    run = await asyncio.to_thread(door.post, "/v1/runs", {"plate_barcode": f"P{number:04d}"})
    while await asyncio.to_thread(next, events) != done(run):
        pass
    events.close()
    await asyncio.sleep(SETTLE_S)


def latencies(journal: Path, handed_over_s: list[float]) -> list[float]:
    """Milliseconds per plate, from the journal's own notes."""
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT acked_at FROM outbox WHERE stream = 'result' ORDER BY sequence"
        ).fetchall()
    database.close()
    acked_s = [datetime.fromisoformat(row[0]).timestamp() for row in rows]
    return [(b - a) * 1000 for a, b in zip(handed_over_s, acked_s, strict=True)]


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


def status_times_ms(socket: Path) -> float:
    """Median of whole `readerd status` processes, as a shell starts them."""
    times = []
    program = str(Path(sys.executable).with_name("readerd"))
    for _ in range(15):
        began_s = time.perf_counter()
        subprocess.run(
            [program, "status", "--reader", str(socket)], check=True, stdout=subprocess.DEVNULL
        )
        times.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(times)


def done(run: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The event that ends a run."""
    return "run", {"run_id": run["run_id"], "state": "done"}
