"""Standards and unknowns that stand in no layout: what `readerd fit` says of two CSV files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from readerd.assay.curve.fit import Calibration
from readerd.assay.curve.inverse import read_means
from readerd.assay.result import Qualifier, Status
from readerd.assay.saying import range_of, say
from readerd.csvfile import Row, Table


@dataclass(frozen=True, slots=True)
class LooseStandards:
    """Columns of equal length; `masked` tells which lines took no part and why."""

    concentrations: tuple[float, ...]
    responses: tuple[float, ...]
    masked: Mapping[int, str]  # line in the file -> reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """One unknown by id; repeated ids were its replicates. Words as in `samples[]`."""

    id: str
    n: int
    mean: float
    concentration: float | None
    se: float | None
    ci95: tuple[float | None, float | None] | None
    ci95_method: Literal["delta", "inversion"] | None
    qualifier: Qualifier | None
    limit: float | None
    extrapolated: float | None
    status: Status


def standards_of(table: Table) -> LooseStandards:
    """Columns `concentration,response` and, if there is one, `masked` with reasons."""
    x_column = table.column("concentration", "conc", "x")
    y_column = table.column("response", "od", "y")
    lowered = [name.lower() for name in table.header]
    mask_column = lowered.index("masked") if "masked" in lowered else None
    used: list[tuple[float, float]] = []
    masked: dict[int, str] = {}
    for row in table.rows:
        if mask_column is not None and row.cells[mask_column]:
            masked[row.line] = row.cells[mask_column]
            continue
        used.append((_concentration(table, row, x_column), table.number(row, y_column)))
    if not used:
        raise table.mistake("", "holds no standard; each line is `concentration,response`")
    xs, ys = zip(*used, strict=True)
    return LooseStandards(xs, ys, masked)


def _concentration(table: Table, row: Row, column: int) -> float:
    value = table.number(row, column)
    if value < 0:
        raise table.cell_mistake(row, column, f"{value:g} is no concentration: it is negative")
    return value


def unknowns_of(table: Table) -> dict[str, list[float]]:
    """Columns `id,response`: responses by id, in the order of the file; ids stay text."""
    id_column = table.column("id", "sample", "sample_id")
    y_column = table.column("response", "od", "y")
    found: dict[str, list[float]] = {}
    for row in table.rows:
        found.setdefault(row.cells[id_column], []).append(table.number(row, y_column))
    return found


def read_unknowns(
    calibration: Calibration, unknowns: Mapping[str, Sequence[float]], *, extrapolate: bool = False
) -> tuple[Unknown, ...]:
    """Each unknown's mean response read from the curve; the range is that of the standards used."""
    means = {
        name: math.fsum(values) / len(values) - calibration.blank
        for name, values in unknowns.items()
    }
    curve, fit = calibration.curve, calibration.fit
    if curve is None or fit.lloq is None or fit.uloq is None or not means:
        return tuple(_without_curve(name, unknowns[name], mean) for name, mean in means.items())
    usable = range_of(curve, fit.lloq, fit.uloq)
    y = np.array(list(means.values()))
    wells = np.array([len(values) for values in unknowns.values()])
    estimates = read_means(curve, y, wells, (fit.lloq, fit.uloq))
    told = []
    for (name, mean), estimate in zip(means.items(), estimates, strict=True):
        said = say(usable, estimate, mean, saturated=False, dilution=1.0, extrapolate=extrapolate)
        told.append(
            Unknown(
                id=name,
                n=len(unknowns[name]),
                mean=mean,
                concentration=said.concentration,
                se=said.se,
                ci95=said.ci95,
                ci95_method=said.method,
                qualifier=said.qualifier,
                limit=said.limit,
                extrapolated=said.extrapolated,
                status=said.status,
            )
        )
    return tuple(told)


def _without_curve(name: str, values: Sequence[float], mean: float) -> Unknown:
    return Unknown(
        id=name,
        n=len(values),
        mean=mean,
        concentration=None,
        se=None,
        ci95=None,
        ci95_method=None,
        qualifier=None,
        limit=None,
        extrapolated=None,
        status="no_curve",
    )
