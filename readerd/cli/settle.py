"""Verbs about delivery and the journal: outbox, resend, audit, backup."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from readerd.cli.options import (
    DELIVERY,
    WORK_S,
    door,
    json_option,
    reader_option,
    run_argument,
    table,
)

FILE = click.Path(path_type=Path)
_journal = click.option("--journal", type=FILE, help="Without a daemon: this journal, read-only.")


@click.command()
@reader_option
@json_option
def outbox(reader: str | None, as_json: bool) -> None:
    """What has not reached the LIMS, oldest first."""
    answer = door(reader).get("/v1/outbox")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows = [
        (f"{row['stream']} {row['sequence']}", row["stored_at"][:19].replace("T", " "),
         row["run_id"] or "-", DELIVERY[row["state"]])
        for row in answer["messages"]
    ]  # fmt: skip
    for line in table(("message", "stored", "run", "delivery"), rows):
        click.echo(line)
    if not rows:
        click.echo("everything has arrived")


@click.command()
@run_argument
@reader_option
@json_option
def resend(run: str, reader: str | None, as_json: bool) -> None:
    """Send the newest result of a run again. The same bytes, the same sequence number."""
    answer = door(reader).post(f"/v1/runs/{run}/resend", {})
    text = f"result {answer['sequence']} of run {run} goes out again"
    click.echo(json.dumps(answer) if as_json else text)


@click.group()
def audit() -> None:
    """The hash chain over everything that was ever published."""


@audit.command()
@_journal
@reader_option
@json_option
def verify(journal: Path | None, reader: str | None, as_json: bool) -> None:
    """Walk the whole chain; exit code 1 when a line or a message does not hold."""
    found = _verified(journal, reader)
    if as_json:
        click.echo(json.dumps(found))
    elif found["broken"]:
        click.echo(f"BROKEN at {found['broken']}")
    else:
        click.echo(f"whole: {found['lines']} lines, head {found['head']}")
    sys.exit(int(found["broken"] is not None))


def _verified(journal: Path | None, reader: str | None) -> dict[str, Any]:
    if journal is None:
        answer: dict[str, Any] = door(reader).get("/v1/audit", within_s=WORK_S)
        return answer
    from dataclasses import asdict

    from readerd.run.audit import verify_file

    return asdict(verify_file(journal))


@click.command()
@click.argument("file", type=FILE)
@_journal
@reader_option
@json_option
def backup(file: Path, journal: Path | None, reader: str | None, as_json: bool) -> None:
    """Copy the journal while the daemon goes on. Whole at one moment; FILE must not exist."""
    from readerd.run.journal import back_up

    source = journal or Path(door(reader).get("/v1/status")["journal"])
    back_up(source, file)
    size = file.stat().st_size
    told = {"journal": str(source), "file": str(file), "bytes": size}
    click.echo(json.dumps(told) if as_json else f"{file}: {size} bytes of {source}")


VERBS = (outbox, resend, audit, backup)
