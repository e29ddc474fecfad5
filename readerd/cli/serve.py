"""Verbs of whoever runs the service: run, check, drivers."""

import json
import os
from pathlib import Path

import click

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

    # One thread is faster for small matrices, and numpy starts in a third of the time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    from readerd.config import load_config
    from readerd.daemon import main
    from readerd.demo.twin import simulated

    config = load_config(path)
    asyncio.run(main(config, twin=lambda: simulated(config.driver)))


@click.command()
@_config
def check(path: Path) -> None:
    """Is the configuration right? All mistakes at once."""
    from readerd.config import load_config

    config = load_config(path)
    assays = ", ".join(sorted(config.assay_by_id))
    reader = config.reader
    click.echo(f"{path}: right: {reader.site}/{reader.id}, {reader.driver}, assays {assays}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def drivers(as_json: bool) -> None:
    """The installed drivers: models, formats, range, and what was proven with which evidence."""
    from readerd.driver import catalog
    from readerd.driver.address import FORMS

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
                "options": driver.options.model_json_schema()["properties"],
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
        for name, field in driver.options.model_fields.items():
            text = " ".join((field.description or "").split())
            click.echo(f"  option    {name} = {field.default!r}  {text}".rstrip())


VERBS = (run, check, drivers)
