"""The simulated reader beyond the house rules: its bytes by hand, its refusals, its sums.

The witness is typed in by hand; its sums were computed by another program (`gzip -c | tail -c8`
ends in the CRC-32 of what it packed), not by our codec.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.driver.chemistry import Chemistry
from readerd.driver.conformance.clock import run_virtual
from readerd.driver.link import Link
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Emission, Twin, TwinSetup, parse_fault
from readerd.errors import GarbledReply, InputError, InstrumentFault, WrongInstrument
from readerd.plate import FORMATS, OpticalDensity, ReadRequest, Strip, Unread
from readerd_sim import DRIVER
from readerd_sim.codec import Answer, AnswerDecoder, Command, WhoScan, strip, well_line
from readerd_sim.reader import SimOptions, SimReader

T = TypeVar("T")
DUAL = ReadRequest(wavelengths_nm=(450, 570))

WHO = b"WHO ok\nSimulated Reader;SIM-0001;1.0\nEND ea0452ea\n"
REFUSED = b"READ error 2 the carrier is out\nEND 4e3b0322\n"
WELLS = b"READ ok\n450 A1 0.1234\n450 A2 -0.0500\n450 A3 OVER\n450 A4 NONE\nEND 00000000\n"


def test_the_witness_is_understood() -> None:
    assert Answer.from_bytes(WHO) == Answer("WHO", lines=("Simulated Reader;SIM-0001;1.0",))
    assert Answer.from_bytes(REFUSED) == Answer("READ", "error 2 the carrier is out")
    wells = Answer.from_bytes(WELLS)
    assert not wells.intact  # whole, with a wrong sum: a message all the same
    values = [strip(line) for line in wells.lines]
    assert values == [
        Strip(450, {"A1": 0.1234}),
        Strip(450, {"A2": -0.05}),
        Strip(450, {"A3": Unread.SATURATED}),
        Strip(450, {"A4": Unread.NOT_MEASURED}),
    ]


def test_questions_are_what_anybody_could_type() -> None:
    assert Command("WHO").to_bytes() == b"WHO\n"
    assert Command("READ", (384, 5, 450, 570)).to_bytes() == b"READ 384 5 450 570\n"
    assert Command.from_bytes(b"READ 96 0 450\n") == Command("READ", (96, 0, 450))
    for line in (b"read 96\n", b"READ  96\n", b"READ 96", b"READ x\n", b"\n", b"READ\xff\n"):
        with pytest.raises(GarbledReply):
            Command.from_bytes(line)


OD = st.one_of(
    st.sampled_from(Unread), st.integers(-40000, 40000).map(lambda number: number / 10000)
)


@given(st.lists(OD, max_size=12), st.booleans(), st.lists(st.integers(1, 40), max_size=30))
def test_an_answer_survives_any_chunking(
    values: list[OpticalDensity], intact: bool, sizes: list[int]
) -> None:
    lines = tuple(
        well_line(450, well, value) for well, value in zip(FORMATS[96].wells, values, strict=False)
    )
    sent = Answer("READ", lines=lines, intact=intact)
    told: list[str] = []
    decoder, wire, heard = AnswerDecoder("READ", told.append), sent.to_bytes(), None
    for size in (*sizes, len(wire)):
        assert heard is None
        part, wire = wire[:size], wire[size:]
        heard = decoder.feed(part)
        if not wire:
            break
    assert heard == sent
    assert tuple(told) == lines
    assert [next(iter(strip(line).values.values())) for line in lines] == values


@pytest.mark.parametrize(
    "data",
    [
        b"WHO",  # another verb: it is never the answer to READ
        b"READ ok\nEND 00000000\nx",
        b"READ maybe\nEND 00000000\n",
        b"READ ok\n\xff\nEND 00000000\n",
        b"READ ok\nEND 0000\n",
        b"READ ok\n" + b"x" * 70_000,
    ],
)
def test_what_is_no_answer_is_garbled(data: bytes) -> None:
    with pytest.raises(GarbledReply):
        AnswerDecoder("READ").feed(data)


def test_the_challenge_skips_all_that_is_older() -> None:
    for at in range(1, len(WHO)):
        scan = WhoScan()
        assert scan.feed(WELLS + b"\xff" + WHO[:at]) is None
        assert scan.feed(WHO[at:]) == Answer.from_bytes(WHO)
    assert WhoScan().feed(WHO.replace(b"SIM-0001", b"SIM-0002")) is None  # its sum is wrong


def talk(
    conversation: Callable[[SimReader], Awaitable[T]],
    *faults: str,
    format: int = 96,
    twin: Twin | None = None,
) -> T:
    """One conversation with a fresh twin that has these faults, parked first, in virtual time."""
    plates = {nm: [0.5] * FORMATS[format].size for nm in (450, 570)}
    setup = TwinSetup(
        chemistry=Chemistry(format=format, plates=plates),
        faults=tuple(parse_fault(spec) for spec in faults),
    )
    options = SimOptions()
    there = twin or DRIVER.twin(setup)

    async def main() -> T:
        stream = await open_transport("twin:", DRIVER.line(options), twin=lambda: there)
        link = Link(stream)
        reader = SimReader(link, options)
        await reader.park()
        try:
            return await conversation(reader)
        finally:
            await link.close()

    return run_virtual(main())


async def read(reader: SimReader, request: ReadRequest = DUAL) -> object:
    return await reader.read(request, lambda strip: None)


def test_a_plate_with_a_wrong_sum_is_not_taken() -> None:
    with pytest.raises(GarbledReply, match="wrong sum"):
        talk(read, "bad-sum@READ")
    with pytest.raises(GarbledReply, match="wrong sum"):
        talk(read, "bad-sum@WHO#2")


@pytest.mark.parametrize("offset", range(0, 300, 7))
def test_a_flipped_bit_is_always_seen(offset: int) -> None:
    with pytest.raises((GarbledReply, InstrumentFault)):
        talk(read, f"flip@READ:{offset}")


def test_a_read_with_the_carrier_out_is_refused_and_the_next_one_works() -> None:
    async def conversation(reader: SimReader) -> None:
        await reader.present()
        with pytest.raises(InstrumentFault, match="error 2: the carrier is out") as caught:
            await read(reader)
        assert not caught.value.needs_human
        await reader.admit()
        await read(reader)

    talk(conversation)


def test_a_dead_lamp_needs_a_human() -> None:
    with pytest.raises(InstrumentFault, match="lamp") as caught:
        talk(read, "error@READ:4")
    assert caught.value.needs_human
    assert caught.value.phase == "read"


def test_the_wells_that_were_not_asked_for_are_no_plate() -> None:
    with pytest.raises(InstrumentFault, match="error 3: not possible on this plate"):
        talk(read, format=384)


def test_another_model_is_a_wrong_instrument() -> None:
    class Other:
        def receive(self, data: bytes, now_s: float) -> list[Emission]:
            answer = Answer("WHO", lines=("Another Reader;1;1",))
            return [Emission(after_s=0, data=answer.to_bytes(), step="WHO")]

    with pytest.raises(WrongInstrument, match="'Another Reader' answers instead"):
        talk(read, twin=Other())


def test_a_move_takes_its_time_once() -> None:
    async def conversation(reader: SimReader) -> list[float]:
        loop = asyncio.get_running_loop()
        took = []
        for move in (reader.present, reader.present, reader.admit, reader.admit):
            began_s = loop.time()
            await move()
            took.append(loop.time() - began_s)
        return took

    took = talk(conversation)
    assert [seconds > 1 for seconds in took] == [True, False, True, False]


def test_a_twin_that_cannot_be_says_so() -> None:
    chemistry = Chemistry(format=96, plates={450: [0.0] * 96})
    with pytest.raises(InputError, match="no options"):
        DRIVER.twin(TwinSetup(chemistry=chemistry, options={"read_s": 1}))
    with pytest.raises(InputError, match="unknown kind"):
        DRIVER.twin(TwinSetup(chemistry=chemistry, faults=(parse_fault("nonsense"),)))
