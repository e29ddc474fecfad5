"""PyLabRobot's Synergy H1 class reads our Synergy twin: an independent witness.

The class was written on the instrument and shares no line with this codec. It opens its instrument
through a USB library, so it is handed an io object on the twin's pseudo-terminal instead, before it
makes its own. Three of its ways are known: it drops what comes in the same 512 bytes behind an
answer (the plate must come at least 300 ms later), a cell of stars becomes NaN, a well that did not
come None.
"""

import asyncio
import math

import pytest
import serial
from pylabrobot.plate_reading.agilent import (  # type: ignore[import-untyped]
    biotek_backend,
    biotek_synergyh1_backend,
)
from pylabrobot.resources import cor_96_wellplate_360uL_Fb  # type: ignore[import-untyped]

from readerd.csvfile import plate_from_csv
from readerd.driver.chemistry import from_plates
from readerd.driver.link import Link
from readerd.driver.serve import serve_pty
from readerd.driver.stream import LineSettings
from readerd.driver.transport import open_transport
from readerd.driver.virtual import TwinSetup, parse_fault
from readerd.plate import FORMATS, OpticalDensity, ReadRequest, Unread
from readerd_biotek import SYNERGYH1
from readerd_biotek.synergy_options import SynergyOptions
from readerd_biotek.synergy_reader import SynergyH1

# Behind O's status, in seconds: below 0.3 the class loses the plate.
MEASURES_S = 0.4
FAST = LineSettings(baud=115_200, stop_bits=2)


class PortIo:
    """What the class asks of its USB chip, on a serial port."""

    device_id = "pseudo-terminal"

    def __init__(self, path: str) -> None:
        self._path = path

    async def setup(self) -> None:
        self._port = serial.Serial(self._path, timeout=0)

    async def stop(self) -> None:
        self._port.close()

    async def write(self, data: bytes) -> int:
        return self._port.write(data) or 0

    async def read(self, size: int) -> bytes:
        return bytes(self._port.read(size))

    async def usb_purge_rx_buffer(self) -> None:
        self._port.reset_input_buffer()

    async def usb_purge_tx_buffer(self) -> None:
        self._port.reset_output_buffer()

    async def usb_reset(self) -> None: ...

    async def set_latency_timer(self, _milliseconds: int) -> None: ...

    async def set_baudrate(self, _baud: int) -> None: ...

    async def set_line_property(self, _data: int, _stop: int, _parity: int) -> None: ...

    async def set_flowctrl(self, _flow: int) -> None: ...

    async def set_rts(self, _on: bool) -> None: ...


def plate_file() -> str:
    """Every well another value; negative, saturated and missing cells among them."""
    lines = ["well,450,570"]
    for index, well in enumerate(FORMATS[96].wells):
        measured = {"A2": "-0.0012", "B1": "SAT", "C3": "", "H12": "4.0001"}.get(
            well, f"{0.05 + index * 0.0101:.4f}"
        )
        reference = {"A3": "", "D4": "-0.0004"}.get(well, f"{0.03 + index * 0.0001:.4f}")
        lines.append(f"{well},{measured},{reference}")
    return "\n".join(lines)


TABLE = plate_from_csv(plate_file(), "plate.csv")


def as_pylabrobot_has_it(value: OpticalDensity) -> float | None:
    if value is Unread.NOT_MEASURED:
        return None
    return math.nan if isinstance(value, Unread) else value


def setup(*faults: str) -> TwinSetup:
    return TwinSetup(
        chemistry=from_plates(TABLE.plates),
        faults=tuple(parse_fault(spec) for spec in faults),
        options={"read_s": MEASURES_S, "tray_s": 0.05, "answer_s": 0.001},
    )


async def test_pylabrobot_reads_450_and_570_and_finds_the_plate_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plate = cor_96_wellplate_360uL_Fb("plate")
    async with serve_pty(SYNERGYH1.twin(setup()), FAST) as port:
        monkeypatch.setattr(biotek_backend, "FTDI", lambda **_: PortIo(port[len("serial:") :]))
        theirs = biotek_synergyh1_backend.SynergyH1Backend(timeout=5)
        async with asyncio.timeout(20):
            await theirs.setup()
            assert theirs.version == "1.04"
            assert await theirs.get_serial_number() == "00000000"
            await theirs.open()
            await theirs.close(plate)
            for nm in (450, 570):
                (answer,) = await theirs.read_absorbance(plate, plate.get_all_items(), nm)
                found = [value for row in answer["data"] for value in row]
                wanted = [as_pylabrobot_has_it(value) for value in TABLE.plates[nm]]
                assert len(found) == 96
                assert [str(value) for value in found] == [str(value) for value in wanted]
                assert answer["temperature"] == 23.6
            await theirs.stop()
        ours = await read_with_readerd(port)
    assert ours == {nm: tuple(TABLE.plates[nm]) for nm in (450, 570)}


async def test_pylabrobot_reads_what_it_cannot_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checksum of a single well is two digits behind a 1: right from 100 on, else refused."""
    plate = cor_96_wellplate_360uL_Fb("plate")
    async with serve_pty(SYNERGYH1.twin(setup()), FAST) as port:
        monkeypatch.setattr(biotek_backend, "FTDI", lambda **_: PortIo(port[len("serial:") :]))
        theirs = biotek_synergyh1_backend.SynergyH1Backend(timeout=5)
        async with asyncio.timeout(20):
            await theirs.setup()
            (answer,) = await theirs.read_absorbance(plate, [plate.get_item("A1")], 325)
            assert answer["data"][0][0] == TABLE.plates[450][0]
            assert answer["data"][0][1] is None
            with pytest.raises(AssertionError):
                await theirs.read_absorbance(plate, [plate.get_item("A1")], 600)
            await theirs.stop()


async def read_with_readerd(port: str) -> dict[int, tuple[OpticalDensity, ...]]:
    link = Link(await open_transport(port, FAST))
    try:
        reader = SynergyH1(link, SynergyOptions())
        async with asyncio.timeout(10):
            await reader.park()
            request = ReadRequest(wavelengths_nm=(450, 570))
            return dict((await reader.read(request, lambda _: None)).plates)
    finally:
        await link.close()
