"""Whole plates for the tests: the shipped assay, the simulated plates, and plates of our own."""

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from readerd.assay.definition import Assay, load_assay
from readerd.assay.quantify import quantify
from readerd.assay.result import PlateResult, Rule, Sample
from readerd.plate import FORMATS, Identity, OpticalDensity, Reading, complete
from tests.assay.reference import simulated

SHIPPED = Path(__file__).parents[2] / "systemd" / "assays" / "il6-elisa.toml"
WELLS = FORMATS[96].wells
Plate = dict[str, OpticalDensity]


@cache
def il6() -> Assay:
    return load_assay(SHIPPED.read_text("utf-8"), SHIPPED.name)


def il6_with(**sections: Mapping[str, Any]) -> Assay:
    """The shipped assay with other values (None: without): il6_with(curve={"model": "5pl"})."""
    lines = []
    section = ""
    for line in SHIPPED.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line[1 : line.index("]")]
        changed = sections.get(section, {})
        key = line.split("=")[0].strip()
        if key in changed and not line.startswith("#"):
            continue
        lines.append(line)
        if line.startswith("["):
            lines += [
                f"{name} = {toml(value)}" for name, value in changed.items() if value is not None
            ]
    return load_assay("\n".join(lines), "changed")


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"""{value}"""' if "\n" in value else f'"{value}"'
    if isinstance(value, Mapping):
        inside = ", ".join(f'"{name}" = {toml(entry)}' for name, entry in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml(entry) for entry in value)}]"
    return repr(value)


def simulated_plate(number: int) -> tuple[Plate, Plate]:
    """Measurement and reference wavelength of a simulated plate, by well."""
    plate = simulated()["plates"][number]["plate"]
    return dict(plate["450"]), dict(plate["570"])


def clean_plate(
    *, noise: float = 0.0, seed: int = 1, doses: Mapping[str, float] | None = None
) -> tuple[Plate, Plate]:
    """An IL-6 plate drawn from the true curve; sample U<n> holds 4 + 7·n pg/mL unless said."""
    layout = il6().layout
    dice = random.Random(seed)
    measurement: Plate = {}
    reference: Plate = {}
    for well, position in zip(layout.wells, layout.positions, strict=True):
        assert position is not None
        given = {"QL": 30.0, "QH": 200.0, **layout.standards, **(doses or {})}
        dose = given[position] if position in given else 4.0 + 7.0 * int(position[1:])
        background = 0.038 + dice.uniform(-0.002, 0.002)
        reference[well] = background
        measurement[well] = true_response(dose) * (1 + noise * dice.gauss(0, 1)) + background
    return measurement, reference


def true_response(dose: float) -> float:
    """The curve of the contract's example: a 0.045, b 1.05, c 420, d 3.2."""
    if dose == 0:
        return 0.045
    return 3.2 + (0.045 - 3.2) / (1 + math.exp(1.05 * (math.log(dose) - math.log(420.0))))


def reading(measurement: Plate, reference: Plate, *, nm: int = 570) -> Reading:
    return Reading(
        identity=Identity(model="test"),
        format=96,
        plates={450: complete(measurement, 96), nm: complete(reference, 96)},
    )


def result(measurement: Plate, reference: Plate, assay: Assay | None = None) -> PlateResult:
    return quantify(assay or il6(), reading(measurement, reference), reference_nm=570)


def sample(of: PlateResult, position: str) -> Sample:
    return next(entry for entry in of.samples if entry.position == position)


def rule(of: PlateResult, name: str) -> Rule:
    return next(entry for entry in of.qc.rules if entry.id == name)


def numbers_of(found: object) -> list[float]:
    """Every float of a frozen value, wherever it stands."""
    if isinstance(found, float):
        return [found]
    entries: Iterable[object] = ()
    if isinstance(found, dict):
        entries = found.values()
    elif isinstance(found, tuple | list):
        entries = found
    elif is_dataclass(found):
        entries = [getattr(found, entry.name) for entry in fields(found)]
    return [number for entry in entries for number in numbers_of(entry)]
