"""One result in the terminal. Imported only where one is shown: rich and pydantic are heavy."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from readerd.payload import ResultData, ResultEnvelope
from readerd.view.terminal import PlateScreen


def print_result(envelope: Mapping[str, Any], truth: Mapping[str, float] | None = None) -> None:
    """Verdict, plate, curve and tables of a result as it was published."""
    data = ResultEnvelope.model_validate(envelope).data
    Console().print(plate_screen(data, truth))


def plate_screen(data: ResultData, truth: Mapping[str, float] | None = None) -> PlateScreen:
    return PlateScreen(
        outcome=data,
        title=f"plate {data.plate.barcode or 'unidentified'}, run {data.run.id}",
        truth=truth,
        failure=data.failure.text if data.failure else "",
    )
