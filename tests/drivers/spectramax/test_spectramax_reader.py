"""The SpectraMax's conversations: what is sent, what comes of it, what is refused and why."""

from typing import Any

import pytest

from readerd.driver.contract import Carrier, Driver, Resender
from readerd.errors import (
    ErrorCode,
    GarbledReply,
    InstrumentFault,
    NoReply,
    RequestError,
    WrongInstrument,
)
from readerd.plate import Identity, ReadRequest, Strip, Unread, complete
from readerd_spectramax import DRIVER_384_PLUS, DRIVER_M5
from readerd_spectramax.options import SpectraMaxOptions
from readerd_spectramax.reader import SpectraMax
from tests.drivers.spectramax.spectrabench import (
    DUAL,
    PLATE_2,
    Bench,
    commands,
    now_s,
    simulated,
    without_polls,
)

# In the order of the public client, but for its ping.
SETTINGS_96 = [
    "!CLEAR DATA",
    "!XPOS 14.300 9.000 12",
    "!YPOS 11.280 9.000 8",
    "!STRIP 1 12",
    "!CSPEED 8",
    "!SHAKE OFF",
    "!WAVELENGTH 450 570",
    "!CALIBRATE ONCE",
    "!MODE ENDPOINT",
    "!ORDER COLUMN",
    "!SPEED OFF",
]
MEASUREMENT = ["!READ", "!STATUS", "!TRANSFER", "!ERROR"]


@pytest.mark.parametrize(
    ("driver", "model", "last"),
    [
        (DRIVER_384_PLUS, "SpectraMax 384 Plus", ["!READTYPE PLA"]),
        (DRIVER_M5, "SpectraMax M5", ["!TAG OFF", "!NVRAM CARCOL 100", "!READTYPE ABSPLA"]),
    ],
)
def test_a_dual_read_is_one_pass_in_the_models_own_dialect(
    driver: Driver, model: str, last: list[str]
) -> None:
    async def talk(bench: Bench) -> None:
        assert await bench.identified() == Identity(model=model, names_itself=False)
        reading = await bench.reader.read(DUAL, bench.strips.append)
        sent = without_polls(commands(bench))
        assert sent == ["!STATUS", *SETTINGS_96, *last, *MEASUREMENT]
        assert dict(reading.plates) == bench.expected()
        assert reading.value(450, "A2") == -0.0051
        assert reading.value(450, "A3") is Unread.SATURATED
        assert reading.value(450, "A5") == 4.0
        assert reading.value(450, "A6") is Unread.NOT_MEASURED
        assert reading.value(450, "A7") is Unread.UNREADABLE
        assert reading.identity == Identity(model=model, names_itself=False)
        assert (reading.temperature_c, reading.warnings) == (25.1, ())
        assert "does not name its model" in reading.notes[0]
        assert "no checksum" in reading.notes[1]

    simulated(driver=driver).run(talk)


def test_a_384_well_plate_is_placed_by_the_standard_and_read_whole() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        request = ReadRequest(wavelengths_nm=(570, 450), format=384)
        reading = await bench.reader.read(request, bench.strips.append)
        assert dict(reading.plates) == bench.expected(request)
        assert list(reading.plates) == [570, 450]
        sent = commands(bench)
        assert sent[2:5] == ["!XPOS 12.125 4.500 24", "!YPOS 8.990 4.500 16", "!STRIP 1 24"]
        assert len(bench.strips) == 48
        assert list(bench.strips[23].values)[::15] == ["A24", "P24"]

    simulated(format=384).run(talk)


def test_options_become_settings() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        request = ReadRequest(wavelengths_nm=(450, 570), shake_s=30)
        assert await bench.read(request) == bench.expected()
        sent = commands(bench)
        for command in (
            "!XPOS 14.380 9.000 12",
            "!CSPEED 1",
            "!SHAKE ON",
            "!SHAKE 30 0 0 0 0",
            "!CALIBRATE OFF",
            "!SPEED ON",
        ):
            assert command in sent
        assert not {"!SHAKE OFF", "!NVRAM CARCOL 100", "!ERROR"} & set(sent)

    options: dict[str, Any] = {
        "carriage": "slow",
        "speed_read": True,
        "calibrate": "OFF",
        "settling": False,
        "error_log": False,
        "plate_96": {"x_mm": 14.38, "y_mm": 11.24, "pitch_mm": 9.0},
    }
    simulated(driver=DRIVER_M5, options=options).run(talk)


@pytest.mark.parametrize("end", ["CR", "LF", "CRLF"])
def test_every_line_end_is_understood(end: str) -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        assert await bench.read() == bench.expected()
        ends = {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n"}
        assert bench.link.transcript.sent.startswith(b"!STATUS" + ends[end] + b"!STATUS")

    simulated(options={"end_of_line": end}, twin_options={"note": None}).run(talk)


def test_strips_are_columns_and_come_before_the_plate_is_whole() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        times: list[float] = []

        def on_strip(strip: Strip) -> None:
            bench.strips.append(strip)
            times.append(now_s())

        await bench.reader.read(DUAL, on_strip)
        assert [strip.wavelength_nm for strip in bench.strips] == [450] * 12 + [570] * 12
        assert list(bench.strips[1].values) == [f"{row}2" for row in "ABCDEFGH"]
        seen = {well: value for strip in bench.strips[:12] for well, value in strip.values.items()}
        assert complete(seen, 96) == bench.expected()[450]
        assert times[-1] - times[0] > 1.2  # 1400 bytes at 9600 baud

    simulated().run(talk)


def test_more_wavelengths_and_one_alone() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        one = ReadRequest(wavelengths_nm=(570,))
        assert await bench.read(one) == bench.expected(one)
        many = ReadRequest(wavelengths_nm=(405, 450, 490, 570, 620, 650))
        assert set(await bench.read(many)) == set(many.wavelengths_nm)

    simulated().run(talk)


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (ReadRequest(wavelengths_nm=(450, 571)), ErrorCode.WAVELENGTH_UNAVAILABLE, "571 nm"),
        (ReadRequest(wavelengths_nm=(399,)), ErrorCode.WAVELENGTH_UNAVAILABLE, "400 to 570"),
        (ReadRequest(wavelengths_nm=()), ErrorCode.WAVELENGTH_UNAVAILABLE, "one to 2"),
        (ReadRequest(wavelengths_nm=(450, 450)), ErrorCode.WAVELENGTH_UNAVAILABLE, "different"),
        (ReadRequest(wavelengths_nm=(405, 450, 570)), ErrorCode.WAVELENGTH_UNAVAILABLE, "to 2"),
        (ReadRequest(wavelengths_nm=(450,), format=1536), ErrorCode.FORMAT_UNSUPPORTED, "1536"),
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
        assert commands(bench) == []

    options = {"shortest_nm": 400, "longest_nm": 570, "most_wavelengths": 2}
    simulated(options=options).run(talk)


@pytest.mark.parametrize(
    ("fault", "code", "says", "needs_human"),
    [
        ("error@READ:302", "302", "low light", True),
        ("error@READ:400", "400", "carriage does not move", True),
        ("error@WAVELENGTH:101", "101", r"invalid argument \(!WAVELENGTH 450 570\)", False),
        ("error@SPEED:999", "999", "no text known", False),
        ("busy@READ", "105", "busy", False),
        ("operator-stop@READ", "107", "stopped at the instrument", False),
        ("operator-stop@STATUS#6", "107", "stopped at the instrument", False),
        ("operator-stop@TRANSFER", "107", "no data to transfer", False),
    ],
)
def test_refusals_carry_their_number_its_text_and_the_step(
    fault: str, code: str, says: str, needs_human: bool
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(InstrumentFault, match=says) as caught:
            await bench.read()
        assert (caught.value.code, caught.value.needs_human) == (code, needs_human)
        assert caught.value.phase in ("READ", "WAVELENGTH", "SPEED", "TRANSFER")
        assert b"FAIL\t " in caught.value.tail
        assert not bench.link.dirty
        if "#" in fault:
            assert await bench.read() == bench.expected()

    simulated((fault,)).run(talk)


def test_another_model_refuses_the_read_type() -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        for _ in range(2):
            with pytest.raises(WrongInstrument, match="no SpectraMax M5 answers"):
                await bench.reader.identify()
            assert not bench.link.dirty

    bench = simulated(driver=DRIVER_384_PLUS)
    bench.driver = DRIVER_M5  # configured for the other one
    bench.run(talk)


def test_a_weak_lamp_and_a_warning_behind_ok_are_warnings_of_the_reading() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert reading.warnings == ("Warning: warming up", "error log: 314 lamp level low (1)")

    simulated(("low-lamp@READ", "warning@CALIBRATE:Warning: warming up")).run(talk)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("silence@ERROR", "after the plate: error log: no answer"),
        ("garbage@ERROR", "after the plate: error log: bytes that are no text"),
        ("error@ERROR:100", "error log refused with 100 (command not found)"),
    ],
)
def test_a_log_that_does_not_come_costs_no_plate_and_leaves_a_clean_link(
    fault: str, says: str
) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        for _ in range(2):
            reading = await bench.reader.read(DUAL, bench.strips.append)
            assert dict(reading.plates) == bench.expected()
            assert reading.warnings[0].startswith(says)
            assert not bench.link.dirty
            bench.lay(PLATE_2)

    simulated((fault,)).run(talk)


def test_a_plate_of_another_shape_is_no_plate_and_the_link_is_clean() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(GarbledReply, match="instead of") as caught:
            await bench.read()
        assert caught.value.phase == "TRANSFER"
        assert not bench.link.dirty
        assert await bench.read() == bench.expected()

    # the lowest bit of the 0 in the list of wavelengths: 451 nm
    at = len(b"OK\t\r\n>9.9\t25.1\t96-well\r\nL:\t450") - 1
    simulated((f"flip@TRANSFER#1:{at}",)).run(talk)


def test_a_status_damaged_while_measuring_costs_nothing() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        assert await bench.read() == bench.expected()

    for kind in ("silence", "garbage", "truncate", "flip", "stale"):
        simulated((f"{kind}@STATUS#6",)).run(talk)


@pytest.mark.parametrize("driver", [DRIVER_384_PLUS, DRIVER_M5])
def test_silence_behind_a_prompt_ends_an_answer_without_a_second_one(driver: Driver) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert "options.prompts = {SPEED = 1} saves the wait" in reading.notes[-1]

    simulated(driver=driver, twin_options={"second_prompt": False}).run(talk)


def test_prompts_can_be_told_and_then_nobody_waits() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        began_s = now_s()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert len(reading.notes) == 2
        assert now_s() - began_s < 12

    options = {"prompts": {"SPEED": 1, "READTYPE": 1}}
    simulated(driver=DRIVER_M5, twin_options={"second_prompt": False}, options=options).run(talk)


def test_options_are_typed_and_strict() -> None:
    wrong: dict[str, Any]
    for wrong in (
        {"calibrate": "MAYBE"},
        {"retries": 1},
        {"prompts": {"SPEED": 3}},
        {"prompts": {"!SPEED": 1}},
        {"door_words": ("OPEN",)},
        {"plate_96": {"x_mm": 14.3}},
        {"idle_words": ()},
    ):
        with pytest.raises(ValueError, match="validation error"):
            SpectraMaxOptions(**wrong)


def test_other_words_of_the_status_can_be_told() -> None:
    async def talk(bench: Bench) -> None:
        with pytest.raises(NoReply):  # the twin says CLOSED, which is not SHUT
            await bench.reader.park()

    simulated(options={"door_words": ("AJAR", "SHUT")}).run(talk)


@pytest.mark.parametrize("driver", [DRIVER_384_PLUS, DRIVER_M5])
def test_the_driver_values_say_what_they_are(driver: Driver) -> None:
    assert (driver.formats, driver.photometric_range) == ((96, 384), (-4.0, 4.0))
    assert driver.line(SpectraMaxOptions()).baud == 9600
    assert "PyLabRobot 0.2.2" in driver.proven[0]
    assert len({DRIVER_384_PLUS.name, DRIVER_M5.name}) == 2

    async def talk(bench: Bench) -> None:
        reader = driver.open(bench.link, bench.settings)
        assert isinstance(reader, SpectraMax)
        assert isinstance(reader, Carrier)
        assert not isinstance(reader, Resender)

    simulated(driver=driver).run(talk)
