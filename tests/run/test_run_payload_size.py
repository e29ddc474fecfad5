"""How large a result is: full IL-6 plates through quantify, report and encoder.

The bounds are those of docs/reference/messages.md; a field or a digit more is noticed here.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from readerd.assay.definition import Assay, load_assay
from readerd.assay.layout import Binding, PlateMap
from readerd.assay.quantify import quantify
from readerd.demo.plate import il6_assay_text
from readerd.driver.chemistry import reported, simulated_elisa
from readerd.edge.broker import PACKET_OVERHEAD
from readerd.payload import Operator, Trigger
from readerd.plate import FORMATS, Identity, Reading
from readerd.run.report import Basis, Bridge, Delivered, Outcome, Plan, result_message
from readerd.run.rows import Place, RunRow

AT = datetime(2026, 3, 4, 9, 15, 42, 401000, tzinfo=UTC)
ULID = "01JNF6ZX9M2E7A4R8T1Y5W3Q6P"
MEASUREMENT_NM, REFERENCE_NM = 450, 570
# SpectraMax and Synergy say four decimals, the Model 680 three.
DECIMALS, LIMIT_OD = 4, 4.0
# The smallest that a large cloud broker takes: AWS IoT Core's quota for the message size.
CLOUD_PACKET_BYTES = 128 * 1024


def full_assay(format: int, replicates: int) -> Assay:
    """The IL-6 assay on a plate without an empty well: standards and controls twice, samples."""
    size = FORMATS[format].size
    kept = 2 * [*(f"S{number}" for number in range(1, 9)), "QL", "QH"]
    samples = [f"U{number}" for number in range(1, (size - len(kept)) // replicates + 1)]
    filled = kept + [name for name in samples for _ in range(replicates)]
    columns = size // FORMATS[format].rows
    rows = [filled[start : start + columns] for start in range(0, size, columns)]
    layout = "\n".join(" ".join(row) for row in rows)
    head, _, rest = il6_assay_text().partition('plate = """')
    _, _, tail = rest.partition('"""')
    head = head.replace("format = 96", f"format = {format}")
    return load_assay(f'{head}plate = """\n{layout}\n"""{tail}', "il6-elisa.toml")


def read(assay: Assay) -> Reading:
    """As an instrument with four decimals says it; the samples lie all over the range."""
    layout = assay.layout
    truth = dict(layout.standards) | {"QL": 30.0, "QH": 200.0}
    names = [name for name in layout.groups if layout.role(name) == "sample"]
    truth |= {name: 5.0 * 58.0 ** (number / len(names)) for number, name in enumerate(names)}
    pairs = zip(layout.wells, layout.positions, strict=True)
    wells = {well: truth[position] for well, position in pairs if position is not None}
    chemistry = simulated_elisa(wells, seed=6, format=layout.format)
    plates = {
        nm: tuple(reported(value, DECIMALS, LIMIT_OD) for value in chemistry.plate(nm))
        for nm in (MEASUREMENT_NM, REFERENCE_NM)
    }
    identity = Identity(model="SpectraMax 384 Plus", serial="MX12345", firmware="v4.8")
    return Reading(identity=identity, format=layout.format, plates=plates)


def message(format: int, replicates: int) -> bytes:
    """Every sample is named by the LIMS, every field that a run can fill is filled."""
    assay = full_assay(format, replicates)
    names = [name for name in assay.layout.groups if assay.layout.role(name) == "sample"]
    bound = {name: Binding(f"S26-{index:06d}", 2.0) for index, name in enumerate(names)}
    basis = Basis(plate_map=PlateMap(samples=bound, id="WL-2026-0304", version="1"))
    reading = read(assay)
    result = quantify(
        assay,
        reading,
        reference_nm=REFERENCE_NM,
        photometric_range=(-LIMIT_OD, LIMIT_OD),
        plate_map=basis.plate_map,
        masks={},
    )
    assert (result.curve, len(result.samples)) == ("accepted", len(names) + 2)
    outcome = Outcome(
        finished_at=AT,
        delivered=Delivered(reading=reading, read_at={MEASUREMENT_NM: AT, REFERENCE_NM: AT}),
        result=result,
        raw=b"raw bytes",
        basis=basis,
    )
    bridge = Bridge(
        site="lab1",
        reader="bench2",
        driver="spectramax384plus",
        version="1",
        config_sha256="9f" * 32,
    )
    compose = result_message(bridge, run(), plan(), assay, outcome, ULID)
    return compose(Place(ULID, 1234)).payload


def plan() -> Plan:
    return Plan(
        key=ULID,
        assay="il6-elisa",
        plate="PLT0001234",
        barcode_source="scanner",
        trigger=Trigger(kind="button", source="gpio"),
        operator=Operator(id="op-17", known_by="badge"),
        reread_reason=None,
        measurement_nm=MEASUREMENT_NM,
        reference_nm=REFERENCE_NM,
        requested_reference_nm=REFERENCE_NM,
    )


def run() -> RunRow:
    return RunRow(
        id=ULID,
        key=ULID,
        state="read",
        plate="PLT0001234",
        request={},
        assay_text="",
        attempt=1,
        accepted_at=AT.isoformat(),
        started_at=AT.isoformat(),
        finished_at=None,
        failure=None,
    )


# Per plate: the row's name in the page, the replicates of each sample, the bound in bytes.
PLATES = {
    "96 wells, duplicates": (96, 2, 32_000),
    "96 wells, single": (96, 1, 46_000),
    "384 wells, duplicates": (384, 2, 120_000),
    "384 wells, single": (384, 1, 190_000),
}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "messages.md"


def compact(part: Any) -> int:
    return len(json.dumps(part, separators=(",", ":"), ensure_ascii=False).encode())


def said(name: str) -> list[int]:
    """The numbers of one row of the page's table."""
    [row] = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {name} |")]
    return [int(cell.replace(",", "")) for cell in row.split("|")[2:-1]]


@pytest.mark.parametrize("name", PLATES)
def test_a_full_plate_is_as_large_as_the_page_says(name: str) -> None:
    format, replicates, bound = PLATES[name]
    body = message(format, replicates)
    data = json.loads(body)["data"]
    samples, wells = compact(data["samples"]), compact(data["wells"])
    measured = [len(body), samples, wells, len(body) - samples - wells]
    assert len(body) <= bound
    assert said(name) == [pytest.approx(value, rel=0.02) for value in measured]
    if replicates == 2:
        assert len(body) + PACKET_OVERHEAD + 100 < CLOUD_PACKET_BYTES
    for column in data["wells"].values():
        assert len(column) == format


def test_nothing_is_rounded_and_corrected_is_the_difference_to_the_last_bit() -> None:
    assay = full_assay(384, 2)
    reading = read(assay)
    wells = json.loads(message(384, 2))["data"]["wells"]
    assert wells["a_measurement"] == list(reading.plates[MEASUREMENT_NM])
    assert wells["a_reference"] == list(reading.plates[REFERENCE_NM])
    pairs = zip(wells["a_measurement"], wells["a_reference"], strict=True)
    assert wells["corrected"] == [one - other for one, other in pairs]
    # What that exactness costs: the shortest decimal would not be equal.
    assert any(len(repr(value)) > 12 for value in wells["corrected"])
