"""The journal over years: the chain, retention, backup, and what happens when the file fails."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from readerd.assay.layout import PlateMap
from readerd.errors import ErrorCode, RequestError, StoreError
from readerd.run import audit
from readerd.run.journal import back_up, reading_only
from readerd.run.memory import StoredMap, Told
from readerd.run.rows import Stored
from readerd.run.settings import PlatesSettings
from readerd.run.store import Store
from tests.run.run_scene import Scene, play, request
from tests.run.test_run_store import message, new_run, telling, to_done

OLD, NEW = "2026-01-01T00:00:00+00:00", "2026-03-04T00:00:00+00:00"
BETWEEN = "2026-02-01T00:00:00+00:00"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "journal.db")
    yield opened
    opened.close()


def fill(store: Store) -> None:
    """Two runs and an event: seven lines."""
    for run_id in ("r1", "r2"):
        store.accept(new_run(run_id, run_id), OLD)
        to_done(store, run_id)
    store.record(message("note"), OLD)


def check(store: Store) -> audit.Verified:
    return audit.verify_file(store.journal.path)


def test_the_chain_is_whole_and_its_head_stays_when_nothing_is_said(store: Store) -> None:
    assert check(store) == audit.Verified(0, audit.FIRST.hex(), None)
    fill(store)
    first = check(store)
    assert (first.lines, first.broken) == (7, None)
    store.outbox.broker_acked([1, 2, 3], NEW)
    store.outbox.offer_again("r1")
    assert check(store) == first
    store.record(message("more"), NEW)
    assert check(store).head != first.head


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET at = 'x' WHERE line = 3",
        "UPDATE audit SET kind = 'x' WHERE line = 1",
        "UPDATE audit SET event_id = 'x' WHERE line = 7",
        "UPDATE audit SET digest = x'00' WHERE line = 4",
        "UPDATE audit SET hash = x'00' WHERE line = 7",
        "UPDATE audit SET body = x'00' WHERE line = 1",
        "UPDATE audit SET body = NULL WHERE line = 1",
        "DELETE FROM audit WHERE line = 1",
        "DELETE FROM audit WHERE line = 4",
        "DELETE FROM audit WHERE line = 7",
        "INSERT INTO audit SELECT 8, at, kind, event_id, digest, body, hash FROM audit LIMIT 1",
        "UPDATE bodies SET payload = x'00' WHERE row_id = 2",
        "UPDATE results SET payload = x'00' WHERE run_id = 'r2'",
        "DELETE FROM bodies WHERE row_id = 2",
        "DELETE FROM outbox WHERE row_id = 2",
        "INSERT INTO outbox (stream, sequence, topic, event_id, state, stored_at)"
        " VALUES ('result', 3, 'result', 'forged', 'stored', 'now')",
        "INSERT INTO results VALUES ('r1', 2, 'forged', '{}', x'00')",
    ],
)
def test_whatever_is_changed_removed_or_added_is_found(store: Store, tampering: str) -> None:
    fill(store)
    assert check(store).broken is None
    store.journal.db.execute("PRAGMA foreign_keys=OFF")
    assert store.journal.db.execute(tampering).rowcount == 1
    assert check(store).broken is not None


def test_retention_takes_what_is_settled_and_nothing_else(store: Store) -> None:
    fill(store)
    rows = store.outbox.pending(99)
    assert not any(store.outbox.forget(NEW).values())  # old, but not delivered
    store.outbox.broker_acked([row.row_id for row in rows], NEW)
    assert store.outbox.forget(BETWEEN)["messages"] == 0  # delivered too lately
    before = check(store)
    assert store.outbox.forget("2026-04-01")["messages"] == 7
    assert check(store) == before
    assert store.outbox.between("result", 1, 9, 9) == []
    assert [run.id for run in store.newest(9)] == ["r2", "r1"]
    store.record(message("after"), NEW)
    [row] = store.outbox.pending(9)
    assert (row.sequence, row.row_id > rows[-1].row_id) == (6, True)
    assert store.outbox.last_sequence() == {"result": 2, "event": 6}


def test_a_year_is_forgotten_in_small_commits_and_the_log_of_the_file_stays_small(
    store: Store,
) -> None:
    store.journal.db.execute("PRAGMA synchronous=OFF")  # nobody pulls the plug here
    large = partial(Stored, payload=bytes(60_000))
    for number in range(300):
        store.record(lambda place, number=number: large(f"e{number}"), OLD)  # type: ignore[misc]
    store.outbox.broker_acked([row.row_id for row in store.outbox.pending(999)], OLD)
    steps = []
    while any((step := store.outbox.forget(NEW)).values()):
        steps.append(step["messages"])
    assert sum(steps) == 300
    assert Path(f"{store.journal.path}-wal").stat().st_size < 8_000_000
    assert check(store).broken is None


def test_required_receipts_hold_retention_back_and_restarts_reuse_no_number(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    store = Store(path, ("lims", "archive"))
    fill(store)
    rows = store.outbox.pending(99)
    store.outbox.broker_acked([row.row_id for row in rows], OLD)
    results = [row.event_id for row in rows if row.topic == "result"]
    store.outbox.receipt("lims", results[0], "stored", "", OLD)
    store.outbox.receipt("lims", results[1], "stored", "", OLD)
    store.outbox.receipt("archive", results[1], "refused", "", OLD)
    assert store.outbox.forget("2026-04-01")["messages"] == 5  # the events; no result is settled
    assert [row.event_id for row in store.outbox.unsettled()] == results
    for event_id in results:
        store.outbox.receipt("archive", event_id, "duplicate", "", OLD)
    assert store.outbox.forget("2026-04-01")["messages"] == 2
    store.close()
    again = Store(path, ("lims", "archive"))
    again.accept(new_run("r3", "r3"), NEW)
    to_done(again, "r3")
    assert [(row.topic, row.sequence) for row in again.outbox.pending(9)] == [
        ("event", 6),
        ("result", 3),
        ("event", 7),
    ]
    assert check(again).broken is None
    again.close()


def test_receipts_that_are_required_no_more_hold_nothing_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "journal.db", ("lims", "archive"))
    fill(store)
    rows = store.outbox.pending(99)
    store.outbox.broker_acked([row.row_id for row in rows], OLD)
    first, second = (row.event_id for row in rows if row.topic == "result")
    store.outbox.receipt("lims", first, "stored", "", OLD)
    store.outbox.receipt("archive", first, "refused", "", OLD)
    assert [row.event_id for row in store.outbox.unsettled()] == [first, second]
    store.outbox.require(("lims",), BETWEEN)
    assert [row.event_id for row in store.outbox.unsettled()] == [second]
    store.outbox.require((), "2026-05-01")
    assert (store.outbox.unsettled(), store.outbox.delivery("r2")) == ([], "settled")
    assert store.outbox.forget("2026-04-01")["messages"] == 6  # not the one of this moment
    assert store.outbox.forget("2026-06-01")["messages"] == 1
    store.close()


def test_a_backup_opens_verifies_and_overwrites_nothing(store: Store, tmp_path: Path) -> None:
    fill(store)
    target = tmp_path / "copy.db"
    back_up(store.journal.path, target)
    assert audit.verify_file(target) == check(store)
    with pytest.raises(StoreError, match="overwrites nothing"):
        back_up(store.journal.path, target)
    copy = Store(target)
    assert copy.outbox.pending(99) == store.outbox.pending(99)
    copy.close()
    with pytest.raises(StoreError):
        reading_only(tmp_path / "none.db")


def test_a_journal_that_cannot_be_written_is_a_store_error(store: Store) -> None:
    fill(store)
    store.journal.db.execute("PRAGMA query_only=ON")
    for _ in (1, 2):
        with pytest.raises(StoreError, match="readonly"):
            store.record(message("more"), NEW)
    store.journal.db.execute("PRAGMA query_only=OFF")
    store.record(message("more"), NEW)
    assert check(store).lines == 8


def test_a_page_that_was_damaged_is_found_at_the_start_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    store = Store(path)
    for number in range(200):
        store.record(message(f"note {number}"), OLD)
    store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 4 : 4096 * 9] = b"\xa5" * 4096 * 5
    path.write_bytes(damaged)
    for _ in (1, 2):
        with pytest.raises(StoreError, match="kept as it is"):
            Store(path)
    assert path.read_bytes() == bytes(damaged)


def test_a_full_journal_refuses_reads_and_still_tells_what_it_has(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        ticket = scene.runner.submit(request("k1"))
        await scene.finished()
        db = scene.store.journal.db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={pages + 100}")
        for key in ("k2", "k3"):
            with pytest.raises(RequestError) as refusal:
                scene.runner.submit(request(key, "PLT2"))
            assert refusal.value.code is ErrorCode.STORE_FULL
        assert scene.events()[-2:] == [("refused", "store_full")] * 2
        rows = scene.store.outbox.pending(99)
        scene.store.outbox.broker_acked([row.row_id for row in rows], NEW)  # the drain goes on
        assert scene.runner.submit(request("k1")) == type(ticket)(ticket.run_id, duplicate=True)
        db.execute("PRAGMA max_page_count=1000000")
        scene.runner.submit(request("k2", "PLT2"))
        await scene.finished()

    play(tmp_path / "j.db", script)


def test_a_disk_that_is_nearly_full_lacks_room_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.journal.lacks_room() is None
    monkeypatch.setattr("readerd.run.journal.ROOM_BYTES", 1 << 60)  # no disk here has that
    assert "are free beside the journal" in (store.journal.lacks_room() or "")


def test_a_plate_without_its_map_is_refused_where_maps_are_required(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        for plate in ("PLT1", None):
            with pytest.raises(RequestError) as refusal:
                scene.runner.submit(request("k1", plate))
            assert refusal.value.code is ErrorCode.PLATE_MAP_MISSING

    play(tmp_path / "j.db", script, plates=PlatesSettings(plate_map="required"))


def test_an_oversized_result_is_pointed_at_once(store: Store) -> None:
    fill(store)
    [row] = [row for row in store.outbox.pending(99) if row.event_id == "result r1"]
    assert store.outbox.point_at(row.row_id, message("pointer"), NEW)
    assert not store.outbox.point_at(row.row_id, message("pointer"), NEW)
    assert store.outbox.last_sequence()["event"] == 6
    assert store.outbox.state_of("result r1") == "stored"
    store.revise("r1", telling("second", "revised"))
    assert check(store).broken is None


def test_commands_are_forgotten_after_thirty_days_and_not_before(store: Store) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 3, 4, tzinfo=UTC)
    told = Told(requester="lims", reply_to="rsp/lims", correlation=None, answers=())
    store.memory.remember("old", (now - timedelta(days=31)).isoformat(), told)
    store.memory.remember("running", (now - timedelta(days=31)).isoformat(), told, "r1")
    store.memory.remember("new", (now - timedelta(days=29)).isoformat(), told)
    assert store.memory.forget(now) == 1
    assert store.memory.recall("old") is None
    assert store.memory.recall("new") == told
    assert store.memory.awaited_runs() == ["r1"]
    with sqlite3.connect(store.journal.path) as db:
        assert db.execute("SELECT count(*) FROM commands").fetchone() == (2,)
    db.close()


def test_plate_maps_go_with_their_plates_and_no_sooner(store: Store) -> None:
    stored = StoredMap(plate_map=PlateMap(id="M"), assay=None, wells=None)
    for number, (plate, sent, ends) in enumerate(
        [
            ("read", OLD, True),
            ("under way", OLD, False),
            ("sent lately", "2026-03-06", True),
            ("not read yet", OLD, None),
        ]
    ):
        store.memory.put_plate_map(plate, sent, stored)
        if ends is not None:
            store.accept(new_run(f"r{number}", f"k{number}", plate), OLD)
        if ends:
            to_done(store, f"r{number}")  # ends on 4 March
    assert [store.memory.forget_maps(f"2026-03-0{day}") for day in (1, 3, 5, 7)] == [0, 0, 1, 1]
    kept = [plate for plate in ("under way", "not read yet") if store.memory.plate_map(plate)]
    assert kept == ["under way", "not read yet"]
    assert store.memory.plate_map("read") is store.memory.plate_map("sent lately") is None
