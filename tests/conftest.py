"""Nothing is left out in silence.

A test that skips (no mosquitto here, no browser) is named again in its own section at the end of
the run. With CI=true there is no leaving out: every skip is a failure with its reason.

The brokers that more than one room's tests talk to are here too: the embedded one, and mosquitto.
"""

import gc
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

from readerd.demo.broker import Broker

# A law is about values; how long one example took on a busy machine is pytest-timeout's affair.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# As the command does; for what tests start besides, and for each worker.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Importing the suite leaves no garbage worth looking for, and what it does leave lives to the end:
# every later collection would go through all of it.
gc.disable()

NO_LEAVING_OUT = os.environ.get("CI") == "true"


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto` is two more than there are processors: many tests wait for a line or a process."""
    return len(os.sched_getaffinity(0)) + 2


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped too, but it did run.
    if NO_LEAVING_OUT and report.skipped and not hasattr(report, "wasxfail"):
        refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if NO_LEAVING_OUT and report.skipped:
        refuse(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.getreports("skipped")
    if not left_out:
        return
    terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
    for report in left_out:
        terminalreporter.line(f"{report.nodeid}: {reason(report)}", red=True)
    terminalreporter.line(f"{len(left_out)} not run; `CI=true make test` would fail.", red=True)


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip into a failure that carries the skip's reason."""
    report.longrepr = f"left out, and CI=true allows no leaving out: {reason(report)}"
    report.outcome = "failed"


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why the test was skipped, in its own words."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
CLIENTS = (shutil.which("mosquitto_pub"), shutil.which("mosquitto_sub"))


@dataclass
class Mosquitto:
    """One real mosquitto process, ended by its own pid."""

    config: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Return when it listens."""
        assert MOSQUITTO is not None
        self.process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert self.process.stderr is not None
        heard = []
        for line in self.process.stderr:
            heard.append(line.decode(errors="replace"))
            if b" running" in line:
                return
        pytest.fail("mosquitto did not start:\n" + "".join(heard))

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it; SIGKILL forgets sessions and retained messages, which it never wrote down."""
        if self.process is None:
            return
        self.process.send_signal(number)
        self.process.send_signal(signal.SIGCONT)
        self.process.wait(10)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


StartMosquitto = Callable[..., Mosquitto]


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[StartMosquitto]:
    """`mosquitto(*lines)` starts one with these configuration lines added; `.port` is its port."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    started: list[Mosquitto] = []

    def start(*lines: str) -> Mosquitto:
        port = free_port()
        config = tmp_path / f"mosquitto-{port}.conf"
        text = [f"listener {port} 127.0.0.1", "persistence false", "log_dest stderr"]
        text += ["log_type error", "log_type warning", "log_type information"]
        if os.geteuid() == 0:
            text.append("user root")  # else it would change to a user who cannot read tmp_path
        if not any(line.startswith("allow_anonymous") for line in lines):
            text.append("allow_anonymous true")
        config.write_text("\n".join([*text, *lines, ""]))
        broker = Mosquitto(config, port)
        started.append(broker)
        broker.start()
        return broker

    yield start
    for broker in started:
        broker.end()


@pytest.fixture
def mosquitto_clients() -> tuple[str, str]:
    """Paths of mosquitto_pub and mosquitto_sub."""
    publish, subscribe = CLIENTS
    if publish is None or subscribe is None:
        pytest.skip("mosquitto-clients is not installed")
    return publish, subscribe


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """The embedded broker on a free port."""
    async with Broker() as running:
        yield running
