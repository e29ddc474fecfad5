"""Synergy H1 / Cytation, simulated: the instrument's side of the same codec.

Steps are command letters (`e`, `C`, `h`, `J`, `A`, `y`, `D`, `i`, `g`, `O`, `x`), `speed` (the
command `&`), the same with `-argument`, `O-data` (the plate) and `junk` (a NAK to anything else).
Own faults: `nak[@STEP]`, `error@STEP:CODE`, `busy@STEP:S` (hears nothing for S seconds from then),
`bad-checksum[@D-argument|@O-data]`, `abort@O-data[:N]` and `operator-stop@O-data[:N]` (N bytes of
the plate and then a status 0100), `wrong-instrument[@e][:PART]`.
"""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field, ValidationError

from readerd.driver.contract import Options
from readerd.driver.virtual import Emission, Fault, FaultPlan, Twin, TwinSetup, with_faults
from readerd.errors import GarbledReply, InputError, Mistake
from readerd.plate import FORMATS as PLATE_FORMATS
from readerd.plate import OpticalDensity, Unread, parse_well
from readerd_biotek.complaints import ABORTED, BAD_PROCEDURE
from readerd_biotek.framing import (
    ACK,
    ETX,
    OK,
    Aborted,
    Answer,
    Nak,
    Nothing,
    Started,
    Status,
    Version,
)
from readerd_biotek.synergy_codec import Geometry, Procedure, Promise, SerialNumber, Warmth
from readerd_biotek.synergy_data import LIMIT_OD, Frame, Well

OWN_FAULTS = (
    "nak", "error", "busy", "bad-checksum", "abort", "operator-stop", "wrong-instrument",
)  # fmt: skip
# As captured by the public driver.
VERSION = Version("1650200", "1.04")
SERIAL = SerialNumber("00000000")
PROMISE = Promise.of("000000000000001000000000049")
# What an ELx808 answers.
STRANGER = "7340201"
BUSY_S = 30.0
FAILED, INVALID = "2100", "2100"
# How an argument ends: after so many bytes, or with ETX (0).
_ARGUMENTS = {"&": 2, "i": 1, "g": 5, "y": 0, "D": 0, "t": 0}
MOST_ARGUMENT_BYTES = 256
_NAMES = {"&": "speed"}


class SynergyTwinOptions(Options):
    """What is not known, as this simulated instrument has it."""

    read_s: float = Field(default=10.0, ge=0)  # one wavelength; about 10 s were seen for a sweep
    answer_s: float = Field(default=0.02, ge=0)  # a short command; chosen here
    tray_s: float = Field(default=3.0, ge=0)
    halt_s: float = Field(default=1.0, ge=0)  # from x to its answer
    over_range_od: float = Field(default=LIMIT_OD, gt=0, le=LIMIT_OD)
    temperature_tenths: int = Field(default=236, ge=0, le=999)
    serial: str = Field(default=SERIAL.number, pattern=r"^[!-~]{1,16}$")
    deaf_while_reading: bool = False  # hears x alone; needs a wire in real time


def synergy_twin(setup: TwinSetup) -> Twin:
    """A simulated Synergy H1 behind a line with the setup's faults; InputError when it is wrong."""
    return with_faults(SynergyTwin(setup), setup.faults, own=OWN_FAULTS)


class SynergyTwin:
    """Keeps geometry, procedure and what it is waiting for."""

    def __init__(self, setup: TwinSetup) -> None:
        self._setup = setup
        self._options = _twin_options(setup.options)
        self._plan = FaultPlan([fault for fault in setup.faults if fault.kind in OWN_FAULTS])
        self._unread = b""
        self._wanting = ""
        self._geometry: Geometry | None = None
        self._procedure: Procedure | None = None
        self._deaf_until_s = 0.0
        self._reading_until_s = 0.0

    def receive(self, data: bytes, now_s: float) -> list[Emission]:
        emissions: list[Emission] = []
        self._unread += data
        while self._unread:
            if self._deaf(now_s):
                self._unread = self._unread[1:]
                continue
            if not self._wanting:
                command, self._unread = self._unread[:1].decode("latin-1"), self._unread[1:]
                emissions += self._obey(command, now_s)
                continue
            size = self._argument_size()
            if size is None:
                break
            argument, self._unread = self._unread[:size], self._unread[size:]
            command, self._wanting = self._wanting, ""
            emissions += self._take(command, argument, now_s)
        return emissions

    def _deaf(self, now_s: float) -> bool:
        if now_s < self._deaf_until_s:
            return True
        reading = self._options.deaf_while_reading and now_s < self._reading_until_s
        return reading and not self._unread.startswith(b"x")

    def _argument_size(self) -> int | None:
        """How many bytes the argument has; None while it is not whole."""
        size = _ARGUMENTS[self._wanting]
        if size:
            return size if len(self._unread) >= size else None
        if ETX in self._unread:
            return self._unread.index(ETX) + 1
        return len(self._unread) if len(self._unread) > MOST_ARGUMENT_BYTES else None

    def _obey(self, command: str, now_s: float) -> list[Emission]:
        known = command in "eChJAOx" or command in _ARGUMENTS
        step = _NAMES.get(command, command) if known else "junk"
        faults = {fault.kind: fault for fault in self._plan.turn(step)}
        if self._busy(faults, now_s):
            return []
        if not known or "nak" in faults:
            self._unread = b""
            return [self._emission(step, Nak().to_bytes())]
        if command == "x":
            return [self._halt(now_s)]
        error = Status(faults["error"].arg or FAILED) if "error" in faults else OK
        if command == "O":
            return self._read(error, now_s)
        if command in _ARGUMENTS and error.ok:
            self._wanting = command
            return [self._emission(step, ACK)]
        return [self._short(command, step, error, faults.get("wrong-instrument"))]

    def _busy(self, faults: Mapping[str, Fault], now_s: float) -> bool:
        if "busy" not in faults:
            return False
        self._deaf_until_s = now_s + faults["busy"].number(BUSY_S)
        self._unread = b""
        return True

    def _short(self, command: str, step: str, status: Status, stranger: Fault | None) -> Emission:
        body: Version | SerialNumber | Warmth | Nothing = Nothing()
        if command == "e":
            body = VERSION if stranger is None else Version(stranger.arg or STRANGER, "1.00")
        elif command == "C":
            body = SerialNumber(self._options.serial)
        elif command == "h":
            body = Warmth(self._options.temperature_tenths)
        after_s = self._options.tray_s if command in "AJ" else self._options.answer_s
        return replace(
            self._emission(step, Answer(body, status).to_bytes()),
            after_s=after_s,
        )

    def _take(self, command: str, argument: bytes, now_s: float) -> list[Emission]:
        step = f"{_NAMES.get(command, command)}-argument"
        faults = {fault.kind: fault for fault in self._plan.turn(step)}
        if self._busy(faults, now_s):
            return []
        if "nak" in faults:
            return [self._emission(step, Nak().to_bytes())]
        status = self._set(command, argument)
        if "error" in faults:
            status = Status(faults["error"].arg or FAILED)
        if command != "D":
            return [self._emission(step, status.to_bytes())]
        promise = PROMISE
        if "bad-checksum" in faults:
            promise = replace(promise, checksum=f"{(int(promise.checksum) + 1) % 256:03d}")
        return [self._emission(step, promise.to_bytes() + status.to_bytes())]

    def _set(self, command: str, argument: bytes) -> Status:
        """A procedure that is wrong is refused when it is to be run, as measured."""
        good = True
        if command == "D":
            self._procedure = None
            try:
                self._procedure = Procedure.from_bytes(argument)
            except GarbledReply:
                return OK
        elif command == "y":
            try:
                self._geometry = Geometry.from_bytes(argument)
            except GarbledReply:
                good = False
        elif command == "&":
            good = argument in (b"S0", b"S1")
        elif command == "i":
            good = argument == b"x"
        elif command == "g":
            good = argument.isdigit()
        return OK if good else Status(INVALID)

    def _read(self, error: Status, now_s: float) -> list[Emission]:
        procedure, shape = self._procedure, self._geometry
        if procedure is None or shape is None or not error.ok:
            refused = Status(BAD_PROCEDURE) if error.ok else error
            return [self._emission("O", Started(refused).to_bytes())]
        self._reading_until_s = now_s + self._options.answer_s + self._options.read_s
        sent = Frame.of(self._cells(procedure), self._options.temperature_tenths).to_bytes()
        data = Emission(after_s=self._options.read_s, data=self._damaged(sent), step="O-data")
        return [self._emission("O", Started(OK).to_bytes()), data]

    def _damaged(self, sent: bytes) -> bytes:
        faults = {fault.kind: fault for fault in self._plan.turn("O-data")}
        if "bad-checksum" in faults:
            at = len(sent) - 7  # the last digit, before ^Z and status
            sent = sent[:at] + b"%d" % ((sent[at] + 1) % 10) + sent[at + 1 :]
        stop = faults.get("abort") or faults.get("operator-stop")
        if stop is not None:
            return sent[: int(stop.number(0))] + Status(ABORTED).to_bytes()
        if "error" in faults:
            return Aborted(Status(faults["error"].arg or FAILED)).to_bytes()
        return sent

    def _cells(self, procedure: Procedure) -> dict[Well, OpticalDensity]:
        """The rectangle of the procedure; a well that was not measured is left out."""
        chemistry = self._setup.chemistry
        limit_od = self._options.over_range_od
        plate = PLATE_FORMATS[chemistry.format]
        cells: dict[Well, OpticalDensity] = {}
        for name, value in zip(plate.wells, chemistry.plate(procedure.wavelength_nm), strict=True):
            row, column = parse_well(name)
            inside = procedure.first_row - 1 <= row < procedure.last_row
            inside = inside and procedure.first_column - 1 <= column < procedure.last_column
            if inside and value is not Unread.NOT_MEASURED:
                over = isinstance(value, Unread) or abs(value) > limit_od
                cells[row, column] = Unread.SATURATED if over else value
        return cells

    def _halt(self, now_s: float) -> Emission:
        reading = now_s < self._reading_until_s
        self._reading_until_s = now_s
        halted = self._emission("x", Answer(Nothing()).to_bytes())
        return replace(halted, after_s=self._options.halt_s, replaces=reading)

    def _emission(self, step: str, data: bytes) -> Emission:
        return Emission(after_s=self._options.answer_s, data=data, step=step)


def _twin_options(options: Mapping[str, object]) -> SynergyTwinOptions:
    try:
        return SynergyTwinOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("twin options", Mistake(where, first["msg"])) from error
