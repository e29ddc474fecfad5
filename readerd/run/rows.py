"""What the journal holds and hands out, as frozen values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

StreamKind = Literal["result", "event"]
STREAMS: Final[tuple[StreamKind, ...]] = ("result", "event")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message will stand: the stream's ULID and its next sequence number."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it will be stored: its dedupe id and its bytes."""

    event_id: str
    payload: bytes


Compose = Callable[[Place], Stored]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A result on its way into the journal, with the event that goes with it."""

    result: Compose
    event: Compose
    at: str
    basis: dict[str, Any]  # what a revision was computed from, beside the reading


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One message on its way to the LIMS; `topic` is relative to the root topic."""

    row_id: int
    stream_kind: StreamKind
    sequence: int
    topic: str
    payload: bytes
    event_id: str
    run_id: str | None
    state: str
    stored_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What `accept` writes: one press, click or command."""

    id: str
    key: str
    plate: str | None
    request: dict[str, Any]
    assay_sha256: str
    assay_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run as the journal knows it."""

    id: str
    key: str
    state: str
    plate: str | None
    request: dict[str, Any]
    assay_text: str
    attempt: int
    accepted_at: str
    started_at: str | None
    finished_at: str | None
    failure: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """What came off the wire: the reading (None when there is no plate) and its evidence."""

    reading: dict[str, Any] | None
    raw: bytes
    transcript: bytes
    settling: bytes = b""  # the conversation in which the reader was found and parked before


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One revision of a run's result as it was stored, and what it was computed from."""

    revision: int
    basis: dict[str, Any]
    payload: bytes
