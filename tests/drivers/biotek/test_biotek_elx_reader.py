"""The ELx808's conversations: what is sent, what comes of it, what is refused and why."""

from typing import Any

import pytest

from readerd.driver.contract import Carrier, Resender
from readerd.errors import (
    ErrorCode,
    GarbledReply,
    InstrumentFault,
    NoReply,
    RequestError,
    WrongInstrument,
)
from readerd.plate import Identity, ReadRequest, Strip, Unread
from readerd_biotek.elx_codec import AssayTable
from readerd_biotek.elx_options import ElxOptions
from tests.drivers.biotek.biotek_bench import DUAL, SINGLE, Bench, now_s, sent, simulated

TABLE = AssayTable("450570", several_nm=(450, 570)).to_bytes()
WHO = [b"n1", b"q1", b"e", b"W"]


def test_identify_says_software_and_fitted_filters_and_looks_for_a_standing_error() -> None:
    async def talk(bench: Bench) -> None:
        identity = await bench.reader.identify()
        fitted = (450, 570)
        assert identity == Identity(model="ELx808", firmware="7340201 3.15", wavelengths_nm=fitted)
        assert sent(bench) == [b"e", *WHO, b"o", b"o"]
        assert not bench.link.dirty

    simulated(filters_nm=(None, 450, None, 570)).run(talk)


def test_a_dual_read_is_one_pass_and_every_cell_as_the_wire_has_it() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert sent(bench) == [*WHO, b"V", TABLE, b"S"]
        assert dict(reading.plates) == bench.expected()
        assert reading.value(450, "A2") == -0.005
        assert reading.value(450, "A3") is Unread.SATURATED
        assert reading.value(450, "A6") is Unread.SATURATED  # 4.0001 in the well
        assert (reading.temperature_c, reading.warnings) == (None, ())
        assert reading.notes == ("checksums held",)

    simulated().run(talk)


def test_everything_that_can_be_asked_for() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        request = ReadRequest(wavelengths_nm=(630, 450, 405), shake_s=30)
        reading = await bench.reader.read(request, bench.strips.append)
        table = AssayTable("630450", several_nm=(630, 450, 405), shake_s=30, shake_speed=3)
        asked = [b"n1", b"e", b"W", b"A", b"]", b"k0", b"V", table.to_bytes(), b"S"]
        assert sent(bench) == asked
        assert dict(reading.plates) == bench.expected(request)
        assert list(reading.plates) == [630, 450, 405]
        assert reading.temperature_c == 23.7

    options: dict[str, Any] = {
        "quiet": False, "admit_first": True, "temperature": True, "speed": "enhanced",
        "shake_speed": 3,
    }  # fmt: skip
    simulated(options=options).run(talk)


def test_one_wavelength_names_all_rows_to_get_a_checksum() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(SINGLE, bench.strips.append)
        table = AssayTable("450", 450).to_bytes()
        assert sent(bench) == [*WHO, b"V", table, b"r\x01\x08", b"S"]
        assert dict(reading.plates) == bench.expected(SINGLE)
        assert reading.notes == ("checksums held",)

    simulated().run(talk)


def test_one_wavelength_in_the_312_form_says_that_nothing_was_checked() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(SINGLE, bench.strips.append)
        assert sent(bench)[-1] == b"S"
        assert b"r\x01\x08" not in sent(bench)
        assert dict(reading.plates) == bench.expected(SINGLE)
        assert reading.notes == ("312 form: the reader sent no checksum",)

    simulated(options={"single": "312"}).run(talk)


def test_strips_are_rows_and_come_before_the_plate_is_whole() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        times: list[float] = []

        def on_strip(strip: Strip) -> None:
            bench.strips.append(strip)
            times.append(now_s())

        await bench.reader.read(DUAL, on_strip)
        assert [strip.wavelength_nm for strip in bench.strips] == [450] * 8 + [570] * 8
        assert list(bench.strips[1].values) == [f"B{column}" for column in range(1, 13)]
        seen = {well: value for strip in bench.strips[:8] for well, value in strip.values.items()}
        assert tuple(seen.values()) == bench.expected()[450]
        assert times[-1] - times[0] > 4.0  # 1100 bytes at 2400 baud

    simulated().run(talk)


def test_a_wrong_checksum_is_no_plate_and_is_never_measured_again() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(GarbledReply, match="wrong checksum of block 2") as caught:
            await bench.read()
        assert caught.value.phase == "S"
        assert caught.value.tail.endswith(b"\x1a0000\x03")
        assert sent(bench).count(b"S") == 1
        assert not bench.link.dirty
        assert await bench.read() == bench.expected()

    simulated(faults=("bad-checksum@S-data#1",)).run(talk)


def test_a_checksum_that_is_ignored_is_noted() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert reading.notes == ("wrong checksum of block 2 (option checksum = ignore)",)

    simulated(faults=("bad-checksum",), options={"checksum": "ignore"}).run(talk)


def test_a_missing_final_terminator_is_allowed_by_option_only() -> None:
    twin_options = {"final_terminator": False}

    async def refused(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(NoReply):
            await bench.read()
        await bench.settle()

    simulated(twin_options=twin_options).run(refused)

    async def allowed(bench: Bench) -> None:
        for _ in range(2):
            await bench.identified()
            reading = await bench.reader.read(DUAL, bench.strips.append)
            assert dict(reading.plates) == bench.expected()
            assert reading.notes[-1] == "the final terminator was not waited for"
            assert not bench.link.dirty

    options = {"require_final_terminator": False}
    simulated(twin_options=twin_options, options=options).run(allowed)
    simulated(options=options).run(allowed)  # and where it does come, it harms nothing


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (ReadRequest(wavelengths_nm=(450, 571)), ErrorCode.WAVELENGTH_UNAVAILABLE, "571 nm"),
        (ReadRequest(wavelengths_nm=()), ErrorCode.WAVELENGTH_UNAVAILABLE, "one to 3"),
        (ReadRequest(wavelengths_nm=(450, 450)), ErrorCode.WAVELENGTH_UNAVAILABLE, "different"),
        (
            ReadRequest(wavelengths_nm=(405, 450, 490, 570)),
            ErrorCode.WAVELENGTH_UNAVAILABLE,
            "one to 3",
        ),
        (ReadRequest(wavelengths_nm=(300,)), ErrorCode.WAVELENGTH_UNAVAILABLE, "between 340"),
        (ReadRequest(wavelengths_nm=(450,), format=384), ErrorCode.FORMAT_UNSUPPORTED, "384"),
        (ReadRequest(wavelengths_nm=(450,), shake_s=-1), ErrorCode.INVALID_PAYLOAD, "-1 s"),
    ],
)
def test_what_the_instrument_cannot_do_is_refused_before_a_byte_is_sent(
    request_: ReadRequest, code: ErrorCode, says: str
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(RequestError, match=says) as caught:
            await bench.read(request_)
        assert caught.value.code is code
        assert sent(bench) == []

    simulated().run(talk)


def test_a_missing_filter_is_refused_in_one_line_that_names_the_fitted_ones() -> None:
    line = "wavelength_unavailable: no 570 nm filter is fitted; "
    line += "fitted are 405, 450, 490, 630 nm"

    async def talk(bench: Bench) -> None:
        await bench.reader.park()  # not identified: the instrument itself is asked
        with pytest.raises(RequestError) as caught:
            await bench.read()
        assert str(caught.value) == line
        assert sent(bench)[-1] == b"W"
        alternative = ReadRequest(wavelengths_nm=(450, 630))
        assert await bench.read(alternative) == bench.expected(alternative)

    simulated(faults=("missing-filter:570",)).run(talk)


@pytest.mark.parametrize(
    ("fault", "code", "says", "human"),
    [
        ("error@S#1:1600", "1600", "assay definition error", False),
        ("error@V-table#1:0E03", "0E03", "not in the filter table", False),
        ("error@S-data#1:2331", "2331", "lamp failed", True),
        ("operator-stop@S-data#1:0", "0100", "STOP was pressed", False),
        ("abort@S-data#1:700", "0100", "read aborted", False),
        ("nak@S#1", "NAK", "did not expect", False),
        ("nak@V#1", "NAK", "did not expect", False),
        ("error@q#2:2100", "2100", "invalid parameter", False),
        ("error@n#2:A104", "A104", "off and on", True),
    ],
)
def test_the_readers_no_has_its_code_and_its_text(
    fault: str, code: str, says: str, human: bool
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(InstrumentFault, match=says) as caught:
            await bench.read()
        assert (caught.value.code, caught.value.needs_human) == (code, human)
        assert b"Version" not in caught.value.tail  # the cause, not what was asked behind it
        assert not bench.link.dirty
        assert await bench.read() == bench.expected()

    simulated(faults=(fault,)).run(talk)


@pytest.mark.parametrize(("code", "says"), [("A101", "off and on"), ("0911", "self-test is")])
def test_an_error_that_stands_is_told_by_identify_and_needs_a_person(code: str, says: str) -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        with pytest.raises(InstrumentFault, match=f"{code}.*{says}") as caught:
            await bench.reader.identify()
        assert caught.value.needs_human
        assert (await bench.reader.identify()).model == "ELx808"

    simulated(faults=(f"error@o#2:{code}",)).run(talk)


def test_an_error_of_the_past_is_read_away() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(InstrumentFault):
            await bench.read()
        assert (await bench.reader.identify()).model == "ELx808"

    simulated(faults=("abort@S-data#1",)).run(talk)


def test_a_read_without_an_incubator_says_so_when_its_temperature_is_asked_for() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(InstrumentFault, match="incubator"):
            await bench.read()
        assert b"S" not in sent(bench)

    simulated(twin_options={"incubator_tenths": 0}, options={"temperature": True}).run(talk)


def test_another_software_is_the_wrong_instrument_unless_the_options_know_it() -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        for _ in range(2):
            with pytest.raises(WrongInstrument, match="'1650200' answers; ELx808: 734"):
                await bench.reader.identify()
        with pytest.raises(WrongInstrument):
            await bench.read()

    async def allowed(bench: Bench) -> None:
        await bench.identified()
        assert await bench.read() == bench.expected()

    simulated(faults=("wrong-instrument",)).run(talk)
    simulated(faults=("wrong-instrument",), options={"parts": ("165", "734")}).run(allowed)


def test_the_carrier_moves_to_a_state_and_takes_its_time() -> None:
    async def talk(bench: Bench) -> None:
        assert isinstance(bench.reader, Carrier)
        assert not isinstance(bench.reader, Resender)
        await bench.identified()
        began_s = now_s()
        await bench.reader.present()
        await bench.reader.present()
        await bench.reader.admit()
        assert sent(bench) == [b"J", b"J", b"A"]
        assert now_s() - began_s > 24

    simulated(twin_options={"carrier_s": 8}).run(talk)


def test_an_elx800_is_marked_as_experimental() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert reading.identity.model == "ELx800"
        assert reading.notes[0].startswith("experimental driver")

    bench = simulated("elx800")
    assert bench.driver.proven == ()
    assert "EXPERIMENTAL" in bench.driver.summary
    bench.run(talk)


def test_options_are_typed_and_strict() -> None:
    wrong: dict[str, Any]
    for wrong in (
        {"baud": 19200},
        {"retries": 1},
        {"most_wavelengths": 7},
        {"parts": ("12345678",)},
        {"shake_speed": 4},
    ):
        with pytest.raises(ValueError, match="validation error"):
            ElxOptions(**wrong)


def test_the_driver_value_says_what_it_is() -> None:
    driver = simulated().driver
    assert (driver.name, driver.formats, driver.photometric_range) == (
        "elx808",
        (96,),
        (-9.999, 9.999),
    )
    line = driver.line(ElxOptions(baud=9600))
    assert (line.baud, line.data_bits, line.parity, line.stop_bits) == (9600, 8, "N", 2)
    assert line.seconds_per_byte == 11 / 9600
    assert driver.line(ElxOptions()).baud == 2400
