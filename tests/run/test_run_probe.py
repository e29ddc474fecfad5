"""The idle reader is asked now and then whether it is there, and still the same: the probe."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from readerd.errors import NoReply, WrongInstrument
from readerd.run.bench import Bench
from tests.run.test_run_bench import BOTH, Port, nobody, running, simulated
from tests.virtual_clock import run_virtual


def probed(
    script: Callable[[Bench, list[str]], Coroutine[Any, Any, None]], *faults: str, expect: str = ""
) -> None:
    async def main() -> None:
        states: list[str] = []
        port = Port(simulated(*faults))
        async with running(port, states, expect, probe_every_s=60) as bench:
            await bench.until_ready()
            await script(bench, states)

    run_virtual(main())


def test_an_idle_reader_that_falls_silent_is_noticed_twice() -> None:
    async def script(bench: Bench, states: list[str]) -> None:
        await asyncio.sleep(600)  # virtual
        assert states.count("recovering") == 2
        assert bench.state == "ready"
        await bench.read(BOTH, nobody)

    # The first ID is the one at the start, the next two are probes (each recovery asks once more).
    probed(script, "silence@FSTATUS#2", "silence@FSTATUS#4")


def test_a_read_in_the_middle_of_a_probe_waits_for_it_and_works() -> None:
    async def script(bench: Bench, states: list[str]) -> None:
        await asyncio.sleep(60.02)  # virtual: the probe has asked and not heard yet
        assert bench._in_use.locked()
        assert set((await bench.read(BOTH, nobody)).reading.plates) == {450, 570}

    probed(script)


def test_a_read_behind_a_probe_that_fails_is_a_failed_read_and_the_next_works() -> None:
    async def script(bench: Bench, states: list[str]) -> None:
        await asyncio.sleep(61)  # virtual: the probe hangs
        with pytest.raises(NoReply, match="fell silent just before"):
            await bench.read(BOTH, nobody)
        await bench.until_ready()
        await bench.read(BOTH, nobody)

    probed(script, "silence@FSTATUS#2")


@pytest.mark.parametrize("is_pressed", [True, False])
def test_an_instrument_that_was_swapped_reads_no_plate_announced_during_the_probe(
    is_pressed: bool,
) -> None:
    async def script(bench: Bench, states: list[str]) -> None:
        await asyncio.sleep(60.02)  # virtual
        assert bench._in_use.locked()
        bench.arm()
        if is_pressed:
            with pytest.raises(WrongInstrument, match="'Model 680 B' answers"):
                await bench.read(BOTH, nobody)
            assert bench.state == "recovering"
        await asyncio.sleep(10)  # virtual: the right one is there again
        assert "needs_human" in states
        await bench.read(BOTH, nobody)

    probed(script, "wrong-instrument@ID#3-4:Model 680 B", expect="Model 680")
