"""Real parts for benchmarks: mosquitto on a free port, a daemon process, its configuration."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from readerd.demo.plate import il6_assay_text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mosquitto(directory: Path) -> Iterator[int]:
    """A broker without persistence on loopback; its port."""
    program = shutil.which("mosquitto")
    if program is None:
        raise FileNotFoundError("mosquitto is not installed")
    port = free_port()
    config = directory / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    process = subprocess.Popen(
        [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr or ():
            if " running" in line:
                break
        yield port
    finally:
        process.kill()
        process.communicate()


def write_config(directory: Path, port: str, broker_port: int) -> Path:
    """The configuration of `bench/b1` with the shipped IL-6 assay; relative paths below it."""
    (directory / "assays").mkdir(exist_ok=True)
    (directory / "assays" / "il6-elisa.toml").write_text(il6_assay_text())
    path = directory / "b1.toml"
    path.write_text(
        f"""
[reader]
site = "bench"
id = "b1"
driver = "biorad680"
port = "{port}"
[assays]
directory = "assays"
default = "il6-elisa"
[store]
path = "journal.db"
[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"
[http]
socket = "b1.sock"
"""
    )
    return path


@contextmanager
def daemon(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`readerd run` as a process; it must end by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "readerd", "run", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=(config.parent / "daemon.log").open("wb"),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)
