"""What several verbs share: options, and files that people hand us."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from readerd.errors import InputError, Mistake

if TYPE_CHECKING:
    from readerd.edge.door import Door

F = TypeVar("F", bound=Callable[..., Any])


def reader_option(function: F) -> F:
    return click.option("--reader", metavar="NAME", help="Which daemon, where several run here.")(
        function
    )


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(function)


def door(reader: str | None) -> "Door":
    """The door of the daemon that is meant; NoDaemon when there is none."""
    from readerd.edge.door import Door, find_socket

    return Door(find_socket(reader))


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
    except OSError as error:
        raise InputError(str(path), Mistake("", f"cannot be written: {error.strerror}")) from None


def mask(text: str) -> tuple[str, str]:
    """`C3=bubble` -> ("C3", "bubble")."""
    well, _, reason = text.partition("=")
    if not reason.strip():
        raise click.BadParameter(f"{text!r}: write WELL=REASON, such as C3=bubble")
    return well.strip(), reason.strip()
