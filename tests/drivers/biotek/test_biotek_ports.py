"""Every BioTek reader over every port it can have: the same plate file to the last digit.

In real time, on real pseudo-terminals and sockets.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from readerd.csvfile import plate_from_csv
from readerd.driver.chemistry import from_plates
from readerd.driver.link import Link
from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.transport import open_transport
from readerd.driver.virtual import TwinSetup
from readerd.errors import LinkLost
from readerd.plate import FORMATS, OpticalDensity, ReadRequest, Unread
from tests.drivers.biotek.biotek_bench import (
    DRIVERS,
    DUAL,
    OVER_RANGE_OD,
    PLATE_2,
    Bench,
    simulated,
)

# Everything here takes milliseconds; this is only how long a failure may hang.
SOON_S = 20.0
PACE = 0.002
# In real time, where a read is to be abandoned.
MEASURES_S = 1.0
Opens = Callable[[Bench], Awaitable[Any]]
PLATE_STEP = {"elx808": "S-data", "elx800": "S-data", "synergyh1": "O-data"}
PLATE_PHASE = {"elx808": "S: ", "elx800": "S: ", "synergyh1": "O 450 nm: "}


@pytest.fixture(params=["serial", "tcp", "twin"])
async def plug_in(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opens]:
    """Opens a port of this kind to the bench's one instrument; closes the one before."""
    links: list[Link] = []
    served: Any = None
    port = "twin:"

    async def open_port(bench: Bench) -> Any:
        nonlocal served, port
        if served is None and request.param == "serial":
            path = str(tmp_path / "reader.pty")
            served = serve_pty(bench.twin, bench.line, path=path, time_scale=PACE)
            port = await served.__aenter__()
        elif served is None and request.param == "tcp":
            served = serve_tcp(bench.twin, bench.line, time_scale=PACE)
            port = await served.__aenter__()
        for link in links:
            await link.close()
        stream = await open_transport(port, bench.line, twin=lambda: bench.twin, time_scale=PACE)
        links.append(Link(stream))
        return bench.driver.open(links[-1], bench.settings)

    yield open_port
    for link in links:
        await link.close()
    if served is not None:
        await served.__aexit__(None, None, None)


def plate_file(decimals: int, format: int) -> str:
    """As many digits as the wire carries; negative, saturated and missing cells among them."""
    lines = ["well,450,570"]
    for index, well in enumerate(FORMATS[format].wells):
        measured = {"A2": f"-{1.2345:.{decimals}f}", "B1": "SAT", "C3": "", "H12": "4.5"}.get(
            well, f"{0.05 + index * 0.0101:.{decimals}f}"
        )
        reference = {"A3": "", "D4": f"-{0.0012:.{decimals}f}"}.get(
            well, f"{0.03 + index * 0.001:.{decimals}f}"
        )
        lines.append(f"{well},{measured},{reference}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "decimals", "format"),
    [("elx808", 3, 96), ("elx800", 3, 96), ("synergyh1", 4, 96), ("synergyh1", 4, 384)],
)
async def test_the_plate_file_is_the_same_over_every_port(
    plug_in: Opens, name: str, decimals: int, format: int
) -> None:
    table = plate_from_csv(plate_file(decimals, format), "plate.csv")
    bench = simulated(name)
    setup = TwinSetup(
        chemistry=from_plates(table.plates, format), options={"over_range_od": OVER_RANGE_OD}
    )
    bench.twin = DRIVERS[name].twin(setup)
    async with asyncio.timeout(SOON_S):
        reader = await plug_in(bench)
        await reader.identify()
        request = ReadRequest(wavelengths_nm=(450, 570), format=format)
        reading = await reader.read(request, bench.strips.append)
        await reader.park()
    # An ELx has one mark for over range and missing; a Synergy leaves a missing well out.
    missing = Unread.NOT_MEASURED if name == "synergyh1" else Unread.SATURATED

    def on_the_wire(value: OpticalDensity) -> OpticalDensity:
        if value is Unread.NOT_MEASURED:
            return missing
        over = isinstance(value, Unread) or value > OVER_RANGE_OD
        return Unread.SATURATED if over else value

    for nm in (450, 570):
        assert reading.plates[nm] == tuple(map(on_the_wire, table.plates[nm]))
    assert reading.value(450, "A2") == pytest.approx(-1.2345, abs=10**-decimals)
    assert reading.value(450, "B1") is Unread.SATURATED
    assert reading.value(450, "C3") is missing
    assert len(bench.strips) == 2 * FORMATS[format].rows


@pytest.mark.parametrize("name", DRIVERS)
async def test_unplugged_in_mid_plate_twice_and_plugged_in_again(plug_in: Opens, name: str) -> None:
    bench = simulated(name, (f"unplug@{PLATE_STEP[name]}#1-2:600",))
    async with asyncio.timeout(SOON_S):
        for _ in range(2):
            reader = await plug_in(bench)
            await reader.park()
            await reader.identify()
            with pytest.raises(LinkLost, match=PLATE_PHASE[name]):
                await reader.read(DUAL, bench.strips.append)
        bench.lay(PLATE_2)
        reader = await plug_in(bench)
        await reader.park()
        await reader.identify()
        reading = await reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()


@pytest.mark.parametrize("name", DRIVERS)
async def test_a_daemon_that_died_in_mid_read_leaves_no_plate_to_the_next(
    plug_in: Opens, name: str
) -> None:
    late_s = MEASURES_S / PACE
    late = (f"late@{PLATE_STEP[name]}#1:{late_s}",)
    bench = simulated(name, late, options={"reply_timeout_s": 0.5})
    async with asyncio.timeout(SOON_S):
        reader = await plug_in(bench)
        await reader.identify()
        reading = asyncio.create_task(reader.read(DUAL, bench.strips.append))
        await asyncio.wait({reading}, timeout=MEASURES_S / 2)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        bench.lay(PLATE_2)
        reader = await plug_in(bench)
        await reader.park()
        await reader.identify()
        again = await reader.read(DUAL, bench.strips.append)
        assert dict(again.plates) == bench.expected()
