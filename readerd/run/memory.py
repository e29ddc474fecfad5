"""What others told us: commands and their answers, plate maps by barcode, wireless presses."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from readerd.assay.layout import PlateMap
from readerd.payload_commands import Answer
from readerd.run.journal import Journal

# docs/reference/commands.md: a request_id is remembered 30 days.
REMEMBERED: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where a command's answers went, and the answers."""

    requester: str
    reply_to: str  # a whole topic
    correlation: str | None  # hexadecimal
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMap:
    """A plate map as the LIMS sent it."""

    plate_map: PlateMap
    assay: str | None
    wells: int | None


_TOLD = TypeAdapter(Told)
_MAP = TypeAdapter(StoredMap)


class Memory:
    """Commands and plate maps of one journal. Each method is one transaction."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def recall(self, request_id: str) -> Told | None:
        """What was answered to this request; None when it is new."""
        row = self._journal.one("SELECT told FROM commands WHERE request_id = ?", request_id)
        return None if row is None else _TOLD.validate_json(row[0])

    def remember(self, request_id: str, at: str, told: Told, run_id: str | None = None) -> None:
        """Answers so far; `run_id` is the run whose end is still to be answered."""
        with self._journal.transaction():
            self._journal.db.execute(
                "INSERT INTO commands VALUES (?, ?, ?, ?) ON CONFLICT (request_id)"
                " DO UPDATE SET run_id = excluded.run_id, told = excluded.told",
                (request_id, at, run_id, _TOLD.dump_json(told).decode()),
            )

    def awaiting(self, run_id: str) -> list[str]:
        """Requests that are to be answered when this run ends."""
        sql = "SELECT request_id FROM commands WHERE run_id = ? ORDER BY rowid"
        return [row[0] for row in self._journal.all(sql, run_id)]

    def awaited_runs(self) -> list[str]:
        rows = self._journal.all("SELECT DISTINCT run_id FROM commands WHERE run_id IS NOT NULL")
        return [row[0] for row in rows]

    def forget(self, now: datetime) -> int:
        """Requests of over 30 days ago; how many went."""
        before = (now - REMEMBERED).isoformat()
        with self._journal.transaction():
            return self._journal.db.execute(
                "DELETE FROM commands WHERE at < ? AND run_id IS NULL", (before,)
            ).rowcount

    def forget_maps(self, before: str) -> int:
        """Plate maps sent before this moment for plates whose runs were over before it."""
        with self._journal.transaction():
            return self._journal.db.execute(
                "DELETE FROM plate_maps WHERE at < ?1 AND barcode IN"
                " (SELECT plate FROM runs GROUP BY plate HAVING max(finished_at) < ?1"
                " AND count(*) = count(finished_at))",
                (before,),
            ).rowcount

    def is_new_press(self, topic: str, mark: str) -> bool:
        """Whether a wireless button tells another press than last; that is its last from now on.

        Some tell their last event again and again, and a bridge may do so after our restart.
        """
        name = f"press:{topic}"
        if self._journal.meta(name) == mark:
            return False
        with self._journal.transaction():
            self._journal.set_meta(name, mark)
        return True

    def put_plate_map(self, barcode: str, at: str, stored: StoredMap) -> None:
        """The newest map of a plate replaces the one before."""
        with self._journal.transaction():
            self._journal.db.execute(
                "INSERT OR REPLACE INTO plate_maps VALUES (?, ?, ?)",
                (barcode, at, _MAP.dump_json(stored).decode()),
            )

    def plate_map(self, barcode: str | None) -> StoredMap | None:
        row = self._journal.one("SELECT told FROM plate_maps WHERE barcode = ?", barcode)
        return None if row is None else _MAP.validate_json(row[0])
