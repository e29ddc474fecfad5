"""Verbs that ask a running daemon: read, status, runs, show."""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from readerd.cli.options import (
    DELIVERY,
    door,
    json_option,
    reader_option,
    run_argument,
    table,
    told_in_words,
    why_option,
)

if TYPE_CHECKING:
    from readerd.edge.door import Door

# The words of the outbox's counts.
WAITING = {
    "stored": "wait for the broker",
    "unconfirmed": "wait for a receipt",
    "refused": "refused by a consumer",
}
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
    for line in status_lines(answer):
        click.echo(line)


def status_lines(answer: dict[str, Any]) -> Iterator[str]:
    """The answer of `GET /v1/status` for people; standing alarms last, a line each."""
    state, outbox = answer["state"], answer["outbox"]
    instrument = answer["instrument"] or {}
    why = f" ({state['reason']})" if state["reason"] else ""
    run = f", run {state['run_id']}" if state["run_id"] else ""
    armed = f", plate {state['plate_barcode']}" if state["plate_barcode"] else ""
    broker = "connected" if answer["mqtt"]["connected"] else "not connected"
    yield f"reader   {answer['site']}/{answer['reader']}: {state['state']}{armed}{run}{why}"
    yield f"device   {instrument.get('model') or 'not known yet'} on {answer['port']}"
    yield f"broker   {answer['mqtt']['url']}: {broker}"
    waiting = [f"{outbox[name]} {said}" for name, said in WAITING.items() if outbox[name]]
    yield f"outbox   {', '.join(waiting) or 'everything has arrived'}"
    for code, text in answer["alarms"].items():
        yield f"alarm    {code}: {text}"


@click.command()
@click.option("--plate", metavar="BARCODE", help="The plate's barcode; without it: unidentified.")
@click.option("--assay", metavar="ID", help="The assay; else by barcode, else the default.")
@click.option("--operator", metavar="NAME", help="Who reads.")
@click.option("--key", help="Idempotency key: the same key is the same run.")
@click.option("--reread", is_flag=True, help="The plate has been read before; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Why it is read again.")
@click.option("--kit-lot", metavar="LOT", help="The kit's lot, where the assay file has another.")
@click.option("--kit-expires", metavar="DATE", help="Its last day: 2027-01-31, or 2027-01.")
@click.option("--wait", is_flag=True, help="Show progress and end with the result.")
@reader_option
@json_option
def read(
    plate: str | None,
    assay: str | None,
    operator: str | None,
    key: str | None,
    reread: bool,
    reason: str | None,
    kit_lot: str | None,
    kit_expires: str | None,
    wait: bool,
    reader: str | None,
    as_json: bool,
) -> None:
    """Read the plate that lies in the reader, now."""
    if reread != bool(reason):
        raise click.UsageError("--reread and --reason TEXT belong together")
    daemon = door(reader)
    body: dict[str, object] = {
        "plate_barcode": plate,
        "assay": assay,
        "operator": operator,
        "key": key,
        "reread_reason": reason,
        "kit_lot": kit_lot,
        "kit_expires": kit_expires,
        "trigger": "cli",
    }
    if not wait:
        ticket = daemon.post("/v1/runs", body)
        click.echo(json.dumps(ticket) if as_json else f"accepted: run {ticket['run_id']}")
        return
    _show_result(_wait_for_run(daemon, body), as_json)


def _wait_for_run(daemon: "Door", body: dict[str, object]) -> dict[str, Any]:
    """Ask for the run and follow it to its end; the answer of `GET /v1/runs/{id}`."""
    events = daemon.events()
    next(events)  # the stream is open: nothing of our run can be missed
    run_id = daemon.post("/v1/runs", body)["run_id"]
    answer: dict[str, Any] = daemon.get(f"/v1/runs/{run_id}")
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=1, label="reading", file=sys.stderr, hidden=hidden) as bar:
        while answer["state"] not in FINAL_STATES:
            kind, news = next(events)
            if news.get("run_id") != run_id:
                continue
            if kind == "progress":
                bar.length = news["wells_total"]
                bar.update(sum(news["wells_read"].values()) - bar.pos)
            if kind == "run":
                answer = daemon.get(f"/v1/runs/{run_id}")
    return answer


def _show_result(answer: dict[str, Any], as_json: bool, followed: tuple[str, ...] = ()) -> None:
    """Print one run, or why some of its numbers are what they are; exit as the run ended."""
    envelope = answer["result"]
    if envelope is None:
        click.echo(json.dumps(answer) if as_json else f"run {answer['id']} is {answer['state']}")
        return
    if as_json:
        click.echo(json.dumps(envelope))
    else:
        from readerd.cli.show import print_result, print_why

        print_why(envelope, followed) if followed else print_result(envelope)
    sys.exit(exit_code(envelope))


def exit_code(envelope: Mapping[str, Any]) -> int:
    """0; 1 when curve or verdict failed; 4 when the instrument gave no plate."""
    data = envelope["data"]
    if data["acquisition"] == "failed":
        return 4
    return 1 if data["curve"] != "accepted" or data["verdict"] == "fail" else 0


@click.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000),
              help="So many.")  # fmt: skip
@click.option("--plate", metavar="BARCODE", help="Only the runs of this plate.")
@reader_option
@json_option
def runs(limit: int, plate: str | None, reader: str | None, as_json: bool) -> None:
    """The newest runs: how each ended, and has its result arrived?"""
    from urllib.parse import urlencode

    query = urlencode({"limit": limit} | ({"plate": plate} if plate else {}))
    answer = door(reader).get(f"/v1/runs?{query}")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows = [_run_line(row) for row in answer["runs"]]
    for line in table(("run", "accepted", "plate", "ended", "delivery", "why"), rows):
        click.echo(line)


def _run_line(row: dict[str, Any]) -> tuple[str, ...]:
    accepted = row["accepted_at"][:19].replace("T", " ")
    ended = row["verdict"] if row["state"] == "done" else row["state"]
    if row["state"] == "done" and row["curve"] == "rejected":
        ended = "curve rejected"
    delivery = "arrived" if row["arrived"] else DELIVERY.get(row["delivery"] or "", "-")
    why = row["failure"]["text"] if row["failure"] else ""
    return row["id"], accepted, row["plate"] or "-", ended, delivery, why


@click.command()
@run_argument
@click.option("--transcript", is_flag=True, help="The bytes on the wire, with their times.")
@why_option
@reader_option
@json_option
def show(
    run: str, transcript: bool, followed: tuple[str, ...], reader: str | None, as_json: bool
) -> None:
    """One run: its plate, curve and samples."""
    told_in_words(followed, as_json)
    if transcript:
        _show_transcript(door(reader).get(f"/v1/runs/{run}/evidence"), as_json)
        return
    _show_result(door(reader).get(f"/v1/runs/{run}"), as_json, followed)


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
