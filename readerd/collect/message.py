"""What one message from a broker means to a LIMS. Pure; whatever comes, an answer or Garbage.

Only the envelope is needed to keep a message, so only the envelope must be right: a reader that is
newer than this program may say more in `data` than the models here know.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

ROOT: Final = "readerd/v1"
# The contract, section 4: segments of a topic.
_TOPIC: Final = re.compile(r"readerd/v1/([a-z0-9-]{1,32})/([a-z0-9-]{1,32})/(.+)")

# It becomes a file name: letters and digits only. ULIDs, as the contract has them.
Ulid = Annotated[str, Field(pattern=r"^[0-9A-Z]{26}$")]
Kind = Literal["result", "event"]


class Garbage(ValueError):
    """What came is not what the contract says; the text is one line."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Envelope(_Lenient):
    id: Ulid
    source: str
    type: Literal["org.readerd.result.v1", "org.readerd.event.v1"]
    stream: Ulid
    sequence: int = Field(ge=1, lt=2**53)


class Info(_Lenient):
    """The part of `info` that a LIMS needs: which streams there are now."""

    streams: dict[Kind, Ulid]


class Health(_Lenient):
    """The part of `health` that a LIMS needs: how far each stream goes."""

    last_sequence: dict[Kind, Annotated[int, Field(ge=0, lt=2**53)]]


class Status(_Lenient):
    status: Literal["online", "offline"]


class Replayed(_Lenient):
    forgotten: int = 0


class Answer(_Lenient):
    """The part of an answer to `cmd/replay` that is worth a line."""

    status: str
    error: str | None = None
    text: str | None = None
    data: Replayed = Replayed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A message to keep: where it belongs, and its bytes."""

    reader: str  # site/reader, as in the topic
    kind: Kind
    id: str
    stream: str
    sequence: int
    payload: bytes

    @property
    def name(self) -> str:
        return f"{self.reader} {self.kind} {self.sequence}"


Said = Item | Info | Health | Status | Answer


def understand(topic: str, payload: bytes) -> tuple[str, Said] | None:
    """Who speaks (site/reader) and what it is; None for a topic that we do not know, or Garbage."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        return None
    reader, rest = f"{match[1]}/{match[2]}", match[3].partition("/")[0]
    try:
        if rest in ("result", "event", "replay"):
            said: Said = _item(reader, rest, payload)
        elif rest in _BODIES:
            said = _BODIES[rest].model_validate_json(payload)
        else:
            return None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Garbage(f"{topic}: {where}: {first['msg']}".replace(": :", ":")) from None
    return reader, said


_BODIES: Final[dict[str, type[Info | Health | Status | Answer]]] = {
    "info": Info,
    "health": Health,
    "status": Status,
    "rsp": Answer,
}


def _item(reader: str, rest: str, payload: bytes) -> Item:
    envelope = _Envelope.model_validate_json(payload)
    kind: Kind = "result" if envelope.type == "org.readerd.result.v1" else "event"
    if rest not in (kind, "replay"):
        raise Garbage(f"{reader}/{rest}: carries a message of type {envelope.type}")
    if envelope.source != f"urn:readerd:{reader.replace('/', ':')}":
        raise Garbage(f"{reader}/{rest}: says that it comes from {envelope.source!r:.80}")
    return Item(
        reader=reader,
        kind=kind,
        id=envelope.id,
        stream=envelope.stream,
        sequence=envelope.sequence,
        payload=payload,
    )
