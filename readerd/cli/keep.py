"""Verbs about a run that is over or in trouble, and the carrier."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from readerd.cli.options import (
    WORK_S,
    door,
    json_option,
    read_text,
    reader_option,
    run_argument,
    write_text,
)
from readerd.errors import InputError, Mistake

if TYPE_CHECKING:
    from readerd.run.evidence import Evidence

FILE = click.Path(path_type=Path)


def _say(answer: dict[str, Any], as_json: bool, text: str) -> None:
    click.echo(json.dumps(answer) if as_json else text)


@click.command()
@click.argument("run", required=False)
@click.option("--reason", default="asked for at the command line", show_default=True,
              help="Why; it stands in the failed result.")  # fmt: skip
@reader_option
@json_option
def abort(run: str | None, reason: str, reader: str | None, as_json: bool) -> None:
    """Give up the read that is under way; the reader is parked."""
    answer = door(reader).post("/v1/abort", {"run_id": run, "reason": reason})
    _say(answer, as_json, f"aborted: run {answer['run_id']}")


@click.command()
@click.argument("position", type=click.Choice(["out", "in"]))
@reader_option
@json_option
def carrier(position: str, reader: str | None, as_json: bool) -> None:
    """Move the plate carrier, where the instrument has one."""
    answer = door(reader).post("/v1/carrier", {"position": position}, within_s=WORK_S)
    _say(answer, as_json, f"carrier {position}")


@click.command()
@run_argument
@click.option("--reason", required=True, help="Why; it stands in the new revision.")
@click.option("--plate-map", type=FILE, help="CSV with the header position,sample_id,dilution;"
              " else what the LIMS has sent since.")  # fmt: skip
@click.option("--mask", "masks", multiple=True, metavar="WELL=REASON",
              help="Leave a well out, and say why.")  # fmt: skip
@reader_option
@json_option
def revise(
    run: str,
    reason: str,
    plate_map: Path | None,
    masks: tuple[str, ...],
    reader: str | None,
    as_json: bool,
) -> None:
    """Publish a run again, computed from its stored reading. It is the next revision."""
    from readerd.cli.options import mask

    body: dict[str, object] = {"reason": reason, "masks": dict(mask(text) for text in masks)}
    if plate_map is not None:
        from readerd.assay.layout import plate_map_from_csv

        samples = plate_map_from_csv(read_text(plate_map), str(plate_map)).samples
        body["plate_map_id"] = plate_map.name
        body["samples"] = [
            {"position": position, "sample_id": one.sample_id, "dilution": one.dilution}
            for position, one in samples.items()
        ]
    answer = door(reader).post(f"/v1/runs/{run}/revise", body)
    late = f", with the plate map {answer['late_map']}" if answer["late_map"] else ""
    _say(answer, as_json, f"revision {answer['revision']} of run {run}{late}")


@click.command()
@run_argument
@click.option("--reason", required=True, help="Why; it stands in the new revision.")
@reader_option
@json_option
def recover(run: str, reason: str, reader: str | None, as_json: bool) -> None:
    """Ask the instrument for the plate that a run lost. Nothing is measured again."""
    body: dict[str, object] = {"reason": reason}
    answer = door(reader).post(f"/v1/runs/{run}/recover", body, within_s=WORK_S)
    _say(answer, as_json, f"recovered: revision {answer['revision']} of run {run}")


@click.command()
@run_argument
@click.option("--format", "kind", type=click.Choice(["json", "csv", "raw"]), default="json",
              show_default=True, help="The result, its wells, or all evidence.")  # fmt: skip
@click.option("--output", type=FILE, help="The file; without it: standard output.")
@reader_option
def export(run: str, kind: str, output: Path | None, reader: str | None) -> None:
    """One run in a file. KIND: json the result, csv its wells, raw what `reproduce` takes."""
    if kind == "raw":
        text = json.dumps(door(reader).get(f"/v1/runs/{run}/evidence"))
    else:
        envelope = door(reader).get(f"/v1/runs/{run}")["result"]
        if envelope is None:
            raise InputError(f"run {run}", Mistake("", "has no result yet"))
        text = json.dumps(envelope) if kind == "json" else _csv(envelope["data"])
    if output is None:
        click.echo(text.rstrip("\n"))
    else:
        write_text(output, text)


def _csv(data: dict[str, Any]) -> str:
    """One line per well; an empty cell is a number that does not exist, `flags` says why."""
    wells = data["wells"]
    if wells is None:
        raise InputError("this run", Mistake("", "delivered no plate: there are no wells"))
    lines = [",".join(("well", *(name for name in wells if name != "id")))]
    for row in zip(*wells.values(), strict=True):
        lines.append(",".join(_cell(value) for value in row))
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    text = " ".join(value) if isinstance(value, list) else "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


@click.command()
@run_argument
@reader_option
@json_option
def reproduce(run: str, reader: str | None, as_json: bool) -> None:
    """Compute a run again from its wire bytes. RUN is a run of the daemon, or an exported file."""
    from dataclasses import asdict

    from readerd.driver import catalog
    from readerd.run.reproduce import reproduce as compute

    evidence = _evidence(run, reader)
    stages = compute(evidence, catalog.find(evidence.driver))
    if as_json:
        click.echo(json.dumps([asdict(stage) for stage in stages]))
    else:
        words = {True: "the same", False: "DIFFERS", None: "–"}
        for stage in stages:
            click.echo(f"{stage.name:9} {words[stage.same]:9} {stage.text}")
    sys.exit(int(any(stage.same is False for stage in stages)))


def _evidence(run: str, reader: str | None) -> "Evidence":
    from pydantic import ValidationError

    from readerd.run.evidence import Evidence

    path = Path(run)
    if not path.is_file():
        return Evidence.model_validate(door(reader).get(f"/v1/runs/{run}/evidence"))
    try:
        return Evidence.model_validate_json(read_text(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{first['msg']}; `readerd export RUN --format raw` writes such a file"
        raise InputError(str(path), Mistake(where, what)) from None


VERBS = (abort, carrier, revise, recover, export, reproduce)
