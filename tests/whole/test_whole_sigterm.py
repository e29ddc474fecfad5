"""SIGTERM and SIGHUP to real processes: idle, in a read, broker down, somebody watching."""

import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from readerd.daemon import first_of
from readerd.demo.broker import Broker
from readerd.edge.door import Door
from readerd.errors import ErrorCode, ReaderdError, RequestError, StoreError
from tests.virtual_clock import run_virtual
from tests.whole.test_whole_door import MakeBench, up
from tests.whole.virtual_house import a_read, living, write_files
from tests.whole.whole_bench import Bench, Program, Start

# Half a second here; 10 s is the promise, and a loaded machine may be slow.
STOP_WITHIN_S = 5.0
Told = Callable[[str], list[str]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What systemd hears of the programs, up to the line that is waited for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")

        def until(line: str) -> list[str]:
            heard: list[str] = []
            while line not in heard:
                heard += listener.recv(4096).decode().split("\n")
            return heard

        yield until


@contextmanager
def watcher(here: Bench) -> Iterator[socket.socket]:
    """An event-stream client that never goes away by itself."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(here.directory / "bench2.sock"))
        client.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in client.recv(4096)
        yield client


def stopped_s(program: Program) -> float:
    """SIGTERM, and how long the clean end took."""
    began_s = time.monotonic()
    assert program.end(signal.SIGTERM) == 0, program.heard
    return time.monotonic() - began_s


def journal_of(here: Bench) -> dict[str, object]:
    """What a stopped daemon has left: health, runs, and what waits for the broker."""
    with closing(sqlite3.connect(here.directory / "journal.db")) as db:
        return {
            "health": db.execute("PRAGMA integrity_check").fetchall(),
            "runs": db.execute("SELECT id, state FROM runs").fetchall(),
            "waiting": db.execute(
                "SELECT stream, json_extract(CAST(payload AS TEXT), '$.data.failure.code',"
                " '$.data.kind') FROM outbox JOIN bodies USING (row_id) WHERE state = 'stored'"
            ).fetchall(),
        }


def test_in_a_read_with_the_broker_down_and_a_watcher(
    start: Start, bench: MakeBench, told: Told
) -> None:
    here, program = up(start, bench, 1)
    assert "WATCHDOG=1" in told("STATUS=reader ready; 0 messages wait for the broker; broker away")
    told("WATCHDOG=1")
    good = here.config.read_text()
    here.config.write_text(good.replace('site = "lab1"', 'site = "Lab 1"'))
    program.process.send_signal(signal.SIGHUP)
    assert "site" in program.until("config=kept")
    assert "RELOADING=1" in told("READY=1")
    with watcher(here) as client:
        run = json.loads(here.ask("read", "--plate", "PLT1", "--json").stdout)["run_id"]
        assert f"run={run} " in program.until("state=reading")
        heard = b""
        while b"event: progress" not in heard:
            heard += client.recv(65536)
        assert stopped_s(program) < STOP_WITHIN_S
        heard = b""
        while chunk := client.recv(65536):  # until the daemon has hung up
            heard += chunk
        assert f'event: run\ndata: {{"run_id":"{run}","state":"interrupted"}}'.encode() in heard
    told("STOPPING=1")
    left = journal_of(here)
    assert left["health"] == [("ok",)]
    assert left["runs"] == [(run, "interrupted")]
    assert left["waiting"] == [
        ("event", '[null,"config"]'),
        ("event", '[null,"started"]'),
        ("result", '["interrupted",null]'),
        ("event", '[null,"interrupted"]'),
    ]
    assert not (here.directory / "bench2.sock").exists()


def test_idle_with_a_watcher_and_a_broker(
    start: Start, bench: MakeBench, broker: Broker, tmp_path: Path
) -> None:
    here = bench(port="twin:", broker=broker.port)
    program = start("run", "--config", "bench2.toml")
    program.until("reader=ready")
    with watcher(here):
        assert Door(here.directory / "bench2.sock").get("/v1/status")["ok"]
        assert stopped_s(program) < STOP_WITHIN_S
    assert journal_of(here) == {"health": [("ok",)], "runs": [], "waiting": []}


def test_who_asks_during_a_stop_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            house.runner.close()
            with pytest.raises(RequestError) as refusal:
                house.runner.submit(a_read("k1", "PLT1"))
            assert refusal.value.code == ErrorCode.READER_OFFLINE
            assert "stopped" in refusal.value.text
            assert house.store.newest(1) == []

    run_virtual(main())


def test_the_error_itself_is_told_wherever_it_came_from() -> None:
    full = StoreError("the disk is full")
    inside = BaseExceptionGroup("a part with tasks of its own", [full])
    group, _ = BaseExceptionGroup("the daemon", [inside]).split(ReaderdError)
    assert group is not None
    assert first_of(group) is full
