"""The bench on the ladder, in virtual time: the real driver and link, a Model 680 twin as the port.

Every trouble comes twice in a row, and then the next read works.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from readerd.driver import catalog
from readerd.driver.chemistry import simulated_elisa
from readerd.driver.contract import Driver, Options
from readerd.driver.stream import ByteStream
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Twin, TwinSetup, parse_fault
from readerd.errors import (
    ErrorCode,
    InstrumentError,
    LinkLost,
    NoReply,
    RequestError,
)
from readerd.plate import ReadRequest, Strip
from readerd.run.bench import Bench
from tests.virtual_clock import run_virtual

DRIVER = catalog.find("biorad680")
OPTIONS = DRIVER.options()
BOTH = ReadRequest(wavelengths_nm=(450, 570))
CHEMISTRY = simulated_elisa({"A1": 300.0}, seed=1)


def simulated(*faults: str) -> Twin:
    setup = TwinSetup(chemistry=CHEMISTRY, faults=tuple(map(parse_fault, faults)))
    return DRIVER.twin(setup)


@dataclass
class Port:
    """A socket in the wall: opens the instrument that is plugged in, if one is."""

    twin: Twin | None
    opened: int = 0
    stream: ByteStream | None = field(default=None, repr=False)

    async def open(self) -> ByteStream:
        twin = self.twin
        if twin is None:
            raise LinkLost("no such port")
        self.opened += 1
        self.stream = await open_transport("twin:", DRIVER.line(OPTIONS), twin=lambda: twin)
        return self.stream


@asynccontextmanager
async def running(
    port: Port,
    states: list[str],
    expect: str = "",
    probe_every_s: float = 0,
    driver: Driver = DRIVER,
    options: Options = OPTIONS,
) -> AsyncIterator[Bench]:
    bench = Bench(
        driver,
        options,
        port.open,
        now=lambda: datetime(2026, 3, 4, tzinfo=UTC),
        on_change=lambda: states.append(bench.state),
        expect_identity=expect,
        probe_every_s=probe_every_s,
    )
    task = asyncio.create_task(bench.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.wait({task})


def nobody(strip: Strip) -> None:
    """Strips are not what is tested here."""


def in_virtual_time(
    faults: Sequence[str], script: Callable[[Bench, Port, list[str]], object], expect: str = ""
) -> None:
    async def main() -> None:
        port, states = Port(simulated(*faults)), list[str]()
        async with running(port, states, expect) as bench:
            await script(bench, port, states)  # type: ignore[misc]

    run_virtual(main())


def test_a_read_delivers_the_plate_with_its_evidence() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        await bench.until_ready()
        strips: list[Strip] = []
        measured = await bench.read(BOTH, strips.append)
        assert set(measured.reading.plates) == {450, 570}
        assert len(strips) == 16
        assert measured.raw.count(b".end") == 2
        assert b"RPLATE" in measured.transcript
        assert set(measured.read_at) == {450, 570}
        assert states == ["hello", "ready", "reading", "ready"]

    in_virtual_time((), script)


def test_a_plate_whose_release_is_not_confirmed_is_kept_and_the_reader_parked() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        for _ in range(2):
            await bench.until_ready()
            measured = await bench.read(BOTH, nobody)
            assert "leave remote mode" in measured.reading.warnings[0]
            assert bench.state == "recovering"
        await bench.until_ready()
        assert (await bench.read(BOTH, nobody)).reading.warnings == ()

    # park and identify say RL twice, the read once more; the ladder three times
    in_virtual_time(("silence@RL#3", "silence@RL#7"), script)


@pytest.mark.parametrize(
    "fault",
    ["silence@RPLATE#1-2", "garbage@RPLATE#1-2", "truncate@RPLATE#1-2", "unplug@RPLATE#1-2:600"],
)
def test_trouble_in_a_read_twice_in_a_row_then_the_next_read_works(fault: str) -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        for _ in range(2):
            await bench.until_ready()
            with pytest.raises(InstrumentError):
                await bench.read(BOTH, nobody)
            assert bench.state in ("recovering", "absent")
            assert bench.evidence().transcript != b""
        await bench.until_ready()
        assert set((await bench.read(BOTH, nobody)).reading.plates) == {450, 570}

    in_virtual_time((fault,), script)


def test_a_cancelled_read_is_parked_and_its_late_answer_is_not_the_next_plate() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        for _ in range(2):
            await bench.until_ready()
            read = asyncio.create_task(bench.read(BOTH, nobody))
            await asyncio.sleep(3)  # virtual: the instrument is measuring
            read.cancel()
            await asyncio.wait({read})
            assert bench.state == "recovering"
        await bench.until_ready()
        measured = await bench.read(BOTH, nobody)
        assert measured.raw.count(b".end") == 2

    in_virtual_time((), script)


def test_unplugged_while_nobody_reads_is_noticed_and_the_way_back_found() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        for _ in range(2):
            await bench.until_ready()
            twin, port.twin = port.twin, None
            assert port.stream is not None
            await port.stream.close()
            await asyncio.sleep(0.1)  # virtual
            assert bench.state == "absent"
            with pytest.raises(RequestError) as refused:
                bench.require_ready()
            assert refused.value.code == ErrorCode.READER_OFFLINE
            port.twin = twin
        await bench.until_ready()
        await bench.read(BOTH, nobody)
        assert port.opened == 3

    in_virtual_time((), script)


def test_an_absent_reader_is_looked_for_from_1_s_doubling_to_60_s() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []

        async def nothing_there() -> ByteStream:
            times.append(loop.time())
            raise LinkLost("no such port")

        port = Port(None)
        port.open = nothing_there  # type: ignore[method-assign]
        async with running(port, []):
            await asyncio.sleep(400)
        waits = [round(b - a) for a, b in itertools.pairwise(times)]
        assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]

    run_virtual(main())


def test_asking_for_a_read_makes_the_search_immediate() -> None:
    async def main() -> None:
        port = Port(None)
        async with running(port, []) as bench:
            await asyncio.sleep(100)
            port.twin = simulated()
            before_s = asyncio.get_running_loop().time()
            with pytest.raises(RequestError, match="absent: no such port"):
                bench.require_ready()
            await bench.until_ready()
            assert asyncio.get_running_loop().time() - before_s < 1

    run_virtual(main())


def test_a_read_while_one_runs_is_busy() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        await bench.until_ready()
        read = asyncio.create_task(bench.read(BOTH, nobody))
        await asyncio.sleep(1)
        with pytest.raises(RequestError) as refused:
            await bench.read(BOTH, nobody)
        assert refused.value.code == ErrorCode.BUSY
        assert set((await read).reading.plates) == {450, 570}

    in_virtual_time((), script)


def test_another_instrument_needs_a_human_and_is_never_read() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        await asyncio.sleep(300)
        assert port.opened == 10  # quietly: 1 s doubling to 60 s
        assert states == ["hello", "needs_human"]
        with pytest.raises(RequestError, match="expected 'S/N 42'"):
            bench.require_ready()

    in_virtual_time((), script, expect="S/N 42")


def test_a_reader_that_needs_a_human_is_seen_as_that_until_its_answer_is_another() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        for _ in range(2):
            await asyncio.sleep(20)
            assert bench.state == "needs_human"
            assert bench.reason == "identify: '0550' answers instead of a Model 680"
            twin, port.twin = port.twin, None
            await asyncio.sleep(60)
            assert (bench.state, bench.reason) == ("absent", "no such port")
            port.twin = twin
            await asyncio.sleep(60)
        assert states == ["hello", "needs_human", "absent"] * 2 + ["hello", "needs_human"]
        port.twin = simulated("wrong-instrument@ID#1-6")  # the right one, twice not yet
        await bench.until_ready()
        assert states[7:] == ["needs_human", "ready"]
        await bench.read(BOTH, nobody)

    in_virtual_time(("wrong-instrument",), script)


def test_who_is_expected_is_asked_at_every_opening_and_by_every_probe() -> None:
    async def main() -> None:
        right, other = simulated(), simulated("wrong-instrument:Model 680 B")
        port, states = Port(right), list[str]()
        async with running(port, states, "Model 680", probe_every_s=60) as bench:
            for _ in range(2):
                await bench.until_ready()
                port.twin = other
                assert port.stream is not None
                await port.stream.close()
                await asyncio.sleep(30)
                assert bench.reason == "identify: expected 'Model 680', 'Model 680 B' answers"
                port.twin = right
            await bench.until_ready()
            assert states.count("needs_human") == 2
        port, states = Port(simulated("wrong-instrument@ID#3-4:Model 680 B")), []
        async with running(port, states, "Model 680", probe_every_s=60) as bench:
            await asyncio.sleep(70)
            assert states == ["hello", "ready", "recovering", "hello", "needs_human", "ready"]

    run_virtual(main())


def test_a_power_on_self_test_is_waited_for_and_breaks_no_promise() -> None:
    """The slowest of them: an air calibration of 13 minutes, allowed for by the option."""
    driver = catalog.find("spectramax384plus")
    twin = driver.twin(TwinSetup(chemistry=CHEMISTRY, options={"power_on_s": 800.0}))

    async def main() -> None:
        port, states = Port(twin), list[str]()
        options = driver.options.model_validate({"start_up_timeout_s": 900.0})
        async with running(port, states, driver=driver, options=options) as bench:
            for _ in range(79):
                await asyncio.sleep(10)  # virtual
                assert [promise.broken() for promise in bench.promises] == [None, None]
            assert bench.state == "hello"
            await bench.until_ready()
            assert (port.opened, states) == (1, ["hello", "ready"])
            await bench.read(BOTH, nobody)

    run_virtual(main())


def test_a_wavelength_that_is_not_fitted_leaves_the_bench_ready() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        for _ in range(2):
            await bench.until_ready()
            with pytest.raises(RequestError, match="no 700 nm filter"):
                await bench.read(ReadRequest(wavelengths_nm=(450, 700)), nobody)
            assert bench.state == "ready"

    in_virtual_time((), script)


def test_silence_is_bounded_by_the_drivers_estimate() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        await bench.until_ready()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        with pytest.raises(NoReply):
            await bench.read(BOTH, nobody)
        assert loop.time() - began_s <= DRIVER.estimate_s(BOTH, OPTIONS)

    in_virtual_time(("silence@RPLATE",), script)


def test_the_last_plate_again_is_the_same_plate() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        await bench.until_ready()
        first = await bench.read(BOTH, nobody)
        again = await bench.resend(96)
        assert again.reading.plates == first.reading.plates
        assert b"RTPLATE" in again.transcript

    in_virtual_time((), script)


def test_there_is_no_carrier_to_move() -> None:
    async def script(bench: Bench, port: Port, states: list[str]) -> None:
        await bench.until_ready()
        with pytest.raises(RequestError, match="no carrier"):
            await bench.move_carrier(out=True)
        assert bench.state == "ready"

    in_virtual_time((), script)
