"""The golden set: messages from fixed inputs, whose bytes the files beside this one pin.

`python -m tests.golden.golden_set` rewrites the files; look at the difference before you commit it,
a LIMS will see it too.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from readerd import payload
from readerd.assay.definition import Assay, load_assay
from readerd.assay.kit import judge_kit
from readerd.assay.layout import Binding, PlateMap
from readerd.assay.quantify import quantify
from readerd.assay.result import PlateResult
from readerd.demo.plate import il6_plate
from readerd.payload import Failure, Kit, Operator, Trigger, encode
from readerd.payload_commands import ARGS, Answer, Command, Receipt
from readerd.plate import Identity, OpticalDensity, Reading, Unread
from readerd.run.report import (
    Basis,
    Bridge,
    Delivered,
    Outcome,
    Plan,
    event_message,
    result_message,
)
from readerd.run.rows import Place, RunRow

FOLDER = Path(__file__).parent
STREAM = "01HZZ0K3Q8J5M7N2P4R6S8T0V1"
RUN = "01JNF6Z7Q4T3W6B2H9M5K8P0RA"
AT = datetime(2026, 3, 4, 9, 15, 42, 401000, tzinfo=UTC)
PLATE = il6_plate()
ASSAY = load_assay(PLATE.assay_text, "il6-elisa.toml")
SHA = "9f" * 32
BRIDGE = Bridge(site="lab1", reader="bench2", driver="biorad680", version="1", config_sha256=SHA)
IDENTITY = Identity(model="Model 680", wavelengths_nm=(405, 450, 490, 570, 595, 630, 655))
KINDS = (
    "started", "completed", "failed", "interrupted", "refused", "revised", "recovered", "armed",
    "disarmed", "plate_map", "clock", "config", "resent", "carrier",
)  # fmt: skip


def reading(wells: dict[str, OpticalDensity] | None = None, flat: bool = False) -> Reading:
    """The founding plate with some wells replaced at 450 nm, or without any colour."""
    plates = {nm: [_said(value) for value in PLATE.chemistry.plate(nm)] for nm in (450, 570)}
    if flat:
        plates[450] = [0.05 + 0.001 * (number % 3) for number in range(96)]
    for well, value in (wells or {}).items():
        plates[450]["ABCDEFGH".index(well[0]) * 12 + int(well[1:]) - 1] = value
    return Reading(
        identity=IDENTITY,
        format=96,
        plates={nm: tuple(values) for nm, values in plates.items()},
        notes=("checksum rule: sum of all bytes",),
        counters={"plates": 1204},
    )


def _said(value: OpticalDensity) -> OpticalDensity:
    """As instruments say it: three digits."""
    return value if isinstance(value, Unread) else round(value, 3)


def result(
    read: Reading | None,
    *,
    sequence: int = 1,
    failure: Failure | None = None,
    reread: str | None = None,
    basis: Basis | None = None,
    kit: Kit | None = None,
    assay: Assay = ASSAY,
) -> bytes:
    basis = basis or Basis()
    plan = Plan(
        key="press-1",
        assay="il6-elisa",
        plate="PLT0001234",
        barcode_source="scanner",
        trigger=Trigger(kind="button", source="gpio"),
        operator=Operator(id="op-17", known_by="badge"),
        reread=reread is not None,
        reread_reason=reread,
        kit=kit,
        measurement_nm=450,
        reference_nm=570,
        requested_reference_nm=570,
    )
    outcome = Outcome(
        finished_at=AT,
        delivered=_delivered(read),
        result=_quantified(assay, read, basis, kit),
        failure=failure,
        identity=IDENTITY,
        raw=b"raw bytes" if read else None,
        basis=basis,
    )
    compose = result_message(BRIDGE, _run(), plan, assay, outcome, "01JNF6ZX9M2E7A4R8T1Y5W3Q6P")
    return compose(Place(STREAM, sequence)).payload


def _delivered(read: Reading | None) -> Delivered | None:
    if read is None:
        return None
    return Delivered(reading=read, read_at={450: AT - timedelta(seconds=4), 570: AT})


def _quantified(
    assay: Assay, read: Reading | None, basis: Basis, kit: Kit | None
) -> PlateResult | None:
    if read is None:
        return None
    quantified = quantify(
        assay,
        read,
        reference_nm=570,
        photometric_range=(-3.5, 3.5),
        plate_map=basis.plate_map,
        masks=basis.masks,
    )
    return judge_kit(quantified, kit.expires if kit else None, AT.date())


def _run() -> RunRow:
    return RunRow(
        id=RUN,
        key="press-1",
        state="read",
        plate="PLT0001234",
        request={},
        assay_text=PLATE.assay_text,
        attempt=1,
        accepted_at=AT.isoformat(),
        started_at=(AT - timedelta(seconds=20)).isoformat(),
        finished_at=None,
        failure=None,
    )


def results() -> Iterator[tuple[str, bytes]]:
    yield "result-pass", result(reading())
    yield "result-rejected-curve", result(reading(flat=True))
    dropping = ASSAY.text.replace("drop_failing_levels = false", "drop_failing_levels = true")
    lenient = load_assay(dropping, "il6-elisa.toml")
    off = reading({"D1": 0.5, "D2": 0.51})
    yield "result-dropped-level", result(off, assay=lenient)
    yield "result-out-of-range", result(reading({"C3": 3.4, "C4": 3.4, "D3": 0.02, "D4": 0.021}))
    gone: dict[str, OpticalDensity] = {"E3": Unread.NOT_MEASURED, "E4": Unread.SATURATED}
    gone["F3"] = Unread.UNREADABLE
    yield "result-incomplete-plate", result(reading(gone))
    late = PlateMap(samples={"U1": Binding("S26-0001", 2.0)}, id="map-7", version="3")
    basis = Basis(plate_map=late, reason="late plate map", revision=2)
    yield "result-late-map", result(reading(), sequence=2, basis=basis)
    masked = Basis(masks={"C3": "bubble"}, reason="bubble seen", revision=3)
    yield "result-masked-well", result(reading(), sequence=3, basis=masked)
    yield "result-reread", result(reading(), reread="lid was on")
    recovered = Basis(reason="cable was out", revision=2, recovered=True)
    yield "result-recovered", result(reading(), basis=recovered)
    expired = Kit(lot="P123456", expires="2026-01-31")
    yield "result-expired-kit", result(reading(), kit=expired)
    failure = Failure(code="link_lost", phase="read", text="read: the port is gone")
    yield "result-failed", result(None, failure=failure)


def events() -> Iterator[tuple[str, bytes]]:
    for sequence, kind in enumerate(KINDS, start=1):
        compose = event_message(
            BRIDGE,
            kind,
            "01JNF6ZX9M2E7A4R8T1Y5W3Q6Q",
            AT,
            subject="PLT0001234",
            run_id=None if kind in ("refused", "clock", "config", "carrier") else RUN,
            code="busy" if kind == "refused" else None,
            text="run is under way" if kind == "refused" else None,
            details={"verdict": "pass"} if kind == "completed" else None,
        )
        yield f"event-{kind}", compose(Place(STREAM, sequence)).payload


def retained() -> Iterator[tuple[str, BaseModel]]:
    yield "status", payload.StatusMessage(status="online", session=12, since=AT)
    yield "status-will", payload.StatusMessage(status="offline", session=12, since=None)
    yield (
        "info",
        payload.InfoMessage(
            software="readerd",
            version="1",
            site="lab1",
            reader="bench2",
            driver="biorad680",
            instrument={"model": "Model 680", "serial": None},
            assays=["il6-elisa"],
            formats=[96],
            photometric_range=(-3.5, 3.5),
            proven=[],
            streams={"result": STREAM, "event": "01HZZ0K3Q8J5M7N2P4R6S8T0V2"},
        ),
    )
    for state in ("ready", "armed", "reading"):
        body = {"state": state, "rev": 412, "run_id": None, "since": AT, "reason": None}
        yield f"state-{state}", payload.StateMessage.model_validate(body)
    health = {"ok": True, "checks": {"reader": "ready"}, "outbox": {"stored": 0}, "at": AT}
    health["last_sequence"] = {"result": 1234, "event": 2481}
    yield "health", payload.HealthMessage.model_validate(health)
    last = {"id": STREAM, "sequence": 1234, "run_id": RUN, "plate_barcode": None}
    last |= {"verdict": "none", "acquisition": "failed"}
    yield "last", payload.LastMessage.model_validate(last)
    alarm = {"code": "publish-refused", "text": "the broker refuses result (0x87)", "since": AT}
    yield "alarm", payload.AlarmMessage.model_validate(alarm)
    lamp = {"light": "red", "state": "refused", "plate_barcode": "PLT1", "code": "already_read"}
    yield "lamp", payload.LampMessage.model_validate(lamp | {"text": "it has been read"})
    progress = {"run_id": RUN, "wells_read": {"450": 12}, "wells_total": 192, "fit": None}
    yield "progress", payload.ProgressMessage.model_validate(progress)


EXAMPLES: dict[str, dict[str, Any]] = {
    "ping": {},
    "info": {},
    "disarm": {},
    "arm": {"plate_barcode": "PLT0001234"},
    "read": {
        "plate_barcode": "PLT0001234",
        "assay": "il6-elisa",
        "operator": "op-17",
        "kit_lot": "P123456",
        "kit_expires": "2027-01-31",
    },
    "platemap": {
        "container_id": "PLT0001234",
        "samples": [{"position": "U1", "sample_id": "S26-0001", "dilution": 2.0}],
    },
    "abort": {"run_id": RUN},
    "replay": {"stream": STREAM, "from": 3, "to": 7, "max": 100},
    "resend": {"run_id": RUN},
    "get": {"run_id": RUN, "what": "result"},
}


def spoken() -> Iterator[tuple[str, BaseModel]]:
    """What goes to and fro: every command, every kind of answer, a receipt."""
    for verb, args in EXAMPLES.items():
        ARGS[verb].model_validate(args)
        yield f"cmd-{verb}", _command(args)
    for status in ("accepted", "rejected", "completed", "failed"):
        body = {"request_id": "01J0", "verb": "read", "status": status, "at": AT}
        more: dict[str, dict[str, Any]] = {
            "rejected": {"error": "busy", "text": "a run is under way"}
        }
        failed = {"error": "reader_fault", "text": "lamp", "data": {"run_id": RUN}}
        more["failed"] = failed
        yield f"rsp-{status}", Answer.model_validate(body | more.get(status, {}))
    for outcome in ("stored", "duplicate", "refused"):
        body = {"event_id": STREAM, "outcome": outcome, "ref": "row 7", "at": AT}
        yield f"receipt-{outcome}", Receipt.model_validate(body)


def _command(args: dict[str, Any]) -> Command:
    body = {"request_id": "01J0", "requester": "lims", "issued_at": AT, "args": args}
    expect = {"state": ["ready", "armed"], "rev": 412} if "plate_barcode" in args else None
    later = AT + timedelta(seconds=20)
    return Command.model_validate({**body, "expires_at": later, "expect": expect})


def golden_set() -> dict[str, bytes]:
    """Name -> bytes."""
    models = {name: encode(model) for group in (retained(), spoken()) for name, model in group}
    return dict(results()) | dict(events()) | models


if __name__ == "__main__":
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name, data in golden_set().items():
        (FOLDER / f"{name}.json").write_bytes(data)
