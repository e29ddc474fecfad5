"""The bytes of the messages are pinned: nobody changes them without seeing it here.

What is measured, said and encoded is compared byte for byte. Numbers that a fit has computed are
compared to nine digits when they are computed again, because their last ones depend on the
processor's instructions; the pinned ones must come back from the models byte for byte too.
"""

import json
import math
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel

from readerd import payload
from readerd.cli.schemas import TOPICS, json_schema
from readerd.payload import encode
from readerd.payload_commands import ARGS, Answer, Command, Receipt
from tests.golden.golden_set import FOLDER, KINDS, golden_set

FILES = sorted(FOLDER.glob("*.json"))
MODELS: dict[str, type[BaseModel]] = {
    "result": payload.ResultEnvelope,
    "event": payload.EventEnvelope,
    "status": payload.StatusMessage,
    "info": payload.InfoMessage,
    "state": payload.StateMessage,
    "health": payload.HealthMessage,
    "last": payload.LastMessage,
    "alarm": payload.AlarmMessage,
    "lamp": payload.LampMessage,
    "progress": payload.ProgressMessage,
    "cmd": Command,
    "rsp": Answer,
    "receipt": Receipt,
}
REMADE = golden_set()


def kind(name: str) -> str:
    return name.partition("-")[0]


def test_the_set_is_whole() -> None:
    names = {file.stem for file in FILES}
    assert names == set(REMADE), "run: python -m tests.golden.golden_set"
    assert {f"event-{kind}" for kind in KINDS} | {f"cmd-{verb}" for verb in ARGS} <= names
    assert {kind(name) for name in names} == set(MODELS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_pinned_bytes_come_back_from_their_model(file: Any) -> None:
    pinned = file.read_bytes()
    assert encode(MODELS[kind(file.stem)].model_validate_json(pinned)) == pinned


@pytest.mark.parametrize("name", sorted(REMADE))
def test_the_same_input_makes_the_same_message(name: str) -> None:
    pinned = (FOLDER / f"{name}.json").read_bytes()
    if kind(name) == "result" and name != "result-failed":
        assert differences(json.loads(pinned), json.loads(REMADE[name])) == []
    else:
        assert REMADE[name] == pinned


def differences(pinned: Any, remade: Any, path: str = "") -> list[str]:
    """Paths at which two messages differ; floats may differ after the ninth digit."""
    if isinstance(pinned, dict) and isinstance(remade, dict):
        if list(pinned) != list(remade):
            return [f"{path}: keys"]
        pairs = [(f"{path}.{key}", pinned[key], remade[key]) for key in pinned]
    elif isinstance(pinned, list) and isinstance(remade, list) and len(pinned) == len(remade):
        both = zip(pinned, remade, strict=True)
        pairs = [(f"{path}[{number}]", *pair) for number, pair in enumerate(both)]
    elif isinstance(pinned, float) and isinstance(remade, float) and exact(path) is False:
        same = math.isclose(pinned, remade, rel_tol=1e-9, abs_tol=1e-12)
        return [] if same else [f"{path}: {pinned!r} {remade!r}"]
    else:
        same = type(pinned) is type(remade) and pinned == remade
        return [] if same else [f"{path}: {pinned!r} {remade!r}"]
    return [found for name, one, other in pairs for found in differences(one, other, name)]


def exact(path: str) -> bool:
    """What was measured, and plain differences of it."""
    return path.startswith((".data.wells.a_", ".data.wells.corrected"))


def test_the_comparison_sees_what_differs() -> None:
    one = {"data": {"wells": {"a_reference": [0.04]}, "fit": {"a": 1.0}, "n": 1, "x": None}}
    for other in (
        {"data": {**one["data"], "wells": {"a_reference": [0.040000000000000001 + 1e-16]}}},
        {"data": {**one["data"], "fit": {"a": 1.0 + 1e-8}}},
        {"data": {**one["data"], "n": 1.0}},
        {"data": {**one["data"], "x": 0}},
        {"data": dict(reversed(one["data"].items()))},
    ):
        assert differences(one, other), other
    assert differences(one, {"data": {**one["data"], "fit": {"a": 1.0 + 1e-12}}}) == []


def of_topic(topic: Any) -> list[Any]:
    """The pinned messages that travel on a topic."""
    if topic.name == "replay":
        return [file for file in FILES if kind(file.stem) in ("result", "event")]
    if topic.name.startswith("cmd-"):
        return [FOLDER / f"{topic.name}.json"]
    return [file for file in FILES if MODELS[kind(file.stem)] is topic.model]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_schema_that_is_published_takes_them(topic: Any) -> None:
    mine = of_topic(topic)
    assert mine
    validator = jsonschema.Draft202012Validator(json_schema(topic))
    for file in mine:
        message = json.loads(file.read_bytes())
        validator.validate(message)
        assert not validator.is_valid({**message, "more": 1})
        if topic.action == "send":  # every field is required: one less is seen
            message.popitem()
            assert not validator.is_valid(message)
