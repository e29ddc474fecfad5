"""The SpectraMax over every port it can have: one plate file, the same digits, in real time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from readerd.csvfile import plate_from_csv
from readerd.driver.chemistry import Chemistry, from_plates
from readerd.driver.contract import Driver, Reader
from readerd.driver.link import Link
from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Twin, TwinSetup, parse_fault
from readerd.errors import LinkLost
from readerd.plate import FORMATS, OpticalDensity, Reading, ReadRequest, Unread
from readerd_spectramax import DRIVER_384_PLUS, DRIVER_M5

# Everything here takes milliseconds; this is only how long a failure may hang.
SOON_S = 10.0
# A little of the instrument's own time, so that a read can be met half way.
SCALE = 0.002
DUAL = ReadRequest(wavelengths_nm=(450, 570))
Opens = Callable[[Driver, Twin], Awaitable[Reader]]


def plate_file(format: int, shift: float = 0.0) -> str:
    """Four decimals, as the wire carries them; negative, saturated and missing cells."""
    odd = {"A2": "-0.0012", "B1": "SAT", "C3": "", "D1": "4.0", "E1": "OVER", "F1": "-0.4000"}
    lines = ["well,450,570"]
    for index, well in enumerate(FORMATS[format].wells):
        measured = odd.get(well, f"{0.05 + shift + index * 0.0101:.4f}")
        lines.append(f"{well},{measured},{0.0300 + index * 0.0001:.4f}")
    return "\n".join(lines)


def laid(format: int = 96, shift: float = 0.0) -> dict[int, tuple[OpticalDensity, ...]]:
    return {
        nm: tuple(values)
        for nm, values in plate_from_csv(plate_file(format, shift), "plate.csv").plates.items()
    }


def made(driver: Driver, chemistry: Chemistry, *faults: str) -> Twin:
    return driver.twin(TwinSetup(chemistry=chemistry, faults=tuple(map(parse_fault, faults))))


@pytest.fixture(params=["serial", "tcp", "twin"])
async def plug_in(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opens]:
    """Opens a port of this kind to the one instrument, parked; closes the opening before."""
    links: list[Link] = []
    ports: list[str] = []

    async with AsyncExitStack() as stack:

        async def open_port(driver: Driver, twin: Twin) -> Reader:
            options = driver.options.model_validate({"poll_s": 0.02})  # all is faster than life
            line = driver.line(options)
            if not ports:
                served: Any = {
                    "serial": lambda: serve_pty(
                        twin, line, path=str(tmp_path / "spectramax.pty"), time_scale=SCALE
                    ),
                    "tcp": lambda: serve_tcp(twin, line, time_scale=SCALE),
                }.get(request.param)
                ports.append(await stack.enter_async_context(served()) if served else "twin:")
            for link in links:
                await link.close()
            stream = await open_transport(ports[0], line, twin=lambda: twin, time_scale=SCALE)
            links.append(Link(stream))
            reader = driver.open(links[-1], options)
            await reader.park()
            await reader.identify()
            return reader

        yield open_port
        for link in links:
            await link.close()


async def read(reader: Reader, request: ReadRequest = DUAL) -> Reading:
    async with asyncio.timeout(SOON_S):
        return await reader.read(request, lambda strip: None)


@pytest.mark.parametrize("format", [96, 384])
@pytest.mark.parametrize("driver", [DRIVER_384_PLUS, DRIVER_M5], ids=lambda driver: driver.name)
async def test_the_plate_file_is_the_same_over_every_port(
    plug_in: Opens, driver: Driver, format: int
) -> None:
    table = laid(format)
    reader = await plug_in(driver, made(driver, from_plates(table, format)))
    reading = await read(reader, ReadRequest(wavelengths_nm=(450, 570), format=format))
    wanted = {nm: list(values) for nm, values in table.items()}
    assert {nm: list(values) for nm, values in reading.plates.items()} == wanted
    kinds = [reading.value(450, well) for well in ("A2", "B1", "C3", "D1", "E1", "F1")]
    saturated = Unread.SATURATED
    assert kinds == [-0.0012, saturated, Unread.NOT_MEASURED, 4.0, saturated, -0.4]


async def test_unplugged_in_mid_plate_twice_and_plugged_in_again(plug_in: Opens) -> None:
    table = laid()
    twin = made(DRIVER_384_PLUS, from_plates(table), "unplug@TRANSFER#1-2:600")
    for _ in range(2):
        reader = await plug_in(DRIVER_384_PLUS, twin)
        with pytest.raises(LinkLost, match="TRANSFER: "):
            await read(reader)
    reader = await plug_in(DRIVER_384_PLUS, twin)
    assert dict((await read(reader)).plates) == table


async def test_a_daemon_that_died_in_mid_read_leaves_no_plate_to_the_next(plug_in: Opens) -> None:
    plates = dict(laid())
    twin = made(DRIVER_384_PLUS, Chemistry(format=96, plates=plates))
    reader = await plug_in(DRIVER_384_PLUS, twin)
    half_way = asyncio.Event()
    reading = asyncio.create_task(reader.read(DUAL, lambda strip: half_way.set()))
    async with asyncio.timeout(SOON_S):
        await half_way.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    plates.update(laid(shift=0.5))
    reader = await plug_in(DRIVER_384_PLUS, twin)
    assert dict((await read(reader)).plates) == laid(shift=0.5)
