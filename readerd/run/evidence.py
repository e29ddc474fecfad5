"""One run in one file: from its wire bytes to its result, to be computed again anywhere."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Evidence(BaseModel):
    """What the flight recorder holds of a run. Transcripts are JSON lines, the assay is TOML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    driver: str
    options: dict[str, Any]
    plan: dict[str, Any]
    assay: str
    settling: str  # how the reader was found and parked
    transcript: str  # the read itself
    reading: dict[str, Any] | None
    basis: dict[str, Any]
    result: str | None  # the message, byte for byte
