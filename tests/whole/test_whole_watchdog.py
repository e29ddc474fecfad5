"""systemd hears "alive" only while the work gets on. Virtual time, a real datagram socket."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from readerd.edge.broker import BrokerLost, Connection, Outgoing
from readerd.edge.notify import notify, reloading, status, watchdog_s
from readerd.errors import LinkLost, StoreError
from readerd.house import House
from tests.virtual_clock import run_virtual
from tests.whole.virtual_house import Yes, a_read, ended, living, write_files

WITHIN_S = 30.0
Heard = Callable[[], list[str]]


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """Everything that was told to systemd since the last look, line by line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def lines() -> list[str]:
            found: list[str] = []
            while True:
                try:
                    found += listener.recv(4096).decode().split("\n")
                except BlockingIOError:
                    return found

        yield lines


async def watch(house: House, heard: Heard, for_s: float) -> Counter[str]:
    """Let the watchdog live for a while; what systemd heard, counted."""
    counted: Counter[str] = Counter()
    dog = asyncio.create_task(house.watchdog.run(WITHIN_S, house.summary))
    until_s = asyncio.get_running_loop().time() + for_s
    while asyncio.get_running_loop().time() < until_s and not dog.done():
        await asyncio.wait((dog,), timeout=WITHIN_S / 2)
        counted.update(heard())  # a socket holds few datagrams
    dog.cancel()
    await asyncio.wait((dog,))
    if not dog.cancelled():
        dog.result()
    return counted


@asynccontextmanager
async def never(will: Outgoing) -> AsyncIterator[Connection]:
    """A broker whose library hangs in its connect, whatever its own deadline says."""
    await asyncio.Event().wait()
    raise AssertionError
    yield


@asynccontextmanager
async def refusing(will: Outgoing) -> AsyncIterator[Connection]:
    raise BrokerLost("nobody there")
    yield


async def hanging() -> Any:
    await asyncio.Event().wait()


async def unplugged() -> Any:
    raise LinkLost("no such port", phase="open")


def test_alive_is_said_while_plates_are_read(tmp_path: Path, heard: Heard) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            run = house.runner.submit(a_read("k1", "PLT1")).run_id
            counted = await watch(house, heard, 120)
            assert house.runner.current_run is None
            assert await ended(house, run) == "done"
            counted += await watch(house, heard, 480)
            assert counted["WATCHDOG=1"] >= 600 / (WITHIN_S / 2)
            assert not [line for line in counted if "stuck" in line]
            assert counted["STATUS=reader reading; 1 messages wait for the broker"] == 1
            assert counted["STATUS=reader ready; 0 messages wait for the broker"] > 30

    run_virtual(main())


def test_a_reader_and_a_broker_that_are_away_are_no_fault_of_ours(
    tmp_path: Path, heard: Heard
) -> None:
    async def main() -> None:
        path = write_files(tmp_path)
        async with living(path, connect=refusing, open_stream=unplugged) as house:
            counted = await watch(house, heard, 3600)
            assert counted["WATCHDOG=1"] >= 3600 / (WITHIN_S / 2)
            assert not [line for line in counted if "stuck" in line]
            assert "STATUS=reader absent; 0 messages wait for the broker; broker away" in counted

    run_virtual(main())


@pytest.mark.parametrize(
    ("stuck", "says"),
    [
        ({"connect": never}, "the connection to the broker"),
        ({"open_stream": hanging}, "opening the port"),
    ],
    ids=["broker", "port"],
)
def test_a_part_that_hangs_withholds_it(
    tmp_path: Path, heard: Heard, stuck: dict[str, Any], says: str
) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path), **stuck) as house:
            assert (await watch(house, heard, 30))["WATCHDOG=1"] >= 2
            late = await watch(house, heard, 120)
            assert late["WATCHDOG=1"] <= 2  # the bound of 30 s and its grace of 15 s
            assert [line for line in late if line.startswith(f"STATUS=stuck: {says}")]
            assert says in house.checks()["work"]
            assert house.status()["ok"] is False

    run_virtual(main())


def test_a_message_that_nobody_carries_withholds_it(tmp_path: Path, heard: Heard) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            await watch(house, heard, 60)
            scribe = house.runner.scribe
            house.store.record(scribe.event("clock"), scribe.at())  # and nobody is woken
            stuck = await watch(house, heard, 60)
            assert [line for line in stuck if "nothing is under way to the broker" in line]
            house.runner.on_stored()
            await asyncio.sleep(1)
            again = await watch(house, heard, 60)
            assert not [line for line in again if "stuck" in line]
            assert again["WATCHDOG=1"] >= 4

    run_virtual(main())


class Deaf(Yes):
    """A broker that welcomes everybody and then hangs: no subscription is ever answered."""

    def subscribe(self, topic_filter: str, *, retained: bool = False) -> asyncio.Future[int]:
        return asyncio.get_running_loop().create_future()


def test_a_broker_that_hangs_is_no_fault_of_ours(tmp_path: Path, heard: Heard) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path), connect=Deaf().connect) as house:
            await house.bench.until_ready()
            house.runner.tell("carrier")  # a message that waits
            counted = await watch(house, heard, 600)
            assert house.edge.publisher.connections > 5
            assert not [line for line in counted if "stuck" in line]

    run_virtual(main())


def test_a_task_that_ended_withholds_it(tmp_path: Path, heard: Heard) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            ended_early = asyncio.create_task(asyncio.sleep(0), name="bench")
            house.watchdog.follow((ended_early,))
            await ended_early
            counted = await watch(house, heard, 60)
            assert counted["WATCHDOG=1"] == 0
            assert counted["STATUS=stuck: the task bench has ended"] >= 4

    run_virtual(main())


def test_a_journal_that_keeps_nothing_ends_the_daemon(tmp_path: Path, heard: Heard) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            house.store.journal.db.execute("PRAGMA query_only=ON")
            try:
                with pytest.raises(StoreError, match="readonly"):
                    await watch(house, heard, 60)
            finally:
                house.store.journal.db.execute("PRAGMA query_only=OFF")
            assert "WATCHDOG=1" not in heard()

    run_virtual(main())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_whom_systemd_means(
    environment: dict[str, str], expected: float | None
) -> None:
    assert watchdog_s(environment, 42) == expected


def test_what_systemd_hears(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notify(*reloading())
    begun, when = heard()
    assert begun == "RELOADING=1"
    assert when.removeprefix("MONOTONIC_USEC=").isdecimal()
    notify(status("one\nREADY=1"))
    assert heard() == ["STATUS=one READY=1"]
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    notify("READY=1")  # a service manager that is gone ends nobody
    assert "notify=unheard" in caplog.text
    name = f"\0readerd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
        abstract.bind(name)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name[1:]}")
        notify("READY=1")
        assert abstract.recv(100) == b"READY=1"
