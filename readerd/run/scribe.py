"""Puts what happened into words: messages of one bridge, and a run as the journal remembers it."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from pydantic import JsonValue, TypeAdapter
from ulid import ULID

from readerd.assay.definition import Assay, load_assay
from readerd.run.report import (
    Basis,
    Bridge,
    Delivered,
    Outcome,
    Plan,
    event_message,
    result_message,
)
from readerd.run.rows import Compose, RunRow, Telling
from readerd.run.store import Store

PLAN = TypeAdapter(Plan)
DELIVERED = TypeAdapter(Delivered)
BASIS = TypeAdapter(Basis)


@lru_cache(maxsize=8)
def _assay(text: str) -> Assay:
    """The same file is the same assay; reading it anew takes longer than fitting a curve."""
    return load_assay(text, "the assay in the journal")


class Scribe:
    """Composes messages with this bridge's name, the wall clock and fresh ids."""

    def __init__(self, bridge: Bridge, store: Store, now: Callable[[], datetime]) -> None:
        self.bridge = bridge
        self.now = now
        self._store = store

    def ulid(self) -> str:
        return str(ULID.from_datetime(self.now()))

    def at(self) -> str:
        return self.now().isoformat()

    def recall(self, run_id: str) -> tuple[RunRow, Plan, Assay]:
        """The run with its plan and the assay file as it was when the run was accepted."""
        run = self._store.run(run_id)
        if run is None:
            raise RuntimeError(f"run {run_id} is not in the journal")
        plan = PLAN.validate_python(run.request)
        return run, plan, _assay(run.assay_text)

    def delivered(self, run_id: str) -> tuple[Delivered, bytes] | None:
        """The plate that a run has in the journal, and the bytes it came as."""
        row = self._store.reading(run_id)
        if row is None or row.reading is None:
            return None
        return DELIVERED.validate_python(row.reading), row.raw

    def tell(
        self,
        run: RunRow,
        plan: Plan,
        assay: Assay,
        outcome: Outcome,
        kind: str,
        *,
        code: str | None = None,
        text: str | None = None,
        details: dict[str, JsonValue] | None = None,
    ) -> Telling:
        """A result and the event of this kind that goes with it."""
        event = self.event(
            kind, subject=plan.plate, run_id=run.id, code=code, text=text, details=details
        )
        result = result_message(self.bridge, run, plan, assay, outcome, self.ulid())
        basis = BASIS.dump_python(outcome.basis, mode="json")
        return Telling(result=result, event=event, at=self.at(), basis=basis)

    def event(
        self,
        kind: str,
        *,
        subject: str | None = None,
        run_id: str | None = None,
        code: str | None = None,
        text: str | None = None,
        details: dict[str, JsonValue] | None = None,
    ) -> Compose:
        return event_message(
            self.bridge,
            kind,
            self.ulid(),
            self.now(),
            subject=subject,
            run_id=run_id,
            code=code,
            text=text,
            details=details,
        )
