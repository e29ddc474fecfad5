"""What must arrive: two streams of messages with a counter each, and how far each message got.

stored -> broker_acked -> confirmed | refused. A row is never deleted on delivery; retention may
take it once it is settled and old enough.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from readerd.run import audit, states
from readerd.run.journal import Journal
from readerd.run.rows import STREAMS, Compose, OutboxRow, Place, Stored, StreamKind

Outcome = Literal["stored", "duplicate", "refused"]

_ROW: Final = (
    "SELECT row_id, stream, sequence, topic, payload, event_id, run_id, state, stored_at"
    " FROM outbox JOIN bodies USING (row_id)"
)

# Retention goes in steps: each is one commit, must not hold up a plate that is being read, and a
# write-ahead log grows to the largest commit. 50 results of 384 wells are 3 MB, twice.
FORGET_AT_ONCE: Final = 50
_FORGETTABLE: Final = (
    "SELECT id FROM runs WHERE finished_at < ? AND id IN"
    " (SELECT run_id FROM readings UNION SELECT run_id FROM results)"
    " AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.run_id = runs.id) LIMIT ?"
)


class Outbox:
    """The outbox of one journal; `required` are the consumers whose receipts settle a result."""

    def __init__(self, journal: Journal, required: Sequence[str] = ()) -> None:
        self._journal = journal
        self._required = frozenset(required)

    def require(self, required: Sequence[str], at: str) -> None:
        """From now on the receipts of these consumers settle a result.

        What waits for nobody else any more is settled at this moment, and not when it came.
        """
        self._required = frozenset(required)
        open_rows = (
            "SELECT row_id, state, event_id FROM outbox WHERE stream = 'result'"
            " AND state IN ('stored', 'broker_acked', 'refused')"
            " AND event_id IN (SELECT event_id FROM receipts)"
        )
        with self._journal.transaction():
            for row_id, state, event_id in self._journal.all(open_rows):
                self._settle(row_id, state, event_id, at)
            if not required:
                self._journal.db.execute(
                    "UPDATE outbox SET settled_at = ? WHERE stream = 'result'"
                    " AND state = 'broker_acked' AND settled_at IS NULL",
                    (at,),
                )

    def put(self, kind: StreamKind, run_id: str | None, compose: Compose, at: str) -> Stored:
        """Give the message its place and fix its bytes; within the caller's transaction."""
        sequence = self._last_sequence(kind) + 1
        stored = compose(Place(str(self._journal.meta(f"stream.{kind}")), sequence))
        self._journal.set_meta(f"sequence.{kind}", str(sequence))
        row = self._journal.db.execute(
            "INSERT INTO outbox (stream, sequence, topic, event_id, run_id, state, stored_at)"
            " VALUES (?, ?, ?, ?, ?, 'stored', ?)",
            (kind, sequence, kind, stored.event_id, run_id, at),
        )
        self._journal.db.execute(
            "INSERT INTO bodies VALUES (?, ?)", (row.lastrowid, stored.payload)
        )
        audit.append(self._journal, at, kind, stored.event_id, stored.payload)
        return stored

    def pending(self, limit: int, after_row_id: int = 0) -> list[OutboxRow]:
        """Rows in state stored beyond `after_row_id`, oldest first."""
        where = "state = 'stored' AND row_id > ? ORDER BY row_id LIMIT ?"
        return self._rows(where, after_row_id, limit)

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        """The broker has these rows; a repeat changes nothing."""
        settled = "stream = 'event'" if self._required else "1"
        with self._journal.transaction():
            self._journal.db.executemany(
                "UPDATE outbox SET state = 'broker_acked', acked_at = ?,"
                f" settled_at = iif({settled}, ?, NULL) WHERE row_id = ? AND state = 'stored'",
                [(at, at, row_id) for row_id in row_ids],
            )

    def receipt(self, consumer: str, event_id: str, outcome: Outcome, ref: str, at: str) -> int:
        """What a consumer says of a result; its row, 0 when there is no such result.

        All required consumers have it: confirmed. One refuses: refused, until it says otherwise.
        """
        with self._journal.transaction():
            found = self._journal.one(
                "SELECT row_id, state FROM outbox WHERE event_id = ? AND stream = 'result'",
                event_id,
            )
            if found is None:
                return 0
            self._journal.db.execute(
                "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)",
                (event_id, consumer, outcome, ref, at),
            )
            self._settle(found[0], found[1], event_id, at)
        return int(found[0])

    def _settle(self, row_id: int, state: str, event_id: str, at: str) -> None:
        said = dict(
            self._journal.all("SELECT consumer, outcome FROM receipts WHERE event_id = ?", event_id)
        )
        wanted = {name: said.get(name) for name in self._required or said}
        move = None
        if "refused" in wanted.values():
            move = "refusal"
        elif all(wanted.values()):
            move = "receipt"
        if move is not None:
            after = states.move(states.OUTBOX, state, move)
            self._journal.db.execute(
                "UPDATE outbox SET state = ?, settled_at = ? WHERE row_id = ?",
                (after, at if after == "confirmed" else None, row_id),
            )

    def offer_again(self, run_id: str) -> int:
        """The newest result of a run goes out once more, the same bytes; its sequence number."""
        with self._journal.transaction():
            row = self._journal.one(
                "SELECT row_id, state, sequence FROM outbox WHERE run_id = ? AND stream = 'result'"
                " ORDER BY sequence DESC LIMIT 1",
                run_id,
            )
            if row is None:
                return 0
            if row[1] != "stored":
                after = states.move(states.OUTBOX, row[1], "reoffer")
                self._journal.db.execute(
                    "UPDATE outbox SET state = ?, settled_at = NULL WHERE row_id = ?",
                    (after, row[0]),
                )
        return int(row[2])

    def offer_unsettled(self, up_to_row_id: int | None = None, after_row_id: int = 0) -> int:
        """After a broker that may have forgotten: results without their receipts go out again."""
        newest = self.newest_unconfirmed() if up_to_row_id is None else up_to_row_id
        if newest <= after_row_id:
            return 0
        with self._journal.transaction():
            changed = self._journal.db.execute(
                "UPDATE outbox SET state = 'stored' WHERE stream = 'result'"
                " AND state = 'broker_acked' AND row_id > ? AND row_id <= ?",
                (after_row_id, newest),
            )
        return changed.rowcount

    def unanswered(self, up_to_row_id: int) -> int:
        """How many results up to this row wait for the broker or for a receipt."""
        sql = (
            "SELECT count(*) FROM outbox WHERE state IN ('stored', 'broker_acked')"
            " AND stream = 'result' AND row_id <= ?"
        )
        return int(self._journal.one(sql, up_to_row_id)[0])

    def newest_unconfirmed(self) -> int:
        """The last row that the broker has and a required consumer has not answered; 0: none."""
        if not self._required:
            return 0
        sql = "SELECT max(row_id) FROM outbox WHERE state = 'broker_acked' AND stream = 'result'"
        return int(self._journal.one(sql)[0] or 0)

    def point_at(self, row_id: int, event: Compose, at: str) -> bool:
        """Store, once, the event that points at a result too large to be sent."""
        with self._journal.transaction():
            row = self._journal.one("SELECT pointer, run_id FROM outbox WHERE row_id = ?", row_id)
            if row is None or row[0] is not None:
                return False
            stored = self.put("event", row[1], event, at)
            self._journal.db.execute(
                "UPDATE outbox SET pointer = ? WHERE row_id = ?", (stored.event_id, row_id)
            )
        return True

    def between(self, kind: StreamKind, first: int, last: int, limit: int) -> list[OutboxRow]:
        """Rows of one stream by sequence, whatever their state: what a replay sends."""
        where = "stream = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"
        return self._rows(where, kind, first, last, limit)

    def waiting(self) -> int:
        """How many messages the broker does not have yet."""
        return int(self._journal.one("SELECT count(*) FROM outbox WHERE state = 'stored'")[0])

    def counts(self) -> dict[str, int]:
        """How many messages wait for the broker, for a receipt, and were refused by a consumer."""
        return {
            "stored": self.waiting(),
            "unconfirmed": self._count("broker_acked") if self._required else 0,
            "refused": self._count("refused"),
        }

    def _count(self, state: str) -> int:
        sql = "SELECT count(*) FROM outbox WHERE state = ? AND stream = 'result'"
        return int(self._journal.one(sql, state)[0])

    def unsettled(self, limit: int = 1000) -> list[OutboxRow]:
        """What has not reached the LIMS: not acknowledged, or results without their receipts."""
        results = "'stored', 'broker_acked', 'refused'" if self._required else "'stored', 'refused'"
        return self._rows(
            "(stream = 'event' AND state = 'stored')"
            f" OR (stream = 'result' AND state IN ({results})) ORDER BY row_id LIMIT ?",
            limit,
        )

    def delivery(self, run_id: str) -> Literal["waiting", "settled", "refused"]:
        """How far the newest result of a run got; no result, or one long forgotten, is settled."""
        row = self._journal.one(
            "SELECT state, settled_at FROM outbox WHERE run_id = ? AND stream = 'result'"
            " ORDER BY sequence DESC LIMIT 1",
            run_id,
        )
        if row is None or row[1] is not None:
            return "settled"
        return "refused" if row[0] == "refused" else "waiting"

    def state_of(self, event_id: str) -> str | None:
        row = self._journal.one("SELECT state FROM outbox WHERE event_id = ?", event_id)
        return None if row is None else str(row[0])

    def last_sequence(self) -> dict[str, int]:
        """The last sequence number given in each stream; 0 when there was none."""
        return {kind: self._last_sequence(kind) for kind in STREAMS}

    def _last_sequence(self, kind: StreamKind) -> int:
        return int(self._journal.meta(f"sequence.{kind}") or 0)

    def streams(self) -> dict[str, str]:
        """The ULID of each stream, made with the store."""
        return {kind: str(self._journal.meta(f"stream.{kind}")) for kind in STREAMS}

    def forget(self, before: str, most: int = FORGET_AT_ONCE) -> Mapping[str, int]:
        """Take what was settled before this moment, so many messages and runs; counts of what went.

        Runs and the audit stay: who was read, and what was said, is never forgotten.
        """
        with self._journal.transaction():
            messages = self._forget_messages(before, most)
            self._journal.set_meta("forgotten", max(before, self._journal.meta("forgotten") or ""))
            runs = self._journal.all(_FORGETTABLE, before, most)
            tables = ("readings", "results")
            taken = {name: sum(self._take(name, run_id) for (run_id,) in runs) for name in tables}
        return {"messages": messages, "readings": taken["readings"], "results": taken["results"]}

    def _forget_messages(self, before: str, most: int) -> int:
        results = "'confirmed'" if self._required else "'broker_acked', 'confirmed'"
        found = self._journal.all(
            "SELECT row_id, event_id FROM outbox WHERE settled_at < ?1 AND stored_at < ?1 AND ("
            "(stream = 'event' AND state != 'stored') OR"
            f" (stream = 'result' AND state IN ({results}))) ORDER BY row_id LIMIT ?2",
            before,
            most,
        )
        for row_id, event_id in found:
            self._journal.db.execute("DELETE FROM outbox WHERE row_id = ?", (row_id,))
            self._journal.db.execute("DELETE FROM receipts WHERE event_id = ?", (event_id,))
        return len(found)

    def _take(self, table: str, run_id: str) -> int:
        sql = f"DELETE FROM {table} WHERE run_id = ?"
        return self._journal.db.execute(sql, (run_id,)).rowcount

    def _rows(self, where: str, *values: object) -> list[OutboxRow]:
        return [
            OutboxRow(
                row_id=row_id,
                stream_kind=stream,
                sequence=sequence,
                topic=topic,
                payload=payload,
                event_id=event_id,
                run_id=run_id,
                state=state,
                stored_at=stored_at,
            )
            for (
                row_id,
                stream,
                sequence,
                topic,
                payload,
                event_id,
                run_id,
                state,
                stored_at,
            ) in self._journal.all(f"{_ROW} WHERE {where}", *values)
        ]
