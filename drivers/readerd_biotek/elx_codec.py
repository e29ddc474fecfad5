"""ELx808: commands, the assay table, the filter table, the temperature.

Source: ELx808 operator's manual, appendix B. Commands are one byte, arguments follow the ACK; `n`
and `q` take theirs at once (seen on hardware). Integers that are not text are little-endian.
"""

import re
from dataclasses import dataclass

from readerd.errors import GarbledReply
from readerd_biotek.framing import Answer, Nak, ReplyDecoder, answer_decoder

# The commands that this package uses, by what they do.
ELX_STATUS_FORM = b"n1"
QUIET = b"q1"
LAST_ERROR = b"o"
IDENTITY = b"e"
FILTERS = b"W"
CARRIER_IN = b"A"
CARRIER_OUT = b"J"
READ_MODE = b"k"
DEFINE = b"V"
ROWS = b"r"
TEMPERATURE = b"]"
READ_PLATE = b"S"
HALT = b"X"

SLOTS = 6
TABLE_BYTES = 170
# Shortest and longest wavelength that a table may name, in nm.
LOWEST_NM, HIGHEST_NM = 340, 900
# What a public client allows; the field would hold more.
LONGEST_SHAKE_S = 999
# `]`: tenths of a degree, and two values that are none.
COLDEST, HOTTEST = 111, 999

# Zero-based places in the table.
_NAME = slice(1, 7)
_SHAKE_FLAG, _SCAN_POINTS, _TYPE = 30, 31, 55
_SINGLE, _REFERENCE, _SEVERAL = slice(49, 52), slice(52, 55), slice(66, 84)
_SHAKE_S, _SHAKE_SPEED = slice(162, 164), 164
_SHAKE_ONCE = 0x10
_NO_WAVELENGTH = b"000"


@dataclass(frozen=True, slots=True)
class AssayTable:
    """The 170 bytes behind `V`: an endpoint read at one wavelength, or at several in one pass.

    `several` holds raw plates in this order; `single_nm` is then None. The reader-side subtraction
    is left out: it loses the raw plates.
    """

    name: str
    single_nm: int | None = None
    several_nm: tuple[int, ...] = ()
    shake_s: int = 0
    shake_speed: int = 0

    @property
    def wavelengths_nm(self) -> tuple[int, ...]:
        return self.several_nm if self.single_nm is None else (self.single_nm,)

    def to_bytes(self) -> bytes:
        table = bytearray(TABLE_BYTES)
        table[_NAME] = f"{self.name:<6}".encode("ascii")[:6]
        table[_SHAKE_FLAG] = _SHAKE_ONCE if self.shake_s else 0
        table[_SCAN_POINTS] = 1
        table[_SINGLE] = f"{self.single_nm or 0:03d}".encode("ascii")
        table[_REFERENCE] = _NO_WAVELENGTH
        slots = (*self.several_nm, *(0 for _ in range(SLOTS - len(self.several_nm))))
        table[_SEVERAL] = "".join(f"{nm:03d}" for nm in slots).encode("ascii")
        table[_SHAKE_S] = self.shake_s.to_bytes(2, "little")
        table[_SHAKE_SPEED] = self.shake_speed
        return bytes(table)

    @classmethod
    def from_bytes(cls, data: bytes) -> "AssayTable":
        """GarbledReply for a table that `to_bytes` does not make (kinetics, scans, subtraction)."""
        if len(data) != TABLE_BYTES:
            raise GarbledReply(f"{len(data)} bytes are no assay table")
        single_nm = _wavelength(data[_SINGLE])
        places = range(_SEVERAL.start, _SEVERAL.stop, 3)
        slots = [_wavelength(data[at : at + 3]) for at in places]
        several_nm = tuple(nm for nm in slots if nm is not None)
        try:
            name = data[_NAME].decode("ascii").rstrip()
        except UnicodeDecodeError as error:
            raise GarbledReply("the assay's name is no text") from error
        shake_s = int.from_bytes(data[_SHAKE_S], "little")
        table = cls(name, single_nm, several_nm, shake_s, data[_SHAKE_SPEED])
        if (single_nm is None) == (not several_nm) or table.to_bytes() != data:
            raise GarbledReply("no endpoint assay at one wavelength or several")
        return table


def _wavelength(digits: bytes) -> int | None:
    if digits == _NO_WAVELENGTH:
        return None
    if not digits.isdigit() or not LOWEST_NM <= int(digits) <= HIGHEST_NM:
        raise GarbledReply(f"{digits!r} is no wavelength")
    return int(digits)


@dataclass(frozen=True, slots=True)
class FilterTable:
    """Data of `W`: the wavelength in nm at each of six positions, None where none is fitted."""

    positions: tuple[int | None, ...]

    @property
    def fitted_nm(self) -> tuple[int, ...]:
        return tuple(sorted({nm for nm in self.positions if nm is not None}))

    def to_bytes(self) -> bytes:
        return b"".join(b"%03d," % (nm or 0) for nm in self.positions)

    @classmethod
    def from_bytes(cls, data: bytes) -> "FilterTable":
        if re.fullmatch(rb"(?:\d{3},){6}", data) is None:
            raise GarbledReply(f"no table of six filters: {data!r}")
        return cls(tuple(int(word) or None for word in data.split(b",")[:SLOTS]))


@dataclass(frozen=True, slots=True)
class Temperature:
    """Data of `]`: tenths of a degree Celsius."""

    tenths: int

    @property
    def celsius(self) -> float | None:
        """None when it is outside the sensor's range, or there is no incubator."""
        return self.tenths / 10 if COLDEST < self.tenths < HOTTEST else None

    def to_bytes(self) -> bytes:
        return self.tenths.to_bytes(2, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Temperature":
        return cls(int.from_bytes(data, "little"))


def filters_decoder() -> ReplyDecoder[Answer[FilterTable] | Nak]:
    return answer_decoder(4 * SLOTS, FilterTable.from_bytes)


def temperature_decoder() -> ReplyDecoder[Answer[Temperature] | Nak]:
    return answer_decoder(2, Temperature.from_bytes)
