"""Who asked at the local door is in the journal: as the kernel says it, not as anybody claims."""

import asyncio
import json
import logging
import os
import pwd
import socket
from collections.abc import MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from readerd.config import load_config
from readerd.daemon import opener
from readerd.demo.broker import Broker
from readerd.demo.plate import il6_plate
from readerd.demo.twin import simulated
from readerd.edge import http
from readerd.edge.door import Door
from readerd.edge.peer import Peer, in_words, peer_of
from readerd.house import House
from tests.virtual_clock import run_virtual
from tests.whole.test_whole_door import MakeBench, daemon
from tests.whole.virtual_house import a_read, ended, living, write_files

WHO = f"local socket uid={os.getuid()} ({pwd.getpwuid(os.getuid()).pw_name})"


def by_kind(house: House) -> dict[str, dict[str, Any]]:
    """The details of the newest event of each kind."""
    rows = house.store.outbox.between("event", 1, 999, 999)
    told = [json.loads(row.payload)["data"] for row in rows]
    return {one["kind"]: one["details"] for one in told}


async def test_every_move_of_the_local_door_says_whose_it_was(
    bench: MakeBench, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with daemon(bench, broker) as house:
        door = Door(house.config.socket)

        async def ask(path: str, **body: object) -> Any:
            return await asyncio.to_thread(door.post, path, body)

        with house.feed.watch() as news:
            answer = await ask("/v1/runs", plate_barcode="PLT1", operator="ann of the night shift")
            while (await news.get()).kind != "run":
                pass
        run_id = answer["run_id"]
        newest = house.store.result(run_id)
        assert newest is not None
        told = json.loads(newest.payload)["data"]["run"]
        assert told["trigger"] == {"kind": "http", "source": WHO}
        assert told["operator"] == {"id": "ann of the night shift", "known_by": "request"}
        await ask(f"/v1/runs/{run_id}/revise", reason="again")
        await ask(f"/v1/runs/{run_id}/resend")
        events = by_kind(house)
        assert events["revised"]["by"] == WHO
        assert events["resent"] == {"sequence": 2, "by": WHO}
    asked = [line for line in caplog.messages if "door request=POST" in line]
    assert len(asked) == 3
    assert all(line.endswith(f" pid={os.getpid()} uid={os.getuid()}") for line in asked)
    assert not [line for line in caplog.messages if "request=GET" in line]


async def call(house: House, path: str, body: dict[str, object], caller: Peer) -> int:
    """One request of this caller to the application itself; the status."""
    app = http.application(
        house.runner,
        house.store,
        house.feed,
        house.status,
        house.edge.verbs.resend,
        house.metrics,
        lambda error: None,
    )
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    await app({**scope, "state": {"peer": caller}}, receive, send)
    return int(sent[0]["status"])


def test_who_aborts_and_who_was_refused(tmp_path: Path) -> None:
    async def main() -> None:
        ann, nobody = Peer(pid=1, uid=71_234, gid=5), Peer(pid=2, uid=71_235, gid=5)
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            run_id = house.runner.submit(a_read("k1", "PLT1")).run_id
            await asyncio.sleep(3)
            assert await call(house, "/v1/abort", {"reason": "wrong plate"}, ann) == 200
            assert await ended(house, run_id) == "failed"
            assert by_kind(house)["failed"] == {"by": "local socket uid=71234"}
            assert await call(house, "/v1/runs", {"plate_barcode": "no good"}, nobody) == 422
            assert by_kind(house)["refused"]["by"] == "local socket uid=71235"

    run_virtual(main())


def test_who_moves_the_carrier_and_a_line_that_breaks_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        path, ann = write_files(tmp_path), Peer(pid=1, uid=71_234, gid=5)
        path.write_text(path.read_text().replace("biorad680", "sim"))
        config = load_config(path)
        twin = simulated(config.driver, il6_plate().chemistry, ("unplug@OUT#2",))
        async with living(path, open_stream=opener(config, lambda: twin)) as house:
            await house.bench.until_ready()
            assert await call(house, "/v1/carrier", {"position": "out"}, ann) == 200
            moved = {"position": "out", "by": "local socket uid=71234"}
            assert by_kind(house)["carrier"] == moved
            assert await call(house, "/v1/carrier", {"position": "in"}, ann) == 200
            assert await call(house, "/v1/carrier", {"position": "out"}, ann) == 409
            assert by_kind(house)["carrier"]["position"] == "in"

    run_virtual(main())


async def test_the_kernel_says_who_is_there() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        found = peer_of(ours)
    assert found == Peer(pid=os.getpid(), uid=os.getuid(), gid=os.getgid())
    assert f"local socket {await in_words(found)}" == WHO
    with socket.socket(socket.AF_INET) as tcp:
        assert peer_of(tcp) is None
    assert peer_of(None) is None
