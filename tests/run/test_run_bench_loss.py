"""A line that is lost beside a read: never "ready" without a line, and the log names the run."""

import asyncio
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from readerd.driver.contract import OnStrip, Options, Reader
from readerd.driver.link import Link
from readerd.plate import Identity, Reading, ReadRequest
from readerd.run.log_run import current_run
from tests.run.run_scene import Scene, play
from tests.run.test_run_bench import BOTH, DRIVER, Port, nobody, running, simulated
from tests.virtual_clock import run_virtual

REST_S = 5.0


@dataclass
class Resting:
    """A Reader that lets its instrument come to rest after the plate, without a question."""

    reader: Reader
    link: Link
    rests: asyncio.Event

    async def identify(self) -> Identity:
        return await self.reader.identify()

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        reading = await self.reader.read(request, on_strip)
        self.rests.set()
        await self.link.pause(REST_S)
        return reading

    async def park(self) -> None:
        await self.reader.park()


def test_a_line_lost_behind_the_plate_is_opened_again() -> None:
    async def main() -> None:
        rests = asyncio.Event()

        def opened_by(link: Link, options: Options) -> Resting:
            return Resting(DRIVER.open(link, options), link, rests)

        driver = replace(DRIVER, open=opened_by)
        port, states = Port(simulated()), list[str]()
        async with running(port, states, driver=driver) as bench:
            for opened in (2, 3):
                await bench.until_ready()
                reading = asyncio.create_task(bench.read(BOTH, nobody))
                await rests.wait()
                rests.clear()
                assert port.stream is not None
                await port.stream.close()  # the cable comes out while the instrument rests
                assert set((await reading).reading.plates) == {450, 570}
                await asyncio.sleep(10)
                assert (port.opened, bench.state) == (opened, "ready")
        assert states.count("absent") == 2

    run_virtual(main())


@pytest.mark.parametrize("fault", ["silence@RPLATE", "unplug@RPLATE:5"])
def test_the_ladder_names_the_run_that_met_the_trouble_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.INFO, "readerd.run.bench")
    told: list[tuple[str, str | None]] = []

    def note(record: logging.LogRecord) -> bool:
        if record.name == "readerd.run.bench":
            told.append((record.getMessage().split()[0], current_run()))
        return True

    async def script(scene: Scene) -> None:
        envelope = await scene.read("k1")
        run_id = envelope.data.run.id
        await scene.bench.until_ready()
        kind = "reader=lost" if fault.startswith("unplug") else "reader=recovering"
        assert told == [("reader=ready", None), (kind, run_id), ("reader=ready", run_id)]

    caplog.handler.addFilter(note)
    try:
        play(tmp_path / "journal.db", script, fault)
    finally:
        caplog.handler.removeFilter(note)
