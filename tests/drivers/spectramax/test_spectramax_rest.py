"""The SpectraMax comes to rest from every state, in time; the drawer moves to where it shall be."""

import asyncio
from typing import Any

import pytest

from readerd.driver.link import DirtyLink
from readerd.driver.stream import LineSettings
from readerd.errors import ErrorCode, InstrumentFault, NoReply, RequestError
from readerd.plate import ReadRequest
from readerd_spectramax import DRIVER_M5
from tests.cancelled_at import cancelled_at
from tests.drivers.spectramax.spectrabench import (
    DUAL,
    PLATE_2,
    Bench,
    commands,
    now_s,
    simulated,
)


def test_reading_and_moving_on_a_dirty_link_are_bugs_and_send_nothing() -> None:
    async def talk(bench: Bench) -> None:
        for verb in (bench.read, bench.reader.present, bench.reader.admit):
            with pytest.raises(DirtyLink):
                await verb()
        assert commands(bench) == []

    simulated().run(talk)


def test_park_is_idempotent_and_identify_answers_afterwards() -> None:
    async def talk(bench: Bench) -> None:
        for _ in range(3):
            await bench.reader.park()
            assert not bench.link.dirty
        assert commands(bench) == ["!STATUS"] * 4  # the first one is the challenge
        assert (await bench.reader.identify()).model == "SpectraMax 384 Plus"

    simulated().run(talk)


def test_the_air_calibration_at_power_on_is_waited_for() -> None:
    async def talk(bench: Bench) -> None:
        began_s = now_s()
        await bench.reader.identify()
        assert 40 < now_s() - began_s < 41
        assert await bench.read() == bench.expected()

    simulated(twin_options={"power_on_s": 40}).run(talk)


def test_a_calibration_that_never_ends_is_said_so_in_time() -> None:
    async def talk(bench: Bench) -> None:
        with pytest.raises(InstrumentFault, match="still CLOSED AIR CAL206 after 300 s"):
            await bench.reader.identify()
        assert 300 < now_s() < 301

    simulated(twin_options={"power_on_s": 10_000}).run(talk)


def test_an_instrument_that_is_busy_starts_no_read() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        await bench.link.ask(b"!READ\r", DRIVER_M5.decoders["reply"](), within_s=1, phase="panel")
        with pytest.raises(InstrumentFault, match="MEASURING, not at rest"):
            await bench.read()
        with pytest.raises(InstrumentFault, match="MEASURING, not at rest"):
            await bench.reader.present()
        assert commands(bench)[-2:] == ["!STATUS", "!STATUS"]
        await bench.reader.park()
        assert await bench.read() == bench.expected()

    async def begin(bench: Bench) -> None:
        await bench.reader.park()
        await bench.read()  # so that the instrument has its settings
        await talk(bench)

    simulated().run(begin)


def test_a_measurement_that_does_not_end_in_time_is_abandoned_and_parked() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(InstrumentFault, match="still CLOSED MEASURING after 5 s"):
            await bench.read()
        bench.lay(PLATE_2)
        await bench.settle()
        assert await bench.read(ReadRequest(wavelengths_nm=(450,))) == {450: bench.expected()[450]}

    simulated(options={"read_timeout_s": 5}).run(talk)


@pytest.mark.parametrize("cancel", [False, True])
def test_a_cancelled_read_is_parked_by_waiting_or_by_cancel(cancel: bool) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = asyncio.create_task(bench.read())
        await asyncio.sleep(3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        bench.lay(PLATE_2)
        began_s = now_s()
        await bench.reader.park()
        took_s = now_s() - began_s
        assert ("!CANCEL" in commands(bench)) == cancel
        assert took_s < 1 if cancel else 5 < took_s < 7  # the twin measures for 8 s
        assert await bench.read() == bench.expected()

    simulated(options={"cancel": cancel}).run(talk)


def test_an_abandoned_plate_is_never_taken_for_the_next_one() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(NoReply):
            await bench.read()
        bench.lay(PLATE_2)
        await bench.settle()
        assert await bench.read() == bench.expected()

    for step in ("READ", "TRANSFER"):
        simulated((f"late@{step}#1:200",)).run(talk)


def test_answers_that_were_held_up_are_through_before_the_challenge_ends() -> None:
    """Twenty questions of an earlier opening are answered behind one another."""

    async def talk(bench: Bench) -> None:
        await bench.identified()
        await bench.link.close()
        assert bench.wire is not None
        bench.wire.receive(b"!STATUS\r!CLEAR DATA\r!STATUS\r" * 7)
        bench.plug_in()
        await bench.reader.park()
        assert (await bench.reader.identify()).model == "SpectraMax 384 Plus"
        assert await bench.read() == bench.expected()

    simulated().run(talk)


@pytest.mark.parametrize("verb", ["identify", "read", "present", "admit", "park"])
def test_cancelled_at_every_await_the_next_read_is_the_next_plate(verb: str) -> None:
    at, cancelled = 0, True

    async def talk(bench: Bench) -> None:
        nonlocal cancelled
        await bench.settle()
        if verb == "admit":
            await bench.reader.present()
        starts: dict[str, Any] = {
            "identify": bench.reader.identify,
            "read": bench.read,
            "present": bench.reader.present,
            "admit": bench.reader.admit,
            "park": bench.reader.park,
        }
        cancelled = await cancelled_at(at, starts[verb])
        bench.lay(PLATE_2)
        if cancelled:
            await bench.reader.park()
        assert (await bench.reader.identify()).model == "SpectraMax 384 Plus"
        assert await bench.read() == bench.expected()

    while cancelled:
        at += 1
        simulated(faster_line=LineSettings(baud=57600), twin_options={"read_s": 1.0}).run(talk)
    assert at > {"identify": 2, "read": 40, "present": 3, "admit": 3, "park": 1}[verb]


def test_the_drawer_moves_to_a_state_and_never_toggles() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        await bench.reader.admit()
        assert commands(bench) == ["!STATUS"]
        for _ in range(2):
            await bench.reader.present()
        assert commands(bench) == ["!STATUS", "!STATUS", "!OPEN", "!STATUS", "!STATUS"]
        for _ in range(2):
            await bench.reader.admit()
        assert commands(bench)[5:] == ["!STATUS", "!CLOSE", "!STATUS", "!STATUS"]

    simulated().run(talk)


def test_a_drawer_that_does_not_answer_is_said_so_in_time() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        began_s = now_s()
        with pytest.raises(NoReply, match="OPEN: no answer"):
            await bench.reader.present()
        assert 60 < now_s() - began_s < 61
        await bench.settle()
        await bench.reader.present()  # it had moved
        assert commands(bench).count("!OPEN") == 1

    simulated(("silence@OPEN",)).run(talk)


def test_a_drawer_that_sticks_needs_a_person() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        for _ in range(2):
            with pytest.raises(InstrumentFault, match="carriage does not move") as caught:
                await bench.reader.present()
            assert caught.value.needs_human
        await bench.reader.present()

    simulated(("error@OPEN#1-2:400",)).run(talk)


def test_an_open_drawer_is_closed_for_a_read() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        assert await bench.read() == bench.expected()
        assert commands(bench)[:4] == ["!STATUS", "!CLOSE", "!STATUS", "!CLEAR DATA"]

    simulated(twin_options={"door": "OPEN"}).run(talk)


def test_an_open_drawer_is_refused_where_that_is_wanted() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(RequestError, match="drawer is OPEN") as caught:
            await bench.read()
        assert caught.value.code is ErrorCode.STATE_MISMATCH
        assert commands(bench) == ["!STATUS"]
        assert not bench.link.dirty

    simulated(twin_options={"door": "OPEN"}, options={"open_drawer": "refuse"}).run(talk)


def test_a_read_takes_the_wires_own_time() -> None:
    async def talk(bench: Bench) -> tuple[float, int]:
        await bench.identified()
        began_s = now_s()
        await bench.read()
        transcript = bench.link.transcript
        return now_s() - began_s, len(transcript.sent) + len(transcript.received)

    took_s, bytes_moved = simulated(twin_options={"read_s": 0, "answer_s": 0}).run(talk)
    assert bytes_moved > 1700
    assert took_s == pytest.approx(bytes_moved * LineSettings().seconds_per_byte, rel=0.02)


def test_the_estimate_bounds_the_slowest_read_that_still_succeeds() -> None:
    steps = "CLEAR XPOS YPOS STRIP CSPEED SHAKE WAVELENGTH CALIBRATE MODE ORDER READ TAG NVRAM"
    slow = [f"late@{step}:4.9" for step in steps.split()]
    slow += ["late@CLOSE:55", "silence@ERROR", "silence@STATUS#4"]

    async def talk(bench: Bench) -> None:
        await bench.identified()
        request = ReadRequest(wavelengths_nm=(450, 570), shake_s=60)
        began_s = now_s()
        assert await bench.read(request) == bench.expected()
        took_s = now_s() - began_s
        assert 690 < took_s <= bench.driver.estimate_s(request, bench.settings)

    twin_options = {"door": "OPEN", "read_s": 270.0, "second_prompt": False}
    simulated(tuple(slow), driver=DRIVER_M5, twin_options=twin_options).run(talk)


def test_the_estimate_of_a_plate_is_dominated_by_its_measurement() -> None:
    bench = simulated()
    longest_s = bench.driver.estimate_s(DUAL, bench.settings)
    assert 600 < longest_s < 1200
    many = ReadRequest(wavelengths_nm=(450, 570), format=384, shake_s=30)
    assert bench.driver.estimate_s(many, bench.settings) > longest_s + 30
