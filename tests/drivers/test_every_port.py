"""Every driver over every kind of port: the same plate file, the same optical densities.

Real time and real parts (`tests/driver/ports.py`). The plate has every kind of cell, and numbers
with the three decimals that every wire carries.
"""

import asyncio
from pathlib import Path

import pytest

from readerd.csvfile import plate_from_csv
from readerd.driver import catalog
from readerd.driver.chemistry import from_plates
from readerd.driver.conformance.plates import disagreements
from readerd.driver.link import Link
from readerd.driver.transport import open_transport
from readerd.driver.virtual import TwinSetup
from readerd.plate import Reading, ReadRequest, Unread
from tests.driver.ports import KINDS, plate_file, plugged

REQUEST = ReadRequest(wavelengths_nm=(450, 570))
# A plate takes milliseconds here; this is only how long a failure may hang.
SOON_S = 30.0
# Pacing and instrument, so much faster than life.
TIME_SCALE = 0.002


async def read_over(kind: str, name: str, directory: Path) -> Reading:
    driver = catalog.find(name)
    table = plate_from_csv(plate_file(driver.photometric_range), "plate.csv")
    twin = driver.twin(TwinSetup(chemistry=from_plates(table.plates)))
    options = driver.example_options()
    line = driver.line(options)
    async with plugged(kind, twin, line, directory, time_scale=TIME_SCALE) as port:
        link = Link(await open_transport(port, line, twin=lambda: twin, time_scale=TIME_SCALE))
        try:
            reader = driver.open(link, options)
            await reader.park()
            await reader.identify()
            reading = await reader.read(REQUEST, lambda strip: None)
            await reader.park()
        finally:
            await link.close()
    expected = table.plates
    assert disagreements(reading.plates, expected, 96, driver.photometric_range) == []
    return reading


@pytest.mark.parametrize("name", catalog.installed())
async def test_every_port_carries_the_same_plate(name: str, tmp_path: Path) -> None:
    """An instrument on each kind of port, all read at once: most of it is waiting."""
    for kind in KINDS:
        (tmp_path / kind).mkdir()
    async with asyncio.timeout(SOON_S):
        readings = await asyncio.gather(*(read_over(kind, name, tmp_path / kind) for kind in KINDS))
    first = readings[0].plates
    assert all(reading.plates == first for reading in readings)
    seen = set(first[450])
    assert Unread.SATURATED in seen
    assert any(not isinstance(value, Unread) and value < 0 for value in seen)
