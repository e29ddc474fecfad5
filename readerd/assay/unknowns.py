"""Loose unknowns on a loose curve: what `readerd fit --unknowns` asks, without plate or layout."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from readerd.assay.curve.fit import Calibration
from readerd.assay.curve.inverse import Estimate, read_means, read_wells
from readerd.assay.curve.report import cv_pct
from readerd.assay.result import Unknown
from readerd.assay.saying import Range, range_of, say
from readerd.plate import OpticalDensity, Unread


def read_unknowns(
    calibration: Calibration,
    unknowns: Mapping[str, Sequence[OpticalDensity]],
    *,
    replicates: Literal["mean-response", "mean-concentration"] = "mean-response",
    extrapolate: bool = False,
    flat: float | None = None,
) -> tuple[Unknown, ...]:
    """The unknowns in their order; without a curve they keep mean and CV, status `no_curve`.

    A replicate without a number takes no part; one that is saturated says "beyond the range".
    `flat` overrides where the inversion interval takes over: 0 everywhere, infinity nowhere.
    """
    usable = _range(calibration)
    blank = calibration.blank
    groups = {
        name: sorted(value - blank for value in values if not isinstance(value, Unread))
        for name, values in unknowns.items()
    }
    readable = [name for name, values in groups.items() if values]
    estimates: dict[str, Estimate | None] = {}
    if usable is not None and readable:
        found = _read(usable, [groups[name] for name in readable], replicates, flat)
        estimates = dict(zip(readable, found, strict=True))
    return tuple(
        _unknown(
            name,
            groups[name],
            usable,
            estimates.get(name),
            saturated=Unread.SATURATED in values,
            extrapolate=extrapolate,
        )
        for name, values in unknowns.items()
    )


def _read(
    usable: Range,
    groups: Sequence[Sequence[float]],
    replicates: Literal["mean-response", "mean-concentration"],
    flat: float | None,
) -> list[Estimate | None]:
    """Estimates of groups of replicates, none of them empty."""
    sizes = np.array([len(values) for values in groups])
    if replicates == "mean-concentration":
        y = np.array([value for values in groups for value in values])
        return read_wells(usable.curve, y, np.concatenate([[0], np.cumsum(sizes)[:-1]]))
    means = np.array([math.fsum(values) / len(values) for values in groups])
    given = {} if flat is None else {"flat": flat}
    return read_means(usable.curve, means, sizes, (usable.lloq, usable.uloq), **given)


def _range(calibration: Calibration) -> Range | None:
    fit, curve = calibration.fit, calibration.curve
    if curve is None or fit.lloq is None or fit.uloq is None:
        return None
    return range_of(curve, fit.lloq, fit.uloq)


def _unknown(
    name: str,
    values: Sequence[float],
    usable: Range | None,
    estimate: Estimate | None,
    *,
    saturated: bool,
    extrapolate: bool,
) -> Unknown:
    mean = math.fsum(values) / len(values) if values else None
    said = say(usable, estimate, mean, saturated=saturated, dilution=1.0, extrapolate=extrapolate)
    return Unknown(
        id=name,
        n=len(values),
        mean=mean,
        cv_pct=cv_pct(values),
        concentration=said.concentration,
        se=said.se,
        ci95=said.ci95,
        ci95_method=said.method,
        qualifier=said.qualifier,
        limit=said.limit,
        extrapolated=said.extrapolated,
        status=said.status,
    )
