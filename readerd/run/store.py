"""The journal: one SQLite file that knows at every moment how far each plate got.

The problem: a power cut, a full disk or a kill may come between any two lines, and afterwards no
plate may be lost, told twice as new, or measured again. The rule: every public method is one
transaction (WAL, synchronous=FULL) and contains no await; a row that must reach the LIMS is
written in the same transaction as the state that it tells; bytes are fixed when they are stored.

Exactly one read-write connection exists, because SQLite before 3.51.3 can corrupt a WAL database
when two connections commit and checkpoint at once; an advisory lock keeps a second daemon away.
Rejected: aiosqlite (a thread between us and "one transaction, no await"), an ORM (0.3 s of import
for ten statements), a queue beside the journal (two commits that can disagree).
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from ulid import ULID

from readerd.errors import StoreError
from readerd.run import states
from readerd.run.rows import (
    Compose,
    NewRun,
    OutboxRow,
    Place,
    ReadingRow,
    ResultRow,
    RunRow,
    Stored,
    StreamKind,
    Telling,
)

STREAMS: Final[tuple[StreamKind, ...]] = ("result", "event")

# Each entry takes the file from `user_version` = its index to the next one.
MIGRATIONS: Final[tuple[str, ...]] = (
    files("readerd.run").joinpath("schema.sql").read_text(encoding="utf-8"),
)


class Store:
    """The journal. Every method is one transaction; StoreError means that nothing may go on."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(f"journal {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise StoreError(f"journal {path} is in use by another readerd") from error
        self.path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._prepare()
        except (sqlite3.Error, StoreError) as error:
            os.close(self._lock)
            raise StoreError(f"journal {path}: {error}; the file is kept as it is") from error

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(f"written by a newer readerd (schema {version})")
        if version:
            (health,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if health != "ok":
                raise StoreError(f"damaged ({health})")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(f"BEGIN;\n{script}\nPRAGMA user_version={number};\nCOMMIT;")
        with self._transaction():
            for kind in STREAMS:
                self._db.execute(
                    "INSERT OR IGNORE INTO meta VALUES (?, ?)", (f"stream.{kind}", str(ULID()))
                )

    def close(self) -> None:
        """Close the file and let the next daemon in; idempotent."""
        if self._lock >= 0:
            self._db.close()
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"journal {self.path}: {error}") from error

    # -- what a run does ---------------------------------------------------------------------

    def accept(self, run: NewRun, at: str) -> str:
        """A new run in state accepted; the id of the run that already has its key, if any."""
        with self._transaction():
            known = self._db.execute("SELECT id FROM runs WHERE key = ?", (run.key,)).fetchone()
            if known:
                return str(known[0])
            self._db.execute(
                "INSERT OR IGNORE INTO assays VALUES (?, ?)", (run.assay_sha256, run.assay_text)
            )
            (earlier,) = self._db.execute(
                "SELECT count(*) FROM runs WHERE plate = ?", (run.plate,)
            ).fetchone()
            self._db.execute(
                "INSERT INTO runs (id, key, state, plate, request, assay, attempt, accepted_at)"
                " VALUES (?, ?, 'accepted', ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.key,
                    run.plate,
                    json.dumps(run.request),
                    run.assay_sha256,
                    earlier + 1,
                    at,
                ),
            )
            return run.id

    def begin(self, run_id: str, at: str, event: Compose) -> None:
        """The instrument is about to measure."""
        with self._transaction():
            self._move(run_id, "begin", started_at=at)
            self._enqueue("event", run_id, event, at)

    def keep(self, run_id: str, row: ReadingRow) -> None:
        """The plate is in: from here a power cut costs nothing."""
        with self._transaction():
            self._move(run_id, "keep")
            self._keep(run_id, row)

    def finish(self, run_id: str, telling: Telling) -> None:
        """Result, outbox rows and the state done, or none of them."""
        with self._transaction():
            self._move(run_id, "finish", finished_at=telling.at)
            self._publish(run_id, telling)

    def revise(self, run_id: str, telling: Telling) -> None:
        """The same reading told again as the next revision."""
        with self._transaction():
            self._move(run_id, "revise")
            self._publish(run_id, telling)

    def recover(self, run_id: str, row: ReadingRow, telling: Telling) -> None:
        """A plate for a run that had none, from the instrument's memory."""
        with self._transaction():
            self._move(run_id, "recover")
            self._keep(run_id, row)
            self._publish(run_id, telling)

    def fail(
        self,
        run_id: str,
        how: Literal["fail", "interrupt"],
        failure: Mapping[str, Any],
        evidence: ReadingRow | None,
        telling: Telling,
    ) -> None:
        """A run that delivered no plate: its evidence, a failed result and the event."""
        with self._transaction():
            self._move(run_id, how, finished_at=telling.at, failure=json.dumps(failure))
            if evidence is not None:
                self._keep(run_id, evidence)
            self._publish(run_id, telling)

    def record(self, event: Compose, at: str, run_id: str | None = None) -> None:
        """An event that belongs to no state change of a run."""
        with self._transaction():
            self._enqueue("event", run_id, event, at)

    def _move(self, run_id: str, event: str, **columns: str) -> None:
        row = self._db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()
        columns["state"] = states.move(states.RUN, row[0], event)
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*columns.values(), run_id))

    def _keep(self, run_id: str, row: ReadingRow) -> None:
        reading = None if row.reading is None else json.dumps(row.reading)
        self._db.execute(
            "INSERT INTO readings SELECT ?, count(*) + 1, ?, ?, ?, ?"
            " FROM readings WHERE run_id = ?",
            (run_id, reading, row.raw, row.settling, row.transcript, run_id),
        )

    def _publish(self, run_id: str, telling: Telling) -> None:
        stored = self._enqueue("result", run_id, telling.result, telling.at)
        self._db.execute(
            "INSERT INTO results SELECT ?, count(*) + 1, ?, ?, ? FROM results WHERE run_id = ?",
            (run_id, stored.event_id, json.dumps(telling.basis), stored.payload, run_id),
        )
        self._enqueue("event", run_id, telling.event, telling.at)

    def _enqueue(self, kind: StreamKind, run_id: str | None, compose: Compose, at: str) -> Stored:
        sequence = self._last_sequence(kind) + 1
        stored = compose(Place(self._meta(f"stream.{kind}"), sequence))
        self._db.execute(
            "INSERT INTO outbox (stream, sequence, topic, event_id, run_id, payload, state,"
            " stored_at) VALUES (?, ?, ?, ?, ?, ?, 'stored', ?)",
            (kind, sequence, kind, stored.event_id, run_id, stored.payload, at),
        )
        return stored

    # -- delivery ----------------------------------------------------------------------------

    def pending(self, limit: int, after_row_id: int = 0) -> list[OutboxRow]:
        """Rows in state stored beyond `after_row_id`, oldest first."""
        rows = self._db.execute(
            "SELECT row_id, stream, sequence, topic, payload, event_id FROM outbox"
            " WHERE state = 'stored' AND row_id > ? ORDER BY row_id LIMIT ?",
            (after_row_id, limit),
        )
        return [
            OutboxRow(
                row_id=row_id,
                stream_kind=stream,
                sequence=sequence,
                topic=topic,
                payload=payload,
                event_id=event_id,
            )
            for row_id, stream, sequence, topic, payload, event_id in rows
        ]

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        """The broker has these rows; a repeat changes nothing."""
        with self._transaction():
            self._db.executemany(
                "UPDATE outbox SET state = 'broker_acked', acked_at = ?"
                " WHERE row_id = ? AND state = 'stored'",
                [(at, row_id) for row_id in row_ids],
            )

    def waiting(self) -> int:
        """How many messages the broker does not have yet."""
        (count,) = self._db.execute("SELECT count(*) FROM outbox WHERE state = 'stored'").fetchone()
        return int(count)

    def last_sequence(self) -> dict[str, int]:
        """The last sequence number given in each stream; 0 when there was none."""
        return {kind: self._last_sequence(kind) for kind in STREAMS}

    def _last_sequence(self, kind: StreamKind) -> int:
        (last,) = self._db.execute(
            "SELECT coalesce(max(sequence), 0) FROM outbox WHERE stream = ?", (kind,)
        ).fetchone()
        return int(last)

    # -- memory ------------------------------------------------------------------------------

    def next_session(self) -> int:
        """The number of this start of the daemon, from 1."""
        with self._transaction():
            row = self._db.execute("SELECT value FROM meta WHERE name = 'session'").fetchone()
            session = int(row[0]) + 1 if row else 1
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('session', ?)", (str(session),))
        return session

    def streams(self) -> dict[str, str]:
        """The ULID of each stream, made with the store."""
        return {kind: self._meta(f"stream.{kind}") for kind in STREAMS}

    def _meta(self, name: str) -> str:
        (value,) = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(value)

    def run(self, run_id: str) -> RunRow | None:
        found = self._runs("WHERE id = ?", run_id)
        return found[0] if found else None

    def run_with_key(self, key: str) -> RunRow | None:
        found = self._runs("WHERE key = ?", key)
        return found[0] if found else None

    def unfinished(self) -> list[RunRow]:
        """Runs that a former process left behind, oldest first."""
        return self._runs("WHERE state IN ('accepted', 'reading', 'read') ORDER BY runs.rowid")

    def newest(self, limit: int) -> list[RunRow]:
        return self._runs("ORDER BY runs.rowid DESC LIMIT ?", limit)

    def was_read(self, plate: str) -> bool:
        """Whether this barcode has already delivered a plate."""
        return bool(self._runs("WHERE plate = ? AND state IN ('read', 'done') LIMIT 1", plate))

    def _runs(self, where: str, *values: object) -> list[RunRow]:
        rows = self._db.execute(
            "SELECT id, key, state, plate, request, attempt, accepted_at, started_at,"
            " finished_at, failure, text FROM runs JOIN assays ON sha256 = assay"
            f" {where}",
            values,
        )
        return [
            RunRow(
                id=row[0],
                key=row[1],
                state=row[2],
                plate=row[3],
                request=json.loads(row[4]),
                attempt=row[5],
                accepted_at=row[6],
                started_at=row[7],
                finished_at=row[8],
                failure=json.loads(row[9]) if row[9] else None,
                assay_text=row[10],
            )
            for row in rows
        ]

    def reading(self, run_id: str) -> ReadingRow | None:
        row = self._db.execute(
            "SELECT reading, raw, transcript, settling FROM readings WHERE run_id = ?"
            " ORDER BY number DESC LIMIT 1",
            (run_id,),
        ).fetchone()
        if row is None:
            return None
        return ReadingRow(json.loads(row[0]) if row[0] else None, row[1], row[2], row[3])

    def result(self, run_id: str) -> ResultRow | None:
        """The newest revision, with the message as it was or will be sent."""
        row = self._db.execute(
            "SELECT revision, basis, payload FROM results WHERE run_id = ?"
            " ORDER BY revision DESC LIMIT 1",
            (run_id,),
        ).fetchone()
        return None if row is None else ResultRow(row[0], json.loads(row[1]), row[2])

    def measured_since(self, run_id: str) -> str | None:
        """A run that began to measure after this one, if there is any."""
        row = self._db.execute(
            "SELECT id FROM runs WHERE started_at IS NOT NULL"
            " AND rowid > (SELECT rowid FROM runs WHERE id = ?) LIMIT 1",
            (run_id,),
        ).fetchone()
        return None if row is None else str(row[0])

    def newest_result(self) -> tuple[int, bytes] | None:
        """Sequence number and message of the newest result."""
        row = self._db.execute(
            "SELECT sequence, payload FROM outbox WHERE stream = 'result'"
            " ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))
