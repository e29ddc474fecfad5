"""The science without a daemon: fit, quantify."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from readerd.cli.options import json_option, mask, read_text, told_in_words, why_option, write_text
from readerd.errors import ConfigError

FILE = click.Path(path_type=Path)
_TYPED = click.core.ParameterSource.COMMANDLINE


def _fixed(texts: tuple[str, ...]) -> dict[str, float]:
    """`a=0` -> {"a": 0.0}."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        name = name.strip()
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not math.isfinite(value):
            raise click.UsageError(f"--fix {text}: write NAME=NUMBER, such as a=0")
        if found.setdefault(name, value) != value:
            raise click.UsageError(f"--fix gives {name} twice: {found[name]:g} and {value:g}")
    return found


def _of_variance(weighting: str) -> None:
    """UsageError for --s0 or --cv beside weights that have neither."""
    context = click.get_current_context()
    for name in ("s0", "cv"):
        if weighting != "variance" and context.get_parameter_source(name) is _TYPED:
            text = f"--{name} belongs to --weighting variance, {weighting} has none"
            raise click.UsageError(text)


MODELS = ["4pl", "5pl", "5pl-mirrored", "auto", "linear", "log-log", "point-to-point"]


@click.command()
@click.argument("file", type=FILE)
@click.option("--model", type=click.Choice(MODELS), default="4pl", show_default=True,
              help="The curve; auto takes a 5PL only where the standards prove it.")  # fmt: skip
@click.option("--weighting", type=click.Choice(["variance", "none", "1/y", "1/y^2"]),
              default="variance", show_default=True,
              help="Weights, from the fitted curve.")  # fmt: skip
@click.option("--s0", type=click.FloatRange(min=0), default=0.005, show_default=True,
              help="variance: w = 1/(s0² + (cv·f)²), s0 in units of the response.")  # fmt: skip
@click.option("--cv", type=click.FloatRange(min=0), default=0.05, show_default=True,
              help="variance: the noise in proportion to the response, see --s0.")  # fmt: skip
@click.option("--fit-to", type=click.Choice(["wells", "level_means"]), default="wells",
              show_default=True, help="Every well counts, or every level once.")  # fmt: skip
@click.option("--zero", type=click.Choice(["anchor", "exclude", "subtract"]), default="anchor",
              show_default=True,
              help="A standard at 0: a point at x = 0, left out, or subtracted.")  # fmt: skip
@click.option("--fix", "fixes", multiple=True, metavar="NAME=NUMBER",
              help="A parameter that is known, such as a=0; repeatable.")  # fmt: skip
@click.option("--min-span", type=click.FloatRange(min=0, min_open=True), default=0.2,
              show_default=True, help="A curve is refused that spans less response.")  # fmt: skip
@click.option("--unknowns", type=FILE,
              help="CSV with the header id,response; repeated ids are replicates.")  # fmt: skip
@click.option("--extrapolate", is_flag=True,
              help="Also a number outside the standards, in its own field.")  # fmt: skip
@click.option("--plot", type=FILE, help="Draw the curve into this SVG file.")
@json_option
def fit(
    file: Path,
    fixes: tuple[str, ...],
    unknowns: Path | None,
    extrapolate: bool,
    plot: Path | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """A standard curve from CSV columns concentration,response.

    Repeated concentrations are replicates; a column masked gives the reason why a line takes no
    part. Prints the curve with its errors, each standard read back, and the unknowns with their
    95 % intervals. Exit code 1 when there is no curve, with the reason.
    """
    from readerd.assay.curve.settings import CurveSettings, mistake_in
    from readerd.cli import fitted

    _of_variance(choices["weighting"])
    choices["zero_standard"] = choices.pop("zero")
    settings = CurveSettings(fixed=_fixed(fixes), **choices)
    if (mistake := mistake_in(settings)) is not None:
        raise click.UsageError(mistake)
    extra = None if unknowns is None else (read_text(unknowns), str(unknowns))
    answer = fitted.fit_file(read_text(file), str(file), settings, extra, extrapolate=extrapolate)
    if plot is not None:
        write_text(plot, answer.svg())
    if as_json:
        click.echo(answer.json())
    else:
        answer.print_screen()
    sys.exit(0 if answer.fit.converged else 1)


@click.command()
@click.option("--assay", "assay_file", type=FILE, required=True, help="The assay's TOML file.")
@click.option("--reading", "reading_file", type=FILE, required=True,
              help="Optical densities, CSV with the header well,450,570.")  # fmt: skip
@click.option("--plate-map", type=FILE, help="CSV with the header position,sample_id,dilution.")
@click.option("--mask", "masks", multiple=True, metavar="WELL=REASON",
              help="Leave a well out, and say why; repeatable.")  # fmt: skip
@click.option("--plot", type=FILE, metavar="DIR", help="Draw curve, plates and residuals there.")
@click.option("--report", type=FILE, help="Write the plate's one-page report (HTML).")
@why_option
@json_option
def quantify(
    assay_file: Path,
    reading_file: Path,
    plate_map: Path | None,
    masks: tuple[str, ...],
    plot: Path | None,
    report: Path | None,
    followed: tuple[str, ...],
    as_json: bool,
) -> None:
    """A plate's concentrations from a file, without a daemon.

    Prints verdict, plate, curve, standards, samples and every rule with what was seen and
    allowed. Exit code 1 when the curve or the verdict failed.
    """
    told_in_words(followed, as_json)
    from readerd.cli import quantified

    answer = quantified.quantify_file(
        assay=_assay(assay_file),
        reading=(read_text(reading_file), str(reading_file)),
        plate_map=None if plate_map is None else (read_text(plate_map), str(plate_map)),
        masks=_masks(masks),
    )
    if plot is not None:
        for name, picture in answer.pictures().items():
            write_text(plot / name, picture)
    if report is not None:
        write_text(report, answer.report())
    if followed:
        click.echo(answer.why(followed))
    elif as_json:
        click.echo(answer.json())
    else:
        answer.print_screen()
    sys.exit(answer.exit_code)


def _masks(texts: Sequence[str]) -> dict[str, str]:
    masks: dict[str, str] = {}
    for well, reason in map(mask, texts):
        if well in masks:
            raise click.UsageError(f"--mask names {well} twice")
        masks[well] = reason
    return masks


def _assay(path: Path) -> Any:
    """The assay of a file; its mistakes are those of an input file here, exit code 2."""
    from readerd.assay.definition import load_assay

    try:
        return load_assay(read_text(path), str(path))
    except ConfigError as error:
        click.echo(f"readerd: {error}", err=True)
        sys.exit(2)


VERBS = (fit, quantify)
