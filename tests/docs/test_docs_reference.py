"""Nothing that can be set, called or received is missing from the reference, or wrong in it."""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints

import click
import pytest
from pydantic import BaseModel
from starlette.routing import Route

from readerd import payload
from readerd.assay import definition
from readerd.assay.acceptance import Acceptance, resolve
from readerd.assay.result import Flag
from readerd.cli import command
from readerd.config import _File
from readerd.demo.plate import il6_plate
from readerd.driver import catalog
from readerd.driver.address import PortAddress
from readerd.driver.option_text import option_texts
from readerd.driver.stream import LineSettings
from readerd.driver.virtual import LINE_FAULTS, Fault, TwinSetup
from readerd.edge import http
from readerd.edge.alarms import ALARMS
from readerd.edge.bodies import Body
from readerd.edge.panel import BUTTON_LOST, LAMP_TOPIC, SCANNER_LOST
from readerd.edge.publisher import (
    DUPLICATE_CLIENT_ID,
    PAYLOAD_TOO_LARGE,
    PUBLISH_REFUSED,
    SUBSCRIBE_REFUSED,
)
from readerd.edge.retained import FIRST
from readerd.errors import ErrorCode, InputError, InstrumentError, InstrumentFault
from readerd.house import READER_NEEDS_HUMAN
from readerd.payload import ResultData
from readerd.run.runner import failure_of
from readerd.run.upkeep import STORE_FULL
from tests.docs import docs_drivers
from tests.docs.docs_pages import ROOT, read, sections, table
from tests.docs.docs_words import default_of, written

CONFIGURATION = "docs/reference/configuration.md"
COMMAND_LINE = "docs/reference/command-line.md"
MESSAGES = "docs/reference/messages.md"
FAULTS = "docs/reference/faults.md"


def defaults(model: type[BaseModel]) -> dict[str, str]:
    return {name: default_of(field) for name, field in model.model_fields.items()}


def model_of(annotation: Any) -> type[BaseModel]:
    """The settings model of a section: itself, or the values of a table of them."""
    found = annotation if isinstance(annotation, type) else get_args(annotation)[-1]
    assert isinstance(found, type), annotation
    assert issubclass(found, BaseModel), annotation
    return found


SECTIONS = {
    f"[{name}]": model_of(field.annotation)
    for file in (_File, definition._File)
    for name, field in file.model_fields.items()
    if name != "acceptance"
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_stands_there_with_its_default(section: str) -> None:
    rows = table(sections(CONFIGURATION)[section])
    rows.pop("key")
    assert {key: cells[0] for key, cells in rows.items()} == defaults(SECTIONS[section])


def test_every_kind_of_port_stands_there_with_its_line_settings() -> None:
    text = sections(CONFIGURATION)["Ports"]
    rows = {re.split(":", row)[0] for row in table(text)} - {"port"}
    assert rows == set(get_args(get_type_hints(PortAddress)["kind"]))
    names = [field.name for field in dataclasses.fields(LineSettings)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_limit_stands_there_with_both_profiles() -> None:
    rows = table(sections(CONFIGURATION)["[acceptance]"])
    rows.pop("key")
    m10, kit = Acceptance(), resolve({"profile": "kit"})[0]
    limits = {field.name: field.name for field in dataclasses.fields(Acceptance)}
    assert {key: cells[:2] for key, cells in rows.items()} == {
        name: [written(getattr(m10, name)), written(getattr(kit, name))] for name in limits
    }


@pytest.mark.parametrize("verb", sorted(command.readerd.commands))
def test_every_verb_stands_there_with_its_options(verb: str) -> None:
    documented = sections(COMMAND_LINE)[f"readerd {verb}"]
    rows = table(documented)
    rows.pop("option", None)
    options = {
        name
        for parameter in command.readerd.commands[verb].params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts[:1], *parameter.secondary_opts)
    }
    assert {name for row in rows for name in re.findall(r"--[a-z0-9-]+", row)} == options
    for parameter in command.readerd.commands[verb].params:
        if isinstance(parameter, click.Argument):
            assert parameter.make_metavar(click.Context(command.readerd)) in documented


def test_every_exit_code_stands_there() -> None:
    rows = table(sections(COMMAND_LINE)["Exit codes"])
    codes = {value for name, value in vars(command).items() if name.startswith("EXIT_") if value}
    codes = {code for code in codes if isinstance(code, int)}
    assert set(rows) >= {str(code) for code in codes | {code for _, code in command.EXIT_CODES}}


def test_every_error_code_stands_there_and_is_given() -> None:
    rows = table(sections(COMMAND_LINE)["Error codes"])
    assert set(rows) - {"code"} == set(ErrorCode)
    given = "".join(path.read_text("utf-8") for path in (ROOT / "readerd").rglob("*.py"))
    assert [code for code in ErrorCode if f"ErrorCode.{code.name}" not in given] == []


def test_every_flag_stands_there_and_no_other() -> None:
    rows = table(sections(MESSAGES)["Flags"])
    assert set(rows) - {"flag"} == {flag.value for flag in Flag}


def trouble(kind: type[InstrumentError] = InstrumentError) -> Iterator[InstrumentError]:
    """One error of each kind that an instrument can give."""
    yield InstrumentFault("1", "no") if kind is InstrumentFault else kind("no")
    for narrower in kind.__subclasses__():
        yield from trouble(narrower)


def test_every_failure_code_stands_there() -> None:
    rows = table(sections(MESSAGES)["Failure codes"])
    made = {failure_of(error).code for error in trouble()}
    assert set(rows) - {"code"} == made | {"aborted", "interrupted", "not_started"}


def test_the_drivers_page_is_drawn_from_the_drivers() -> None:
    drawn = docs_drivers.page()
    assert read(docs_drivers.PAGE) == drawn, "run: python -m tests.docs.docs_drivers"


@pytest.mark.parametrize("name", catalog.installed())
def test_every_option_says_what_it_is_for(name: str) -> None:
    texts = option_texts(catalog.find(name).options)
    assert [option for option, text in texts.items() if not text] == []


def test_every_fault_of_the_line_stands_there() -> None:
    rows = table(sections(FAULTS)["On the line, for every twin"])
    assert {re.split(r"[@:\[]", row)[0] for row in rows} - {"kind"} == LINE_FAULTS


@pytest.mark.parametrize("name", catalog.installed())
def test_every_fault_of_a_twin_stands_there(name: str) -> None:
    faults = (Fault(kind="no-such"),)
    setup = TwinSetup(chemistry=il6_plate().chemistry, faults=faults)
    with pytest.raises(InputError) as refusal:
        catalog.find(name).twin(setup)
    known = set(str(refusal.value).partition("known are ")[2].split(", "))
    assert known > LINE_FAULTS
    text = sections(docs_drivers.PAGE)[name]
    assert [kind for kind in known - LINE_FAULTS if not re.search(rf"`{kind}\b", text)] == []


def leaves(kind: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of all fields of a message; `[]` stands for the items of a list."""
    if get_origin(kind) in (Union, types.UnionType):
        [kind] = [part for part in get_args(kind) if part is not type(None)] or [None]
    items = get_origin(kind) in (list, tuple) and get_args(kind)[-1:] == (Ellipsis,)
    inner = get_args(kind)[0] if items or get_origin(kind) is list else kind
    if not isinstance(inner, type) or not (
        dataclasses.is_dataclass(inner) or issubclass(inner, BaseModel)
    ):
        yield path
        return
    path += "[]" if inner is not kind else ""
    for name, hint in get_type_hints(inner).items():
        if name != "model_config":
            yield from leaves(hint, f"{path}.{name}" if path else name)


def test_every_field_of_a_result_stands_there_and_no_other() -> None:
    documented = {
        f"{heading}.{row}"
        for heading, text in sections(MESSAGES).items()
        if heading.partition(".")[0] == "data"
        for row in table(text)
        if row != "field"
    }
    found = set(leaves(ResultData, "data"))
    # another fit, whose fields stand there already
    again = {field for field in found if field.startswith("data.fit_before_drop.")}
    assert {field.replace("_before_drop", "") for field in again} == {
        field for field in found if field.startswith("data.fit.")
    }
    assert documented == (found - again) | {"data.fit_before_drop"}


def test_every_field_of_envelope_and_event_stands_there() -> None:
    by_heading = sections(MESSAGES)
    assert set(table(by_heading["Envelope"])) - {"field"} == set(
        payload.ResultEnvelope.model_fields
    )
    events = table(by_heading["Events"])
    assert set(payload.EventData.model_fields) <= set(events)


def test_every_topic_and_alarm_stands_there() -> None:
    codes = (
        PUBLISH_REFUSED,
        SUBSCRIBE_REFUSED,
        DUPLICATE_CLIENT_ID,
        PAYLOAD_TOO_LARGE,
        STORE_FULL,
        READER_NEEDS_HUMAN,
        SCANNER_LOST,
        BUTTON_LOST,
    )
    assert set(codes) == set(ALARMS)
    alarms = {f"alarm/{code}" for code in codes}
    directed = {"rsp/{requester}", "replay/{requester}"}
    rows = set(table(sections(MESSAGES)["Topics"])) - {"topic"}
    assert rows == {"result", "event", "progress", LAMP_TOPIC, *FIRST, *alarms, *directed}


def test_every_rule_of_the_demo_stands_there(demo_result: dict[str, Any]) -> None:
    text = sections(MESSAGES)["data.qc"]
    rules = [rule["id"] for rule in demo_result["data"]["qc"]["rules"]]
    assert [rule for rule in rules if f"`{rule}`" not in text] == []


def test_every_route_stands_there() -> None:
    nobody: dict[str, Any] = dict.fromkeys(inspect.signature(http.application).parameters)
    app = http.application(**nobody)
    routes = {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert set(table(sections(MESSAGES)["The local door"])) - {"route"} == routes
    text = sections(MESSAGES)["The local door"]
    fields = {name for body in kinds(Body) for name in body.model_fields}
    assert [name for name in fields if f"`{name}`" not in text] == []


def kinds(body: type[Body]) -> Iterator[type[Body]]:
    yield body
    for narrower in body.__subclasses__():
        yield from kinds(narrower)
