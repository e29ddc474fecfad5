"""Every fault at every step, twice in a row: a stated outcome in time, then the next read works.

Virtual time. While it measures, the instrument hears nothing but the halt. The instrument and its
line outlive the connections, so an answer that comes late comes into the port that was opened
since. Before every read another plate is laid: a read that succeeds must show that plate and no
other.

What a line can do at each step of identify, read and park the house rules try on every driver
(`survives-…` in `test_conformance_all.py`). Here is what they cannot know: what the instrument
itself does, the steps that options add, a twin that is deaf while it reads, and that no bit may
change a well.
"""

import pytest

from readerd.driver.stream import LineSettings
from readerd.errors import ErrorCode, InstrumentError, RequestError
from tests.drivers.biotek.biotek_bench import (
    DUAL,
    PLATE_1,
    PLATE_2,
    SINGLE,
    Bench,
    now_s,
    simulated,
)
from tests.drivers.twin_bench import given_up, tried

LINE_KINDS = (
    "garbage", "garbage:2000", "truncate", "truncate:3", "stale", "late:2", "late:400", "split",
    "coalesce", "unplug", "unplug:4",
)  # fmt: skip
FLIPS = ("flip", "flip:-1", "flip:-3")
OWN_KINDS = ("nak", "error:0400", "error:A101", "busy:20", "busy:200", "silence", "late:30")
DATA_KINDS = ("bad-checksum", "abort", "abort:7", "operator-stop")
DATA_STEPS = ("S-data", "O-data")
# The conversations of each verb, and how often each step was answered when `settle` has been
# through once: park and identify.
ELX_SETTLED = {"n": 1, "q": 1, "e": 2, "W": 1, "o": 2}
ELX_STEPS = {
    "identify": ("n", "q", "e", "W", "o"),
    "read": ("n", "q", "e", "W", "A", "temperature", "k", "V", "V-table", "r", "S", "S-data"),
    "park": ("X", "e"),
}
ADDED_BY_OPTIONS = ("A", "temperature", "k", "r")
ELX_OPTIONS = {"admit_first": True, "temperature": True, "speed": "fast", "baud": 9600}
SYNERGY_SETTLED = {"e": 2, "C": 1}
SYNERGY_STEPS = {
    "identify": ("e", "C"),
    "read": (
        "e", "C", "speed", "speed-argument", "A", "y", "y-argument", "D", "D-argument", "O",
        "O-data",
    ),
    "park": ("x", "e"),
}  # fmt: skip
# No verb can succeed through these; an acknowledgement alone is one byte and survives `truncate:3`.
FATAL = ("silence", "garbage", "truncate", "unplug", "nak", "error", "busy", "bad-checksum",
         "abort", "operator-stop", "wrong-instrument", "late:400")  # fmt: skip
HARMLESS = {(step, "truncate:3") for step in ("V", "speed", "y", "D")}
# Faster than the instruments' own: fewer pieces, the same talk.
LINE = LineSettings(baud=115200)
# Nothing a twin does here takes longer: 400 s late, twice, and a ladder behind each.
SETTLED_WITHIN_S = 2000.0


def cases() -> list[tuple[str, str, str, str]]:
    found = []
    for name, steps in (("elx808", ELX_STEPS), ("synergyh1", SYNERGY_STEPS)):
        for verb, names in steps.items():
            for step in names:
                kinds = [*OWN_KINDS]
                if verb != "identify":
                    kinds += FLIPS
                if verb == "park" or step in ADDED_BY_OPTIONS:
                    kinds += LINE_KINDS
                if step in DATA_STEPS:
                    kinds = [kind for kind in kinds if not kind.startswith(("nak", "busy"))]
                    kinds += DATA_KINDS
                if step == "D-argument":
                    kinds.append("bad-checksum")
                if step == "e":
                    kinds.append("wrong-instrument")
                if step in ("X", "x"):
                    kinds = [kind for kind in kinds if not kind.startswith("error")]
                found += [(name, verb, step, kind) for kind in kinds]
    return found


def at(name: str, verb: str, step: str, kind: str) -> str:
    """The fault on the next two answers to this step: in the verb, and in what follows it."""
    fault, _, arg = kind.partition(":")
    settled = ELX_SETTLED if name == "elx808" else SYNERGY_SETTLED
    before = 1 if verb == "park" and step == "e" else 0  # the read that is parked
    first = settled.get(step, 0) + before + 1
    return f"{fault}@{step}#{first}-{first + 1}{':' + arg if arg else ''}"


def bench_for(name: str, *faults: str) -> Bench:
    options = ELX_OPTIONS if name == "elx808" else {}
    deaf = {"deaf_while_reading": True}
    return simulated(name, faults, twin_options=deaf, options=options, faster_line=LINE)


async def read_a_new_plate(bench: Bench, number: int, step: str = "") -> bool:
    """True when the plate that lies there came; False on a stated failure in time."""
    bench.lay((PLATE_1, PLATE_2)[number % 2])
    request = SINGLE if step == "r" else DUAL
    bound_s = now_s() + bench.driver.estimate_s(request, bench.settings)
    try:
        plates = await bench.read(request)
    except InstrumentError:
        plates = None
    except RequestError as error:
        if step != "W" or error.code is not ErrorCode.WAVELENGTH_UNAVAILABLE:
            raise  # a flipped digit in the table of filters is the only way to a refusal
        plates = None
    assert now_s() <= bound_s
    assert plates in (None, bench.expected(request))
    return plates is not None


def rest_s(bench: Bench) -> float:
    """A way out and an identity, and all of it once more when nobody answers."""
    options = bench.settings.model_dump()
    halt_s = options.get("carrier_timeout_s", options.get("tray_timeout_s"))
    return float(bench.link.remaining_s() + 8 * (options["reply_timeout_s"] + halt_s))


async def conversation(bench: Bench, verb: str, step: str) -> list[bool]:
    """Whether the verb succeeded while the fault was there, the first and the second time."""
    await bench.settle_within(SETTLED_WITHIN_S)
    went_well: list[bool] = []
    for number in (1, 2):
        if verb == "read":
            went_well.append(await read_a_new_plate(bench, number, step))
        elif verb == "identify":
            went_well.append(await tried(bench.reader.identify(), rest_s(bench)))
        else:
            await given_up(read_a_new_plate(bench, number), 8)  # the plate is being read
            went_well.append(await tried(bench.reader.park(), rest_s(bench)))
        await bench.settle_within(SETTLED_WITHIN_S)
    assert await read_a_new_plate(bench, 3)
    return went_well


@pytest.mark.parametrize(("name", "verb", "step", "kind"), cases())
def test_every_fault_at_every_step_twice_in_a_row(
    name: str, verb: str, step: str, kind: str
) -> None:
    bench = bench_for(name, at(name, verb, step, kind))
    went_well = bench.run(lambda bench: conversation(bench, verb, step))
    if verb != "park" and kind.startswith(FATAL) and (step, kind) not in HARMLESS:
        assert not went_well[0]
    if kind in ("split", "coalesce"):
        assert went_well == [True, True]


@pytest.mark.parametrize(
    ("name", "step", "size"), [("elx808", "S-data", 1196), ("synergyh1", "O-data", 1404)]
)
@pytest.mark.parametrize("share", range(0, 100, 3))
def test_a_flipped_byte_never_changes_a_plate(name: str, step: str, size: int, share: int) -> None:
    """Wherever the bit flips: the right plate, or a failure that says so."""

    async def talk(bench: Bench) -> None:
        await bench.settle_within(SETTLED_WITHIN_S)
        for number in (1, 2):
            await read_a_new_plate(bench, number)
            await bench.settle_within(SETTLED_WITHIN_S)
        assert await read_a_new_plate(bench, 3)

    bench_for(name, f"flip@{step}#1-2:{size * share // 100}").run(talk)


@pytest.mark.parametrize(("name", "step"), [("elx808", "S-data"), ("synergyh1", "O-data")])
@pytest.mark.parametrize("fault", ["truncate", "unplug", "abort"])
@pytest.mark.parametrize("size", [0, 1, 2, 6, 7, 8, 73, 74, 75, 590, 593, 594, 595, 1195])
def test_a_plate_that_breaks_off_anywhere(name: str, step: str, fault: str, size: int) -> None:
    async def talk(bench: Bench) -> None:
        await bench.settle_within(SETTLED_WITHIN_S)
        assert not await read_a_new_plate(bench, 1)
        await bench.settle_within(SETTLED_WITHIN_S)
        assert await read_a_new_plate(bench, 2)

    bench_for(name, f"{fault}@{step}#1:{size}").run(talk)
