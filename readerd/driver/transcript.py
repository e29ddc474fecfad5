"""What went over the wire: both directions with monotonic times, bounded, storable."""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from readerd.errors import InputError, Mistake

Direction = Literal[">", "<"]

# A whole 96-well conversation is about 2 kB; this is room for the largest plate and its polling.
MOST_BYTES = 1 << 20
# Overhead charged per entry, so that single bytes are bounded too.
ENTRY_BYTES = 32
TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """Bytes that left (`>`) or came (`<`), seconds after the first entry."""

    offset_s: float
    direction: Direction
    data: bytes


class Transcript:
    """Grows while the link is used; when it is full the oldest entries go and are counted."""

    def __init__(self, entries: Iterable[Entry] = (), *, most_bytes: int = MOST_BYTES) -> None:
        self._entries: deque[Entry] = deque()
        self._most_bytes = most_bytes
        self._size = 0
        self._began_s: float | None = None
        self.dropped = 0
        for entry in entries:
            self._append(entry)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(self._entries)

    @property
    def received(self) -> bytes:
        """The raw bytes from the instrument, in order."""
        return b"".join(entry.data for entry in self._entries if entry.direction == "<")

    @property
    def sent(self) -> bytes:
        return b"".join(entry.data for entry in self._entries if entry.direction == ">")

    def tail(self, most_bytes: int = TAIL_BYTES) -> bytes:
        """The last bytes that came after the last command, for error texts."""
        parts: list[bytes] = []
        length = 0
        for entry in reversed(self._entries):
            if entry.direction == ">" or length >= most_bytes:
                break
            parts.append(entry.data)
            length += len(entry.data)
        return b"".join(reversed(parts))[-most_bytes:]

    def record(self, now_s: float, direction: Direction, data: bytes) -> None:
        """Add bytes at a monotonic time; empty data leaves no trace."""
        if not data:
            return
        if self._began_s is None:
            self._began_s = now_s
        self._append(Entry(round(now_s - self._began_s, 6), direction, data))

    def _append(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._size += len(entry.data) + ENTRY_BYTES
        while self._size > self._most_bytes:
            oldest = self._entries.popleft()
            self._size -= len(oldest.data) + ENTRY_BYTES
            self.dropped += 1

    def to_bytes(self) -> bytes:
        """JSON lines `[offset_s, ">" or "<", text]`; the text is the bytes read as Latin-1."""
        return b"".join(
            json.dumps([entry.offset_s, entry.direction, entry.data.decode("latin-1")]).encode()
            + b"\n"
            for entry in self._entries
        )

    @classmethod
    def from_bytes(cls, data: bytes, source: str = "transcript") -> "Transcript":
        """The inverse of `to_bytes`; InputError names the first wrong line."""
        entries = []
        for number, line in enumerate(data.splitlines(), 1):
            try:
                entries.append(_entry(json.loads(line)))
            except ValueError as error:
                raise InputError(source, Mistake(f"line {number}", str(error))) from error
        return cls(entries, most_bytes=max(MOST_BYTES, 2 * len(data) + ENTRY_BYTES * len(entries)))


def _entry(line: object) -> Entry:
    match line:
        case [int() | float() as offset_s, (">" | "<") as direction, str() as text]:
            return Entry(float(offset_s), direction, text.encode("latin-1"))
    raise ValueError("not [offset_s, '>' or '<', text]")
