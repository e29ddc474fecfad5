"""One result in the terminal. Imported only where one is shown: rich and pydantic are heavy."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from readerd.cli.screen import to_screen
from readerd.payload import ResultData, ResultEnvelope
from readerd.view.terminal import PlateScreen


def print_result(envelope: Mapping[str, Any], truth: Mapping[str, float] | None = None) -> None:
    """Verdict, plate, curve and tables of a result as it was published."""
    data = ResultEnvelope.model_validate(envelope).data
    to_screen(plate_screen(data, truth))


def print_why(envelope: Mapping[str, Any], names: Sequence[str]) -> None:
    """From the readings to what is reported, for the named wells, positions or samples."""
    from readerd.view.provenance import provenance_of
    from readerd.view.why import followed

    data = ResultEnvelope.model_validate(envelope).data
    click.echo(followed(data, names, provenance_of(data).response))


def plate_screen(data: ResultData, truth: Mapping[str, float] | None = None) -> PlateScreen:
    return PlateScreen(
        outcome=data,
        title=f"plate {data.plate.barcode or 'unidentified'}, run {data.run.id}",
        truth=truth,
        failure=data.failure.text if data.failure else "",
    )
