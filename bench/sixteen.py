"""Sixteen daemons on this machine, all reading at once at the real pace, beside one alone.

Each daemon is a process with its own twin behind a pseudo-terminal (Bio-Rad Model 680, real baud
rate and read time), its own journal with fsync, and one mosquitto for all. What is compared is the
time from "started" to "finished" in the journal of each run.
"""

import asyncio
import json
import statistics
import tempfile
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

from bench._parts import daemon, mosquitto, write_config
from readerd.demo.twin import simulated
from readerd.driver import catalog
from readerd.driver.serve import serve_pty
from readerd.edge.door import Door
from readerd.errors import NoDaemon

DAEMONS, ALONE = 16, 3
BUDGET_S = 0.150
READY_WITHIN_S, READ_WITHIN_S = 120.0, 60.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="readerd-bench-") as name:
        directory = Path(name)
        with mosquitto(directory) as port:
            return asyncio.run(measure(directory, port))


async def measure(directory: Path, broker_port: int) -> int:
    driver = catalog.find("biorad680")
    line = driver.line(driver.options())
    async with AsyncExitStack() as stack:
        doors = []
        for number in range(DAEMONS):
            folder = directory / f"r{number}"
            folder.mkdir()
            tty = str(folder / "tty")
            await stack.enter_async_context(serve_pty(simulated(driver), line, path=tty))
            config = write_config(folder, "serial:tty", broker_port)
            text = config.read_text().replace('id = "b1"', f'id = "b{number}"')
            config.write_text(text)
            stack.enter_context(daemon(config))
            doors.append(Door(folder / "b1.sock"))
        await asyncio.gather(*(until_ready(door) for door in doors))
        alone = [await read(doors[0], f"A{number}") for number in range(ALONE)]
        together = await asyncio.gather(*(read(door, "T1") for door in doors))
    slower_s = statistics.median(together) - statistics.median(alone)
    print(f"alone        median {statistics.median(alone):.3f} s of {ALONE} reads")
    median_s, slowest_s = statistics.median(together), max(together)
    print(f"{DAEMONS} at once   median {median_s:.3f} s, slowest {slowest_s:.3f} s")
    print(f"slower by    {1000 * slower_s:.0f} ms  (budget {1000 * BUDGET_S:.0f} ms)")
    return int(slower_s > BUDGET_S)


async def until_ready(door: Door) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                answer = await asyncio.to_thread(door.get, "/v1/status")
            except NoDaemon:
                answer = None
            if answer is not None and answer["state"]["state"] == "ready":
                return
            await asyncio.sleep(0.2)


async def read(door: Door, plate: str) -> float:
    """Seconds that the run took, by its own journal."""
    run = await asyncio.to_thread(door.post, "/v1/runs", {"plate_barcode": plate})
    async with asyncio.timeout(READ_WITHIN_S):
        while True:
            await asyncio.sleep(0.5)
            answer = await asyncio.to_thread(door.get, f"/v1/runs/{run['run_id']}")
            if answer["state"] == "done":
                told = answer["result"]["data"]["run"]
                began, ended = (
                    datetime.fromisoformat(told[key]) for key in ("started_at", "finished_at")
                )
                return (ended - began).total_seconds()
            if answer["state"] != "reading":
                raise SystemExit(json.dumps(answer)[:500])
