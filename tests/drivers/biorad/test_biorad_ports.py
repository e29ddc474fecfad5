"""The Model 680 over every port it can have: the same plate to the last digit, in real time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from readerd.driver.link import Link
from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.transport import open_transport
from readerd.errors import LinkLost
from readerd_biorad.dialect import MODEL_680
from readerd_biorad.reader import EiaReader
from tests.drivers.biorad.model680 import DUAL, PLATE_2, Bench, simulated

# Everything here takes milliseconds; this is only how long a failure may hang.
SOON_S = 10.0
Opens = Callable[[Bench], Awaitable[EiaReader]]


@pytest.fixture(params=["serial", "tcp", "twin"])
async def plug_in(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opens]:
    """Opens a port of this kind to the bench's one instrument; closes the one before."""
    links: list[Link] = []
    served = None
    port = "twin:"

    async def open_port(bench: Bench) -> EiaReader:
        nonlocal served, port
        line = bench.line
        if served is None and request.param == "serial":
            path = str(tmp_path / "r680.pty")
            served = serve_pty(bench.twin, line, path=path, time_scale=0.002)
            port = await served.__aenter__()
        elif served is None and request.param == "tcp":
            served = serve_tcp(bench.twin, line, time_scale=0.002)
            port = await served.__aenter__()
        for link in links:
            await link.close()
        stream = await open_transport(port, line, twin=lambda: bench.twin, time_scale=0.002)
        links.append(Link(stream))
        return EiaReader(MODEL_680, links[-1], bench.settings)

    yield open_port
    for link in links:
        await link.close()
    if served is not None:
        await served.__aexit__(None, None, None)


async def test_the_plate_is_the_same_over_every_port(plug_in: Opens) -> None:
    bench = simulated()
    async with asyncio.timeout(SOON_S):
        reader = await plug_in(bench)
        await reader.identify()
        reading = await reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert len(bench.strips) == 16
        await reader.park()


async def test_unplugged_in_mid_plate_twice_and_plugged_in_again(plug_in: Opens) -> None:
    bench = simulated(("unplug@RPLATE#1-2:600",))
    async with asyncio.timeout(SOON_S):
        for _ in range(2):
            reader = await plug_in(bench)
            await reader.park()
            await reader.identify()
            with pytest.raises(LinkLost, match="RPLATE: "):
                await reader.read(DUAL, bench.strips.append)
        bench.lay(PLATE_2)
        reader = await plug_in(bench)
        await reader.identify()
        reading = await reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()


async def test_a_daemon_that_died_in_mid_read_leaves_no_plate_to_the_next(plug_in: Opens) -> None:
    bench = simulated()
    async with asyncio.timeout(SOON_S):
        reader = await plug_in(bench)
        await reader.identify()
        half_way = asyncio.Event()
        reading = asyncio.create_task(reader.read(DUAL, lambda strip: half_way.set()))
        await half_way.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        bench.lay(PLATE_2)
        reader = await plug_in(bench)
        await reader.park()
        await reader.identify()
        again = await reader.read(DUAL, bench.strips.append)
        assert dict(again.plates) == bench.expected()
