"""The Synergy's conversations: what is sent, what comes of it, what is refused and why."""

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
from readerd_biotek.synergy_codec import Procedure
from readerd_biotek.synergy_options import SynergyOptions, geometry
from tests.drivers.biotek.biotek_bench import DUAL, SINGLE, Bench, now_s, sent, simulated

SHAPE = geometry(96, SynergyOptions()).to_bytes()
TRAY = [b"&", b"S0", b"A"]


def synergy(*faults: str, **options: Any) -> Bench:
    return simulated("synergyh1", faults, options=options)


def run_of(wavelength_nm: int) -> list[bytes]:
    return [b"D", Procedure(wavelength_nm, 8, 12).to_bytes(), b"O"]


def test_identify_says_model_serial_and_software() -> None:
    async def talk(bench: Bench) -> None:
        identity = await bench.reader.identify()
        assert identity == Identity(
            model="Cytation 5",
            serial="1812345",
            firmware="1650200 1.04",
            wavelengths_nm=None,
            names_itself=False,
        )
        assert identity.offers(450)
        assert identity.proves("1812345")
        assert not identity.proves("Cytation 5")  # the configuration says so, not the reader
        assert sent(bench) == [b"e", b"e", b"C"]

    bench = simulated(
        "synergyh1", twin_options={"serial": "1812345"}, options={"model": "Cytation 5"}
    )
    bench.run(talk)


def test_two_wavelengths_are_two_reads_and_the_plate_stays_inside() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        times: dict[int, list[float]] = {}

        def on_strip(strip: Strip) -> None:
            bench.strips.append(strip)
            times.setdefault(strip.wavelength_nm, []).append(now_s())

        reading = await bench.reader.read(DUAL, on_strip)
        asked = [b"e", b"C", *TRAY, b"y", SHAPE, *run_of(450), *run_of(570)]
        assert sent(bench) == asked
        assert dict(reading.plates) == bench.expected()
        assert reading.value(450, "A2") == -0.0052
        assert reading.value(450, "A3") is Unread.SATURATED
        assert reading.value(450, "A8") is Unread.NOT_MEASURED
        assert reading.temperature_c == 23.6
        assert reading.notes == ("checksums held", "1 wells did not come at 450 nm")
        assert len(times[450]) == len(times[570]) == 8
        assert times[570][0] - times[450][-1] > 9  # the second one is measured then
        seen = {well: value for strip in bench.strips[:8] for well, value in strip.values.items()}
        assert len(seen) == 95
        assert next(iter(bench.strips[1].values)) == "B12"  # every other row comes backwards

    synergy().run(talk)


def test_the_tray_may_stay_and_may_be_slow() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        await bench.read(SINGLE)
        assert sent(bench) == [b"e", b"C", b"y", SHAPE, *run_of(450)]
        assert isinstance(bench.reader, Carrier)
        assert not isinstance(bench.reader, Resender)
        await bench.reader.present()
        await bench.reader.admit()
        assert sent(bench)[-6:] == [b"&", b"S1", b"J", b"&", b"S1", b"A"]

    synergy(admit_first=False, slow_tray=True).run(talk)


def test_a_wrong_checksum_is_no_plate_and_is_never_measured_again() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(GarbledReply, match="wrong checksum") as caught:
            await bench.read()
        assert caught.value.phase == "O 450 nm"
        assert sent(bench).count(b"O") == 1
        assert not bench.link.dirty
        assert await bench.read() == bench.expected()

    synergy("bad-checksum@O-data#1").run(talk)


def test_a_wrong_checksum_of_the_procedures_answer_stops_before_the_plate() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(GarbledReply, match="procedure's answer"):
            await bench.read()
        assert b"O" not in sent(bench)
        assert await bench.read() == bench.expected()

    synergy("bad-checksum@D-argument#1").run(talk)


def test_a_checksum_that_is_ignored_is_noted() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(DUAL, bench.strips.append)
        assert dict(reading.plates) == bench.expected()
        assert reading.notes[0] == "wrong checksum at 450 nm, 570 nm (option checksum = ignore)"

    synergy("bad-checksum", checksum="ignore").run(talk)


def test_stars_are_what_the_options_say() -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        reading = await bench.reader.read(SINGLE, bench.strips.append)
        assert reading.value(450, "A3") is Unread.UNREADABLE
        assert bench.strips[0].values["A3"] is Unread.UNREADABLE

    synergy(stars="UNREADABLE").run(talk)


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (ReadRequest(wavelengths_nm=()), ErrorCode.WAVELENGTH_UNAVAILABLE, "one to 6"),
        (ReadRequest(wavelengths_nm=(450, 450)), ErrorCode.WAVELENGTH_UNAVAILABLE, "different"),
        (ReadRequest(wavelengths_nm=(229,)), ErrorCode.WAVELENGTH_UNAVAILABLE, "between 230"),
        (ReadRequest(wavelengths_nm=(450, 1000)), ErrorCode.WAVELENGTH_UNAVAILABLE, "1000 nm"),
        (ReadRequest(wavelengths_nm=(450,), format=24), ErrorCode.FORMAT_UNSUPPORTED, "24"),
        (ReadRequest(wavelengths_nm=(450,), shake_s=5), ErrorCode.INVALID_PAYLOAD, "shaking"),
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

    synergy().run(talk)


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("error@O#1:2D06", "2D06", "the procedure was refused: wrong checksum"),
        ("error@O#1:0300", "0300", "plate carrier: no light .* as on the ELx808"),
        ("error@O-data#1:2331", "2331", "lamp failed"),
        ("operator-stop@O-data#1", "0100", "read aborted"),
        ("nak@O#1", "NAK", "did not expect"),
        ("nak@D#1", "NAK", "did not expect"),
        ("nak@D-argument#1", "NAK", "did not expect"),
        ("error@y-argument#1:2100", "2100", "invalid parameter"),
        ("error@A#1:0400", "0400", "position could not be verified"),
    ],
)
def test_the_readers_no_has_its_code_and_its_text(fault: str, code: str, says: str) -> None:
    async def talk(bench: Bench) -> None:
        await bench.identified()
        with pytest.raises(InstrumentFault, match=says) as caught:
            await bench.read()
        assert caught.value.code == code
        assert b"Version" not in caught.value.tail  # the cause, not what was asked behind it
        assert not bench.link.dirty
        assert await bench.read() == bench.expected()

    synergy(fault).run(talk)


def test_an_elx808_is_the_wrong_instrument_and_so_is_any_part_that_was_not_named() -> None:
    async def talk(bench: Bench) -> None:
        await bench.reader.park()
        for _ in range(2):
            with pytest.raises(WrongInstrument, match="an ELx808 answers"):
                await bench.reader.identify()
        with pytest.raises(WrongInstrument):
            await bench.read()

    async def other(bench: Bench) -> None:
        await bench.reader.park()
        with pytest.raises(WrongInstrument, match="'1320200' answers; Synergy H1: 165"):
            await bench.reader.identify()

    async def allowed(bench: Bench) -> None:
        await bench.identified()
        assert await bench.read() == bench.expected()

    synergy("wrong-instrument").run(talk)
    synergy("wrong-instrument:1320200", parts=("165",)).run(other)
    synergy("wrong-instrument:1320200").run(allowed)


def test_options_are_typed_and_strict() -> None:
    wrong: dict[str, Any]
    for wrong in (
        {"baud": 19200},
        {"model": "Epoch"},
        {"stars": "NOT_MEASURED"},
        {"plate_height_mm": 0},
    ):
        with pytest.raises(ValueError, match="validation error"):
            SynergyOptions(**wrong)


def test_the_driver_value_says_what_it_is() -> None:
    driver = synergy().driver
    assert (driver.name, driver.formats, driver.photometric_range) == (
        "synergyh1",
        (96, 384),
        (-9.9999, 9.9999),
    )
    line = driver.line(SynergyOptions())
    assert (line.baud, line.stop_bits, line.rtscts) == (9600, 2, True)
    assert driver.line(SynergyOptions(baud=38461, rtscts=False)).baud == 38461
    assert len(driver.proven) == 2
