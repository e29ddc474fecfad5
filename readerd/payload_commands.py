"""What comes in by MQTT and what is answered: commands, receipts, answers.

Commands are dangerous things: the models are closed, so a misspelt argument is refused and not
ignored. `ARGS` is the list of verbs; docs/reference/commands.md says what each does.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints

from readerd.errors import ErrorCode
from readerd.payload import BenchState, Message

# Segments of the contract's topics: no dots, because RabbitMQ and NATS translate those.
Requester = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
RequestId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Expect(Message):
    """Compare and set: the state that the requester believes in; what is left out is not asked."""

    state: tuple[BenchState, ...] | None = None
    rev: int | None = None


class Command(Message):
    """The envelope on `cmd/{verb}`."""

    request_id: RequestId
    requester: Requester
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    args: dict[str, JsonValue] = Field(default_factory=dict)
    expect: Expect | None = None


class NoArgs(Message):
    """`ping`, `info`, `disarm`."""


class ReadArgs(Message):
    plate_barcode: Text
    assay: Text | None = None
    operator: Text | None = None
    reread_reason: Text | None = None
    kit_lot: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    kit_expires: Text | None = None  # 2027-01-31, or 2027-01


class ArmArgs(Message):
    plate_barcode: Text
    assay: Text | None = None


class MappedSample(Message):
    position: Text  # `U1`, or a well, meaning its position
    sample_id: Text
    dilution: float | None = Field(default=None, gt=0)  # None = the assay's


class PlateMapArgs(Message):
    container_id: Text  # the plate's barcode
    layout: int | None = None  # number of wells; compared with the assay's
    assay: Text | None = None
    samples: tuple[MappedSample, ...] = Field(max_length=384)


class ReplayArgs(Message):
    stream: Text  # ULID of the stream, or its name
    first: int = Field(alias="from", ge=1)
    last: int = Field(alias="to", ge=1)
    most: int | None = Field(default=None, alias="max", ge=1)


class ResendArgs(Message):
    run_id: Text


class GetArgs(Message):
    run_id: Text
    what: Literal["run", "result", "evidence"] = "result"


class AbortArgs(Message):
    run_id: Text


ARGS: Final[dict[str, type[Message]]] = {
    "ping": NoArgs,
    "info": NoArgs,
    "arm": ArmArgs,
    "disarm": NoArgs,
    "platemap": PlateMapArgs,
    "read": ReadArgs,
    "abort": AbortArgs,
    "replay": ReplayArgs,
    "resend": ResendArgs,
    "get": GetArgs,
}


class Answer(Message):
    """On `rsp/{requester}`, twice: accepted or rejected at once, then completed or failed."""

    request_id: str | None  # null: none could be read
    verb: str
    status: Literal["accepted", "rejected", "completed", "failed"]
    at: datetime
    duplicate: bool = False
    error: ErrorCode | None = None
    text: str | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)


class Receipt(Message):
    """On `receipt/{consumer}`: what became of a result at the LIMS."""

    event_id: RequestId
    outcome: Literal["stored", "duplicate", "refused"]
    ref: Annotated[str, StringConstraints(max_length=200)] | None = None
    at: AwareDatetime | None = None
