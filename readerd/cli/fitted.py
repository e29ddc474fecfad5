"""What `readerd fit` answers: JSON, a picture, a screen."""

import json
from dataclasses import asdict, dataclass

from rich.console import Console

from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.result import Fit
from readerd.assay.unknowns import Unknown, read_unknowns
from readerd.csvfile import standards_from_csv, unknowns_from_csv
from readerd.view.rounding import significant
from readerd.view.svg import curve_svg
from readerd.view.terminal import standards_table

TextFile = tuple[str, str]  # the text, and its name


@dataclass(frozen=True, slots=True)
class Fitted:
    """A curve from loose standards, and the unknowns read from it."""

    fit: Fit
    unknowns: tuple[Unknown, ...]
    points: tuple[tuple[float, float], ...]

    def json(self) -> str:
        """The contract's `fit` object, with `unknowns[]`."""
        answer = {**asdict(self.fit), "unknowns": [asdict(one) for one in self.unknowns]}
        return json.dumps(answer, allow_nan=False, ensure_ascii=False)

    def svg(self) -> str:
        return curve_svg(self.fit, points=self.points, response="response")

    def print_screen(self) -> None:
        """Parameters, standards, unknowns; or why there is no curve."""
        fit, console = self.fit, Console()
        if not fit.converged:
            console.print(f"no curve: {fit.reason}")
            return
        console.print(f"{fit.model}  {fit.equation}")
        for name, value in fit.params.items():
            error = fit.stderr.get(name) if fit.stderr else None
            more = "" if error is None else f" ± {significant(error)}"
            console.print(f"  {name} = {significant(value, 5)}{more}")
        for warning in fit.warnings:
            console.print(f"  note: {warning}")
        console.print(standards_table(fit))
        for one in self.unknowns:
            console.print(_line(one), highlight=False)


def _line(one: Unknown) -> str:
    if one.concentration is not None:
        return f"  {one.id}  {significant(one.concentration)}{_interval(one)}"
    if one.qualifier is not None and one.limit is not None:
        return f"  {one.id}  {one.qualifier} {significant(one.limit)}  {one.status}"
    return f"  {one.id}  –  {one.status}"


def _interval(one: Unknown) -> str:
    if one.ci95 is None:
        return ""
    low, high = ("…" if side is None else significant(side) for side in one.ci95)
    return f"  (95 % {low} – {high})"


def fit_file(
    text: str,
    source: str,
    settings: CurveSettings,
    unknowns: TextFile | None,
    *,
    extrapolate: bool,
) -> Fitted:
    """Fit one CSV file and read another from the curve; InputError names line and column."""
    standards = standards_from_csv(text, source)
    doses, responses = zip(*standards, strict=True)
    calibration = fit_standards(doses, responses, settings)
    wanted = {} if unknowns is None else unknowns_from_csv(*unknowns)
    return Fitted(
        calibration.fit,
        read_unknowns(calibration, wanted, extrapolate=extrapolate),
        tuple((x, y - calibration.blank) for x, y in standards),
    )
