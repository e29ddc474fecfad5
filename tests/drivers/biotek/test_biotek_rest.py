"""BioTek readers come to rest from every state, in time, and late answers are nobody's plate."""

import asyncio
from typing import Any

import pytest

from readerd.driver.link import DirtyLink
from readerd.driver.stream import LineSettings
from readerd.errors import NoReply
from readerd.plate import ReadRequest
from readerd_biotek.elx_codec import AssayTable
from readerd_biotek.synergy_codec import Procedure
from readerd_biotek.synergy_options import SynergyOptions, geometry
from tests.cancelled_at import cancelled_at
from tests.drivers.biotek.biotek_bench import (
    DRIVERS,
    DUAL,
    PLATE_2,
    SINGLE,
    Bench,
    now_s,
    sent,
    simulated,
)

HALT = {"elx808": b"X", "elx800": b"X", "synergyh1": b"x"}
PLATE_STEP = {"elx808": "S-data", "elx800": "S-data", "synergyh1": "O-data"}
DEAF = {"deaf_while_reading": True}
# A plate in some thirty pieces.
LINE = LineSettings(baud=28800)


@pytest.mark.parametrize("name", DRIVERS)
def test_reading_on_a_dirty_link_is_a_bug_and_sends_nothing(name: str) -> None:
    async def talk(bench: Bench) -> None:
        with pytest.raises(DirtyLink):
            await bench.read()
        with pytest.raises(DirtyLink):
            await bench.reader.present()
        assert sent(bench) == []

    simulated(name).run(talk)


@pytest.mark.parametrize("name", DRIVERS)
def test_park_is_idempotent(name: str) -> None:
    async def talk(bench: Bench) -> None:
        for _ in range(3):
            await bench.reader.park()
            assert not bench.link.dirty
        assert sent(bench) == [b"e"] * 3
        assert (await bench.reader.identify()).model == bench.driver.models[0]

    simulated(name).run(talk)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_cancelled_read_is_halted_and_parked_at_once(name: str) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = asyncio.create_task(bench.read())
        await asyncio.sleep(8)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert bench.link.dirty
        bench.lay(PLATE_2)
        began_s = now_s()
        await bench.reader.park()
        assert now_s() - began_s < 2  # the twin halts in one second
        assert sent(bench)[-2:] == [HALT[name], b"e"]
        assert await bench.read() == bench.expected()

    simulated(name, twin_options=dict(DEAF)).run(talk)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_read_may_be_left_to_its_end_instead(name: str) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = asyncio.create_task(bench.read())
        await asyncio.sleep(8)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        bench.lay(PLATE_2)
        bound_s = bench.link.remaining_s() + 4 * bench.settings.reply_timeout_s
        began_s = now_s()
        await bench.reader.park()
        assert now_s() - began_s <= bound_s
        assert HALT[name] not in sent(bench)
        assert await bench.read() == bench.expected()

    simulated(name, options={"read_before_abort": True}).run(talk)


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("late_s", [80, 190, 400])
def test_an_abandoned_plate_is_never_taken_for_the_next_one(name: str, late_s: int) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        if late_s > bench.settings.read_timeout_s * 2:
            with pytest.raises(NoReply):
                await bench.read()
        else:
            reading = asyncio.create_task(bench.read())
            await asyncio.sleep(30)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        bench.lay(PLATE_2)
        await bench.settle()
        assert await bench.read() == bench.expected()

    simulated(name, (f"late@{PLATE_STEP[name]}#1:{late_s}",)).run(talk)


TABLE = AssayTable("450570", several_nm=(450, 570)).to_bytes()
SHAPE = geometry(96, SynergyOptions()).to_bytes()
PROCEDURE = Procedure(450, 8, 12).to_bytes()


@pytest.mark.parametrize(
    ("name", "left_behind"),
    [
        ("elx808", [b"V"]),
        ("elx808", [b"V", TABLE[:100]]),
        ("elx808", [b"n1", b"V", TABLE, b"S"]),
        ("elx808", [b"n"]),
        ("elx808", [b"J"]),
        ("synergyh1", [b"D"]),
        ("synergyh1", [b"D", PROCEDURE[:20]]),
        ("synergyh1", [b"&", b"S"]),
        ("synergyh1", [b"y", SHAPE, b"D", PROCEDURE, b"O"]),
        ("synergyh1", [b"J"]),
    ],
)
def test_what_a_process_that_died_has_left_behind_is_cleared_by_the_next(
    name: str, left_behind: list[bytes]
) -> None:
    """The reader may wait for the rest of an argument, or measure and hear only the halt."""

    async def talk(bench: Bench) -> None:
        assert bench.wire is not None
        for piece in left_behind:
            bench.wire.receive(piece)
        bench.lay(PLATE_2)
        began_s = now_s()
        await bench.reader.park()
        assert now_s() - began_s < 40
        await bench.reader.identify()
        assert await bench.read() == bench.expected()

    simulated(name, twin_options=dict(DEAF)).run(talk)


@pytest.mark.parametrize("name", ["elx808", "synergyh1"])
@pytest.mark.parametrize("verb", ["identify", "read", "park", "present"])
def test_cancelled_at_every_await_the_next_read_is_the_next_plate(name: str, verb: str) -> None:
    at, cancelled = 0, True

    async def talk(bench: Bench) -> None:
        nonlocal cancelled
        await bench.settle()
        starts: dict[str, Any] = {
            "identify": bench.reader.identify,
            "read": bench.read,
            "park": bench.reader.park,
            "present": bench.reader.present,
        }
        cancelled = await cancelled_at(at, starts[verb])
        bench.lay(PLATE_2)
        if cancelled:
            assert bench.link.dirty
            await bench.reader.park()
        assert (await bench.reader.identify()).model == bench.driver.models[0]
        assert await bench.read() == bench.expected()

    while cancelled:
        at += 1
        simulated(name, twin_options=DEAF, faster_line=LINE).run(talk)
    assert at > {"identify": 2, "read": 30, "park": 1, "present": 0}[verb]


@pytest.mark.parametrize("name", DRIVERS)
def test_a_read_takes_the_wires_own_time(name: str) -> None:
    twin_options = {"read_s": 0, "answer_s": 0}
    twin_options["tray_s" if name == "synergyh1" else "carrier_s"] = 0

    async def talk(bench: Bench) -> tuple[float, int]:
        await bench.identified()
        began_s = now_s()
        await bench.read()
        entries = bench.link.transcript.entries
        return now_s() - began_s, sum(len(entry.data) for entry in entries)

    bench = simulated(name, twin_options=twin_options)
    took_s, size = bench.run(talk)
    assert took_s == pytest.approx(size * bench.line.seconds_per_byte, rel=0.01)


@pytest.mark.parametrize("name", DRIVERS)
def test_the_estimate_bounds_the_slowest_read_that_still_succeeds(name: str) -> None:
    elx = name != "synergyh1"
    short = ("n", "q", "e", "W", "temperature", "k", "V", "V-table")
    if not elx:
        short = ("e", "C", "speed", "speed-argument", "y", "y-argument", "D", "D-argument")
    slow = [f"late@{step}:2.7" for step in short]
    slow += [f"late@{PLATE_STEP[name]}:{100 if elx else 165}", f"late@A:{9 if elx else 15}"]
    options: dict[str, Any] = {"gap_timeout_s": 300}
    if elx:
        options.update(admit_first=True, temperature=True, speed="fast")

    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        request = ReadRequest(wavelengths_nm=(450, 570), shake_s=60 if elx else 0)
        began_s = now_s()
        assert await bench.read(request) == bench.expected(request)
        took_s = now_s() - began_s
        estimate_s = bench.driver.estimate_s(request, bench.settings)
        assert took_s <= estimate_s < 1.5 * took_s

    simulated(name, tuple(slow), options=options).run(talk)


@pytest.mark.parametrize("name", DRIVERS)
def test_one_wavelength_is_not_estimated_longer_than_two(name: str) -> None:
    bench = simulated(name)
    estimates = [bench.driver.estimate_s(request, bench.settings) for request in (SINGLE, DUAL)]
    assert 0 < estimates[0] < estimates[1]
