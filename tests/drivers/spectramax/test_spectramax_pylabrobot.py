"""PyLabRobot, unchanged, reads our SpectraMax twins over a pseudo-terminal: an independent witness.

Its classes were written by users of the instruments and share no line with this codec. They do not
say everything that is on the wire: a negative optical density and a missing one become NaN, #SAT
becomes infinity. So each of those cells is expected as PyLabRobot has it, and exactly by our reader
from the same twin.
"""

import asyncio
import math
from typing import Any

import pytest
from pylabrobot.plate_reading.molecular_devices import (  # type: ignore[import-untyped]
    MolecularDevicesBackend,
    MolecularDevicesSpectraMax384PlusBackend,
    MolecularDevicesSpectraMaxM5Backend,
    MolecularDevicesUnrecognizedCommandError,
)
from pylabrobot.resources import (  # type: ignore[import-untyped]
    biorad_384_wellplate_50uL_Vb,
    cor_96_wellplate_360uL_Fb,
)

from readerd.csvfile import plate_from_csv
from readerd.driver.chemistry import from_plates
from readerd.driver.contract import Driver
from readerd.driver.link import Link
from readerd.driver.serve import serve_pty
from readerd.driver.transport import open_transport
from readerd.driver.virtual import TwinSetup
from readerd.plate import FORMATS, OpticalDensity, ReadRequest, Unread
from readerd_spectramax import DRIVER_384_PLUS, DRIVER_M5

DRIVERS = {
    "spectramax384plus": (DRIVER_384_PLUS, MolecularDevicesSpectraMax384PlusBackend),
    "spectramaxm5": (DRIVER_M5, MolecularDevicesSpectraMaxM5Backend),
}
PLATES = {96: cor_96_wellplate_360uL_Fb, 384: biorad_384_wellplate_50uL_Vb}


def plate_file(format: int) -> str:
    """Every well another value; negative, saturated and missing cells among them."""
    lines = ["well,450,570"]
    for index, well in enumerate(FORMATS[format].wells):
        measured = {"A2": "-0.0012", "B1": "SAT", "C3": "", "H12": "4.0001"}.get(
            well, f"{0.05 + index * 0.0101:.4f}"
        )
        reference = {"A3": "", "D4": "-0.0004"}.get(well, f"{0.03 + index * 0.0001:.4f}")
        lines.append(f"{well},{measured},{reference}")
    return "\n".join(lines)


def as_pylabrobot_has_it(value: OpticalDensity) -> float:
    if value is Unread.SATURATED:
        return math.inf
    return math.nan if isinstance(value, Unread) or value < 0 else value


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


async def test_pylabrobot_reads_450_and_570_and_finds_the_plate_file() -> None:
    """Both models and both formats at once: its polling takes four seconds."""
    cases = [(name, format) for name in DRIVERS for format in PLATES]
    await asyncio.gather(*(find_the_plate_file(*case) for case in cases))


async def find_the_plate_file(name: str, format: int) -> None:
    driver, backend = DRIVERS[name]
    table = plate_from_csv(plate_file(format), "plate.csv")
    assert table.format == format
    twin = driver.twin(TwinSetup(chemistry=from_plates(table.plates, format)))
    line = driver.line(driver.options())
    async with serve_pty(twin, line, time_scale=0) as port:
        theirs = await read_with_pylabrobot(backend(port.removeprefix("serial:")), format)
        ours = await read_with_readerd(driver, port, format)
    shown = {nm: [limited(value) for value in values] for nm, values in table.plates.items()}
    assert ours == {nm: tuple(values) for nm, values in shown.items()}
    assert [each["wavelength"] for each in theirs] == [450, 570]
    for each in theirs:
        found = [value for row in each["data"] for value in row]
        wanted = [as_pylabrobot_has_it(value) for value in shown[each["wavelength"]]]
        assert len(found) == FORMATS[format].size
        assert all(same(one, other) for one, other in zip(found, wanted, strict=True))
        assert each["temperature"] == 25.1


def limited(value: OpticalDensity) -> OpticalDensity:
    """What is beyond 4.0 is saturated; the file has no more digits than the wire."""
    return Unread.SATURATED if not isinstance(value, Unread) and value > 4.0 else value


async def read_with_pylabrobot(
    backend: MolecularDevicesBackend, format: int
) -> list[dict[str, Any]]:
    await backend.setup()
    try:
        found: list[dict[str, Any]] = await backend.read_absorbance(
            plate=PLATES[format](name="plate"), wavelengths=[450, 570]
        )
        return found
    finally:
        await backend.stop()


async def read_with_readerd(
    driver: Driver, port: str, format: int
) -> dict[int, tuple[OpticalDensity, ...]]:
    options = driver.options()
    link = Link(await open_transport(port, driver.line(options)))
    try:
        reader = driver.open(link, options)
        await reader.park()
        await reader.identify()
        request = ReadRequest(wavelengths_nm=(450, 570), format=format)
        return dict((await reader.read(request, lambda strip: None)).plates)
    finally:
        await link.close()


async def test_pylabrobot_moves_the_drawer_reads_its_status_and_hears_our_refusals() -> None:
    chemistry = from_plates({450: [0.1] * 96, 570: [0.04] * 96})
    setup = TwinSetup(chemistry=chemistry, options={"temperature_c": 24.8})
    line = DRIVER_384_PLUS.line(DRIVER_384_PLUS.options())
    async with serve_pty(DRIVER_384_PLUS.twin(setup), line, time_scale=0) as port:
        backend = MolecularDevicesSpectraMax384PlusBackend(port.removeprefix("serial:"))
        await backend.setup()
        try:
            async with asyncio.timeout(30):
                await backend.open()
                assert await backend.get_status() == ["OPEN", "IDLE"]
                await backend.close()
                assert await backend.get_status() == ["CLOSED", "IDLE"]
                assert await backend.get_temperature() == (24.8, 0.0)
                refused = MolecularDevicesUnrecognizedCommandError
                with pytest.raises(refused, match="error 107: no data to transfer"):
                    await backend.send_command("!TRANSFER")
                with pytest.raises(refused, match="error 100: command not found"):
                    await backend.send_command("!NVRAM CARCOL 100")
        finally:
            await backend.stop()
