"""Real programs that can be killed and started again: a broker, daemons on twins, a collector."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from readerd.demo.plate import il6_assay_text
from readerd.demo.twin import simulated
from readerd.driver import catalog
from readerd.driver.serve import serve_tcp
from readerd.edge.door import Door

# A program that does not come up or go away in this time ends the benchmark.
WITHIN_S = 20.0


@dataclass
class Program:
    """One process of ours, ended by its own pid; `log` collects its stderr over all its lives."""

    arguments: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # a broker that starts more processes ends with them
            )

    def tell(self, number: signal.Signals) -> None:
        """To the process alone, which must run."""
        if self.process is None:
            raise RuntimeError(f"{self.arguments[0]} does not run")
        self.process.send_signal(number)

    def end(self, number: signal.Signals) -> None:
        """A second time does nothing."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            try:
                self.process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(WITHIN_S)
            self.process = None


@dataclass(frozen=True)
class Reader:
    """One daemon on its own twin, and its journal."""

    name: str
    program: Program
    door: Door
    journal: Path

    def results(self) -> dict[str, bytes]:
        """Every result in the journal: id -> bytes."""
        return dict(rows(self.journal, "SELECT event_id, payload FROM results"))

    def unfinished(self) -> int:
        """Runs that have no end yet; after a kill the next start ends them."""
        sql = "SELECT count(*) FROM runs WHERE state IN ('accepted', 'reading', 'read')"
        return int(rows(self.journal, sql)[0][0])

    def waiting(self) -> int:
        """Rows that the broker has not acknowledged."""
        return int(rows(self.journal, "SELECT count(*) FROM outbox WHERE state='stored'")[0][0])


def rows(database: Path, sql: str) -> list[Any]:
    """Read only, beside whoever writes."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as opened:
        return opened.execute(sql).fetchall()


def broker(directory: Path, port: int, *lines: str) -> Program:
    """mosquitto on loopback that writes nothing down; FileNotFoundError without one."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise FileNotFoundError("mosquitto is not installed")
    config = directory / "mosquitto.conf"
    text = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false"]
    text += ["user root"] if os.geteuid() == 0 else []
    config.write_text("\n".join([*text, *lines, ""]))
    return Program([program, "-c", str(config)], directory / "mosquitto.log")


def collector(directory: Path, port: int, *options: str) -> Program:
    """`readerd collect` into `collected.db`."""
    return Program(
        [
            *(sys.executable, "-m", "readerd", "collect", "--url", f"mqtt://127.0.0.1:{port}"),
            *("--to", f"sqlite:{directory / 'collected.db'}", *options),
        ],
        directory / "collect.log",
    )


async def listening(port: int, within_s: float = WITHIN_S) -> None:
    """Wait until somebody takes connections there."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return


@asynccontextmanager
async def readers(
    directory: Path, broker_port: int, count: int, required: str, version: str = "auto"
) -> AsyncIterator[list[Reader]]:
    """Daemons as processes, each on a twin without pacing in this loop; not yet started."""
    driver = catalog.find("biorad680")
    line = driver.line(driver.options())
    (directory / "assays").mkdir()
    (directory / "assays" / "il6-elisa.toml").write_text(il6_assay_text())
    made = []
    async with AsyncExitStack() as stack:
        for number in range(1, count + 1):
            served = serve_tcp(simulated(driver), line, time_scale=0)
            port = await stack.enter_async_context(served)
            made.append(_reader(directory, f"b{number}", port, broker_port, required, version))
            stack.callback(made[-1].program.end, signal.SIGKILL)
        yield made


def _reader(
    directory: Path, name: str, port: str, broker_port: int, required: str, version: str
) -> Reader:
    config = directory / f"{name}.toml"
    config.write_text(
        f"""
[reader]
site = "bench"
id = "{name}"
driver = "biorad680"
port = "{port}"
[assays]
directory = "assays"
default = "il6-elisa"
[store]
path = "{name}.db"
[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"
version = "{version}"
required_receipts = [{required}]
[http]
socket = "{name}.sock"
"""
    )
    arguments = [sys.executable, "-m", "readerd", "run", "--config", str(config)]
    program = Program(arguments, directory / f"{name}.log")
    return Reader(name, program, Door(directory / f"{name}.sock"), directory / f"{name}.db")
