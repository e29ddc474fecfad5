"""The journal on a real SQLite file: one transaction per method, nothing half-written."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from readerd.errors import StoreError
from readerd.run.rows import Compose, NewRun, Place, ReadingRow, ResultRow, Stored, Telling
from readerd.run.states import IllegalMove
from readerd.run.store import Store

AT = "2026-03-04T09:15:42+01:00"
READING = ReadingRow({"plates": {}}, b"ERE 0000", b"transcript")


def new_run(run_id: str, key: str, plate: str | None = "PLT1") -> NewRun:
    return NewRun(
        id=run_id, key=key, plate=plate, request={"a": 1}, assay_sha256="s", assay_text="t"
    )


def message(name: str) -> Compose:
    def compose(place: Place) -> Stored:
        return Stored(name, json.dumps([name, place.stream, place.sequence]).encode())

    return compose


def telling(result: str, event: str) -> Telling:
    return Telling(result=message(result), event=message(event), at=AT, basis={"masks": {}})


def to_done(store: Store, run_id: str) -> None:
    store.begin(run_id, AT, message(f"started {run_id}"))
    store.keep(run_id, READING)
    store.finish(run_id, telling(f"result {run_id}", f"completed {run_id}"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "journal.db")
    yield opened
    opened.close()


def test_the_same_key_is_the_same_run(store: Store) -> None:
    assert store.accept(new_run("r1", "press-1"), AT) == "r1"
    assert store.accept(new_run("r2", "press-1"), AT) == "r1"
    assert [run.id for run in store.newest(10)] == ["r1"]


def test_attempts_of_one_barcode_are_counted(store: Store) -> None:
    for number in (1, 2):
        store.accept(new_run(f"r{number}", f"k{number}"), AT)
        run = store.run(f"r{number}")
        assert run is not None
        assert run.attempt == number
    store.accept(new_run("r3", "k3", plate=None), AT)
    unidentified = store.run("r3")
    assert unidentified is not None
    assert unidentified.attempt == 1


def test_a_finished_run_leaves_result_and_events_in_order(store: Store) -> None:
    store.accept(new_run("r1", "k1"), AT)
    to_done(store, "r1")
    rows = store.outbox.pending(10)
    assert [(row.topic, row.sequence, row.event_id) for row in rows] == [
        ("event", 1, "started r1"),
        ("result", 1, "result r1"),
        ("event", 2, "completed r1"),
    ]
    assert store.result("r1") == ResultRow(1, {"masks": {}}, rows[1].payload)
    assert store.newest_result() == rows[1].payload
    assert store.outbox.last_sequence() == {"result": 1, "event": 2}
    assert store.reading("r1") == READING


def test_an_illegal_move_writes_nothing_at_all(store: Store) -> None:
    store.accept(new_run("r1", "k1"), AT)
    with pytest.raises(IllegalMove):
        store.finish("r1", telling("result", "completed"))
    run = store.run("r1")
    assert run is not None
    assert run.state == "accepted"
    assert store.outbox.pending(10) == []
    assert store.outbox.last_sequence() == {"result": 0, "event": 0}


def test_a_message_that_cannot_be_composed_takes_its_state_change_with_it(store: Store) -> None:
    store.accept(new_run("r1", "k1"), AT)
    store.begin("r1", AT, message("started"))
    store.keep("r1", READING)

    def broken(place: Place) -> Stored:
        raise ValueError(f"sequence {place.sequence} is not for me")

    with pytest.raises(ValueError, match="sequence 2"):
        store.finish("r1", Telling(result=message("result"), event=broken, at=AT, basis={}))
    run = store.run("r1")
    assert run is not None
    assert run.state == "read"
    assert store.outbox.last_sequence()["result"] == 0


def test_a_failed_run_keeps_its_evidence_and_its_reason(store: Store) -> None:
    store.accept(new_run("r1", "k1"), AT)
    store.begin("r1", AT, message("started"))
    evidence = ReadingRow(None, b"half a pl", b"transcript")
    failure = {"code": "link_lost", "phase": "read", "text": "unplugged"}
    store.fail("r1", "fail", failure, evidence, telling("result", "failed"))
    run = store.run("r1")
    assert run is not None
    assert (run.state, run.failure) == ("failed", failure)
    assert store.reading("r1") == evidence
    assert not store.was_read("PLT1")


def test_unfinished_runs_are_found_after_the_process_died(tmp_path: Path) -> None:
    first = Store(tmp_path / "journal.db")
    for number, steps in enumerate((0, 1, 2, 3), start=1):
        run_id = f"r{number}"
        first.accept(new_run(run_id, run_id), AT)
        if steps >= 1:
            first.begin(run_id, AT, message("started"))
        if steps >= 2:
            first.keep(run_id, READING)
        if steps >= 3:
            first.finish(run_id, telling("result", "completed"))
    first.close()
    second = Store(tmp_path / "journal.db")
    assert [(run.id, run.state) for run in second.unfinished()] == [
        ("r1", "accepted"),
        ("r2", "reading"),
        ("r3", "read"),
    ]
    second.close()


def test_streams_and_sequence_survive_a_restart_and_sessions_count(tmp_path: Path) -> None:
    first = Store(tmp_path / "journal.db")
    streams, session = first.outbox.streams(), first.next_session()
    first.record(message("one"), AT)
    first.close()
    second = Store(tmp_path / "journal.db")
    second.record(message("two"), AT)
    assert second.outbox.streams() == streams
    assert second.next_session() == session + 1
    assert [row.sequence for row in second.outbox.pending(10)] == [1, 2]
    assert len(set(streams.values())) == 2
    second.close()


def test_acknowledged_rows_are_not_offered_again_and_stay(store: Store) -> None:
    for name in ("one", "two", "three"):
        store.record(message(name), AT)
    rows = store.outbox.pending(10)
    store.outbox.broker_acked([rows[0].row_id, rows[1].row_id], AT)
    store.outbox.broker_acked([rows[0].row_id], AT)
    assert [row.event_id for row in store.outbox.pending(10)] == ["three"]
    assert store.outbox.pending(10, after_row_id=rows[2].row_id) == []
    assert store.outbox.waiting() == 1


def test_a_second_daemon_on_the_same_journal_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="in use by another readerd"):
        Store(store.journal.path)


def test_closing_lets_the_next_one_in_and_may_be_repeated(tmp_path: Path) -> None:
    store = Store(tmp_path / "journal.db")
    store.close()
    store.close()
    Store(tmp_path / "journal.db").close()


def test_a_damaged_file_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database, but somebody may still want it " * 100)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"journal\.db.*kept as it is"):
            Store(path)
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_readerd_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Store(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StoreError, match="newer readerd"):
        Store(path)


def test_a_full_disk_is_a_store_error_and_the_run_is_as_before(store: Store) -> None:
    store.accept(new_run("r1", "k1"), AT)
    store.begin("r1", AT, message("started"))
    (pages,) = store.journal.db.execute("PRAGMA page_count").fetchone()
    store.journal.db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreError, match="full"):
        store.keep("r1", ReadingRow({}, bytes(1 << 20), b""))
    run = store.run("r1")
    assert run is not None
    assert run.state == "reading"


def test_revisions_and_recovered_readings_are_added_never_replaced(store: Store) -> None:
    store.accept(new_run("r1", "k1"), AT)
    to_done(store, "r1")
    store.revise("r1", telling("second", "revised"))
    newest = store.result("r1")
    assert newest is not None
    assert newest.revision == 2
    store.accept(new_run("r2", "k2"), AT)
    store.begin("r2", AT, message("started"))
    lost = ReadingRow(None, b"half", b"transcript")
    store.fail("r2", "interrupt", {}, lost, telling("r2 lost", "interrupted"))
    store.recover("r2", READING, telling("r2 found", "recovered"))
    assert store.reading("r2") == READING
    (kept,) = store.journal.db.execute(
        "SELECT count(*) FROM readings WHERE run_id = 'r2'"
    ).fetchone()
    assert kept == 2
    with pytest.raises(IllegalMove):
        store.recover("r2", READING, telling("again", "recovered"))


def test_a_later_measurement_is_known(store: Store) -> None:
    for run_id in ("r1", "r2", "r3"):
        store.accept(new_run(run_id, run_id), AT)
    assert store.measured_since("r1") is None
    store.begin("r2", AT, message("started"))
    assert store.measured_since("r1") == "r2"
    assert store.measured_since("r2") is None
