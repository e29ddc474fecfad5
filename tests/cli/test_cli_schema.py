"""`readerd schema export`: the files validate, and describe what is really sent."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner

from readerd import payload
from readerd.cli.command import readerd
from readerd.cli.schemas import DRAFT, TOPICS

# Models that never travel alone: parts of others, and news on the local door only.
NOT_ALONE = {"Message", "Envelope", "RunEnded"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("schemas") / "new"
    done = CliRunner().invoke(readerd, ["schema", "export", str(directory)])
    assert done.exit_code == 0, done.output
    return {path.name: json.loads(path.read_text("utf-8")) for path in directory.iterdir()}


def schema_of(exported: dict[str, Any], name: str) -> dict[str, Any]:
    schema: dict[str, Any] = exported[f"{name}.schema.json"]
    return schema


def test_every_schema_is_draft_2020_12_with_its_own_id(exported: dict[str, Any]) -> None:
    schemas = [document for name, document in exported.items() if name != "asyncapi.json"]
    assert len(schemas) == len(TOPICS)
    for schema in schemas:
        assert schema["$schema"] == DRAFT
        jsonschema.Draft202012Validator.check_schema(schema)
    assert len({schema["$id"] for schema in schemas}) == len(schemas)
    for name, model in (("result", payload.ResultEnvelope), ("event", payload.EventEnvelope)):
        assert schema_of(exported, name)["$id"] == model.model_fields["dataschema"].default


def test_every_field_of_a_result_is_required_and_no_other_is_allowed(
    exported: dict[str, Any],
) -> None:
    for schema in (schema_of(exported, "result"), *schema_of(exported, "result")["$defs"].values()):
        if schema["type"] == "object":
            assert sorted(schema["required"]) == sorted(schema["properties"])


@pytest.fixture(scope="module")
def document(exported: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = exported["asyncapi.json"]
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/"), reference
    node: Any = document
    for part in reference[2:].split("/"):
        node = node[part]
    return node


# AsyncAPI 3.0.0: the fixed fields of its objects, as far as we use them.
FIXED = {
    "root": {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations",
             "components"},
    "channel": {"address", "messages", "title", "summary", "description", "servers", "parameters",
                "tags", "externalDocs", "bindings"},
    "operation": {"action", "channel", "title", "summary", "description", "security", "tags",
                  "externalDocs", "bindings", "traits", "messages", "reply"},
    "message": {"headers", "payload", "correlationId", "contentType", "name", "title", "summary",
                "description", "tags", "externalDocs", "bindings", "examples", "traits"},
    "parameter": {"enum", "default", "description", "examples", "location"},
    "mqtt": {"qos", "retain", "messageExpiryInterval", "bindingVersion"},
}  # fmt: skip


def test_the_document_keeps_the_structure_of_asyncapi_3(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.0\.\d+", document["asyncapi"])
    assert {"title", "version"} <= document["info"].keys()
    assert document.keys() <= FIXED["root"]
    for channel in document["channels"].values():
        assert channel.keys() <= FIXED["channel"]
        named = re.findall(r"{(\w+)}", channel["address"])
        assert list(channel["parameters"]) == named
        assert all(one.keys() <= FIXED["parameter"] for one in channel["parameters"].values())
    for operation in document["operations"].values():
        assert operation.keys() <= FIXED["operation"]
        assert operation["action"] in ("send", "receive")
        assert operation["bindings"]["mqtt"].keys() <= FIXED["mqtt"]
        channel = resolve(document, operation["channel"]["$ref"])
        of_channel = {one["$ref"] for one in channel["messages"].values()}
        told = [resolve(document, one["$ref"])["$ref"] for one in operation["messages"]]
        assert set(told) <= of_channel
    for message in document["components"]["messages"].values():
        assert message.keys() <= FIXED["message"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert len(found) > len(TOPICS)
    for reference in found:
        assert isinstance(resolve(document, reference), dict)


def test_its_schemas_say_the_same_as_the_files(
    document: dict[str, Any], exported: dict[str, Any]
) -> None:
    def retold(schema: Any) -> Any:
        return json.loads(json.dumps(schema).replace("#/$defs/", "#/components/schemas/"))

    for topic in TOPICS:
        file = retold(schema_of(exported, topic.name))
        for name, schema in file.pop("$defs", {}).items():
            assert document["components"]["schemas"][name] == schema
        del file["$schema"], file["$id"]
        assert document["components"]["schemas"][topic.model.__name__] == file


def test_a_command_says_what_its_verb_takes(exported: dict[str, Any]) -> None:
    read = jsonschema.Draft202012Validator(schema_of(exported, "cmd-replay"))
    command = {"request_id": "1", "requester": "lims", "issued_at": "…", "expires_at": "…"}
    assert read.is_valid({**command, "args": {"stream": "S", "from": 1, "to": 2}})
    for args in ({"stream": "S", "first": 1, "last": 2}, {"stream": "S", "from": 0, "to": 2}, {}):
        assert not read.is_valid({**command, "args": args})
    assert not read.is_valid(command)
    assert jsonschema.Draft202012Validator(schema_of(exported, "cmd-ping")).is_valid(command)


def test_every_message_that_travels_has_a_topic() -> None:
    models = {topic.model.__name__ for topic in TOPICS}
    alone = {name for name in vars(payload) if re.search("(Envelope|Message)$", name)} - NOT_ALONE
    assert alone <= models
