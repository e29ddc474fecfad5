"""The local door of a running daemon, with curl and with our own client; stops and collisions."""

import asyncio
import json
import os
import shutil
import signal
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from readerd.config import load_config
from readerd.daemon import opener, serve
from readerd.demo.broker import Broker
from readerd.demo.twin import simulated
from readerd.driver.serve import serve_pty
from readerd.edge.door import Door
from readerd.edge.http_server import bind_unix
from readerd.errors import ErrorCode, RequestError
from readerd.house import House
from tests.whole.whole_bench import Bench, Program, Start

MakeBench = Callable[..., Bench]
with_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@asynccontextmanager
async def daemon(
    bench: MakeBench, broker: Broker, *, plugged_in: bool = True
) -> AsyncIterator[House]:
    """The daemon in this loop, ready, its twin behind a pseudo-terminal, if plugged in."""
    here = bench(port="serial:tty", broker=broker.port)
    config = load_config(here.config)
    twin, line = simulated(config.driver), config.driver.line(config.options)
    stop = asyncio.Event()
    ready: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    tty = str(here.directory / ("tty" if plugged_in else "another"))
    async with serve_pty(twin, line, path=tty, time_scale=0), asyncio.TaskGroup() as group:
        group.create_task(
            serve(config, open_stream=opener(config), stop=stop, on_ready=ready.set_result)
        )
        house = await ready
        if plugged_in:
            await house.bench.until_ready()
        yield house
        stop.set()


async def curl(socket: Path, target: str, *more: str) -> tuple[int, Any]:
    """Status code and decoded body, as a script would see them."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "--max-time", "20", "--unix-socket", str(socket), "-w", "\n%{http_code}",
        f"http://localhost{target}", *more,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    body, _, code = out.decode().rpartition("\n")
    return int(code), json.loads(body)


@with_curl
async def test_curl_reads_a_plate(bench: MakeBench, broker: Broker) -> None:
    async with daemon(bench, broker) as house:
        socket = house.config.socket
        code, health = await curl(socket, "/healthz")
        assert (code, health["ok"]) == (200, True)
        assert health["checks"]["reader"] == "ready"
        assert {health["checks"][name] for name in ("store", "work")} == {"ok"}
        with house.feed.watch() as news:
            code, ticket = await curl(socket, "/v1/runs", "-d", '{"plate_barcode": "PLT1"}')
            assert (code, ticket["duplicate"]) == (202, False)
            while (await news.get()).kind != "run":
                pass
        code, run = await curl(socket, f"/v1/runs/{ticket['run_id']}")
        assert (code, run["state"]) == (200, "done")
        assert run["result"]["data"]["run"]["trigger"]["kind"] == "http"
        code, listed = await curl(socket, "/v1/runs")
        assert [row["id"] for row in listed["runs"]] == [ticket["run_id"]]
        assert (listed["runs"][0]["verdict"], listed["runs"][0]["curve"]) == ("pass", "accepted")
        code, listed = await curl(socket, "/v1/runs?limit=5&plate=PLT2")
        assert (code, listed) == (200, {"runs": []})


@with_curl
@pytest.mark.parametrize(
    ("body", "code", "error", "says"),
    [
        ("{nonsense", 422, "invalid_payload", "JSON"),
        ('{"plate": "X"}', 422, "invalid_payload", "plate: unknown key"),
        ('{"plate_barcode": 5}', 422, "invalid_payload", "plate_barcode"),
        ('{"plate_barcode": "no good"}', 422, "barcode_invalid", "does not match"),
        ('{"assay": "il8"}', 422, "assay_unknown", "il6-elisa"),
        ('{"key": "' + "x" * 70_000 + '"}', 422, "too_large", "65536"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(
    body: str, code: int, error: str, says: str, bench: MakeBench, broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "body").write_text(body)
    async with daemon(bench, broker) as house:
        seen, answer = await curl(house.config.socket, "/v1/runs", "-d", f"@{tmp_path / 'body'}")
        assert (seen, answer["error"]) == (code, error)
        assert says in answer["text"]
        assert "\n" not in answer["text"]
        assert house.store.newest(1) == []


async def test_what_the_door_refuses_is_journalled_and_told(
    bench: MakeBench, broker: Broker
) -> None:
    reason, twice = {"reason": "why"}, [{"position": "U1", "sample_id": "1"}] * 2
    cases: list[tuple[str, dict[str, Any], str, str]] = [
        ("/v1/runs", {"plate_barcode": 5}, "read", "invalid_payload"),
        ("/v1/runs/R0/revise", reason, "revise", "run_unknown"),
        ("/v1/runs/R0/revise", {}, "revise", "invalid_payload"),
        ("/v1/runs/R0/revise", reason | {"samples": twice}, "revise", "invalid_payload"),
        ("/v1/runs/R0/recover", reason, "recover", "run_unknown"),
        ("/v1/runs/R0/resend", {}, "resend", "run_unknown"),
        ("/v1/abort", {}, "abort", "state_mismatch"),
        ("/v1/carrier", {"position": "out"}, "carrier", "unknown_verb"),
        ("/v1/carrier", {"position": "up"}, "carrier", "invalid_payload"),
    ]
    async with daemon(bench, broker) as house:
        door = Door(house.config.socket)
        for path, body, _, code in cases:
            with pytest.raises(RequestError) as refused:
                await asyncio.to_thread(door.post, path, body)
            assert refused.value.code == code
        with pytest.raises(RequestError):  # a question is no request
            await asyncio.to_thread(door.get, "/v1/runs/R0")
        rows = house.store.outbox.between("event", 1, 99, 99)
        told = [json.loads(row.payload)["data"] for row in rows]
        assert [(one["kind"], one["details"]["verb"], one["code"]) for one in told] == [
            ("refused", verb, code) for _, _, verb, code in cases
        ]
        by = told[1]["details"].pop("by")
        assert by.startswith(f"local socket uid={os.getuid()}")
        assert told[1]["details"] == {"verb": "revise", "trigger": "http", "run_id": "R0"}


async def test_an_unknown_run_is_404(bench: MakeBench, broker: Broker) -> None:
    async with daemon(bench, broker) as house:
        with pytest.raises(RequestError) as unknown:
            await asyncio.to_thread(Door(house.config.socket).get, "/v1/runs/01J")
        assert unknown.value.code == ErrorCode.RUN_UNKNOWN


@with_curl
async def test_a_reader_that_is_away_makes_healthz_503(bench: MakeBench, broker: Broker) -> None:
    async with daemon(bench, broker, plugged_in=False) as house:
        code, health = await curl(house.config.socket, "/healthz")
        assert (code, health["ok"], health["checks"]["reader"]) == (503, False, "absent")
        code, answer = await curl(house.config.socket, "/v1/runs", "-d", "{}")
        assert (code, answer["error"]) == (409, "reader_offline")


async def test_the_socket_is_for_owner_and_group(bench: MakeBench, broker: Broker) -> None:
    async with daemon(bench, broker) as house:
        socket = house.config.socket
        assert stat.S_IMODE(os.stat(socket).st_mode) == 0o660
    assert not socket.exists()


def test_a_folder_that_is_made_for_the_socket_can_be_entered(tmp_path: Path) -> None:
    with bind_unix(tmp_path / "run" / "readerd" / "bench2.sock"):
        for folder in (tmp_path / "run", tmp_path / "run" / "readerd"):
            assert stat.S_IMODE(folder.stat().st_mode) & 0o700 == 0o700


def up(start: Start, bench: MakeBench, port: int) -> tuple[Bench, Program]:
    """A twin with real pacing and a daemon beside it."""
    start("twin", "biorad680", "--pty", "tty", "--time-scale", "0.3").until(":")
    here = bench(port="serial:tty", broker=port)
    program = start("run", "--config", "bench2.toml")
    program.until("reader=ready")
    return here, program


def test_a_second_daemon_is_refused_and_the_first_stays(
    start: Start, bench: MakeBench, tmp_path: Path
) -> None:
    here, first = up(start, bench, 1)
    second = start("run", "--config", "bench2.toml")
    line = second.until("readerd: ")
    assert second.ended() == 74
    assert "in use by another readerd" in line
    other = (tmp_path / "bench2.toml").read_text().replace("journal.db", "other.db")
    (tmp_path / "other.toml").write_text(other)
    third = start("run", "--config", "other.toml")
    line = third.until("readerd: ")
    assert third.ended() == 78
    assert "another readerd answers there" in line
    assert third.heard[-1] == ""  # that line is the last
    assert here.state() == "ready"
    assert first.end() == 0


def test_sigkill_in_a_read_is_told_at_the_next_start(start: Start, bench: MakeBench) -> None:
    here, program = up(start, bench, 1)
    run = json.loads(here.ask("read", "--plate", "PLT1", "--json").stdout)["run_id"]
    program.until("state=reading")
    program.end(signal.SIGKILL)
    again = start("run", "--config", "bench2.toml")
    again.until("reader=ready")
    shown = json.loads(here.ask("show", run, "--json").stdout)["data"]
    assert (shown["acquisition"], shown["failure"]["code"]) == ("failed", "interrupted")
    rows = json.loads(here.ask("runs", "--json").stdout)["runs"]
    assert [(row["id"], row["state"]) for row in rows] == [(run, "interrupted")]
    assert again.end() == 0
