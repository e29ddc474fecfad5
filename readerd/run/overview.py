"""The newest runs at a glance: how each ended, and whether its result has arrived."""

import json
from typing import Any

from readerd.run.journal import Journal

# `arrived` is the outbox's own word: settled by the required receipts, or by the broker.
_OVERVIEW = """
SELECT runs.id, runs.state, plate, attempt, accepted_at, started_at, finished_at, failure,
  revision, json_extract(CAST(results.payload AS TEXT), '$.data.verdict'),
  json_extract(CAST(results.payload AS TEXT), '$.data.curve'),
  outbox.state, outbox.settled_at IS NOT NULL
FROM runs
LEFT JOIN results ON results.run_id = runs.id AND revision =
  (SELECT max(revision) FROM results WHERE run_id = runs.id)
LEFT JOIN outbox ON outbox.event_id = results.event_id
WHERE ? IS NULL OR plate = ?
ORDER BY runs.rowid DESC LIMIT ?
"""
_KEYS = (
    *("id", "state", "plate", "attempt", "accepted_at", "started_at", "finished_at", "failure"),
    *("revision", "verdict", "curve", "delivery", "arrived"),
)


def newest_runs(journal: Journal, limit: int, plate: str | None = None) -> list[dict[str, Any]]:
    """The answer of `GET /v1/runs`, newest first; `delivery` None where nothing was to be sent."""
    told = []
    for row in journal.all(_OVERVIEW, plate, plate, limit):
        one = dict(zip(_KEYS, row, strict=True))
        one["failure"] = json.loads(one["failure"]) if one["failure"] else None
        one["arrived"] = bool(one["arrived"])
        told.append(one)
    return told
