"""A journal of an earlier version becomes one of today: nothing lost, or nothing changed."""

import sqlite3
from pathlib import Path

import pytest

from readerd.errors import StoreError
from readerd.run import audit
from readerd.run.journal import MIGRATIONS, back_up
from readerd.run.rows import OutboxRow, Place, Stored
from readerd.run.store import Store
from tests.run.test_run_store import AT, message, new_run, to_done

LATER = "2026-03-05T00:00:00+00:00"


def large(place: Place) -> Stored:
    """More than one SQLite page, and a byte of every kind."""
    return Stored("large", bytes(range(256)) * 200)


def write(path: Path) -> list[OutboxRow]:
    """A journal with messages in several states; the rows that its outbox holds."""
    store = Store(path, ("lims",))
    for run_id in ("r1", "r2"):
        store.accept(new_run(run_id, run_id), AT)
        to_done(store, run_id)
    store.record(large, AT)
    store.outbox.broker_acked([1], AT)
    assert store.outbox.forget(LATER)["messages"] == 1
    store.outbox.broker_acked([2, 3], AT)
    store.outbox.receipt("lims", "result r1", "refused", "L-1", AT)
    rows = [*store.outbox.between("result", 1, 99, 99), *store.outbox.between("event", 1, 99, 99)]
    store.close()
    return rows


def of_version_1(path: Path, source: Path) -> None:
    """The same content in the tables as the first version made them."""
    db = sqlite3.connect(path)
    db.executescript(MIGRATIONS[0] + "PRAGMA user_version=1;")
    db.execute("ATTACH ? AS today", (str(source),))
    tables = [
        row[0] for row in db.execute("SELECT name FROM main.sqlite_master WHERE sql LIKE '%TABLE%'")
    ]
    for table in set(tables) - {"outbox"}:
        db.execute(f"INSERT INTO main.{table} SELECT * FROM today.{table}")
    columns = "row_id, stream, sequence, topic, event_id, run_id, state, stored_at, acked_at"
    columns += ", settled_at, pointer, payload"
    db.execute(
        f"INSERT INTO main.outbox ({columns})"
        f" SELECT {columns} FROM today.outbox JOIN today.bodies USING (row_id)"
    )
    db.commit()
    db.close()


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, list[OutboxRow]]:
    rows = write(tmp_path / "today.db")
    of_version_1(tmp_path / "old.db", tmp_path / "today.db")
    return tmp_path / "old.db", rows


def test_every_message_keeps_its_bytes_its_state_and_its_number(
    old: tuple[Path, list[OutboxRow]], tmp_path: Path
) -> None:
    path, rows = old
    found = audit.verify_file(path)  # as it stands, as an old backup would
    assert (found.lines, found.broken) == (7, None)
    back_up(path, tmp_path / "copy.db")
    for opened in (path, path, tmp_path / "copy.db"):
        store = Store(opened, ("lims",))
        assert [
            *store.outbox.between("result", 1, 99, 99),
            *store.outbox.between("event", 1, 99, 99),
        ] == rows
        assert [row.row_id for row in store.outbox.pending(99)] == [4, 5, 6, 7]
        assert store.journal.one("PRAGMA integrity_check") == ("ok",)
        store.close()
        assert audit.verify_file(opened) == found
    store = Store(path)
    store.record(message("next"), LATER)
    assert store.outbox.pending(99)[-1].row_id == 8
    store.outbox.broker_acked(range(1, 9), LATER)
    store.outbox.receipt("lims", "result r1", "stored", "L-2", LATER)
    assert store.outbox.forget("2026-04-01")["messages"] == 7
    assert store.journal.one("SELECT count(*) FROM bodies") == (0,)
    store.close()


def test_a_migration_that_fails_changes_nothing(old: tuple[Path, list[OutboxRow]]) -> None:
    """Its last step fails, twice; without the obstacle it is done."""
    path, rows = old
    db = sqlite3.connect(path)
    db.execute("CREATE VIEW obstacle AS SELECT payload FROM outbox")
    for _ in (1, 2):
        with pytest.raises(StoreError, match=r"obstacle.*kept as it is"):
            Store(path)
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert audit.verify_file(path).broken is None
    db.execute("DROP VIEW obstacle")
    db.close()
    store = Store(path)
    assert store.outbox.between("result", 1, 99, 99) == rows[:2]
    assert [row.state for row in rows[:2]] == ["refused", "stored"]
    store.close()
