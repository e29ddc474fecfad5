"""The Model 680 comes to rest from every state, in time, and late answers are nobody's plate."""

import asyncio
from typing import Any

import pytest

from readerd.driver.link import DirtyLink
from readerd.driver.stream import LineSettings
from readerd.errors import (
    NoReply,
)
from readerd.plate import ReadRequest
from readerd_biorad import DRIVER
from tests.cancelled_at import cancelled_at
from tests.drivers.biorad.model680 import (
    DUAL,
    PLATE_2,
    Bench,
    commands,
    identified,
    now_s,
    simulated,
)

# Faster than the instrument's own: a plate in some thirty pieces.
LINE = LineSettings(baud=28800)
SINGLE = ReadRequest(wavelengths_nm=(450,))


def test_a_release_that_fails_after_the_plate_costs_nothing_but_a_warning() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert len(reading.warnings) == 1
        assert "leave remote mode: no answer" in reading.warnings[0]
        assert bench.link.dirty
        await bench.settle()

    simulated(("silence@RL#2",)).run(talk)


def test_reading_on_a_dirty_link_is_a_bug_and_sends_nothing() -> None:
    async def talk(bench: Bench) -> None:
        with pytest.raises(DirtyLink):
            await bench.read()
        assert commands(bench) == []

    simulated().run(talk)


def test_park_is_idempotent_and_works_from_every_state() -> None:
    async def talk(bench: Bench) -> None:
        for _ in range(3):
            await bench.reader.park()
            assert not bench.link.dirty
        assert commands(bench) == ["AQ", "ID", "RL", "RL", "RL"]
        assert (await bench.reader.identify()).model == "Model 680"

    simulated().run(talk)


def test_an_abandoned_plate_is_never_taken_for_the_next_one() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(NoReply):
            await bench.read()
        bench.lay(PLATE_2)
        await bench.settle()
        assert await bench.read() == bench.expected()

    simulated(("late@RPLATE#1:200",)).run(talk)


def test_a_cancelled_read_is_parked_within_what_it_may_still_take() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = asyncio.create_task(bench.read())
        await asyncio.sleep(3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert bench.link.dirty
        bench.lay(PLATE_2)
        began_s = now_s()
        await bench.reader.park()
        assert 6 < now_s() - began_s < 10  # the twin needs 9 s and 1.4 s; it answers in order
        assert await bench.read() == bench.expected()

    simulated().run(talk)


@pytest.mark.parametrize("verb", ["identify", "read", "resend", "park"])
def test_cancelled_at_every_await_the_next_read_is_the_next_plate(verb: str) -> None:
    at, cancelled = 0, True

    async def talk(bench: Bench) -> None:
        nonlocal cancelled
        await bench.settle()
        if verb == "resend":
            await bench.read()
        starts: dict[str, Any] = {
            "identify": bench.reader.identify,
            "read": bench.read,
            "resend": bench.reader.resend,
            "park": bench.reader.park,
        }
        cancelled = await cancelled_at(at, starts[verb])
        bench.lay(PLATE_2)
        if cancelled:
            assert bench.link.dirty
            await bench.reader.park()
        assert (await bench.reader.identify()).model == "Model 680"
        assert await bench.read() == bench.expected()

    while cancelled:
        at += 1
        simulated(faster_line=LINE).run(talk)
    assert at > {"identify": 4, "read": 30, "resend": 30, "park": 1}[verb]


def test_a_read_takes_the_wires_own_time() -> None:
    async def talk(bench: Bench) -> float:
        await identified(bench)
        began_s = now_s()
        await bench.read()
        return now_s() - began_s

    took_s = simulated(twin_options={"read_s": 0, "answer_s": 0}).run(talk)
    bytes_s = (1300 + 16 * 6) * simulated().line.seconds_per_byte
    assert took_s == pytest.approx(bytes_s, rel=0.12)


def test_the_estimate_bounds_the_slowest_read_that_still_succeeds() -> None:
    slow = (
        *(f"late@{step}:4.9" for step in ("AQ", "ID", "FSTATUS", "MR", "RTPLATE", "RL")),
        *("late@RPLATE:110", "bad-checksum@RPLATE", "bad-checksum@RTPLATE#1"),
    )

    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        request = ReadRequest(wavelengths_nm=(450, 570), shake_s=60)
        began_s = now_s()
        assert await bench.read(request) == bench.expected()
        assert now_s() - began_s <= DRIVER.estimate_s(request, bench.settings)

    simulated(slow).run(talk)
