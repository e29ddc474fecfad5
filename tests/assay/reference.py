"""The reference curves as test material: what was measured, what the answer is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from readerd.assay.curve.fit import Calibration, fit_standards
from readerd.assay.curve.settings import CurveSettings, FitTo, Model, WeightKind

DATA = Path(__file__).parent / "data"
CASES = sorted(path.stem for path in (DATA / "cases").glob("*.json"))
# reference weighting -> ours, and what is fitted
_WEIGHTS: dict[str, tuple[WeightKind, FitTo]] = {
    "none": ("none", "wells"),
    "inv_y2_fit": ("1/y^2", "wells"),
    "variance": ("variance", "wells"),
    "level_means": ("none", "level_means"),
}
_MODELS: dict[str, tuple[Model, dict[str, float]]] = {
    "4PL": ("4pl", {}),
    "3PL_a0": ("4pl", {"a": 0.0}),
    "3PL_d0": ("4pl", {"d": 0.0}),
    "4PLm_a0": ("5pl-mirrored", {"a": 0.0}),
    "5PL": ("5pl", {}),
    "5PLm": ("5pl-mirrored", {}),
}
FOUR = ("4PL", "3PL_a0", "3PL_d0")
FIVE = ("5PL", "5PLm", "4PLm_a0")


@dataclass(frozen=True)
class Entry:
    """One reference fit of one case."""

    case: str
    model: str
    weights: str

    def __str__(self) -> str:
        return f"{self.case}/{self.model}/{self.weights}"

    @property
    def answer(self) -> dict[str, Any]:
        return next(
            fit
            for fit in case(self.case)["reference"]
            if (fit["model"], fit["weights"]) == (self.model, self.weights)
        )

    @property
    def settings(self) -> CurveSettings:
        kind, fit_to = _WEIGHTS[self.weights]
        model, fixed = _MODELS[self.model]
        return CurveSettings(model=model, weighting=kind, fit_to=fit_to, fixed=fixed)

    def fit(self) -> Calibration:
        x, y = standards(self.case)
        return fit_standards(x, y, self.settings)


@cache
def case(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / "cases" / f"{name}.json").read_text("utf-8"))
    return loaded


@cache
def simulated() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / "simulated-il6.json").read_text("utf-8"))
    return loaded


def standards(name: str) -> tuple[list[float], list[float]]:
    """Doses and responses of the wells that the analyst did not mask."""
    wells = [well for well in case(name)["standards"] if not well.get("masked")]
    return [float(well["conc"]) for well in wells], [float(well["y"]) for well in wells]


def entries(models: tuple[str, ...], *, status: str | None = None) -> Iterator[Entry]:
    """All reference fits of these models in the weightings that readerd offers."""
    for name in CASES:
        for fit in case(name).get("reference", []):
            wanted = fit["model"] in models and fit["weights"] in _WEIGHTS
            if wanted and status in (None, fit["status"]):
                yield Entry(name, fit["model"], fit["weights"])


def vendor_wells(name: str) -> dict[str, float | str]:
    """What the reader software printed for each well."""
    published: dict[str, float | str] = case(name)["published"][0]["well_conc"]
    return published


def responses(name: str) -> dict[str, float]:
    """Response of every single well that stands among standards or unknowns."""
    found = {well["well"]: well["y"] for well in case(name)["standards"] if "well" in well}
    for unknown in case(name)["unknowns"]:
        if len(unknown["y"]) == 1:
            found[unknown["id"]] = unknown["y"][0]
    return found
