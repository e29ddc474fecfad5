"""The verb that asks whether this machine is right for its reader."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from readerd.cli.options import json_option
from readerd.errors import ConfigError

if TYPE_CHECKING:
    from readerd.config import Config
    from readerd.doctor.finding import Finding

ETC = Path("/etc/readerd")


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="The reader's TOML file; without: the only one in /etc/readerd, or the machine alone.",
)
@click.option("--probe", is_flag=True, help="Say a marked message on the reader's own topics, too.")
@json_option
def doctor(path: Path | None, probe: bool, as_json: bool) -> None:
    """Is this machine right for its reader, and what is to do?"""
    import asyncio

    from readerd.doctor.finding import is_right

    findings = asyncio.run(_examined(path or _only_one(), probe, quiet=as_json))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    sys.exit(0 if is_right(findings) else 1)


def _only_one() -> Path | None:
    """The configuration of the machine's only reader."""
    found = sorted(ETC.glob("*.toml"))
    return found[0] if len(found) == 1 else None


async def _examined(path: Path | None, probe: bool, *, quiet: bool) -> "list[Finding]":
    from readerd.config import load_config
    from readerd.daemon import opener, wall_clock
    from readerd.demo.twin import simulated
    from readerd.doctor.examine import examine, of_the_machine
    from readerd.doctor.finding import Finding

    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not quiet:
            click.echo(str(finding))

    config: Config | None = None
    try:
        config = load_config(path) if path else None
    except ConfigError as error:
        for mistake in error.mistakes:
            tell(Finding("config", "fail", f"{path}: {mistake}", "mend the file"))
    if config is None:
        for finding in of_the_machine(path.stem if path else "NAME"):
            tell(finding)
        return findings
    tell(Finding("config", "ok", f"{path}: {config.reader.site}/{config.reader.id}"))
    chosen = config
    open_stream = opener(config, twin=lambda: simulated(chosen.driver))
    async for finding in examine(config, open_stream, probe=probe, now=wall_clock):
        tell(finding)
    return findings


VERBS = (doctor,)
