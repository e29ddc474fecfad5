"""The Model 550 where it differs from the 680: its data, its filters, and what it says unasked."""

from typing import Any

import pytest

from readerd.errors import ErrorCode, GarbledReply, NoReply, RequestError, WrongInstrument
from readerd.plate import Identity, ReadRequest, Unread
from readerd_biorad import DRIVER_550
from readerd_biorad.absdata import PlateData, row_values
from readerd_biorad.codec import AcknowledgementScan, Counters, Reply
from readerd_biorad.dialect import MODEL_550
from tests.drivers.biorad.model680 import DUAL, PLATE_2, Bench, commands, identified, simulated

ALONE = ReadRequest(wavelengths_nm=(450,))


def bench_550(*faults: str, **options: Any) -> Bench:
    return simulated(faults, driver=DRIVER_550, options=options)


def sample() -> bytes:
    """The manual's sample plate (p. 34) with its markers, written without the codec.

    Cell(r, c) = 0.100 r + 0.001 c; reference 0.040 + 0.001 c. The sums are ours: rows with their
    line ends come to 26864 = 104 x 256 + 240 and 26816 = 104 x 256 + 192.
    """
    text = "ERE 0000 BIO-RAD MODEL 550 READER\rMes. filter:2\rRef. filter:4\r. begin\r"
    for row in range(1, 9):
        text += "".join(f" 0.{row * 100 + column:03d}" for column in range(1, 13)) + "\r"
    text += "240\r. end\r\r. begin\r"
    text += ("".join(f" 0.{40 + column:03d}" for column in range(1, 13)) + "\r") * 8
    return (text + "192\r. end\r\r\r").encode("ascii")


def test_the_manuals_sample_is_a_plate_without_a_date_that_names_positions() -> None:
    seen = PlateData.from_bytes(sample())
    assert (seen.title, seen.taken_at, seen.filters) == (MODEL_550.title, None, (2, 4))
    assert seen.blocks[0].values[0] == 0.101
    assert seen.blocks[0].values[95] == 0.812
    assert seen.blocks[1].values == tuple((40 + column) / 1000 for column in range(1, 13)) * 8
    assert seen.rules == {"A"}


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (b" 0.120" * 12, 0.12),
        (b" -0.005" + b" 0.120" * 11, -0.005),
        (b" *" + b" 0.120" * 11, Unread.SATURATED),
        (b" *    " + b" 0.120" * 11, Unread.SATURATED),
        (b"     *" + b" 0.120" * 11, Unread.SATURATED),
        (b"  0.120" * 12, 0.12),
        (b" 0.12*" + b" 0.120" * 11, Unread.UNREADABLE),
    ],
)
def test_a_row_is_twelve_cells_however_over_range_and_minus_are_set(
    cells: bytes, first: object
) -> None:
    values = row_values(cells)
    assert len(values) == 12
    assert values[0] == first
    assert values[1] == 0.12 or cells.startswith(b"  0.120")


@pytest.mark.parametrize(
    "row", [b" 0.120" * 11, b"0.120" + b" 0.120" * 11, b" 0.120" * 11 + b" 0.12", b" 0.120" * 13]
)
def test_a_row_that_lost_or_gained_something_is_none(row: bytes) -> None:
    assert row_values(row) == ()


def test_counters_are_labelled_otherwise() -> None:
    sent = b"ERE 0000\rOn/off:0012\rHours:3120\rPlates:1204\r\r"
    assert Counters(12, 3120, 1204).to_bytes(MODEL_550.counter_labels) == sent
    assert Counters.from_bytes(sent) == Counters(12, 3120, 1204)


@pytest.mark.parametrize("head", [b"", b"ERE 0000 "])
@pytest.mark.parametrize("cut", [0, 1, 60, 300])
def test_data_that_nobody_asked_for_are_no_acknowledgement(head: bytes, cut: int) -> None:
    unasked = head + sample().removeprefix(b"ERE 0000 ")
    for size in (1, 7, 2000):
        scan = AcknowledgementScan()
        sent = unasked[cut if not head else 0 :] + b"ERE 8073\r"
        seen = [scan.feed(sent[at : at + size]) for at in range(0, len(sent), size)]
        assert seen[-1] == Reply(8073)
        assert seen[:-1] == [None] * (len(seen) - 1)


@pytest.mark.parametrize("other", [b"ERE 0000 0550\r", b"ERE 0000\rERE 0000\r", b"x\r" * 5000])
def test_an_answer_to_something_else_is_no_acknowledgement(other: bytes) -> None:
    with pytest.raises(GarbledReply):
        AcknowledgementScan().feed(other)


def test_identify_takes_the_filters_from_the_configuration() -> None:
    async def talk(bench: Bench) -> None:
        identity = await bench.reader.identify()
        assert identity == Identity(model="Model 550", wavelengths_nm=(450, 570))
        assert commands(bench) == ["AQ", "ID", "AQ", "ID", "RL"]

    bench_550(filters_nm=[0, 450, 0, 570]).run(talk)
    bench_550("wrong-instrument:550", filters_nm=[0, 450, 0, 570]).run(talk)


def test_a_dual_read_names_positions_and_is_raw_on_both_wavelengths() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert commands(bench) == ["AQ", "ID", "MR", "RPLATE 0 2 4", "RL"]
        assert dict(reading.plates) == bench.expected()
        assert reading.value(450, "A5") is Unread.SATURATED  # 3.5, which a 680 shows
        assert [strip.wavelength_nm for strip in bench.strips] == [450] * 8 + [570] * 8
        assert reading.counters == {"power_cycles": 12, "hours": 3120, "plates": 1204}
        assert reading.notes == ("checksum rule A (rows with their line ends, modulo 256) held",)
        turned = ReadRequest(wavelengths_nm=(570, 450), shake_s=9)
        assert await bench.read(turned) == bench.expected(turned)
        assert commands(bench)[-2] == "RPLATE 9 4 2"

    bench_550().run(talk)


def test_what_it_cannot_do_is_refused_before_a_byte_is_sent() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        impossible = [
            (ReadRequest(wavelengths_nm=(450,), shake_s=10), ErrorCode.INVALID_PAYLOAD),
            (ReadRequest(wavelengths_nm=(450, 630)), ErrorCode.WAVELENGTH_UNAVAILABLE),
            (ReadRequest(wavelengths_nm=(450,), format=384), ErrorCode.FORMAT_UNSUPPORTED),
        ]
        for request, code in impossible:
            with pytest.raises(RequestError, match=r"Model 550|fitted are 405, 450") as caught:
                await bench.read(request)
            assert caught.value.code is code
        assert commands(bench) == []

    bench_550().run(talk)


@pytest.mark.parametrize("filters_nm", [None, [], [450] * 5, [-1], [450.5]])
def test_nobody_guesses_which_filters_are_fitted(filters_nm: object) -> None:
    told = {} if filters_nm is None else {"filters_nm": filters_nm}
    with pytest.raises(ValueError, match="filters_nm"):
        DRIVER_550.options(**told)


def test_the_device_name_may_have_the_manuals_blank() -> None:
    bench = bench_550(device_name="EIA. READER", filters_nm=[450])

    async def talk(bench: Bench) -> bytes:
        with pytest.raises(NoReply, match="no answer"):
            await bench.reader.park()
        return bench.link.transcript.sent

    assert bench.run(talk).startswith(b"EIA. READER AQ\rEIA. READER ID\r")


def test_data_of_a_panel_read_under_way_are_nobodys_plate() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        for _ in range(2):
            assert (await bench.reader.identify()).model == "Model 550"
            assert await bench.read() == bench.expected()
            await bench.reader.park()
        assert b"READER\rMes. filter:1\rRef. filter:2\r" in bench.link.transcript.received
        single = await bench.read(ALONE)
        assert single == bench.expected(ALONE)

    bench_550("panel-read").run(talk)


def test_a_plate_of_the_panel_can_be_sent_again_and_is_raw_then() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        panel = ReadRequest(wavelengths_nm=(405, 450))
        expected = bench.expected(panel)
        assert dict((await bench.reader.resend()).plates) == expected
        bench.lay(PLATE_2)
        assert await bench.read() == bench.expected()

    bench_550("panel-read@AQ#3").run(talk)


def test_a_plate_sent_again_at_a_position_without_a_filter_is_no_plate() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(GarbledReply, match="filter position 1, where none is fitted"):
            await bench.reader.resend()
        assert not bench.link.dirty

    bench_550("panel-read@AQ#3", filters_nm=[0, 450, 0, 570]).run(talk)


def test_a_680_is_not_a_550() -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        with pytest.raises(WrongInstrument, match="'Model 680' answers instead of a Model 550"):
            await bench.reader.identify()
        assert commands(bench)[-1] == "RL"

    bench_550("wrong-instrument").run(talk)


def test_the_twin_knows_nine_commands_and_four_positions() -> None:
    bench = bench_550()
    ask = bench.twin.receive

    def said(name: str) -> bytes:
        return ask(f"EIA.READER {name}\r".encode(), 0.0)[0].data

    assert said("ID") == b"ERE 8073\r"
    assert said("AQ") == b"ERE 0000\r"
    assert said("ID") == b"ERE 0000 0550\r"
    for name in ("FSTATUS", "ISTATUS", "RPLATE 0 5", "RPLATE 10 2", "RPLATE 2 0 L 2", "RPLATE 2"):
        assert said(name) == b"ERE 9999\r", name
    assert said("RWELL 2 1 2") == b"ERE 0000 -0.005\r"
    assert said("RPLATE 0 2").startswith(
        b"ERE 0000 BIO-RAD MODEL 550 READER\rMes. filter:2\r.begin"
    )
