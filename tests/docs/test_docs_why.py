"""`why-this-concentration.md` follows one well; its numbers are computed here, step by step.

Run this file to write the page's blocks anew: `python -m tests.docs.test_docs_why`.
"""

import math
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from readerd.assay.definition import load_assay
from readerd.assay.quantify import quantify
from readerd.assay.result import Fit, PlateResult, Sample
from readerd.demo.plate import il6_plate
from readerd.demo.twin import simulated
from readerd.driver import catalog
from readerd.driver.link import Link
from readerd.driver.transport import open_transport
from readerd.plate import Reading, ReadRequest
from readerd.view.rounding import significant
from readerd.view.why import as_text, why
from tests.virtual_clock import run_virtual

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "why-this-concentration.md"
BLOCK = re.compile(r"(?<=```text\n).*?(?=```)", re.DOTALL)
SAMPLE, WELLS = "U1", ("C3", "C4")


async def read() -> tuple[Reading, bytes]:
    """The demo's plate through driver, link and twin, with the bytes it came as."""
    driver = catalog.find("biorad680")
    options, plate = driver.options(), il6_plate()
    twin = simulated(driver, plate.chemistry)
    link = Link(await open_transport("twin:", driver.line(options), twin=lambda: twin))
    reader = driver.open(link, options)
    await reader.park()
    reading = await reader.read(ReadRequest(wavelengths_nm=(450, 570)), lambda strip: None)
    received = link.transcript.received
    await link.close()
    return reading, received


@cache
def plate() -> tuple[Reading, bytes, PlateResult]:
    reading, received = run_virtual(read())
    assay = load_assay(il6_plate().assay_text, "il6-elisa.toml")
    return reading, received, quantify(assay, reading, reference_nm=570)


def row_c(received: bytes, block: int) -> str:
    """Row C of a block as it stood on the wire."""
    return received.split(b".begin\r")[block].split(b"\r")[2].decode()


def wire() -> str:
    _, received, _ = plate()
    rows = [f"450 nm, row C:{row_c(received, 1)}", f"570 nm, row C:{row_c(received, 2)}"]
    return "\n".join(rows) + "\n"


def mean() -> float:
    reading, _, _ = plate()
    corrected = []
    for well in WELLS:
        measured, reference = reading.value(450, well), reading.value(570, well)
        assert isinstance(measured, float)
        assert isinstance(reference, float)
        corrected.append(measured - reference)
    return sum(corrected) / len(corrected)


def fit() -> Fit:
    found = plate()[2].fit
    assert found is not None
    return found


def sample() -> Sample:
    return next(one for one in plate()[2].samples if one.position == SAMPLE)


def inverse() -> float:
    p, y = fit().params, mean()
    return float(p["c"] * ((p["a"] - y) / (y - p["d"])) ** (1 / p["b"]))


def error() -> tuple[float, float, float]:
    """Variance of the mean response, variance of the curve there, slope dy/d(ln x)."""
    found, y, x = fit(), mean(), inverse()
    a, b, c, d = (found.params[name] for name in "abcd")
    covariance = np.zeros((4, 4))
    assert found.covariance is not None
    assert found.sigma is not None
    for i, upper in enumerate(found.covariance.upper):
        covariance[i, i:] = covariance[i:, i] = upper
    power = (x / c) ** b
    log = math.log(x / c)
    share = power / (1 + power)
    steep = (a - d) * share / (1 + power)
    gradient = np.array([1 / (1 + power), -steep * log, steep * b / c, share])
    assert found.covariance.order == ("a", "b", "c", "d")
    of_wells = found.sigma**2 * (0.005**2 + (0.05 * y) ** 2) / 2
    return of_wells, float(gradient @ covariance @ gradient), -steep * b


def truth() -> str:
    return f"true  {il6_plate().truth[SAMPLE]:g} pg/mL\n"


def blocks() -> list[str]:
    """The wire, then every step as `--why` prints it, then the truth."""
    steps = why(plate()[2], SAMPLE, "450 – 570 nm")
    told = [as_text([step]).removeprefix("1  ") + "\n" for step in steps]
    return [wire(), *told, truth()]


def test_the_page_shows_what_the_code_computes() -> None:
    assert BLOCK.findall(PAGE.read_text(encoding="utf-8")) == blocks()


def test_the_finger_arrives_where_the_code_does() -> None:
    one = sample()
    assert one.concentration is not None
    assert one.se is not None
    assert math.isclose(inverse(), one.concentration, rel_tol=1e-9)
    of_wells, of_curve, slope = error()
    standard_error = inverse() * math.sqrt(of_wells + of_curve) / abs(slope)
    assert math.isclose(standard_error, one.se, rel_tol=1e-6)
    assert one.ci95_method == "delta"
    parts = f"the wells {significant(of_wells**0.5)}, the curve {significant(of_curve**0.5)}"
    assert parts in blocks()[4]
    assert f"slope {significant(slope, 4)}" in blocks()[4]


def test_each_step_is_told_in_order() -> None:
    headings = re.findall(r"^## \d\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    numbers = [int(heading[3]) for heading in headings]
    assert numbers[0] == 1
    assert all(after == before + 1 for before, after in pairwise(numbers))


if __name__ == "__main__":
    fresh = iter(blocks())
    PAGE.write_text(BLOCK.sub(lambda _: next(fresh), PAGE.read_text(encoding="utf-8")), "utf-8")
