"""Synergy H1 / Cytation: commands, plate geometry, absorbance procedure and its answer.

Source: a public driver that works on hardware (PyLabRobot) and the replies that it captured. No
vendor document is public. The rule of the checksum was solved from those captures: three decimal
digits of the sum of the characters between the length and the checksum, modulo 256.
"""

import re
from dataclasses import dataclass

from readerd.errors import GarbledReply
from readerd_biotek.framing import (
    ETX,
    Answer,
    Nak,
    Nothing,
    ReplyDecoder,
    answer_decoder,
    outcome_decoder,
)

IDENTITY = b"e"
SERIAL = b"C"
TEMPERATURE = b"h"
TRAY_OUT, TRAY_IN = b"J", b"A"
TRAY_SPEED = b"&"
GEOMETRY = b"y"
DEFINE = b"D"
READ_PLATE = b"O"
HALT = b"x"
TRAY_FAST, TRAY_SLOW = b"S0", b"S1"

# The public driver's limits, in nm.
LOWEST_NM, HIGHEST_NM = 230, 999
SERIAL_BYTES, PROMISE_BYTES = 16, 33
# Not public what it means; not to be changed.
_KIND = "01"
_CONSTANT = "000120010000110010000010600008"
_PROCEDURE = re.compile(
    rf"(\d{{4}}){_KIND}(\d\d)(\d\d)(\d\d)(\d\d){_CONSTANT}(\d{{4}})(\d{{3}})\x03".encode("ascii")
)


def decimal_sum(data: bytes) -> bytes:
    """The family's checksum in its written form: the bytes' sum modulo 256 as three digits."""
    return b"%03d" % (sum(data) % 256)


@dataclass(frozen=True, slots=True)
class Procedure:
    """The argument of `D`: an absorbance read of a rectangle of wells, counted from 1."""

    wavelength_nm: int
    last_row: int
    last_column: int
    first_row: int = 1
    first_column: int = 1

    def to_bytes(self) -> bytes:
        corners = (self.first_row, self.first_column, self.last_row, self.last_column)
        wells = "".join(f"{corner:02d}" for corner in corners)
        body = f"{_KIND}{wells}{_CONSTANT}{self.wavelength_nm:04d}".encode("ascii")
        return b"%04d" % (len(body) + 3) + body + decimal_sum(body) + ETX

    @classmethod
    def from_bytes(cls, data: bytes) -> "Procedure":
        """As the instrument takes it: length and checksum must be right, else GarbledReply."""
        match = _PROCEDURE.fullmatch(data)
        if match is None:
            raise GarbledReply(f"no absorbance procedure: {data!r}")
        first_row, first_column, last_row, last_column, nm = (
            int(match[group]) for group in range(2, 7)
        )
        procedure = cls(nm, last_row, last_column, first_row, first_column)
        if procedure.to_bytes() != data:
            raise GarbledReply(f"wrong length or checksum: {data!r}")
        return procedure


@dataclass(frozen=True, slots=True)
class Promise:
    """Data of the reply to a procedure: 27 digits of mostly unknown meaning, with a checksum."""

    digits: str
    checksum: str

    @classmethod
    def of(cls, digits: str) -> "Promise":
        return cls(digits, decimal_sum(digits.encode("ascii")).decode("ascii"))

    @property
    def right(self) -> bool:
        return decimal_sum(self.digits.encode("ascii")) == self.checksum.encode("ascii")

    def to_bytes(self) -> bytes:
        # What is counted: digits, checksum, status with its ETX.
        return f"{len(self.digits) + 8:03d}{self.digits}{self.checksum}".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Promise":
        match = re.fullmatch(rb"035([ -~]{27})(\d{3})", data)
        if match is None:
            raise GarbledReply(f"no answer to a procedure: {data!r}")
        return cls(match[1].decode("ascii"), match[2].decode("ascii"))


@dataclass(frozen=True, slots=True)
class Geometry:
    """The argument of `y`: where the wells are, in hundredths of a millimetre from the top left."""

    rows: int
    columns: int
    first_y: int
    last_y: int
    first_x: int
    last_x: int
    width: int
    length: int
    height: int

    def to_bytes(self) -> bytes:
        centres = (self.first_y, self.last_y, self.first_x, self.last_x, self.width, self.length)
        text = f"{self.rows:02d}{self.columns:02d}"
        text += "".join(f"{centre:05d}" for centre in centres) + f"{self.height:04d}"
        return text.encode("ascii") + ETX

    @classmethod
    def from_bytes(cls, data: bytes) -> "Geometry":
        match = re.fullmatch(rb"(\d\d)(\d\d)" + rb"(\d{5})" * 6 + rb"(\d{4})\x03", data)
        if match is None:
            raise GarbledReply(f"no plate geometry: {data!r}")
        return cls(*(int(group) for group in match.groups()))


@dataclass(frozen=True, slots=True)
class SerialNumber:
    """Data of `C`: 16 characters, padded."""

    number: str

    def to_bytes(self) -> bytes:
        return f"{self.number:<{SERIAL_BYTES}}".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "SerialNumber":
        if re.fullmatch(rb"[!-~][ -~]{15}", data) is None:
            raise GarbledReply(f"no serial number: {data!r}")
        return cls(data.decode("ascii").rstrip())


@dataclass(frozen=True, slots=True)
class Warmth:
    """Data of `h`: tenths of a degree Celsius, three digits."""

    tenths: int

    @property
    def celsius(self) -> float:
        return self.tenths / 10

    def to_bytes(self) -> bytes:
        return b"%03d" % self.tenths

    @classmethod
    def from_bytes(cls, data: bytes) -> "Warmth":
        if re.fullmatch(rb"\d{3}", data) is None:
            raise GarbledReply(f"no temperature: {data!r}")
        return cls(int(data))


def serial_decoder() -> ReplyDecoder[Answer[SerialNumber] | Nak]:
    return answer_decoder(SERIAL_BYTES, SerialNumber.from_bytes)


def warmth_decoder() -> ReplyDecoder[Answer[Warmth] | Nak]:
    return answer_decoder(3, Warmth.from_bytes)


def promise_decoder() -> ReplyDecoder[Answer[Promise | Nothing] | Nak]:
    """Behind a procedure: the promise, or a status alone."""
    return outcome_decoder(PROMISE_BYTES, Promise.from_bytes)
