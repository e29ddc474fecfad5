"""One result in the terminal. Imported only where one is shown: rich and pydantic are heavy."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from readerd.payload import ResultData, ResultEnvelope
from readerd.view.terminal import PlateScreen


def exit_code(envelope: Mapping[str, Any]) -> int:
    """contract.md §1: 0; 1 when curve or verdict failed; 4 when the instrument gave no plate."""
    data = envelope["data"]
    if data["acquisition"] == "failed":
        return 4
    return 1 if data["curve"] != "accepted" or data["verdict"] == "fail" else 0


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
