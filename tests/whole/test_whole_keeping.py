"""Delivery and journal from the outside: the verbs, a clock that is set, a journal that fails."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from readerd.cli.ask import status_lines
from readerd.daemon import wall_clock
from readerd.demo.broker import Broker
from readerd.edge.door import Door
from readerd.errors import RequestError, StoreError
from readerd.house import House
from readerd.run.audit import verify_file
from tests.conftest import StartMosquitto, free_port
from tests.whole.whole_bench import Start, readerd
from tests.whole.whole_lims import ROOT, WITHIN_S, MakeBench, configure, lims, running

OPEN = 'commands = ["read", "ping"]'


async def until(house: House, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            house.edge.outbox.settled.clear()
            await house.edge.outbox.settled.wait()


async def test_a_receipt_confirms_the_result_of_a_whole_run(
    bench: MakeBench, mosquitto: StartMosquitto
) -> None:
    broker = mosquitto()
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=f'{OPEN}\nrequired_receipts = ["lims"]')
    async with lims(broker.port) as client, running(here) as house:
        _, ended = await client.ask("read", "R1", plate_barcode="PLT1")
        event_id = ended["data"]["event_id"]
        waiting = {"stored": 0, "unconfirmed": 1, "refused": 0}
        await until(house, lambda: house.store.outbox.counts() == waiting)
        await client.say("receipt/lims", {"event_id": event_id, "outcome": "stored"})
        await until(house, lambda: house.store.outbox.state_of(event_id) == "confirmed")
        assert house.store.outbox.unsettled() == []


async def test_a_result_too_large_for_the_broker_is_told_by_reference(
    bench: MakeBench, mosquitto: StartMosquitto
) -> None:
    broker = mosquitto("max_packet_size 5000")
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    async with lims(broker.port) as client:
        for time_around in (1, 2):
            async with running(here) as house:
                if time_around == 1:
                    _, ended = await client.ask("read", "R1", plate_barcode="PLT1")
                await client.ask("ping", f"fence{time_around}")
                assert "payload-too-large" in house.edge.alarms
                events = [
                    json.loads(row.payload)["data"]
                    for row in house.store.outbox.between("event", 1, 99, 99)
                ]
                [pointer] = [one for one in events if one["kind"] == "result_by_reference"]
                assert pointer["details"]["event_id"] == ended["data"]["event_id"]
                assert pointer["details"]["bytes"] > 5000
                assert house.store.outbox.state_of(ended["data"]["event_id"]) == "stored"


async def test_a_clock_set_back_an_hour_is_told_flagged_and_changes_no_order(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    back = timedelta()

    def now() -> datetime:
        return wall_clock() - back

    async with lims(broker.port) as client, running(here, now=now, time_scale=0.05) as house:
        await client.ask("read", "R1", plate_barcode="PLT1")
        await client.command("read", "R2", plate_barcode="PLT2")
        await client.hear("rsp/lims")
        back = timedelta(hours=1)  # while the plate is being read
        [ended] = await client.hear("rsp/lims")
        house.upkeep.look()
        [refused] = await client.ask("ping", "R3")
        assert refused["error"] == "clock_unsynchronised"
        results = [json.loads(row.payload) for row in house.store.outbox.between("result", 1, 9, 9)]
        assert [one["sequence"] for one in results] == [1, 2]
        assert results[0]["time"] > results[1]["time"]
        assert [one["data"]["flags"] for one in results] == [[], ["CLOCK_UNSYNCHRONISED"]]
        assert ended["data"]["sequence"] == 2
        events = [json.loads(row.payload) for row in house.store.outbox.between("event", 1, 99, 99)]
        [clock] = [one["data"] for one in events if one["data"]["kind"] == "clock"]
        assert clock["details"]["jump_s"] == pytest.approx(-3600, abs=1)
        assert [one["sequence"] for one in events] == list(range(1, len(events) + 1))


def kept(house: House) -> tuple[int, int, bool]:
    """Results, events, and whether the reading is there."""
    outbox, [run] = house.store.outbox, house.store.newest(9)
    results, events = (len(outbox.between(kind, 1, 9, 9)) for kind in ("result", "event"))
    return results, events, house.store.reading(run.id) is not None


async def test_a_daemon_that_runs_on_forgets_nothing_before_its_delivery(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt='commands = ["read", "replay"]\nrequired_receipts = ["lims"]')
    days = 0

    def now() -> datetime:
        return wall_clock() + timedelta(days=days)

    async with lims(broker.port) as client:
        async with running(here, now=now) as house:
            _, ended = await client.ask("read", "R1", plate_barcode="PLT1")
            await until(house, lambda: house.store.outbox.counts()["stored"] == 0)
            await house.upkeep.retain()
            assert kept(house) == (1, 2, True)
            days = 400
            await (
                house.upkeep.retain()
            )  # the events were settled by the broker, the result by nobody
            assert kept(house) == (1, 0, True)
        async with running(here, now=now) as house:  # the start looks too
            assert kept(house) == (1, 0, True)
            event_id = ended["data"]["event_id"]
            await client.say("receipt/lims", {"event_id": event_id, "outcome": "stored"})
            await until(house, lambda: house.store.outbox.state_of(event_id) == "confirmed")
            await house.upkeep.retain()
            assert kept(house) == (1, 0, True)  # its days begin with the receipt
        days = 800
        async with running(here, now=now) as house:
            await client.command("replay", "P1", issued=now(), stream="result", from_=1, to=1)
            accepted, told = await client.hear("rsp/lims", 2)
            assert (accepted["status"], told["status"]) == ("accepted", "completed")
            assert (told["data"]["sent"], told["data"]["forgotten"]) == (0, 1)
            assert kept(house) == (0, 0, False)
            assert house.store.outbox.last_sequence() == {"result": 1, "event": 2}
            assert verify_file(house.store.journal.path).broken is None


async def test_store_full_stands_as_an_alarm_until_there_is_room(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, mqtt=OPEN)
    async with lims(broker.port) as client, running(here) as house:
        db = house.store.journal.db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        for time_around in (1, 2):
            db.execute(f"PRAGMA max_page_count={pages + 200}")
            [refused] = await client.ask("read", f"R{time_around}", plate_barcode="PLT1")
            assert refused["error"] == "store_full"
            house.upkeep.look()
            assert "store-full" in house.edge.alarms
            assert [*status_lines(house.status())][-1].startswith("alarm    store-full: ")
            db.execute("PRAGMA max_page_count=1000000")
            house.upkeep.look()
            assert "store-full" not in house.edge.alarms
        assert house.store.newest(9) == []


async def test_a_reader_that_needs_a_person_stands_as_an_alarm_until_it_does_not(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)
    async with lims(broker.port) as client:
        for topic in ("alarm/#", "status"):
            await client.client.subscribe(f"{ROOT}/{topic}", qos=1)
        # Who answers the first `identify` is another; the reader is asked again after a second.
        async with running(here, faults=["wrong-instrument@ID#2"]) as house:
            said = await client.bytes("alarm/reader-needs-human", 3)
            assert said[0] == said[2] == b""  # what an earlier daemon left behind is taken away
            assert b"'0550' answers instead of a Model 680" in said[1]
            assert house.edge.alarms == {}
        await client.bytes("status", 1)  # its goodbye
        states = [json.loads(told)["state"] for topic, told in client.heard if topic == "state"]
        assert states[states.index("needs_human") :] == ["needs_human", "ready"]


async def test_a_journal_that_fails_under_a_command_ends_the_daemon(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)

    async def fail_between_two_commands() -> None:
        async with lims(broker.port) as client, running(here) as house:
            await client.ask("ping", "R1")
            house.store.journal.db.execute("PRAGMA query_only=ON")
            await client.command("ping", "R2")
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as ended:
        await fail_between_two_commands()
    found = ended.value
    while isinstance(found, ExceptionGroup):
        [found] = found.exceptions
    assert isinstance(found, StoreError)
    assert "readonly" in str(found)


async def test_a_journal_that_fails_under_a_local_request_ends_the_daemon(
    bench: MakeBench, broker: Broker
) -> None:
    here = bench(port="serial:tty", broker=broker.port)

    async def fail_before_a_read() -> None:
        async with running(here) as house:
            house.store.journal.db.execute("PRAGMA query_only=ON")
            door = Door(house.config.socket)
            with pytest.raises(RequestError, match="readonly"):
                await asyncio.to_thread(door.post, "/v1/runs", {"plate_barcode": "PLT1"})
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as ended:
        await fail_before_a_read()
    found = ended.value
    while isinstance(found, ExceptionGroup):
        [found] = found.exceptions
    assert isinstance(found, StoreError)


def test_the_verbs_of_delivery_and_journal(bench: MakeBench, start: Start) -> None:
    """No broker: everything waits, can be seen, sent again, verified and copied."""
    start("twin", "biorad680", "--pty", "tty", "--time-scale", "0").until("tty")
    here = bench(port="serial:tty", broker=free_port())
    daemon = start("run", "--config", str(here.config))
    daemon.until("reader=ready")
    assert here.ask("outbox").stdout.strip() == "everything has arrived"
    _, envelope = here.read("PLT1")
    run_id = envelope["data"]["run"]["id"]
    listed = json.loads(here.ask("outbox", "--json").stdout)
    assert [(row["stream"], row["state"]) for row in listed["messages"]] == [
        ("event", "stored"), ("result", "stored"), ("event", "stored"),
    ]  # fmt: skip
    assert run_id in here.ask("outbox").stdout
    assert here.ask("resend", run_id).stdout.startswith("result 1 of run")
    assert here.ask("resend", "nothing").returncode == 3
    whole = here.ask("audit", "verify", "--json")
    found = json.loads(whole.stdout)
    # The run's three, that it was sent again, and the refusal.
    assert (whole.returncode, found["lines"], found["broken"]) == (0, 5, None)
    copy = here.directory / "copy.db"
    done = here.ask("backup", str(copy), "--json")
    assert json.loads(done.stdout)["bytes"] == copy.stat().st_size
    assert here.ask("backup", str(copy)).returncode == 74
    assert daemon.end() == 0
    offline = readerd("audit", "verify", "--journal", str(copy), "--json", cwd=here.directory)
    assert json.loads(offline.stdout) == found
    with sqlite3.connect(copy) as db:
        db.execute("UPDATE bodies SET payload = x'00' WHERE length(payload) > 9999")
    db.close()
    forged = readerd("audit", "verify", "--journal", str(copy), cwd=here.directory)
    assert (forged.returncode, "was changed" in forged.stdout) == (1, True)
    damaged = bytearray((here.directory / "journal.db").read_bytes())
    damaged[4096 * 2 :] = b"\xa5" * len(damaged[4096 * 2 :])
    (here.directory / "journal.db").write_bytes(damaged)
    for _ in (1, 2):
        daemon = start("run", "--config", str(here.config))
        assert "kept as it is" in daemon.until("journal")
        assert daemon.ended() == 74
    assert (here.directory / "journal.db").read_bytes() == damaged
