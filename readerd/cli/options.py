"""What several verbs share: options, and files that people hand us."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from readerd.errors import InputError, Mistake, ReaderdError

if TYPE_CHECKING:
    from readerd.edge.door import Door

F = TypeVar("F", bound=Callable[..., Any])

# How long an answer may take that waits for the instrument or for the whole journal.
WORK_S = 900.0

# What the states of an outbox row mean to people.
DELIVERY = {
    "stored": "waits for the broker",
    "broker_acked": "waits for a receipt",
    "refused": "refused by a consumer",
}


def reader_option(function: F) -> F:
    return click.option("--reader", metavar="NAME", help="Which daemon, where several run here.")(
        function
    )


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(function)


def why_option(function: F) -> F:
    text = "Follow one well, position or sample id from the readings to what is reported."
    return click.option("--why", "followed", multiple=True, metavar="NAME", help=text)(function)


def told_in_words(followed: Sequence[str], as_json: bool) -> None:
    """UsageError for --why together with --json."""
    if followed and as_json:
        raise click.UsageError("--why is told in words; --json has every number without it")


def settings_option(function: F) -> F:
    text = "An option of the driver, repeatable."
    return click.option("--option", "settings", multiple=True, metavar="NAME=VALUE", help=text)(
        function
    )


def named_values(settings: Sequence[str]) -> dict[str, object]:
    """NAME=VALUE each, a value as JSON or else as it stands. UsageError for anything else."""
    values: dict[str, object] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            raise click.UsageError(f"--option {setting}: write NAME=VALUE")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def door(reader: str | None) -> "Door":
    """The door of the daemon that is meant; NoDaemon when there is none."""
    from readerd.edge.door import Door, find_socket

    return Door(find_socket(reader))


def _run_ids(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    try:
        answer = door(context.params.get("reader")).get("/v1/runs?limit=50")
    except ReaderdError:
        return []  # a shell that completes has no place for a complaint
    return [row["id"] for row in answer["runs"] if row["id"].startswith(typed.upper())]


def _drivers(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    from readerd.driver import catalog

    return [name for name in catalog.installed() if name.startswith(typed)]


def installed(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """The name of an installed driver, or a usage error that lists them."""
    from readerd.driver import catalog

    if name not in catalog.installed():
        raise click.BadParameter(f"{name!r}; installed: {', '.join(catalog.installed())}")
    return name


# A run of the daemon, a driver of this installation; the shell completes both.
run_argument = click.argument("run", shell_complete=_run_ids)
driver_argument = click.argument("driver", callback=installed, shell_complete=_drivers)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with aligned columns below their headings; none where there are no rows."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def read_text(path: Path) -> str:
    """A file's text; InputError when it cannot be read."""
    from readerd.csvfile import text_from_bytes

    try:
        return text_from_bytes(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(str(path), Mistake("", f"cannot be read: {error.strerror}")) from None


def write_text(path: Path, text: str) -> None:
    """Write a file, and its folder; InputError when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except FileExistsError:
        what = f"cannot be written: {path.parent} is a file, not a folder"
        raise InputError(str(path), Mistake("", what)) from None
    except OSError as error:
        raise InputError(str(path), Mistake("", f"cannot be written: {error.strerror}")) from None


def mask(text: str) -> tuple[str, str]:
    """`C3=bubble` -> ("C3", "bubble")."""
    well, _, reason = text.partition("=")
    if not reason.strip():
        raise click.BadParameter(f"{text!r}: write WELL=REASON, such as C3=bubble")
    return well.strip(), reason.strip()
