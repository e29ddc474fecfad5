"""From wells to samples: replicates, concentration, dilution, and what may be said of them.

Inside [LLOQ, ULOQ] there is a value. Outside there is none, but a side: `<` or `>` and the limit
times the dilution. At or beyond an asymptote there is not even a concentration. An extrapolated
number stands only in its own field, and only when the assay asks for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from readerd.assay.curve.inverse import Estimate, read_means, read_wells
from readerd.assay.curve.report import cv_pct
from readerd.assay.definition import Assay
from readerd.assay.layout import Binding, control_name
from readerd.assay.result import Flag, Sample
from readerd.assay.saying import Range, of_sample, say
from readerd.assay.wells import WellTable

_UNBOUND = Binding(None)


@dataclass(frozen=True, slots=True)
class Found:
    """Samples and controls in reporting order, and the concentration of each well by index."""

    samples: tuple[Sample, ...]
    wells: Mapping[int, float]


def read_samples(
    assay: Assay, table: WellTable, bindings: Mapping[str, Binding], usable: Range | None
) -> Found:
    """Every sample and control of the layout; without a curve they carry no concentration."""
    layout = assay.layout
    positions = [name for name in layout.groups if layout.role(name) in ("control", "sample")]
    rank = {name: number for number, name in enumerate(layout.controls)}
    positions.sort(key=lambda name: rank.get(control_name(name), len(rank)))
    used = {
        name: [index for index in layout.groups[name] if table.usable(index)] for name in positions
    }
    estimates, wells = _estimates(assay, table, used, usable)
    samples = tuple(
        _sample(
            assay, table, name, used[name], bindings.get(name, _UNBOUND), usable, estimates, wells
        )
        for name in positions
    )
    inside = {}
    if usable is not None:
        inside = {i: x for i, x in wells.items() if usable.lloq <= x <= usable.uloq}
    return Found(samples, inside)


def _estimates(
    assay: Assay, table: WellTable, used: Mapping[str, Sequence[int]], usable: Range | None
) -> tuple[dict[str, Estimate | None], dict[int, float]]:
    """The estimate of each position that has wells, and every well's own concentration."""
    names = [name for name, wells in used.items() if wells]
    if usable is None or not names:
        return {}, {}
    order = [index for name in names for index in used[name]]
    y = np.array([table.response[index] for index in order], dtype=float)
    sizes = np.array([len(used[name]) for name in names])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if assay.curve.replicates == "mean-concentration":
        found = read_wells(usable.curve, y, starts)
    else:
        means = np.add.reduceat(y, starts) / sizes
        found = read_means(usable.curve, means, sizes, (usable.lloq, usable.uloq))
    log_x, exists = usable.curve.log_dose(y)
    own = zip(order, np.exp(np.where(exists, log_x, 0.0)).tolist(), exists.tolist(), strict=True)
    return dict(zip(names, found, strict=True)), {index: x for index, x, there in own if there}


def _sample(
    assay: Assay,
    table: WellTable,
    name: str,
    used: Sequence[int],
    binding: Binding,
    usable: Range | None,
    estimates: Mapping[str, Estimate | None],
    wells: Mapping[int, float],
) -> Sample:
    layout = assay.layout
    responses = [value for index in used if (value := table.response[index]) is not None]
    mean = sum(responses) / len(responses) if responses else None
    saturated = any(table.over[i] and table.masked[i] is None for i in layout.groups[name])
    said = say(
        usable,
        estimates.get(name),
        mean,
        saturated=saturated,
        dilution=binding.dilution,
        extrapolate=assay.curve.report_extrapolated,
    )
    own = [wells[index] for index in used if index in wells]
    cv = cv_pct(responses)
    flags = of_sample(mark for index in layout.groups[name] for mark in table.flags[index])
    flags += said.flags
    if cv is not None and cv > assay.acceptance.replicate_cv_pct:
        flags.append(Flag.HIGH_CV)
    if len(used) == 1 and len(layout.groups[name]) > 1:
        flags.append(Flag.SINGLE_REPLICATE)
    return Sample(
        position=name,
        sample_id=binding.sample_id,
        wells=tuple(layout.wells[index] for index in layout.groups[name]),
        mean=mean,
        cv_pct=cv,
        concentration=said.concentration,
        dilution=binding.dilution,
        value=said.value,
        ci95=said.ci95,
        unit=assay.unit,
        qualifier=said.qualifier,
        limit=said.limit,
        extrapolated=said.extrapolated,
        status=said.status,
        flags=tuple(dict.fromkeys(flags)),
        se=said.se,
        concentration_cv_pct=cv_pct(own) if len(own) == len(used) else None,
        ci95_method=said.method,
        role="control" if layout.role(name) == "control" else "sample",
    )
