"""Verbs that ask a running daemon: read, status, runs, show."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from readerd.cli.options import door, json_option, reader_option

if TYPE_CHECKING:
    from readerd.edge.door import Door

FINAL_STATES = ("done", "failed", "interrupted")


@click.command()
@reader_option
@json_option
def status(reader: str | None, as_json: bool) -> None:
    """What the reader is doing, and whether the results arrive."""
    answer = door(reader).get("/v1/status")
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
@reader_option
@json_option
def read(
    plate: str | None,
    assay: str | None,
    operator: str | None,
    key: str | None,
@click.option("--kit-lot", metavar="LOT", help="The kit's lot, where the assay file has another.")
@click.option("--kit-expires", metavar="DATE", help="Its last day: 2027-01-31, or 2027-01.")
    reread: bool,
    reason: str | None,
    wait: bool,
    reader: str | None,
    as_json: bool,
) -> None:
    """Read the plate that lies in the reader, now."""
    if reread != bool(reason):
        raise click.UsageError("--reread and --reason TEXT belong together")
    daemon = door(reader)
    kit_lot: str | None,
    kit_expires: str | None,
    body: dict[str, object] = {
        "plate_barcode": plate,
        "assay": assay,
        "operator": operator,
        "key": key,
        "reread_reason": reason,
        "trigger": "cli",
    }
    if not wait:
        ticket = daemon.post("/v1/runs", body)
        click.echo(json.dumps(ticket) if as_json else f"accepted: run {ticket['run_id']}")
        return
    _show_result(_wait_for_run(daemon, body), as_json)

        "kit_lot": kit_lot,
        "kit_expires": kit_expires,

def _wait_for_run(daemon: "Door", body: dict[str, object]) -> dict[str, Any]:
    """Ask for the run and follow it to its end; the answer of `GET /v1/runs/{id}`."""
    events = daemon.events()
    next(events)  # the stream is open: nothing of our run can be missed
    run_id = daemon.post("/v1/runs", body)["run_id"]
    answer: dict[str, Any] = daemon.get(f"/v1/runs/{run_id}")
    terminal = sys.stderr.isatty()
    while answer["state"] not in FINAL_STATES:
        kind, news = next(events)
        if news.get("run_id") != run_id:
            continue
        if kind == "progress" and terminal:
            wells = sum(news["wells_read"].values())
            click.echo(f"\rreading {wells}/{news['wells_total']}", err=True, nl=False)
        if kind == "run":
            answer = daemon.get(f"/v1/runs/{run_id}")
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
@reader_option
@json_option
def runs(reader: str | None, as_json: bool) -> None:
    """The newest runs, newest first."""
    answer = door(reader).get("/v1/runs")
    if as_json:
        click.echo(json.dumps(answer))
        return
    for row in answer["runs"]:
        failure = f"  {row['failure']['text']}" if row["failure"] else ""
        plate = row["plate"] or "-"
        click.echo(f"{row['id']}  {row['accepted_at'][:19]}  {row['state']:11}  {plate}{failure}")


@click.command()
@click.argument("run")
@click.option("--transcript", is_flag=True, help="The bytes on the wire, with their times.")
@reader_option
@json_option
def show(run: str, transcript: bool, reader: str | None, as_json: bool) -> None:
    """One run: its plate, curve and samples."""
    if transcript:
        _show_transcript(door(reader).get(f"/v1/runs/{run}/evidence"), as_json)
        return
    _show_result(door(reader).get(f"/v1/runs/{run}"), as_json)


def _show_transcript(evidence: dict[str, Any], as_json: bool) -> None:
    """Settling and read, a line per chunk: seconds, direction, bytes."""
    words = {name: _entries(evidence[name]) for name in ("settling", "transcript")}
    if as_json:
        click.echo(json.dumps(words))
        return
    for name, entries in words.items():
        click.echo(f"-- {name}" if entries else f"-- {name}: nothing on the wire")
        for offset_s, direction, text in entries:
            click.echo(f"{offset_s:10.3f} {direction} {text.encode('latin-1')!r:.100}")


def _entries(lines: str) -> list[Any]:
    return [json.loads(line) for line in lines.splitlines()]


VERBS = (read, status, runs, show)
