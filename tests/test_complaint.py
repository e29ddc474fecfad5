"""Every complaint of a model says what would be right, in words."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from readerd.assay import definition
from readerd.complaint import PATTERNS, in_words
from readerd.config import _File
from readerd.edge.bodies import ReviseBody
from readerd.payload_commands import ARGS, Command, PlateMapArgs, ReadArgs, Receipt

MODELS: tuple[type[BaseModel], ...] = (_File, definition._File, Command, Receipt, *ARGS.values())
SAMPLE = {"position": "U1", "sample_id": "1"}
NOON = "2026-03-04T12:00:00+01:00"
COMMAND = {"request_id": "R1", "requester": "lims", "issued_at": NOON, "expires_at": NOON}


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(found := schema.get("pattern"), str):
            yield found
        for part in schema.values():
            yield from patterns(part)
    if isinstance(schema, list):
        for part in schema:
            yield from patterns(part)


def test_every_pattern_of_the_models_has_words_and_no_other() -> None:
    found = {one for model in MODELS for one in patterns(model.model_json_schema())}
    assert found == set(PATTERNS)


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (Command, {**COMMAND, "requester": "LIMS 1"}, "must be 1 to 32 of a-z, 0-9 and -"),
        (Command, {**COMMAND, "request_id": ""}, "must be 1 to 64 printable characters"),
        (Command, {**COMMAND, "issued_at": "yesterday"}, "must be a time with its offset"),
        (Command, {**COMMAND, "issued_at": "2026-03-04T09:15:00"}, "must be a time with its"),
        (Command, {**COMMAND, "args": []}, "must be a table of names and values"),
        (Command, {**COMMAND, "expect": {"rev": "x"}}, "must be a whole number"),
        (ReadArgs, {"plate_barcode": 7}, "must be text"),
        (ReadArgs, {"plate_barcode": ""}, "must have at least 1 character(s)"),
        (ReadArgs, {"plate_barcode": "P" * 201}, "must have at most 200 characters"),
        (ReadArgs, {"plate_barcode": "P", "loud": 1}, "unknown key"),
        (ReadArgs, {}, "is missing"),
        (PlateMapArgs, {"container_id": "P", "samples": 3}, "must be a list"),
        (PlateMapArgs, {"container_id": "P", "samples": [SAMPLE] * 385}, "at most 384 entries"),
        (ReviseBody, {"reason": "x", "samples": [{**SAMPLE, "dilution": 0}]}, "more than 0"),
        (ReviseBody, {"reason": "x", "samples": [{**SAMPLE, "dilution": "x"}]}, "be a number"),
        (Receipt, {"event_id": "1", "outcome": "lost"}, "must be 'stored', 'duplicate' or"),
    ],
)
def test_what_would_be_right_is_said(
    model: type[BaseModel], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as wrong:
        model.model_validate(given)
    said = in_words(wrong.value.errors()[0])
    assert words in said
    assert not re.search(r"should|valid|match pattern", said)


def test_what_is_no_json_is_said_with_its_place() -> None:
    with pytest.raises(ValidationError) as wrong:
        Command.model_validate_json(b"{")
    assert in_words(wrong.value.errors()[0]).startswith("is no JSON: EOF while parsing")
