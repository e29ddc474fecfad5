"""Verbs without hardware: twin and demo."""

import json
import sys
from pathlib import Path

import click

from readerd.cli.options import driver_argument, installed


@click.command()
@driver_argument
@click.option(
    "--pty",
    type=click.Path(path_type=Path),
    help="Serve on a pseudo-terminal that PATH links to.",
)
@click.option("--tcp", type=click.IntRange(0, 65535), help="Serve on this port of the loopback.")
@click.option(
    "--plate",
    type=click.Path(path_type=Path),
    help="Optical densities, CSV with the header well,450,570. Without: an IL-6 plate.",
)
@click.option("--seed", type=int, default=6, show_default=True, help="Seed of the IL-6 plate.")
@click.option(
    "--fault", "specs", multiple=True, metavar="SPEC", help="KIND[@STEP[#N]][:ARG], repeatable."
)
@click.option(
    "--time-scale",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="1 = real baud rate and read time, 0 = none.",
)
def twin(
    driver: str,
    pty: Path | None,
    tcp: int | None,
    plate: Path | None,
    seed: int,
    specs: tuple[str, ...],
    time_scale: float,
) -> None:
    """A simulated instrument that any program can talk to."""
    if (pty is None) == (tcp is None):
        raise click.UsageError("say where: --pty PATH or --tcp PORT")
    import asyncio

    from readerd.demo.twin import serve_twin

    asyncio.run(
        serve_twin(
            driver,
            pty=pty,
            tcp=tcp,
            plate=plate,
            seed=seed,
            specs=specs,
            time_scale=time_scale,
            tell=click.echo,
        )
    )


@click.command()
@click.option(
    "--driver",
    default="biorad680",
    show_default=True,
    callback=installed,
    help="Which instrument to simulate.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as the subscriber received it.")
@click.option("--serve", is_flag=True, help="Keep broker, twin and daemon running.")
def demo(driver: str, as_json: bool, serve: bool) -> None:
    """One IL-6 plate through the whole path. No hardware, no broker, no configuration."""
    import asyncio

    from readerd.demo import show

    if serve:
        asyncio.run(show.keep_serving(driver, click.echo))
        return
    payload, plate = asyncio.run(show.one_plate(driver))
    if as_json:
        click.echo(payload)
    else:
        from readerd.cli.show import print_result

        print_result(json.loads(payload), plate.truth)
    sys.exit(0 if show.is_true(payload, plate.truth) else 1)


VERBS = (twin, demo)
