"""From what a run knows to message bytes. Pure: same input, same bytes.

The functions here return a `Compose`: the store calls it inside the transaction that gives the
message its sequence number, so a number is never given to a message that was not stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from pydantic import JsonValue

from readerd.assay.definition import Assay
from readerd.assay.layout import PlateMap
from readerd.assay.result import PlateResult
from readerd.payload import (
    AssayInfo,
    EventData,
    EventEnvelope,
    Failure,
    Instrument,
    Kit,
    Operator,
    PlateInfo,
    PlateMapInfo,
    RawInfo,
    ReadInfo,
    ResultData,
    ResultEnvelope,
    RunInfo,
    Software,
    Trigger,
    encode,
)
from readerd.plate import Identity, Reading
from readerd.run.rows import Compose, Place, RunRow, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """Who speaks: this daemon, as every message names it."""

    site: str
    reader: str
    driver: str
    version: str
    config_sha256: str
    expect_identity: str = ""  # where it is set, the bench has compared it

    @property
    def source(self) -> str:
        return f"urn:readerd:{self.site}:{self.reader}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for and what will be measured; kept with the run."""

    key: str
    assay: str
    plate: str | None
    barcode_source: str | None
    trigger: Trigger
    operator: Operator | None
    reread_reason: str | None
    measurement_nm: int
    reference_nm: int | None  # the wavelength that will be used
    requested_reference_nm: int | None  # the one that the assay asks for first
    plate_map: PlateMap | None = None  # what the LIMS had said of this barcode by then
    reread: bool = False  # a plate with this barcode had been delivered before
    kit: Kit | None = None  # None: the assay file's


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A plate as it came off the wire, with the moments when each wavelength was complete."""

    reading: Reading
    read_at: Mapping[int, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a revision of a result was computed from, beside the reading; kept with it."""

    plate_map: PlateMap | None = None
    masks: Mapping[str, str] = field(default_factory=dict)  # well -> reason
    reason: str | None = None
    revision: int = 1
    lims_map: str | None = None  # the newest plate map of the LIMS by then, used or not
    recovered: bool = False
    clock_jumped: bool = False  # somebody set the clock while the plate was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: a plate with its meaning, or a failure."""

    finished_at: datetime
    delivered: Delivered | None = None
    result: PlateResult | None = None
    failure: Failure | None = None
    identity: Identity | None = None
    raw: bytes | None = None
    basis: Basis = field(default_factory=Basis)


def result_message(
    bridge: Bridge, run: RunRow, plan: Plan, assay: Assay, outcome: Outcome, event_id: str
) -> Compose:
    """One revision of the result of one run; failed runs included."""
    data = _data(bridge, run, plan, assay, outcome)

    def compose(place: Place) -> Stored:
        envelope = ResultEnvelope(
            id=event_id,
            source=bridge.source,
            subject=plan.plate or run.id,
            time=outcome.finished_at,
            stream=place.stream,
            sequence=place.sequence,
            data=data,
        )
        return Stored(event_id, encode(envelope))

    return compose


def _data(bridge: Bridge, run: RunRow, plan: Plan, assay: Assay, outcome: Outcome) -> ResultData:
    result, failure, basis = outcome.result, outcome.failure, outcome.basis
    return ResultData(
        acquisition=result.acquisition if result else "failed",
        curve=result.curve if result else "none",
        verdict=result.verdict if result else "none",
        flags=list(result.flags) if result else [],
        revision=basis.revision,
        revises=basis.revision - 1 or None,
        reason=basis.reason or (failure.text if failure else plan.reread_reason),
        failure=failure,
        run=_run(run, plan, outcome),
        instrument=_instrument(bridge, outcome),
        software=_software(bridge, assay),
        kit=kit_used(plan, assay),
        plate=_plate(plan, assay, basis.plate_map),
        read=_read(plan, outcome.delivered),
        wells=result.wells if result else None,
        fit=result.fit if result else None,
        fit_before_drop=result.fit_before_drop if result else None,
        qc=result.qc if result else assay.acceptance.qc(),
        samples=list(result.samples) if result else [],
        raw=None if outcome.raw is None else _raw(outcome.raw),
    )


def kit_used(plan: Plan, assay: Assay) -> Kit:
    """The kit as the request told it, else as the assay file does."""
    return plan.kit or Kit(lot=assay.kit.lot or None, expires=assay.kit.expires or None)


def _software(bridge: Bridge, assay: Assay) -> Software:
    return Software(
        version=bridge.version,
        assay=AssayInfo(id=assay.id, version=assay.version, sha256=assay.sha256),
        config_sha256=bridge.config_sha256,
    )


def _plate(plan: Plan, assay: Assay, plate_map: PlateMap | None) -> PlateInfo:
    told = PlateMapInfo(id=None, version=None, source="assay")
    if plate_map is not None:
        told = PlateMapInfo(id=plate_map.id, version=plate_map.version, source=plate_map.source)
    return PlateInfo(
        barcode=plan.plate,
        barcode_source=plan.barcode_source,
        format=assay.layout.format,
        plate_map=told,
    )


def _raw(raw: bytes) -> RawInfo:
    return RawInfo(bytes=len(raw), sha256=sha256(raw).hexdigest())


def _run(run: RunRow, plan: Plan, outcome: Outcome) -> RunInfo:
    return RunInfo(
        id=run.id,
        key=run.key,
        read_type="reread" if plan.reread or plan.reread_reason is not None else "normal",
        attempt=run.attempt,
        trigger=plan.trigger,
        operator=plan.operator,
        started_at=datetime.fromisoformat(run.started_at) if run.started_at else None,
        finished_at=outcome.finished_at,
    )


def _instrument(bridge: Bridge, outcome: Outcome) -> Instrument:
    reading = outcome.delivered.reading if outcome.delivered else None
    identity = reading.identity if reading else outcome.identity
    return Instrument(
        reader=bridge.reader,
        driver=bridge.driver,
        model=identity.model if identity else None,
        serial=identity.serial if identity else None,
        firmware=identity.firmware if identity else None,
        identity_verified=identity is not None and identity.proves(bridge.expect_identity),
        warnings=list(reading.warnings) if reading else [],
        notes=list(reading.notes) if reading else [],
        counters=dict(reading.counters) if reading else {},
    )


def _read(plan: Plan, delivered: Delivered | None) -> ReadInfo:
    reference = plan.reference_nm
    return ReadInfo(
        measurement_nm=plan.measurement_nm,
        reference_nm=reference,
        requested_reference_nm=plan.requested_reference_nm,
        correction=f"a{plan.measurement_nm}-a{reference}" if reference else None,
        temperature_c=delivered.reading.temperature_c if delivered else None,
        read_at={str(nm): at for nm, at in delivered.read_at.items()} if delivered else {},
    )


def event_message(
    bridge: Bridge,
    kind: str,
    event_id: str,
    at: datetime,
    *,
    subject: str | None = None,
    run_id: str | None = None,
    code: str | None = None,
    text: str | None = None,
    details: Mapping[str, JsonValue] | None = None,
) -> Compose:
    """One event of the `event` stream."""
    data = EventData(kind=kind, run_id=run_id, code=code, text=text, details=dict(details or {}))

    def compose(place: Place) -> Stored:
        envelope = EventEnvelope(
            id=event_id,
            source=bridge.source,
            subject=subject or run_id,
            time=at,
            stream=place.stream,
            sequence=place.sequence,
            data=data,
        )
        return Stored(event_id, encode(envelope))

    return compose
