"""Verbs of whoever writes a driver: conformance and new-driver."""

import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from readerd.cli.options import driver_argument, named_values, settings_option

if TYPE_CHECKING:
    from readerd.csvfile import PlateTable
    from readerd.driver.conformance.rule import Stage
    from readerd.driver.conformance.subject import Subject
    from readerd.driver.conformance.suite import Outcome
    from readerd.driver.contract import Driver, Options


@click.command()
@driver_argument
@click.option("--port", help="An instrument on this port; without: the driver's own twin.")
@click.option(
    "--plate",
    type=click.Path(path_type=Path),
    help="With --port: what the wells hold exactly (a twin there), CSV well,450,570.",
)
@click.option(
    "--format", type=click.Choice(["96", "384"]), help="Wells of the plate; without: all formats."
)
@settings_option
@click.option("--rule", "names", multiple=True, metavar="NAME", help="Only this rule, repeatable.")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def conformance(
    driver: str,
    port: str | None,
    plate: Path | None,
    format: str | None,
    settings: tuple[str, ...],
    names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the house rules on a driver's twin, or on an instrument.

    On a port the instrument reads the plate that lies in it several times and moves its carrier.
    """
    from readerd.driver import catalog
    from readerd.driver.conformance import suite

    found = catalog.find(driver)
    formats = found.formats if format is None else (int(format),)
    stages = _stages(found, formats, port, plate, settings)
    rules = suite.chosen(found, names)
    outcomes = []
    for outcome in suite.run(stages, rules):
        outcomes.append(outcome)
        if not as_json:
            _tell(outcome)
    broken = sum(outcome.verdict == "broken" for outcome in outcomes)
    if as_json:
        click.echo(json.dumps(_answer(driver, port, outcomes)))
    else:
        click.echo(f"{driver}: {len(outcomes) - broken} hold, {broken} broken")
    sys.exit(1 if broken else 0)


def _stages(
    driver: "Driver",
    formats: Sequence[int],
    port: str | None,
    plate: Path | None,
    settings: Sequence[str],
) -> "list[Stage]":
    from readerd.driver.conformance.stage import PortStage, TwinStage

    if port is None:
        if plate is not None or settings:
            raise click.UsageError("--plate and --option belong to --port")
        return [TwinStage(driver, format) for format in formats]
    lies = None
    if plate is not None:
        table = _plate(plate)
        formats, lies = (table.format,), table.plates
    stage = PortStage(driver, formats[0], port, _options(driver, settings), lies)
    stage.run(_nothing)  # a port that does not open is one error, not one per rule
    return [stage]


async def _nothing(subject: "Subject") -> None:
    """The port is opened and closed."""


def _plate(path: Path) -> "PlateTable":
    from readerd.csvfile import plate_from_csv, text_from_bytes
    from readerd.errors import InputError, Mistake

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), Mistake("", f"cannot be read: {error.strerror}")) from None
    return plate_from_csv(text_from_bytes(data, str(path)), str(path))


def _options(driver: "Driver", settings: Sequence[str]) -> "Options":
    from pydantic import ValidationError

    try:
        return driver.options.model_validate(named_values(settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise click.UsageError(f"--option {where}: {first['msg']}") from None


def _tell(outcome: "Outcome") -> None:
    rule = outcome.rule
    head = f"{outcome.verdict:6} {outcome.format:4} {outcome.took_s:6.2f} s  {rule.name}"
    click.echo(head)
    if outcome.verdict == "broken":
        click.echo(f"         {rule.law}")
        click.echo(f"         seen: {outcome.text}")


def _answer(driver: str, port: str | None, outcomes: "Sequence[Outcome]") -> dict[str, object]:
    return {
        "driver": driver,
        "port": port,
        "holds": all(outcome.verdict == "holds" for outcome in outcomes),
        "rules": [
            {
                "name": outcome.rule.name,
                "law": outcome.rule.law,
                "format": outcome.format,
                "verdict": outcome.verdict,
                "seen": outcome.text,
                "took_s": round(outcome.took_s, 3),
            }
            for outcome in outcomes
        ],
    }


@click.command("new-driver")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The folder that the package's own folder is made in; without: this one.",
)
def new_driver(name: str, into: Path) -> None:
    """Write a driver package that passes conformance at once."""
    from readerd.cli.skeleton import write_package

    folder = write_package(name, into)
    click.echo(f"{folder}")
    click.echo(f"next: {_installer()} {folder}, then readerd conformance {name}")


def _installer() -> str:
    """What installs a package in development here: an environment that uv made has no pip."""
    if find_spec("pip"):
        return "python -m pip install -e"
    # `make` keeps uv beside the environment; without isolation nothing is fetched for the build.
    ours = Path(sys.prefix).parent / ".tools" / "bin" / "uv"
    uv = ours if ours.exists() else "uv"
    return f"{uv} pip install --python {sys.prefix} --no-build-isolation -e"


VERBS = (conformance, new_driver)
