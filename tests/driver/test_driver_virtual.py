"""Twins behind the simulated line: faults by position, speed, order; and the virtual clock."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from readerd.driver.stream import LineSettings
from readerd.driver.transport import TwinStream
from readerd.driver.virtual import (
    LINE_FAULTS,
    Emission,
    Fault,
    FaultPlan,
    parse_fault,
    with_faults,
)
from readerd.driver.wire import LATENCY_S, Wire
from readerd.errors import InputError, LinkLost
from tests.virtual_clock import Deadlock, run_virtual

LINE = LineSettings()  # 9600 8N1: 10 bits, 1.04 ms per byte


class Answers:
    """Answers each letter with two emissions: `ok` at once, ten bytes after 1 s."""

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        return [
            emission
            for letter in data.decode()
            for emission in (
                Emission(after_s=0.0, data=b"ok", step="ok"),
                Emission(after_s=1.0, data=letter.encode() * 10, step=letter),
            )
        ]


def heard(letters: bytes, *specs: str) -> list[tuple[float, bytes]]:
    """What arrives, in pieces with their times, over an infinitely fast line."""

    async def main() -> list[tuple[float, bytes]]:
        twin = with_faults(Answers(), [parse_fault(spec) for spec in specs])
        stream = TwinStream(Wire(twin, LineSettings(baud=10**9)))
        pieces = []
        loop = asyncio.get_running_loop()
        for letter in letters:
            await stream.send(bytes([letter]))
            try:
                async with asyncio.timeout(50):
                    while True:
                        data = await stream.receive()
                        pieces.append((round(loop.time(), 3), data))
            except TimeoutError:
                continue
            except LinkLost:
                pieces.append((round(loop.time(), 3), b"LOST"))
                break
        return pieces

    return run_virtual(main())


def said(letters: bytes, *specs: str) -> bytes:
    return b"".join(data for _, data in heard(letters, *specs))


def test_without_faults_nothing_changes() -> None:
    assert heard(b"a") == [(0.0, b"ok"), (1.0, b"a" * 10)]


@pytest.mark.parametrize(
    ("spec", "bytes_heard"),
    [
        ("silence@a", b"ok"),
        ("silence@ok", b"a" * 10),
        ("silence", b""),
        ("truncate@a", b"ok" + b"a" * 5),
        ("truncate@a:3", b"ok" + b"a" * 3),
        ("flip@a:0", b"ok`" + b"a" * 9),
        ("flip@a:-1", b"ok" + b"a" * 9 + b"`"),
        ("flip@a:10", b"ok" + b"a" * 10),
        ("stale@a", b"okok" + b"a" * 10),
        ("unplug@a", b"okLOST"),
        ("unplug@a:4", b"okaaaaLOST"),
        ("unplug@ok", b"LOST"),
        ("split@a", b"ok" + b"a" * 10),
        ("coalesce@ok", b"ok" + b"a" * 10),
    ],
)
def test_each_fault_does_what_its_line_in_the_table_says(spec: str, bytes_heard: bytes) -> None:
    assert said(b"a", spec) == bytes_heard


def test_garbage_has_its_length_and_no_ascii() -> None:
    garbage = said(b"a", "garbage@a:7").removeprefix(b"ok")
    assert len(garbage) == 7
    assert all(byte >= 0x80 for byte in garbage)


def test_late_moves_the_answer_and_everything_behind_it() -> None:
    assert heard(b"a", "late@a:30") == [(0.0, b"ok"), (31.0, b"a" * 10)]
    assert heard(b"a", "late@ok:30") == [(30.0, b"ok"), (31.0, b"a" * 10)]


def test_coalesce_makes_one_piece_of_an_answer_and_the_next() -> None:
    assert heard(b"a", "coalesce@ok") == [(1.0, b"ok" + b"a" * 10)]


def test_split_delivers_single_bytes() -> None:
    async def main() -> list[int]:
        twin = with_faults(Answers(), [parse_fault("split@a")])
        stream = TwinStream(Wire(twin, LINE))
        await stream.send(b"a")
        return [len(await stream.receive()) for _ in range(11)]

    assert run_virtual(main()) == [2] + [1] * 10


def test_a_fault_meets_only_its_occurrences() -> None:
    assert said(b"aba", "silence@a#2", "silence@ok") == b"a" * 10 + b"b" * 10
    assert said(b"aaaa", "silence@a#2-3", "silence@ok") == b"a" * 20
    plan = FaultPlan([parse_fault("x@S#2"), parse_fault("y")])
    turns = [[fault.kind for fault in plan.turn("S")] for _ in range(3)]
    assert turns == [["y"], ["x", "y"], ["y"]]


def test_unplugging_twice_needs_two_openings() -> None:
    twin = with_faults(Answers(), [parse_fault("unplug@a#1-2")])

    async def main() -> bytes:
        for _ in range(2):
            stream = TwinStream(Wire(twin, LINE))
            await stream.send(b"a")
            assert await stream.lost() == "twin: unplugged"
        stream = TwinStream(Wire(twin, LINE))
        await stream.send(b"a")
        await asyncio.sleep(2)
        return stream.discard()

    assert run_virtual(main()) == b"ok" + b"a" * 10


def test_every_kind_parses_and_prints_as_it_was_written() -> None:
    for kind in LINE_FAULTS:
        for spec in (kind, f"{kind}@STEP", f"{kind}@STEP#2-2:7", f"{kind}@!READ:7"):
            assert str(parse_fault(spec)) == spec
    assert parse_fault("unplug@RPLATE#3:600") == Fault(
        kind="unplug", step="RPLATE", first=3, last=3, arg="600"
    )
    assert parse_fault("missing-filter:570") == Fault(kind="missing-filter", arg="570")


@pytest.mark.parametrize("spec", ["", "@RPLATE", "silence@", "x@S#0", "x@S#3-2", "silence#1", "a:"])
def test_a_spec_that_is_none_says_how_it_is_written(spec: str) -> None:
    with pytest.raises(InputError, match=r"KIND\[@STEP|counts from 1"):
        parse_fault(spec)


@pytest.mark.parametrize(
    ("spec", "says"),
    [("sillence@a", "known are coalesce"), ("late@a", "how late"), ("unplug@a:x", "no number")],
)
def test_faults_are_checked_before_anything_runs(spec: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        with_faults(Answers(), [parse_fault(spec)])


def test_own_kinds_are_known_and_left_to_the_twin() -> None:
    twin = with_faults(Answers(), [parse_fault("melt@a")], own=["melt"])
    assert [emission.data for emission in twin.receive(b"a", 0)] == [b"ok", b"a" * 10]


@pytest.mark.parametrize("time_scale", [1.0, 0.25])
def test_every_byte_takes_its_time_on_the_wire(time_scale: float) -> None:
    class Thousand:
        def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
            return [Emission(after_s=2.0, data=b"x" * 960, step="x")]

    async def main() -> list[tuple[float, int]]:
        stream = TwinStream(Wire(Thousand(), LINE, time_scale=time_scale))
        loop = asyncio.get_running_loop()
        await stream.send(b"go" * 48)  # 0.1 s
        pieces: list[tuple[float, int]] = []
        while sum(size for _, size in pieces) < 960:
            size = len(await stream.receive())
            pieces.append((loop.time(), size))
        return pieces

    pieces = run_virtual(main())
    assert pieces[-1][0] == pytest.approx(time_scale * (0.1 + 2.0 + 1.0))
    times = [at_s for at_s, _ in pieces]
    assert max(b - a for a, b in pairwise(times)) <= LATENCY_S + 1e-6


def test_an_abort_replaces_what_has_not_left_yet() -> None:
    class Abortable:
        def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
            if data == b"x":
                return [Emission(after_s=0.5, data=b"stopped", step="x", replaces=True)]
            return [Emission(after_s=100, data=b"result", step="r")]

    async def main() -> tuple[bytes, float]:
        stream = TwinStream(Wire(Abortable(), LineSettings(baud=10**9)))
        await stream.send(b"r")
        await asyncio.sleep(1)
        await stream.send(b"x")
        answer = await stream.receive()
        at_s = asyncio.get_running_loop().time()
        await asyncio.sleep(200)
        assert stream.discard() == b""
        return answer, round(at_s, 3)

    assert run_virtual(main()) == (b"stopped", 1.5)


def test_the_virtual_clock_jumps_and_fails_on_deadlock() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(90_000)

    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_virtual(stuck())
