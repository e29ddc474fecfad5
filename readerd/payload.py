"""The messages of the contract, version 1: pydantic models are their single source.

`ResultData` embeds the frozen values of `readerd.assay.result` as they stand, so the wire, the
command line and the report speak one vocabulary. `encode` is the only way to bytes: compact UTF-8
JSON, keys in the order of the models, numbers unrounded and finite. The same message always gives
the same bytes; a stored message is never encoded again. Named fields and unrounded numbers have
their price, 31 kB for 96 wells in duplicate: docs/reference/messages.md has the arithmetic.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from readerd.assay.result import (
    Acquisition,
    CurveState,
    Fit,
    Flag,
    Qc,
    Sample,
    Verdict,
    Wells,
)

ReadType = Literal["normal", "reread"]
BenchState = Literal["absent", "hello", "ready", "armed", "reading", "recovering", "needs_human"]
Light = Literal["dark", "amber", "blinking", "green", "red"]
LampState = Literal[
    "idle", "armed", "reading", "delivering", "done", "failed", "refused", "needs_human"
]


class Message(BaseModel):
    """Base of everything on the wire: closed, frozen, finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )


def encode(message: BaseModel) -> bytes:
    """The bytes of a message: compact JSON, UTF-8, keys in model order; null where not known."""
    return message.model_dump_json().encode()


class Trigger(Message):
    kind: str  # cli | http | button | mqtt
    source: str | None = None


class Operator(Message):
    id: str
    known_by: str


class RunInfo(Message):
    id: str
    key: str
    read_type: ReadType
    attempt: int
    trigger: Trigger
    operator: Operator | None
    started_at: datetime | None
    finished_at: datetime
    job_id: str | None = None
    task_id: str | None = None


class Instrument(Message):
    reader: str
    driver: str
    model: str | None
    serial: str | None
    firmware: str | None
    identity_verified: bool
    warnings: list[str]
    notes: list[str]
    counters: dict[str, int]


class AssayInfo(Message):
    id: str
    version: str
    sha256: str


class Software(Message):
    version: str
    assay: AssayInfo
    config_sha256: str


class Kit(Message):
    lot: str | None
    expires: str | None


class PlateMapInfo(Message):
    id: str | None
    version: str | None
    source: str


class PlateInfo(Message):
    barcode: str | None
    barcode_source: str | None
    format: int
    plate_map: PlateMapInfo


class ReadInfo(Message):
    unit: Literal["{AU}"] = "{AU}"  # UCUM: absorbance units
    measurement_nm: int
    reference_nm: int | None
    requested_reference_nm: int | None
    correction: str | None
    temperature_c: float | None
    read_at: dict[str, datetime]


class Failure(Message):
    """Why a run delivered no plate: a code to branch on, the step, one line for people."""

    code: str
    phase: str | None
    text: str


class RawInfo(Message):
    bytes: int
    sha256: str


class ResultData(Message):
    acquisition: Acquisition
    curve: CurveState
    verdict: Verdict
    review: Literal["unreviewed"] = "unreviewed"
    flags: list[Flag]
    revision: int
    revises: int | None
    reason: str | None
    failure: Failure | None
    run: RunInfo
    instrument: Instrument
    software: Software
    kit: Kit
    plate: PlateInfo
    read: ReadInfo
    wells: Wells | None
    fit: Fit | None
    fit_before_drop: Fit | None = None
    qc: Qc
    samples: list[Sample]
    raw: RawInfo | None


class EventData(Message):
    """One thing that happened: `kind` names it, `run_id` the run where there is one."""

    kind: str
    run_id: str | None = None
    code: str | None = None
    text: str | None = None
    details: dict[str, JsonValue] = {}


class Envelope(Message):
    """CloudEvents 1.0 structured mode, plus the stream and its gap-free sequence."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str | None
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    stream: str
    sequence: int


class ResultEnvelope(Envelope):
    type: Literal["org.readerd.result.v1"] = "org.readerd.result.v1"
    dataschema: Literal["urn:readerd:schema:result:1.0"] = "urn:readerd:schema:result:1.0"
    data: ResultData


class EventEnvelope(Envelope):
    type: Literal["org.readerd.event.v1"] = "org.readerd.event.v1"
    dataschema: Literal["urn:readerd:schema:event:1.0"] = "urn:readerd:schema:event:1.0"
    data: EventData


class StatusMessage(Message):
    """Retained presence; the will carries the same session number with `offline`."""

    status: Literal["online", "offline"]
    session: int
    since: datetime | None  # None in the will: it is written before anybody knows


class InfoMessage(Message):
    """Retained birth certificate."""

    software: str
    version: str
    site: str
    reader: str
    driver: str
    instrument: dict[str, Any] | None
    assays: list[str]
    formats: list[int]
    photometric_range: tuple[float, float]
    proven: list[str]
    streams: dict[str, str]


class StateMessage(Message):
    """Retained bench state; `rev` grows by one with every change."""

    state: BenchState
    rev: int
    run_id: str | None
    since: datetime
    reason: str | None
    plate_barcode: str | None = None  # the plate that is armed


class HealthMessage(Message):
    ok: bool
    checks: dict[str, str]
    outbox: dict[str, int]
    last_sequence: dict[str, int]
    at: datetime


class LastMessage(Message):
    """Retained pointer to the newest result."""

    id: str
    sequence: int
    run_id: str
    plate_barcode: str | None
    verdict: Verdict
    acquisition: Acquisition


class ProgressMessage(Message):
    """Wells so far and, as soon as the standards suffice, the provisional curve."""

    run_id: str
    wells_read: dict[str, int]  # wavelength in nm -> wells that have arrived
    wells_total: int
    provisional: bool = True
    fit: Fit | None


class RunEnded(Message):
    """A run is in the journal for good; told on the event stream of the local door."""

    run_id: str
    state: Literal["done", "failed", "interrupted"]


class LampMessage(Message):
    """Retained: what the lamp at the bench shows, and why."""

    light: Light
    state: LampState
    plate_barcode: str | None = None
    run_id: str | None = None
    code: str | None = None  # error or failure code, when it is red
    text: str | None = None


class AlarmMessage(Message):
    """Retained standing condition; the topic is emptied when it is over."""

    code: str
    text: str
    since: datetime
