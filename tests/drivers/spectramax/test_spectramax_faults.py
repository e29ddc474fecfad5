"""Every fault at every step, twice in a row: a stated outcome in time, then the next read works.

Virtual time. The instrument and its line outlive the connections, so an answer that comes late
comes into the port that was opened since. Before every read another plate is laid: a read that
succeeds must show that plate and no other, but for a bit that flips inside a cell on the wire:
this protocol has no checksum, and every Reading says so.

What a line can do at each step of identify, read and park the house rules try on every driver
(`survives-…` in `test_conformance_all.py`). Here is what they cannot know: what the instrument
itself does, the polls while it measures, and a park that cancels.
"""

from typing import Any

import pytest

from readerd.driver.contract import Driver
from readerd.driver.stream import LineSettings
from readerd.errors import InstrumentError
from readerd.plate import FORMATS, OpticalDensity
from readerd_spectramax import DRIVER_384_PLUS, DRIVER_M5
from readerd_spectramax.platedata import Block, PlateData
from tests.drivers.spectramax.spectrabench import (
    DUAL,
    PLATE_1,
    PLATE_2,
    Bench,
    now_s,
    simulated,
    values,
)
from tests.drivers.twin_bench import given_up, tried

LINE_KINDS = (
    "silence",
    "garbage",
    "garbage:2000",
    "truncate",
    "truncate:3",
    "flip",
    "flip:-1",
    "stale",
    "late:4",
    "late:400",
    "split",
    "coalesce",
    "unplug",
    "unplug:3",
)
OWN_KINDS = ("error:400", "busy", "operator-stop", "wrong-instrument", "late:30")
# The answer is whole and in time: nothing may come of it.
HARMLESS = {"split", "coalesce", "late:4"}
# Every command of a read, and how often it was answered when `settle` has been through once.
SETTLED = {"STATUS": 2, "READTYPE": 1}
READ_STEPS = (
    "STATUS", "CLEAR", "XPOS", "YPOS", "STRIP", "CSPEED", "SHAKE", "WAVELENGTH", "CALIBRATE",
    "MODE", "ORDER", "SPEED", "TAG", "NVRAM", "READTYPE", "READ", "TRANSFER", "ERROR",
)  # fmt: skip
# STATUS before the read, while it measures, and at its end.
POLLS = (0, 1, 3, 7)
MEASURING = 3
# Twelve times the instrument's baud rate, half its time: fewer pieces and polls, the same talk.
LINE, QUICK = LineSettings(baud=115200), {"read_s": 2.0}
# Nothing a twin does here takes longer: 400 s late, twice, and a ladder behind each.
SETTLED_WITHIN_S = 1500.0


def at(kind: str, step: str, after: int = 0) -> str:
    """The fault on the next two answers to this step, or on two later ones."""
    name, _, arg = kind.partition(":")
    first = SETTLED.get(step, 0) + after + 1
    return f"{name}@{step}#{first}-{first + 1}{':' + arg if arg else ''}"


def quick(faults: tuple[str, ...], **changes: Any) -> Bench:
    return simulated(faults, faster_line=LINE, twin_options=QUICK, **changes)


async def read_a_new_plate(bench: Bench, number: int, *, flipped: bool = False) -> bool:
    """True when the plate that lies there came; False on a stated failure in time."""
    bench.lay((PLATE_1, PLATE_2)[number % 2])
    bound_s = now_s() + bench.driver.estimate_s(DUAL, bench.settings)
    try:
        plates = await bench.read()
    except InstrumentError:
        plates = None
    assert now_s() <= bound_s
    if plates is not None and flipped:
        assert len(different(plates, bench.expected())) <= 1
    else:
        assert plates in (None, bench.expected())
    return plates is not None


def different(
    plates: dict[int, tuple[OpticalDensity, ...]], expected: dict[int, tuple[OpticalDensity, ...]]
) -> list[tuple[int, int]]:
    """Wavelength and index of every well that is not as it was laid."""
    assert plates.keys() == expected.keys()
    return [
        (nm, index)
        for nm in plates
        for index, (one, other) in enumerate(zip(plates[nm], expected[nm], strict=True))
        if one != other
    ]


async def conversation(bench: Bench, verb: str, kind: str) -> None:
    await bench.settle_within(SETTLED_WITHIN_S)
    reply_s = bench.settings.reply_timeout_s
    for number in (1, 2):
        if verb == "read":
            came = await read_a_new_plate(bench, number)
            assert came or kind not in HARMLESS
        elif verb == "identify":
            await tried(bench.reader.identify(), bench.settings.start_up_timeout_s + 8 * reply_s)
        else:
            await given_up(read_a_new_plate(bench, number), 2)  # the plate is being measured
            bound_s = bench.link.remaining_s() + bench.settings.read_timeout_s + 8 * reply_s
            await tried(bench.reader.park(), bound_s)
        await bench.settle_within(SETTLED_WITHIN_S)
    assert await read_a_new_plate(bench, 3)


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize("step", READ_STEPS)
def test_every_fault_at_every_step_of_a_read_twice_in_a_row(step: str, kind: str) -> None:
    quick((at(kind, step),), driver=DRIVER_M5).run(lambda bench: conversation(bench, "read", kind))


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        *((after, kind) for after in POLLS for kind in OWN_KINDS),
        *((MEASURING, kind) for kind in LINE_KINDS),
    ],
)
@pytest.mark.parametrize("verb", ["read", "park"])
def test_every_fault_while_the_instrument_measures(verb: str, after: int, kind: str) -> None:
    quick((at(kind, "STATUS", after),)).run(lambda bench: conversation(bench, verb, kind))


@pytest.mark.parametrize("kind", OWN_KINDS)
@pytest.mark.parametrize("step", ["STATUS", "READTYPE"])
@pytest.mark.parametrize("driver", [DRIVER_384_PLUS, DRIVER_M5], ids=lambda driver: driver.name)
def test_every_fault_in_identify(driver: Driver, step: str, kind: str) -> None:
    quick((at(kind, step),), driver=driver).run(lambda bench: conversation(bench, "identify", kind))


@pytest.mark.parametrize("kind", [*OWN_KINDS, *LINE_KINDS])
@pytest.mark.parametrize("step", ["STATUS", "CANCEL"])
def test_every_fault_in_a_park_that_cancels(step: str, kind: str) -> None:
    bench = quick((at(kind, step, 4 if step == "STATUS" else 0),), options={"cancel": True})
    bench.run(lambda bench: conversation(bench, "park", kind))


def sent_plate(plate: int) -> bytes:
    """The twin's bytes for this plate, but for its clock."""
    blocks = (Block.of(nm, values(plate, nm), FORMATS[96]) for nm in (450, 570))
    return PlateData("9.9", "25.1", "96-well", (450, 570), tuple(blocks)).to_bytes()


@pytest.mark.parametrize("offset", range(0, 1480, 29))
def test_a_flipped_byte_changes_one_well_at_most_and_the_reading_says_that_it_may(
    offset: int,
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.settle_within(SETTLED_WITHIN_S)
        for number in (1, 2):
            await read_a_new_plate(bench, number, flipped=True)
            await bench.settle_within(SETTLED_WITHIN_S)
        bench.lay(PLATE_2)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert "digits not" in reading.notes[1]

    quick((f"flip@TRANSFER#1-2:{offset}",)).run(talk)


@pytest.mark.parametrize("size", [0, 1, 5, 6, 30, 40, 700, 760, 1400, -1])
def test_a_plate_that_breaks_off_anywhere(size: int) -> None:
    length = len(sent_plate(PLATE_2))
    cut = size if size >= 0 else length - 1

    async def talk(bench: Bench) -> bool:
        await bench.settle_within(SETTLED_WITHIN_S)
        first = await read_a_new_plate(bench, 1)
        await bench.settle_within(SETTLED_WITHIN_S)
        assert await read_a_new_plate(bench, 2)
        return first

    assert not quick((f"truncate@TRANSFER#1:{cut}",)).run(talk)
    assert not quick((f"unplug@TRANSFER#1:{cut}",)).run(talk)
