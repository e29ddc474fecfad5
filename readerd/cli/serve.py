"""Verbs of whoever runs the service: run, check, drivers."""

import json
import sys
from pathlib import Path

import click

from readerd.cli import importing
from readerd.cli.options import json_option, read_text
from readerd.errors import ConfigError, ReaderdError

_config = click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="The reader's TOML file.",
)


@click.command()
@_config
@click.option("--verbose", is_flag=True, help="Say every move.")
def run(path: Path, verbose: bool) -> None:
    """The daemon for one reader; ends on SIGTERM or SIGINT."""
    import asyncio
    import logging

    from readerd.cli import log

    log.to_stderr(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    with importing():
        from readerd.config import load_config
        from readerd.daemon import main
        from readerd.demo.twin import simulated

    config = load_config(path)
    try:
        asyncio.run(
            main(config, twin=lambda: simulated(config.driver), load=lambda: load_config(path))
        )
    except ReaderdError:
        raise
    except Exception:  # a bug: its traceback belongs into the log, and systemd starts us again
        logging.getLogger("readerd").critical("ended by a bug", exc_info=True)
        sys.exit(1)


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The reader's TOML file.")
@click.option("--assay", type=click.Path(path_type=Path), help="One assay's TOML file alone.")
@json_option
def check(config: Path | None, assay: Path | None, as_json: bool) -> None:
    """Is a configuration, or one assay file, right? All mistakes."""
    if (config is None) == (assay is None):
        raise click.UsageError("give either --config PATH or --assay PATH")
    try:
        right = _configuration(config) if config else _assay(assay or Path())
    except ConfigError as error:
        if as_json:
            rows = [{"where": one.where, "what": one.what} for one in error.mistakes]
            click.echo(json.dumps({"right": False, "mistakes": rows}))
        raise
    if as_json:
        click.echo(json.dumps({"right": True, "mistakes": []}))
    else:
        click.echo(f"{config or assay}: right: {right}")


def _configuration(path: Path) -> str:
    """Which reader it is for; ConfigError with every mistake."""
    from readerd.config import load_config

    config = load_config(path)
    assays = ", ".join(sorted(config.assay_by_id))
    reader = config.reader
    return f"{reader.site}/{reader.id}, {reader.driver}, assays {assays}"


def _assay(path: Path) -> str:
    """What is determined, and how many wells hold what; ConfigError with every mistake."""
    from readerd.assay.definition import load_assay
    from readerd.view.words import counted

    assay = load_assay(read_text(path), str(path))
    layout = assay.layout
    parts = []
    for role in ("standard", "control", "sample"):
        places = sum(layout.role(name) == role for name in layout.groups)
        if places:
            wells = counted(layout.roles.count(role), "well")
            parts.append(f"{counted(places, role)} in {wells}")
    for role in ("blank", "empty"):
        if wells_so := layout.roles.count(role):
            parts.append(f"{wells_so} {role}")
    return f"{assay.analyte} in {assay.unit}, {layout.format} wells: {', '.join(parts)}"


@click.command()
@json_option
def drivers(as_json: bool) -> None:
    """The installed drivers, and what stands behind each."""
    from readerd.driver import catalog
    from readerd.driver.address import FORMS
    from readerd.driver.option_text import option_schemas, option_texts

    found = [catalog.find(name) for name in catalog.installed()]
    if as_json:
        rows = [
            {
                "name": driver.name,
                "summary": driver.summary,
                "models": driver.models,
                "formats": driver.formats,
                "photometric_range": driver.photometric_range,
                "wavelengths": driver.wavelengths,
                "ports": list(FORMS.values()),
                "proven": driver.proven,
                "options": option_schemas(driver.options),
            }
            for driver in found
        ]
        click.echo(json.dumps(rows))
        return
    for driver in found:
        low, high = driver.photometric_range
        click.echo(f"{driver.name}: {driver.summary}")
        click.echo(f"  models    {', '.join(driver.models)}")
        formats = ", ".join(map(str, driver.formats))
        click.echo(f"  formats   {formats} wells, {low:g} to {high:g} OD")
        click.echo(f"  light     {driver.wavelengths}")
        click.echo(f"  ports     {', '.join(FORMS.values())}")
        click.echo(f"  proven    {'; '.join(driver.proven) or 'by nothing yet'}")
        texts = option_texts(driver.options)
        for name, field in driver.options.model_fields.items():
            default = "required" if field.is_required() else repr(field.default)
            click.echo(f"  option    {name} = {default}  {texts[name]}".rstrip())


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete verbs, runs and drivers."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    command = click.get_current_context().find_root().command
    click.echo(kinds[shell](command, {}, "readerd", "_READERD_COMPLETE").source())


VERBS = (run, check, drivers, completion)
