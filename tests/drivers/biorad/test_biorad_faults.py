"""Every fault at every step, twice in a row: a stated outcome in time, then the next read works.

Virtual time. The instrument and its line outlive the connections, so an answer that comes late
comes into the port that was opened since. Before every read another plate is laid: a read that
succeeds must show that plate and no other.

What a line can do at each step of identify, read and park the house rules try on every driver
(`survives-…` in `test_conformance_all.py`). Here is what they cannot know: what the instrument
itself does, the step to which only a wrong checksum leads, and that no bit may change a well.
"""

import pytest

from readerd.driver.contract import Driver
from readerd.driver.stream import LineSettings
from readerd.errors import InstrumentError
from readerd_biorad import DRIVER, DRIVER_550
from tests.drivers.biorad.model680 import DUAL, PLATE_1, PLATE_2, Bench, now_s, simulated
from tests.drivers.twin_bench import given_up, tried

# How often each command was answered when `settle` has been through once: park and identify.
SETTLED = {"AQ": 2, "ID": 2, "FSTATUS": 1, "RL": 2, "MR": 0, "RPLATE": 0, "RTPLATE": 0}
FLIPS = ("flip", "flip:-1")
LINE_KINDS = (
    *FLIPS,
    "silence",
    "garbage",
    "garbage:2000",
    "truncate",
    "truncate:3",
    "stale",
    "late:4",
    "late:400",
    "split",
    "coalesce",
    "unplug",
    "unplug:7",
)
OWN_KINDS = ("error:42", "bad-checksum", "operator-stop", "wrong-instrument", "late:30")
KINDS_OF_A_550 = (*OWN_KINDS[:4], "panel-read")
STEPS = {
    "identify": ("AQ", "ID", "FSTATUS", "RL"),
    "read": tuple(SETTLED),
    "park": ("AQ", "ID", "RL"),
}
CASES = (
    *((verb, step, kind) for verb in STEPS for step in STEPS[verb] for kind in OWN_KINDS),
    *(("read", step, kind) for step in STEPS["read"][:-1] for kind in FLIPS),
    *(("read", "RTPLATE", kind) for kind in LINE_KINDS),
)
# Faster than the instrument's own: fewer pieces, the same talk.
LINE = LineSettings(baud=115200)
# Nothing a twin does here takes longer: 400 s late, twice, and a ladder behind each.
SETTLED_WITHIN_S = 1000.0


def at(kind: str, step: str, verb: str = "read") -> str:
    """The fault on the next two answers to this step: in the verb, and in what follows it."""
    name, _, arg = kind.partition(":")
    before = 1 if verb == "park" and step in ("AQ", "ID") else 0  # the read that is parked
    first = SETTLED[step] + before + 1
    return f"{name}@{step}#{first}-{first + 1}{':' + arg if arg else ''}"


async def read_a_new_plate(bench: Bench, number: int) -> bool:
    """True when the plate that lies there came; False on a stated failure in time."""
    bench.lay((PLATE_1, PLATE_2)[number % 2])
    bound_s = now_s() + bench.driver.estimate_s(DUAL, bench.settings)
    try:
        plates = await bench.read()
    except InstrumentError:
        plates = None
    assert now_s() <= bound_s
    assert plates in (None, bench.expected())
    return plates is not None


async def conversation(bench: Bench, verb: str) -> None:
    await bench.settle_within(SETTLED_WITHIN_S)
    for number in (1, 2):
        if verb == "read":
            await read_a_new_plate(bench, number)
        elif verb == "identify":
            await tried(bench.reader.identify(), bench.settings.reply_timeout_s * 5)
        else:
            await given_up(read_a_new_plate(bench, number), 4)  # the plate is being read
            bound_s = bench.link.remaining_s() + 8 * bench.settings.reply_timeout_s
            await tried(bench.reader.park(), bound_s)
        await bench.settle_within(SETTLED_WITHIN_S)
    assert await read_a_new_plate(bench, 3)


@pytest.mark.parametrize(("verb", "step", "kind"), CASES)
def test_every_fault_at_every_step_twice_in_a_row(verb: str, step: str, kind: str) -> None:
    try_twice(DRIVER, verb, step, kind)


@pytest.mark.parametrize("kind", KINDS_OF_A_550)
def test_a_550_survives_its_own_faults_at_every_step_twice_in_a_row(kind: str) -> None:
    for verb, steps in STEPS.items():
        for step in steps:
            if step != "FSTATUS":  # which it has not
                try_twice(DRIVER_550, verb, step, kind)


def try_twice(driver: Driver, verb: str, step: str, kind: str) -> None:
    faults = [at(kind, step, verb)]
    if step == "RTPLATE":  # asked for after a wrong checksum only
        faults.append(at("bad-checksum", "RPLATE"))
    simulated(tuple(faults), faster_line=LINE, driver=driver).run(
        lambda bench: conversation(bench, verb)
    )


@pytest.mark.parametrize("offset", range(0, 1300, 13))
def test_a_flipped_byte_never_changes_a_plate(offset: int) -> None:
    """Wherever the bit flips: the right plate, or a failure that says so."""

    async def talk(bench: Bench) -> None:
        await bench.settle_within(SETTLED_WITHIN_S)
        for number in (1, 2):
            await read_a_new_plate(bench, number)
            await bench.settle_within(SETTLED_WITHIN_S)
        assert await read_a_new_plate(bench, 3)

    simulated((f"flip@RPLATE#1-2:{offset}",), faster_line=LINE).run(talk)


@pytest.mark.parametrize("size", [0, 1, 44, 45, 104, 600, 1282, 1290, 1299])
def test_a_plate_that_breaks_off_anywhere(size: int) -> None:
    async def talk(bench: Bench) -> bool:
        await bench.settle_within(SETTLED_WITHIN_S)
        first = await read_a_new_plate(bench, 1)
        await bench.settle_within(SETTLED_WITHIN_S)
        assert await read_a_new_plate(bench, 2)
        return first

    # the last line ends are filling: the plate is whole without them
    assert simulated((f"truncate@RPLATE#1:{size}",), faster_line=LINE).run(talk) == (size >= 1298)
    assert simulated((f"unplug@RPLATE#1:{size}",), faster_line=LINE).run(talk) == (size >= 1298)
