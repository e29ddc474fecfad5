"""The messages as JSON Schemas (draft 2020-12), and all topics as one AsyncAPI 3 document.

Both are drawn from the models of `readerd.payload` and the table below; nothing is written by hand
that the models know. Optional in Python is not optional on the wire: whatever a model serialises is
always there, `null` where it is not known, so every field of what the daemon sends is required.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, RootModel, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from readerd import __version__, payload
from readerd.payload_commands import ARGS, Answer, Command, Receipt

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
ROOT: Final = "readerd/v1/{site}/{reader}"
SEGMENT: Final = "1 to 32 of a-z, 0-9 and -"
PARAMETERS: Final = {
    "site": f"The laboratory: {SEGMENT}.",
    "reader": f"The reader: {SEGMENT}.",
    "code": "What is wrong, such as publish-refused.",
    "requester": f"Who asked, as its command said: {SEGMENT}.",
    "consumer": f"Who stores results, as in required_receipts: {SEGMENT}.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One kind of message: its place below the root, and how it travels."""

    name: str
    model: type[BaseModel]
    address: str
    summary: str
    action: Literal["send", "receive"] = "send"  # as the daemon sees it
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    content_type: str = "application/json"


class Replay(RootModel[payload.ResultEnvelope | payload.EventEnvelope]):
    """A copy of a result or an event, the same bytes."""


def _command(verb: str) -> Topic:
    """The envelope with this verb's arguments."""
    name = f"{verb.capitalize()}Command"
    needed = any(field.is_required() for field in ARGS[verb].model_fields.values())
    args: Any = (ARGS[verb], ...) if needed else (ARGS[verb], ARGS[verb]())
    return Topic(
        name=f"cmd-{verb}",
        model=create_model(name, __base__=Command, __doc__=f"`{verb}`, asked for.", args=args),
        address=f"cmd/{verb}",
        summary=f"Ask for {verb}. Never retained; at most 30 s old.",
        action="receive",
    )


_CLOUD: Final = "application/cloudevents+json"
TOPICS: Final = (
    Topic(
        name="result",
        model=payload.ResultEnvelope,
        address="result",
        summary="One message per ended run, failed ones included, and per revision.",
        content_type=_CLOUD,
    ),
    Topic(
        name="event",
        model=payload.EventEnvelope,
        address="event",
        summary="What happened to runs, and refusals.",
        content_type=_CLOUD,
    ),
    Topic(
        name="progress",
        model=payload.ProgressMessage,
        address="progress",
        summary="Wells so far and the provisional curve.",
        qos=0,
        expiry_s=60,
    ),
    Topic(
        name="status",
        model=payload.StatusMessage,
        address="status",
        summary="Whether the daemon is connected; also the will.",
        retain=True,
    ),
    Topic(
        name="info",
        model=payload.InfoMessage,
        address="info",
        summary="Who is here: versions, instrument, assays, streams.",
        retain=True,
    ),
    Topic(
        name="state",
        model=payload.StateMessage,
        address="state",
        summary="What the bench is doing.",
        retain=True,
    ),
    Topic(
        name="health",
        model=payload.HealthMessage,
        address="health",
        summary="Checks, outbox, and the last sequence of each stream.",
        retain=True,
    ),
    Topic(
        name="last",
        model=payload.LastMessage,
        address="last",
        summary="Pointer to the newest result.",
        retain=True,
    ),
    Topic(
        name="lamp",
        model=payload.LampMessage,
        address="lamp",
        summary="What the lamp at the bench shows, and why.",
        retain=True,
    ),
    Topic(
        name="alarm",
        model=payload.AlarmMessage,
        address="alarm/{code}",
        summary="A standing condition; the topic is emptied when it is over.",
        retain=True,
    ),
    Topic(
        name="replay",
        model=Replay,
        address="replay/{requester}",
        summary="Copies that somebody asked for.",
        expiry_s=3600,
        content_type=_CLOUD,
    ),
    Topic(
        name="answer",
        model=Answer,
        address="rsp/{requester}",
        summary="Two answers to each command.",
        expiry_s=300,
    ),
    *(_command(verb) for verb in ARGS),
    Topic(
        name="receipt",
        model=Receipt,
        address="receipt/{consumer}",
        summary="What became of a result at a consumer.",
        action="receive",
    ),
)


class _OnTheWire(GenerateJsonSchema):
    """What is serialised is always there."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization":
            return True
        return super().field_is_required(field, total)


def mode(topic: Topic) -> JsonSchemaMode:
    return "serialization" if topic.action == "send" else "validation"


def json_schema(topic: Topic) -> dict[str, Any]:
    """One message's schema, complete in itself."""
    schema = topic.model.model_json_schema(mode=mode(topic), schema_generator=_OnTheWire)
    return {"$schema": DRAFT, "$id": f"urn:readerd:schema:{topic.name}:1.0", **_plain(schema)}


def json_schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema."""
    return {f"{topic.name}.schema.json": json_schema(topic) for topic in TOPICS}


def _plain(schema: Any) -> Any:
    """Pairs as arrays of two: older tools, and AsyncAPI's own dialect, do not know prefixItems."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items()}
    kinds = plain.pop("prefixItems", None)
    if kinds is not None:
        unique = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]]
        plain["items"] = unique[0] if len(unique) == 1 else {"anyOf": unique}
    return plain


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: the daemon is the application, `send` is what it publishes."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "readerd",
            "version": __version__,
            "description": (
                "One microplate reader on MQTT. `result` and `event` are streams: deduplicate on"
                " `id`, find gaps by `stream` and `sequence`."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {topic.name: _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {topic.name: _message(topic) for topic in TOPICS},
            "schemas": dict(sorted(_components())),
        },
    }


def _channel(topic: Topic) -> dict[str, Any]:
    address = f"{ROOT}/{topic.address}"
    names = re.findall(r"{(\w+)}", address)
    return {
        "address": address,
        "description": topic.summary,
        "parameters": {name: {"description": PARAMETERS[name]} for name in names},
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
    }


def _operation(topic: Topic) -> dict[str, Any]:
    # AsyncAPI's MQTT bindings, 0.2.0.
    bindings = {"qos": topic.qos, "retain": topic.retain, "bindingVersion": "0.2.0"}
    if topic.expiry_s is not None:
        bindings["messageExpiryInterval"] = topic.expiry_s
    return {
        "action": topic.action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": topic.summary,
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.name}"}],
        "bindings": {"mqtt": bindings},
    }


def _message(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "contentType": topic.content_type,
        "payload": {"$ref": f"#/components/schemas/{topic.model.__name__}"},
    }


def _components() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema once, by the name of its model."""
    for topic in TOPICS:
        schema = topic.model.model_json_schema(
            mode=mode(topic),
            schema_generator=_OnTheWire,
            ref_template="#/components/schemas/{model}",
        )
        yield from _plain(schema.pop("$defs", {})).items()
        yield topic.model.__name__, _plain(schema)
