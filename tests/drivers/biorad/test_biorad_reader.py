"""The Model 680's conversations: what is sent, what comes of it, what is refused and why."""

from typing import Any

import pytest

from readerd.driver.contract import Carrier, Resender
from readerd.errors import (
    ErrorCode,
    GarbledReply,
    InstrumentFault,
    RequestError,
    WrongInstrument,
)
from readerd.plate import Identity, ReadRequest, Strip, Unread
from readerd_biorad import DRIVER
from readerd_biorad.options import Model680Options
from readerd_biorad.reader import EiaReader
from tests.drivers.biorad.model680 import (
    DUAL,
    PLATE_2,
    Bench,
    commands,
    identified,
    now_s,
    simulated,
)

SINGLE = ReadRequest(wavelengths_nm=(450,))


def test_identify_says_model_and_fitted_filters_and_gives_the_panel_back() -> None:
    async def talk(bench: Bench) -> None:
        identity = await bench.reader.identify()
        assert identity == Identity(model="Model 680", wavelengths_nm=(450, 570))
        assert commands(bench) == ["AQ", "ID", "AQ", "ID", "FSTATUS", "RL"]
        assert not bench.link.dirty

    simulated(filters_nm=(None, 450, None, 570)).run(talk)


def test_a_dual_read_is_one_pass_and_every_cell_as_the_wire_has_it() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert commands(bench) == ["AQ", "ID", "FSTATUS", "MR", "RPLATE 2 0 L 2 4", "RL"]
        assert dict(reading.plates) == bench.expected()
        assert reading.value(450, "A2") == -0.005
        assert reading.value(450, "A3") is Unread.SATURATED
        assert reading.value(450, "A5") == 3.5
        assert reading.identity == Identity(model="Model 680", wavelengths_nm=(450, 570))
        assert reading.counters == {"power_cycles": 12, "hours": 3120, "plates": 1204}
        assert reading.warnings == ()
        assert reading.notes[0] == ("checksum rule A (rows with their line ends, modulo 256) held")
        assert reading.notes[1].startswith("instrument clock 01/02/2024 10:11:")

    simulated(filters_nm=(None, 450, None, 570)).run(talk)


def test_wavelengths_come_in_the_order_of_the_request() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        request = ReadRequest(wavelengths_nm=(570, 450), shake_s=30)
        assert await bench.read(request) == bench.expected(request)
        assert "RPLATE 1 30 H 4 2" in commands(bench)
        assert await bench.read(SINGLE) == bench.expected(SINGLE)
        assert "RPLATE 1 0 H 2" in commands(bench)

    simulated(options={"speed": "fast", "shake_speed": "high"}).run(talk)


def test_strips_are_rows_and_come_before_the_plate_is_whole() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        times: list[float] = []

        def on_strip(strip: Strip) -> None:
            bench.strips.append(strip)
            times.append(now_s())

        await bench.reader.read(DUAL, on_strip)
        assert [strip.wavelength_nm for strip in bench.strips] == [450] * 8 + [570] * 8
        assert list(bench.strips[1].values) == [f"B{column}" for column in range(1, 13)]
        seen = {well: value for strip in bench.strips[:8] for well, value in strip.values.items()}
        assert tuple(seen.values()) == bench.expected()[450]
        assert times[-1] - times[0] > 1.0  # 1200 bytes at 9600 baud

    simulated().run(talk)


@pytest.mark.parametrize("rule", ["A", "B", "C"])
def test_auto_takes_each_reading_of_the_checksum_and_notes_which(rule: str) -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert reading.notes[0].startswith(f"checksum rule {rule} (")
        assert "RTPLATE" not in commands(bench)

    simulated(twin_options={"checksum": rule}).run(talk)


def test_a_fixed_rule_takes_no_other() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(GarbledReply, match="wrong checksum in 3 transfers of one plate"):
            await bench.read()
        assert commands(bench)[-4:] == ["RPLATE 2 0 L 2 4", "RTPLATE", "RTPLATE", "RL"]
        assert not bench.link.dirty

    simulated(twin_options={"checksum": "B"}, options={"checksum": "A"}).run(talk)


def test_ignoring_the_checksum_is_noted() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert reading.notes[0] == "checksum not verified (option checksum = ignore)"

    simulated(("bad-checksum",), options={"checksum": "ignore"}).run(talk)


@pytest.mark.parametrize(
    ("faults", "transfers"),
    [
        (("bad-checksum@RPLATE",), 2),
        (("bad-checksum@RPLATE", "bad-checksum@RTPLATE#1"), 3),
        (("flip@RPLATE:125",), 2),
        (("flip@RPLATE:-13",), 2),  # a digit of the reference block's sum
    ],
)
def test_a_damaged_transfer_is_asked_for_again_and_never_measured_again(
    faults: tuple[str, ...], transfers: int
) -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert commands(bench).count("RTPLATE") == transfers - 1
        assert sum(line.startswith("RPLATE") for line in commands(bench)) == 1
        noted = f"transfer {transfers} of this plate was the first with a right checksum"
        assert (noted in reading.notes) == (transfers > 1)

    simulated(faults).run(talk)


def test_transfers_are_bounded_and_the_instrument_is_released() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(GarbledReply, match="in 2 transfers") as caught:
            await bench.read()
        assert caught.value.phase == "transfer"
        assert caught.value.tail.endswith(b".end\r\r\r")
        assert commands(bench)[-2:] == ["RTPLATE", "RL"]
        assert not bench.link.dirty

    simulated(("bad-checksum",), options={"transfers": 2}).run(talk)


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (ReadRequest(wavelengths_nm=(450, 571)), ErrorCode.WAVELENGTH_UNAVAILABLE, "571 nm"),
        (ReadRequest(wavelengths_nm=()), ErrorCode.WAVELENGTH_UNAVAILABLE, "one wavelength"),
        (ReadRequest(wavelengths_nm=(450, 450)), ErrorCode.WAVELENGTH_UNAVAILABLE, "different"),
        (ReadRequest(wavelengths_nm=(405, 450, 570)), ErrorCode.WAVELENGTH_UNAVAILABLE, "two"),
        (ReadRequest(wavelengths_nm=(450,), format=384), ErrorCode.FORMAT_UNSUPPORTED, "384"),
        (ReadRequest(wavelengths_nm=(450,), shake_s=1000), ErrorCode.INVALID_PAYLOAD, "999 s"),
    ],
)
def test_what_the_instrument_cannot_do_is_refused_before_a_byte_is_sent(
    request_: ReadRequest, code: ErrorCode, says: str
) -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(RequestError, match=says) as caught:
            await bench.read(request_)
        assert caught.value.code is code
        assert commands(bench) == []

    simulated().run(talk)


def test_a_missing_filter_is_refused_in_one_line_that_names_the_fitted_ones() -> None:
    line = "wavelength_unavailable: no 570 nm filter is fitted; "
    line += "fitted are 405, 450, 490, 595, 630, 655 nm"

    async def talk(bench: Bench) -> None:
        await bench.reader.park()  # not identified: the instrument itself is asked
        with pytest.raises(RequestError) as caught:
            await bench.read()
        assert str(caught.value) == line
        assert commands(bench)[-4:] == ["AQ", "ID", "FSTATUS", "RL"]
        alternative = ReadRequest(wavelengths_nm=(450, 630))
        assert await bench.read(alternative) == bench.expected(alternative)

    simulated(("missing-filter:570",)).run(talk)


def test_resend_is_a_transfer_of_the_last_plate() -> None:
    async def talk(bench: Bench) -> None:
        reader: object = bench.reader
        assert isinstance(reader, Resender)
        assert not isinstance(reader, Carrier)
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        bench.lay(PLATE_2)
        again = await bench.reader.resend()
        assert again.plates == reading.plates
        assert again.notes[0] == "sent again from the instrument's memory"
        assert commands(bench)[-5:] == ["AQ", "ID", "FSTATUS", "RTPLATE", "RL"]
        assert await bench.read() == bench.expected()  # and now the plate that lies there

    simulated().run(talk)


def test_resend_without_a_plate_is_the_instruments_refusal() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(InstrumentFault, match="no text known for this number") as caught:
            await bench.reader.resend()
        assert caught.value.phase == "RTPLATE"
        assert commands(bench)[-1] == "RL"

    simulated().run(talk)


@pytest.mark.parametrize("step", ["FSTATUS#2", "MR", "RPLATE"])
def test_a_stop_at_the_front_panel_is_the_operators_release(step: str) -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(InstrumentFault, match="operator released the instrument") as caught:
            await bench.read()
        assert (caught.value.code, caught.value.needs_human) == ("8073", False)
        assert not bench.link.dirty
        assert await bench.read() == bench.expected()

    simulated((f"operator-stop@{step if '#' in step else step + '#1'}",)).run(talk)


def test_error_numbers_get_their_texts_from_the_options() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        with pytest.raises(InstrumentFault, match="error 0042: lamp too weak") as caught:
            await bench.read()
        assert caught.value.phase == "RPLATE"
        assert commands(bench)[-1] == "RL"

    simulated(("error@RPLATE:42",), options={"error_texts": {"0042": "lamp too weak"}}).run(talk)


def test_refused_counters_are_a_note_and_not_a_lost_plate() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.counters) == {}
        assert reading.notes[0] == "maintenance counters refused with 0042"

    simulated(("error@MR:42",)).run(talk)


def test_counters_can_be_left_out() -> None:
    async def talk(bench: Bench) -> None:
        await identified(bench)
        assert await bench.read() == bench.expected()
        assert "MR" not in commands(bench)

    simulated(options={"counters": False}).run(talk)


def test_another_model_is_the_wrong_instrument_and_is_left_at_rest() -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        for _ in range(2):
            with pytest.raises(WrongInstrument, match="'0550' answers instead of a Model 680"):
                await bench.reader.identify()
            assert commands(bench)[-1] == "RL"
        with pytest.raises(WrongInstrument):
            await bench.read()

    simulated(("wrong-instrument:0550",)).run(talk)


def test_options_are_typed_and_strict() -> None:
    assert Model680Options().checksum == "auto"
    wrong: dict[str, Any]
    for wrong in ({"checksum": "D"}, {"retries": 1}, {"transfers": 0}, {"error_texts": {"42": ""}}):
        with pytest.raises(ValueError, match="validation error"):
            Model680Options(**wrong)


def test_the_driver_value_says_what_it_is() -> None:
    assert (DRIVER.name, DRIVER.formats, DRIVER.photometric_range) == (
        "biorad680",
        (96,),
        (-3.5, 3.5),
    )
    assert DRIVER.line(Model680Options(rtscts=True)).rtscts
    bench = simulated()
    reader = bench.run(lambda bench: _opened(bench))
    assert isinstance(reader, EiaReader)


async def _opened(bench: Bench) -> object:
    return DRIVER.open(bench.link, bench.settings)
