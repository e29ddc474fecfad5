"""The whole thing as a user starts it: real processes, a real broker, a twin on a real terminal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from readerd.demo.plate import il6_assay_text

# Generous: a loaded machine may be slow, a hang must still end.
WITHIN_S = 30.0


def readerd(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "readerd", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


@dataclass
class Program:
    """A `readerd` process that stays; ended by its own pid."""

    arguments: tuple[str, ...]
    cwd: Path
    process: subprocess.Popen[str]
    heard: list[str] = field(default_factory=list)

    def until(self, text: str) -> str:
        """Read its output until a line holds `text`; the line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.heard.append(line)
            if text in line:
                return line.strip()
        pytest.fail(f"{self.arguments} ended without {text!r}:\n{''.join(self.heard)}")

    def ended(self) -> int:
        """Wait for its own end; the exit code."""
        rest, _ = self.process.communicate(timeout=WITHIN_S)
        self.heard.append(rest or "")
        return self.process.returncode

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait for the end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("twin", "biorad680", …)` starts a program in tmp_path; all end with the test."""
    programs: list[Program] = []

    def begin(*arguments: str) -> Program:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "readerd", *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        programs.append(Program(arguments, tmp_path, process))
        return programs[-1]

    yield begin
    for program in reversed(programs):
        if program.process.poll() is None:
            program.end(signal.SIGKILL)
        elif program.process.stdout is not None:
            program.process.stdout.close()


@dataclass
class Bench:
    """A directory with configuration and assay; verbs that find their daemon there."""

    directory: Path
    config: Path

    def ask(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        socket = str(self.directory / "bench2.sock")
        return readerd(verb, *arguments, "--reader", socket, cwd=self.directory)

    def read(self, plate: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        """`readerd read --wait --json`: exit code and envelope; fails on any other output."""
        done = self.ask("read", "--plate", plate, "--wait", "--json", *arguments)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def state(self) -> str:
        answer = self.ask("status", "--json")
        return str(json.loads(answer.stdout)["state"]["state"]) if answer.stdout else "no daemon"


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """`bench(port=…, broker=…)` writes the configuration of one reader."""

    def write(*, port: str, broker: int, assay: str | None = None) -> Bench:
        (tmp_path / "assays").mkdir(exist_ok=True)
        (tmp_path / "assays" / "il6.toml").write_text(assay or il6_assay_text())
        config = tmp_path / "bench2.toml"
        config.write_text(
            f"""
[reader]
site = "lab1"
id = "bench2"
driver = "biorad680"
port = "{port}"

[assays]
directory = "assays"
default = "il6-elisa"

[store]
path = "journal.db"

[mqtt]
url = "mqtt://127.0.0.1:{broker}"

[http]
socket = "bench2.sock"
"""
        )
        return Bench(tmp_path, config)

    return write


def write_plate(path: Path, *, over: str = "A12", negative: str = "B1") -> dict[int, list[str]]:
    """A plate file with an over-range and a negative cell; its cells as the wire carries them."""
    cells: dict[int, list[str]] = {450: [], 570: []}
    lines = ["well,450,570"]
    for row in range(8):
        for column in range(12):
            well = f"{'ABCDEFGH'[row]}{column + 1}"
            measured = f"{0.1 * (row + 1) + 0.01 * (column + 1):.3f}"
            measured = {over: "OVER", negative: "-0.005"}.get(well, measured)
            reference = f"{0.040 + 0.001 * (column + 1):.3f}"
            cells[450].append(measured)
            cells[570].append(reference)
            lines.append(f"{well},{measured},{reference}")
    path.write_text("\n".join(lines) + "\n")
    return cells
