"""Verbs that ask a running daemon: read, status, runs, show."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from readerd.edge.door import Door


F = TypeVar("F", bound=Callable[..., Any])
FINAL_STATES = ("done", "failed", "interrupted")


def _reader_option(function: F) -> F:
    return click.option("--reader", metavar="NAME", help="Which daemon, where several run here.")(
        function
    )


def _json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")(function)


def _door(reader: str | None) -> "Door":
    from readerd.edge.door import Door, find_socket

    return Door(find_socket(reader))


@click.command()
@_reader_option
@_json_option
def status(reader: str | None, as_json: bool) -> None:
    """What the reader is doing, and whether the results arrive."""
    answer = _door(reader).get("/v1/status")
    if as_json:
        click.echo(json.dumps(answer))
        return
    state, outbox = answer["state"], answer["outbox"]
    instrument = answer["instrument"] or {}
    why = f" ({state['reason']})" if state["reason"] else ""
    run = f", run {state['run_id']}" if state["run_id"] else ""
    broker = "connected" if answer["mqtt"]["connected"] else "not connected"
    click.echo(f"reader   {answer['site']}/{answer['reader']}: {state['state']}{run}{why}")
    click.echo(f"device   {instrument.get('model') or 'not known yet'} on {answer['port']}")
    click.echo(f"broker   {answer['mqtt']['url']}: {broker}")
    click.echo(f"outbox   {outbox['stored']} messages wait for the broker")


@click.command()
@click.option("--plate", metavar="BARCODE", help="The plate's barcode; without it: unidentified.")
@click.option("--assay", metavar="ID", help="The assay; else by barcode, else the default.")
@click.option("--operator", metavar="NAME", help="Who reads.")
@click.option("--key", help="Idempotency key: the same key is the same run.")
@click.option("--reread", is_flag=True, help="The plate has been read before; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Why it is read again.")
@click.option("--wait", is_flag=True, help="Show progress and end with the result.")
@_reader_option
@_json_option
def read(
    plate: str | None,
    assay: str | None,
    operator: str | None,
    key: str | None,
    reread: bool,
    reason: str | None,
    wait: bool,
    reader: str | None,
    as_json: bool,
) -> None:
    """Read the plate that lies in the reader, now."""
    if reread != bool(reason):
        raise click.UsageError("--reread and --reason TEXT belong together")
    door = _door(reader)
    body: dict[str, object] = {
        "plate_barcode": plate,
        "assay": assay,
        "operator": operator,
        "key": key,
        "reread_reason": reason,
        "trigger": "cli",
    }
    if not wait:
        ticket = door.post("/v1/runs", body)
        click.echo(json.dumps(ticket) if as_json else f"accepted: run {ticket['run_id']}")
        return
    _show_result(_wait_for_run(door, body), as_json)


def _wait_for_run(door: "Door", body: dict[str, object]) -> dict[str, Any]:
    """Ask for the run and follow it to its end; the answer of `GET /v1/runs/{id}`."""
    events = door.events()
    next(events)  # the stream is open: nothing of our run can be missed
    run_id = door.post("/v1/runs", body)["run_id"]
    answer: dict[str, Any] = door.get(f"/v1/runs/{run_id}")
    terminal = sys.stderr.isatty()
    while answer["state"] not in FINAL_STATES:
        kind, news = next(events)
        if news.get("run_id") != run_id:
            continue
        if kind == "progress" and terminal:
            wells = sum(news["wells_read"].values())
            click.echo(f"\rreading {wells}/{news['wells_total']}", err=True, nl=False)
        if kind == "run":
            answer = door.get(f"/v1/runs/{run_id}")
    if terminal:
        click.echo("\r" + " " * 40 + "\r", err=True, nl=False)
    return answer


def _show_result(answer: dict[str, Any], as_json: bool) -> None:
    """Print one run and exit with the code that says how it ended."""
    from readerd.cli.show import exit_code, print_result

    envelope = answer["result"]
    if envelope is None:
        click.echo(json.dumps(answer) if as_json else f"run {answer['id']} is {answer['state']}")
        return
    if as_json:
        click.echo(json.dumps(envelope))
    else:
        print_result(envelope)
    sys.exit(exit_code(envelope))


@click.command()
@_reader_option
@_json_option
def runs(reader: str | None, as_json: bool) -> None:
    """The newest runs, newest first."""
    answer = _door(reader).get("/v1/runs")
    if as_json:
        click.echo(json.dumps(answer))
        return
    for row in answer["runs"]:
        failure = f"  {row['failure']['text']}" if row["failure"] else ""
        plate = row["plate"] or "-"
        click.echo(f"{row['id']}  {row['accepted_at'][:19]}  {row['state']:11}  {plate}{failure}")


@click.command()
@click.argument("run")
@_reader_option
@_json_option
def show(run: str, reader: str | None, as_json: bool) -> None:
    """One run: its plate, curve and samples."""
    _show_result(_door(reader).get(f"/v1/runs/{run}"), as_json)


VERBS = (read, status, runs, show)
