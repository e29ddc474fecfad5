"""The simulated SpectraMax keeps the instrument's state and refuses what the instrument refuses."""

import asyncio
from typing import Any

import pytest

from readerd.driver.contract import Driver
from readerd.driver.stream import LineSettings
from readerd.driver.wire import Wire
from readerd.errors import InputError
from readerd_spectramax import DRIVER_384_PLUS, DRIVER_M5
from tests.drivers.spectramax.spectrabench import Bench, simulated
from tests.virtual_clock import run_virtual

OK = b"OK\t\r\n>"
READY = b"!XPOS 14.300 9.000 12\r!YPOS 11.280 9.000 8\r!STRIP 1 12\r!WAVELENGTH 450 570\r"
READY += b"!READTYPE PLA\r"


@pytest.mark.parametrize(
    ("setup", "says"),
    [
        ({"faults": ("melt@READ",)}, "unknown kind; known are busy"),
        ({"twin_options": {"door": "AJAR"}}, "twin options: door"),
        ({"twin_options": {"decimals": 9}}, "twin options: decimals"),
        ({"twin_options": {"speed": 1}}, "twin options: speed"),
    ],
)
def test_a_twin_that_cannot_be_is_refused(setup: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        simulated(**setup)


def ask_twin(bench: Bench, line: bytes, now_s: float = 0.0) -> list[bytes]:
    return [emission.data for emission in bench.twin.receive(line, now_s)]


def fail(code: int, *, acknowledged: bool = False) -> bytes:
    return (OK if acknowledged else b"") + b"FAIL\t %d\r\n>" % code


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"!\r", OK),
        (b"!\n", OK),
        (b"!\r\n", OK),
        (b"!STATUS\r", OK + b"\r\nCLOSED\r\nIDLE\r\n\r\n>"),
        (b"!TEMP\r", OK + b"\r\n0.0 25.1\r\n>"),
        (b"!ERROR\r", OK + b"\r\n>"),
        (b"!SPEED OFF\r", OK + b"\r\n>"),
        (b"!CSPEED 8\r", OK),
        (b"!SHAKE OFF\r", OK),
        (b"!SHAKE 30 0 0 0 0\r", OK),
        (b"!CLEAR DATA\r", OK),
        (b"!CLEAR ERROR\r", OK),
        (b"!WAVELENGTH 450 F570\r", OK),
        (b"!FOO\r", fail(100)),
        (b"READ\r", fail(100)),
        (b"!CSPEED 5\r", fail(101)),
        (b"!CSPEED\r", fail(103)),
        (b"!CSPEED 8 8\r", fail(102)),
        (b"!WAVELENGTH\r", fail(103)),
        (b"!WAVELENGTH 450 blue\r", fail(101)),
        (b"!WAVELENGTH 1 2 3 4 5 6 7\r", fail(102)),
        (b"!XPOS 14.3 nine 12\r", fail(101)),
        (b"!STRIP 1\r", fail(103)),
        (b"!STRIP 1 x\r", fail(101)),
        (b"!SHAKE MORE\r", fail(101)),
        (b"!TEMP 46\r", fail(101, acknowledged=True)),
        (b"!SPEED MAYBE\r", fail(101, acknowledged=True)),
        (b"!TRANSFER\r", fail(107, acknowledged=True)),
        (b"!READ\r", fail(111)),
        (b"!" + b"X" * 200 + b"\r", fail(104)),
    ],
)
def test_the_twin_answers_and_refuses_as_the_sheet_has_it(line: bytes, answer: bytes) -> None:
    assert ask_twin(simulated(), line) == [answer]


@pytest.mark.parametrize(
    ("driver", "line", "answer"),
    [
        (DRIVER_384_PLUS, b"!READTYPE PLA\r", OK),
        (DRIVER_384_PLUS, b"!READTYPE ABSPLA\r", fail(101)),
        (DRIVER_384_PLUS, b"!TAG OFF\r", fail(100)),
        (DRIVER_384_PLUS, b"!NVRAM CARCOL 100\r", fail(100)),
        (DRIVER_M5, b"!READTYPE ABSPLA\r", OK + b"\r\n>"),
        (DRIVER_M5, b"!READTYPE PLA\r", fail(101, acknowledged=True)),
        (DRIVER_M5, b"!TAG OFF\r", OK),
        (DRIVER_M5, b"!NVRAM CARCOL 100\r", OK),
    ],
)
def test_each_model_speaks_its_own_dialect(driver: Driver, line: bytes, answer: bytes) -> None:
    assert ask_twin(simulated(driver=driver), line) == [answer]


def test_while_measuring_only_status_and_cancel_are_safe() -> None:
    bench = simulated()
    assert set(ask_twin(bench, READY)) == {OK}
    assert ask_twin(bench, b"!READ\r", 10.0) == [OK]
    assert ask_twin(bench, b"!STATUS\r", 17.9) == [OK + b"\r\nCLOSED\r\nMEASURING\r\n\r\n>"]
    assert ask_twin(bench, b"!OPEN\r!\r", 17.9) == [fail(106), fail(106)]
    assert ask_twin(bench, b"!TRANSFER\r", 17.9) == [fail(106, acknowledged=True)]
    assert ask_twin(bench, b"!STATUS\r", 18.0) == [OK + b"\r\nCLOSED\r\nIDLE\r\n\r\n>"]
    assert ask_twin(bench, b"!READ\r", 20.0) == [OK]
    assert ask_twin(bench, b"!CANCEL\r", 21.0) == [OK]
    assert ask_twin(bench, b"!STATUS\r", 21.0) == [OK + b"\r\nCLOSED\r\nIDLE\r\n\r\n>"]
    assert ask_twin(bench, b"!TRANSFER\r", 40.0) == [fail(107, acknowledged=True)]


def test_a_transfer_sends_and_consumes_one_plate() -> None:
    bench = simulated()
    ask_twin(bench, READY + b"!READ\r")
    (sent,) = ask_twin(bench, b"!TRANSFER\r", 8.0)
    assert sent.startswith(OK + b"0.0\t25.1\t96-well\r\nL:\t450\t570\r\nL:\t450\r\n1:\t1.0000\t")
    assert b"\r\n2:\t-0.0051\t" in sent
    assert b"\r\n3:\t#SAT\t" in sent
    assert ask_twin(bench, b"!TRANSFER\r", 8.0) == [fail(107, acknowledged=True)]
    ask_twin(bench, b"!READ\r", 10.0)
    ask_twin(bench, b"!CLEAR DATA\r", 20.0)
    assert ask_twin(bench, b"!TRANSFER\r", 20.0) == [fail(107, acknowledged=True)]


def test_power_on_is_an_air_calibration_and_the_drawer_must_be_closed() -> None:
    bench = simulated(twin_options={"power_on_s": 30})
    assert ask_twin(bench, b"!STATUS\r", 1.0) == [OK + b"\r\nCLOSED\r\nAIR CAL206\r\n\r\n>"]
    assert ask_twin(bench, b"!CLEAR DATA\r", 1.0) == [fail(105)]
    assert set(ask_twin(bench, READY + b"!OPEN\r", 31.0)) == {OK}
    assert ask_twin(bench, b"!READ\r", 31.0) == [fail(111)]
    assert ask_twin(bench, b"!CLOSE\r!READ\r", 31.0) == [OK, OK]


def test_a_384_geometry_finds_nothing_beyond_a_96_well_plate() -> None:
    bench = simulated()
    ask_twin(bench, READY.replace(b" 12\r", b" 24\r").replace(b" 8\r", b" 16\r"))
    assert ask_twin(bench, b"!READ\r") == [OK]
    (sent,) = ask_twin(bench, b"!TRANSFER\r", 8.0)
    assert b"384-well" in sent
    assert sent.count(b"\t-") >= 2 * (384 - 96)


def test_the_twin_takes_commands_in_any_pieces() -> None:
    bench = simulated()
    answers = [ask_twin(bench, bytes([byte])) for byte in b"!\r\n!CSPEED 8\r"]
    assert [answer for some in answers for answer in some] == [OK, OK]


@pytest.mark.parametrize(("scale", "state"), [(1.0, b"MEASURING"), (0.1, b"IDLE"), (0.0, b"IDLE")])
def test_the_measurement_keeps_the_pace_of_the_line(scale: float, state: bytes) -> None:
    """Two seconds after READ: a plate of eight seconds at a tenth of the time is done."""

    async def main() -> bytes:
        heard = bytearray()
        wire = Wire(simulated().twin, LineSettings(), time_scale=scale, deliver=heard.extend)
        wire.receive(READY + b"!READ\r")
        await asyncio.sleep(2)
        heard.clear()
        wire.receive(b"!STATUS\r")
        await asyncio.sleep(1)
        return bytes(heard)

    assert state in run_virtual(main())
