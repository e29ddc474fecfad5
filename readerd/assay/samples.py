"""From wells to samples: replicates, concentration, dilution, and what may be said of them.

Inside [LLOQ, ULOQ] there is a value. Outside there is none, but a side: `<` or `>` and the limit
times the dilution. At or beyond an asymptote there is not even a concentration. An extrapolated
number stands only in its own field, and only when the assay asks for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from readerd.assay.curve.inverse import Estimate, read_means, read_wells
from readerd.assay.curve.report import cv_pct
from readerd.assay.definition import Assay
from readerd.assay.layout import Binding, control_name
from readerd.assay.result import Flag, Sample
from readerd.assay.saying import Range, Saying, say
from readerd.assay.wells import WellTable

_UNBOUND = Binding(None)


@dataclass(frozen=True, slots=True)
class Found:
    """Samples and controls in reporting order, and the concentration of each well by index."""

    samples: tuple[Sample, ...]
    wells: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class _Place:
    """One position: all its wells, and those that have a response and are not masked."""

    name: str
    wells: Sequence[int]
    used: Sequence[int]
    responses: Sequence[float]


def read_samples(
    assay: Assay, table: WellTable, bindings: Mapping[str, Binding], usable: Range | None
) -> Found:
    """Every sample and control of the layout; without a curve they carry no concentration."""
    layout = assay.layout
    names = [name for name in layout.groups if layout.role(name) in ("control", "sample")]
    rank = {name: number for number, name in enumerate(layout.controls)}
    names.sort(key=lambda name: rank.get(control_name(name), len(rank)))
    places = [_place(name, layout.groups[name], table) for name in names]
    estimates, wells = _estimates(assay, places, usable)
    samples = tuple(
        _sample(
            assay,
            place,
            bindings.get(place.name, _UNBOUND),
            _said(assay, table, place, bindings.get(place.name, _UNBOUND), usable, estimates),
            _flags(assay, table, place),
            [wells[index] for index in place.used if index in wells],
        )
        for place in places
    )
    inside = {}
    if usable is not None:
        inside = {i: x for i, x in wells.items() if usable.lloq <= x <= usable.uloq}
    return Found(samples, inside)


def _place(name: str, wells: Sequence[int], table: WellTable) -> _Place:
    used = [index for index in wells if table.usable(index)]
    return _Place(name, wells, used, table.responses(used))


def _estimates(
    assay: Assay, places: Sequence[_Place], usable: Range | None
) -> tuple[dict[str, Estimate | None], dict[int, float]]:
    """The estimate of each position that has wells, and every well's own concentration."""
    seen = [place for place in places if place.used]
    if usable is None or not seen:
        return {}, {}
    y = np.array([value for place in seen for value in place.responses])
    sizes = np.array([len(place.used) for place in seen])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if assay.curve.replicates == "mean-concentration":
        found = read_wells(usable.curve, y, starts)
    else:
        means = np.add.reduceat(y, starts) / sizes
        found = read_means(usable.curve, means, sizes, (usable.lloq, usable.uloq))
    log_x, exists = usable.curve.log_dose(y)
    order = [index for place in seen for index in place.used]
    own = zip(order, np.exp(np.where(exists, log_x, 0.0)).tolist(), exists.tolist(), strict=True)
    by_name = {place.name: estimate for place, estimate in zip(seen, found, strict=True)}
    return by_name, {index: x for index, x, there in own if there}


def _said(
    assay: Assay,
    table: WellTable,
    place: _Place,
    binding: Binding,
    usable: Range | None,
    estimates: Mapping[str, Estimate | None],
) -> Saying:
    return say(
        usable,
        estimates.get(place.name),
        _mean(place.responses),
        saturated=any(table.over[i] and table.masked[i] is None for i in place.wells),
        dilution=binding.times,
        extrapolate=assay.curve.report_extrapolated,
    )


def _flags(assay: Assay, table: WellTable, place: _Place) -> list[Flag]:
    flags = [mark for index in place.wells for mark in table.flags[index]]
    cv = cv_pct(place.responses)
    if cv is not None and cv > assay.acceptance.replicate_cv_pct:
        flags.append(Flag.HIGH_CV)
    if len(place.used) == 1 and len(place.wells) > 1:
        flags.append(Flag.SINGLE_REPLICATE)
    return flags


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _sample(
    assay: Assay,
    place: _Place,
    binding: Binding,
    said: Saying,
    flags: Sequence[Flag],
    own: Sequence[float],
) -> Sample:
    layout = assay.layout
    return Sample(
        position=place.name,
        sample_id=binding.sample_id,
        wells=tuple(layout.wells[index] for index in place.wells),
        mean=_mean(place.responses),
        cv_pct=cv_pct(place.responses),
        concentration=said.concentration,
        dilution=binding.times,
        value=said.value,
        ci95=said.ci95,
        unit=assay.unit,
        qualifier=said.qualifier,
        limit=said.limit,
        extrapolated=said.extrapolated,
        status=said.status,
        flags=tuple(dict.fromkeys((*flags, *said.flags))),
        se=said.se,
        concentration_cv_pct=cv_pct(own) if len(own) == len(place.used) else None,
        ci95_method=said.method,
        role="control" if layout.role(place.name) == "control" else "sample",
    )
