"""The memory of runs: how far each plate got, what came off the wire, what was said of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from readerd.run import states
from readerd.run.journal import Journal
from readerd.run.memory import Memory
from readerd.run.outbox import Outbox
from readerd.run.rows import Compose, NewRun, ReadingRow, ResultRow, RunRow, Telling

_RUN = (
    "SELECT id, key, state, plate, request, attempt, accepted_at, started_at, finished_at,"
    " failure, text FROM runs JOIN assays ON sha256 = assay"
)


class Store:
    """Runs, readings and results of one journal. Every method is one transaction."""

    def __init__(self, path: Path, required_receipts: tuple[str, ...] = ()) -> None:
        self.journal = Journal(path)
        self.outbox = Outbox(self.journal, required_receipts)
        self.memory = Memory(self.journal)

    def close(self) -> None:
        self.journal.close()

    # -- what a run does ---------------------------------------------------------------------

    def accept(self, run: NewRun, at: str) -> str:
        """A new run in state accepted; the id of the run that already has its key, if any."""
        columns = (run.id, run.key, run.plate, json.dumps(run.request), run.assay_sha256)
        with self.journal.transaction():
            known = self.journal.one("SELECT id FROM runs WHERE key = ?", run.key)
            if known:
                return str(known[0])
            self._write(
                "INSERT OR IGNORE INTO assays VALUES (?, ?)", run.assay_sha256, run.assay_text
            )
            self._write(
                "INSERT INTO runs (id, key, state, plate, request, assay, attempt, accepted_at)"
                " SELECT ?, ?, 'accepted', ?, ?, ?, count(*) + 1, ? FROM runs WHERE plate = ?",
                *columns,
                at,
                run.plate,
            )
        return run.id

    def begin(self, run_id: str, at: str, event: Compose) -> None:
        """The instrument is about to measure."""
        with self.journal.transaction():
            self._move(run_id, "begin", started_at=at)
            self.outbox.put("event", run_id, event, at)

    def keep(self, run_id: str, row: ReadingRow) -> None:
        """The plate is in: from here a power cut costs nothing."""
        with self.journal.transaction():
            self._move(run_id, "keep")
            self._keep(run_id, row)

    def finish(self, run_id: str, telling: Telling) -> None:
        """Result, outbox rows and the state done, or none of them."""
        with self.journal.transaction():
            self._move(run_id, "finish", finished_at=telling.at)
            self._publish(run_id, telling)

    def revise(self, run_id: str, telling: Telling) -> None:
        """The same reading told again as the next revision."""
        with self.journal.transaction():
            self._move(run_id, "revise")
            self._publish(run_id, telling)

    def recover(self, run_id: str, row: ReadingRow, telling: Telling) -> None:
        """A plate for a run that had none, from the instrument's memory."""
        with self.journal.transaction():
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
        with self.journal.transaction():
            self._move(run_id, how, finished_at=telling.at, failure=json.dumps(failure))
            if evidence is not None:
                self._keep(run_id, evidence)
            self._publish(run_id, telling)

    def record(self, event: Compose, at: str, run_id: str | None = None) -> None:
        """An event that belongs to no state change of a run."""
        with self.journal.transaction():
            self.outbox.put("event", run_id, event, at)

    def _move(self, run_id: str, event: str, **columns: str) -> None:
        (state,) = self.journal.one("SELECT state FROM runs WHERE id = ?", run_id)
        columns["state"] = states.move(states.RUN, state, event)
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._write(f"UPDATE runs SET {assignments} WHERE id = ?", *columns.values(), run_id)

    def _keep(self, run_id: str, row: ReadingRow) -> None:
        reading = None if row.reading is None else json.dumps(row.reading)
        self._write(
            "INSERT INTO readings SELECT ?, count(*) + 1, ?, ?, ?, ?"
            " FROM readings WHERE run_id = ?",
            *(run_id, reading, row.raw, row.settling, row.transcript, run_id),
        )

    def _publish(self, run_id: str, telling: Telling) -> None:
        stored = self.outbox.put("result", run_id, telling.result, telling.at)
        basis = json.dumps(telling.basis)
        self._write(
            "INSERT INTO results SELECT ?, count(*) + 1, ?, ?, ? FROM results WHERE run_id = ?",
            *(run_id, stored.event_id, basis, stored.payload, run_id),
        )
        self.outbox.put("event", run_id, telling.event, telling.at)

    def _write(self, sql: str, *values: object) -> None:
        self.journal.db.execute(sql, values)

    # -- memory ------------------------------------------------------------------------------

    def next_session(self) -> int:
        """The number of this start of the daemon, from 1."""
        with self.journal.transaction():
            session = int(self.journal.meta("session") or 0) + 1
            self.journal.set_meta("session", str(session))
        return session

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

    def began_before(self, plate: str) -> list[str]:
        """Runs of this barcode that have a plate or are under way, oldest first."""
        states = "('accepted', 'reading', 'read', 'done')"
        where = f"WHERE plate = ? AND state IN {states} ORDER BY runs.rowid"
        return [run.id for run in self._runs(where, plate)]

    def measured_since(self, run_id: str) -> str | None:
        """A run that began to measure after this one, if there is any."""
        row = self.journal.one(
            "SELECT id FROM runs WHERE started_at IS NOT NULL"
            " AND rowid > (SELECT rowid FROM runs WHERE id = ?) LIMIT 1",
            run_id,
        )
        return None if row is None else str(row[0])

    def _runs(self, where: str, *values: object) -> list[RunRow]:
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
            for row in self.journal.all(f"{_RUN} {where}", *values)
        ]

    def reading(self, run_id: str) -> ReadingRow | None:
        """The newest that came off the wire for a run."""
        row = self.journal.one(
            "SELECT reading, raw, transcript, settling FROM readings WHERE run_id = ?"
            " ORDER BY number DESC LIMIT 1",
            run_id,
        )
        if row is None:
            return None
        return ReadingRow(json.loads(row[0]) if row[0] else None, row[1], row[2], row[3])

    def result(self, run_id: str) -> ResultRow | None:
        """The newest revision, with the message as it was or will be sent."""
        row = self.journal.one(
            "SELECT revision, basis, payload FROM results WHERE run_id = ?"
            " ORDER BY revision DESC LIMIT 1",
            run_id,
        )
        return None if row is None else ResultRow(row[0], json.loads(row[1]), row[2])

    def newest_result(self) -> bytes | None:
        """The message of the newest result."""
        row = self.journal.one("SELECT payload FROM results ORDER BY rowid DESC LIMIT 1")
        return None if row is None else bytes(row[0])
