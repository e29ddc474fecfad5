"""The audit: one line for every message that left the journal's pen, chained by hashes.

Line n holds the message's hash (and an event's text), and the hash of line n-1 with it. Whoever
changes, adds or takes away a line breaks the chain from there on; whoever changes a stored message
no longer fits its line; whoever takes a message away before retention may, or adds one, is seen
too. The streams' counters say how long the chain must be. Somebody who can rewrite the whole file
can forge all of that together: keep the head elsewhere to see it.
"""

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from readerd.errors import StoreError
from readerd.run.journal import Journal, reading_only

FIRST: Final = b"\x00" * 32


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the chain found; `broken` names the first line that does not hold."""

    lines: int
    head: str
    broken: str | None


def append(journal: Journal, at: str, kind: str, event_id: str, payload: bytes) -> None:
    """One more line, within the transaction that stores the message."""
    last = journal.one("SELECT hash FROM audit ORDER BY line DESC LIMIT 1")
    digest = hashlib.sha256(payload).digest()
    body = payload if kind == "event" else None
    line_hash = _line_hash(last[0] if last else FIRST, at, kind, event_id, digest)
    journal.db.execute(
        "INSERT INTO audit (at, kind, event_id, digest, body, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (at, kind, event_id, digest, body, line_hash),
    )


def _line_hash(before: bytes, at: str, kind: str, event_id: str, digest: bytes) -> bytes:
    text = "\n".join((at, kind, event_id)).encode()
    return hashlib.sha256(before + text + b"\n" + digest).digest()


def verify_file(path: Path) -> Verified:
    """The same for a journal that a daemon may have open."""
    db = reading_only(path)
    try:
        return verify(db)
    finally:
        db.close()


def verify(db: sqlite3.Connection) -> Verified:
    """Walk the whole chain and hold every stored message against its line; StoreError."""
    try:
        db.execute("BEGIN")  # one moment of a journal that may be in use
        try:
            return _verify(db)
        finally:
            db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreError(f"the journal cannot be read: {error}") from error


def _verify(db: sqlite3.Connection) -> Verified:
    (forgotten,) = db.execute("SELECT max(value) FROM meta WHERE name = 'forgotten'").fetchone()
    before, lines = FIRST, 0
    for row in db.execute(_LINES):
        lines += 1
        complaint = _complaint(lines, row, before, forgotten or "")
        if complaint is not None:
            return Verified(lines, before.hex(), f"line {row[0]}: {complaint}")
        before = row[6]
    return Verified(lines, before.hex(), _strangers(db, lines))


_LINES: Final = (
    "SELECT line, at, kind, audit.event_id, digest, body, hash, bodies.payload, results.payload"
    " FROM audit LEFT JOIN outbox ON outbox.event_id = audit.event_id"
    " LEFT JOIN bodies ON bodies.row_id = outbox.row_id"
    " LEFT JOIN results ON results.event_id = audit.event_id ORDER BY line"
)


def _complaint(number: int, row: tuple[Any, ...], before: bytes, forgotten: str) -> str | None:
    line, at, kind, event_id, digest, body, line_hash, *copies = row
    if line != number:
        return f"line {number} is missing"
    if line_hash != _line_hash(before, at, kind, event_id, digest):
        return "does not continue the chain"
    for copy in (body, *copies):
        if copy is not None and hashlib.sha256(copy).digest() != digest:
            return f"message {event_id} was changed after it was stored"
    if kind == "event" and body is None:
        return f"the text of event {event_id} is missing"
    if copies[0] is None and at >= forgotten:
        return f"message {event_id} was removed, and not by retention"
    return None


def _strangers(db: sqlite3.Connection, lines: int) -> str | None:
    """What no line speaks of: lines cut off the end, messages put in beside the chain."""
    (given,) = db.execute(
        "SELECT coalesce(sum(value), 0) FROM meta WHERE name LIKE 'sequence.%'"
    ).fetchone()
    if int(given) != lines:
        return f"{int(given)} messages were numbered, {lines} lines stand here"
    for table in ("outbox", "results"):
        found = db.execute(
            f"SELECT event_id FROM {table} WHERE event_id NOT IN (SELECT event_id FROM audit)"
            " LIMIT 1"
        ).fetchone()
        if found is not None:
            return f"message {found[0]} in {table} has no line"
    return None
