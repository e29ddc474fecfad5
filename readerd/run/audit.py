"""The audit: one line for every message that left the journal's pen, chained by hashes.

Line n holds the message's hash (and an event's text), and the hash of line n-1 with it. Whoever
changes, adds or takes away a line breaks the chain from there on; whoever changes a stored message
no longer fits its line. The chain ends at its last line: keep the head elsewhere to see a cut tail.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from readerd.run.journal import Journal

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


def verify(db: sqlite3.Connection) -> Verified:
    """Walk the whole chain and hold every stored message against its line."""
    before, lines = FIRST, 0
    for line, complaint, after in _walk(db, before):
        lines += 1
        if complaint is not None:
            return Verified(lines, before.hex(), f"line {line}: {complaint}")
        before = after
    return Verified(lines, before.hex(), None)


def _walk(db: sqlite3.Connection, before: bytes) -> Iterator[tuple[int, str | None, bytes]]:
    rows = db.execute(
        "SELECT line, at, kind, audit.event_id, digest, body, hash, outbox.payload, results.payload"
        " FROM audit LEFT JOIN outbox ON outbox.event_id = audit.event_id"
        " LEFT JOIN results ON results.event_id = audit.event_id ORDER BY line"
    )
    for number, (line, at, kind, event_id, digest, body, line_hash, *copies) in enumerate(rows, 1):
        complaint = None
        if line != number:
            complaint = f"line {number} is missing"
        elif line_hash != _line_hash(before, at, kind, event_id, digest):
            complaint = "does not continue the chain"
        elif any(hashlib.sha256(copy).digest() != digest for copy in (body, *copies) if copy):
            complaint = f"message {event_id} was changed after it was stored"
        yield line, complaint, line_hash
        before = line_hash
