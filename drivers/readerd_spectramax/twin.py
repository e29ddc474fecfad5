"""Molecular Devices SpectraMax, simulated: the instrument's side of the same codec.

Own faults: `error@STEP:CODE`, `busy@STEP` (105), `operator-stop@STEP` (STOP was pressed when this
command came: the measurement is gone), `wrong-instrument[@READTYPE#N]` (the read type is refused),
`low-lamp[@READ]` (an entry in the error log), `warning@STEP[:TEXT]` (behind the OK). Steps are
command names, `!` is the ping. Commands whose answers nobody documents are refused with 100.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, ValidationError

from readerd.driver.contract import Options
from readerd.driver.virtual import Emission, Fault, FaultPlan, Twin, TwinSetup, with_faults
from readerd.errors import GarbledReply, InputError, Mistake
from readerd.plate import FORMATS, PlateFormat, Unread
from readerd_spectramax.codec import (
    DOORS,
    MOST_LINE_BYTES,
    Command,
    ErrorLog,
    LogEntry,
    Refusal,
    Reply,
    Status,
)
from readerd_spectramax.codes import (
    BUSY,
    INVALID_ARGUMENT,
    INVALID_SETTINGS,
    LAMP_LOW,
    MEASURING,
    NO_DATA,
    NOT_FOUND,
    TOO_FEW,
    TOO_LONG,
    TOO_MANY,
    text_of,
)
from readerd_spectramax.dialect import Dialect
from readerd_spectramax.platedata import Block, PlateData, cell_value

OWN_FAULTS = ("error", "busy", "operator-stop", "wrong-instrument", "low-lamp", "warning")
OPEN, CLOSED = DOORS
IDLE = "IDLE"
# What [E] saw while measuring and after power-on.
READING, AIR_CALIBRATION = "MEASURING", "AIR CAL206"
# All that is safe while the instrument is busy [I]; it refuses the rest with 105 or 106.
ALWAYS = ("STATUS", "CANCEL")
MOST_WAVELENGTHS = 6

Answer = Reply | Refusal | Status | ErrorLog | PlateData
DONE = Reply()
Verb = Callable[[tuple[str, ...], float], Answer]


class SpectraMaxTwinOptions(Options):
    """What no source tells, as this simulated instrument has it."""

    note: str | None = ""  # behind every OK; None leaves out the TAB as well
    decimals: int = Field(default=4, ge=0, le=6)
    limit_od: float = Field(default=4.0, gt=0)
    read_s: float = Field(default=4.0, ge=0)  # per wavelength; the sheet suggests 2 to 10
    answer_s: float = Field(default=0.02, ge=0)  # a short command; chosen here
    drawer_s: float = Field(default=2.0, ge=0)  # chosen here
    power_on_s: float = Field(default=0.0, ge=0)  # air calibration at power-on
    second_prompt: bool = True  # behind settings that have two
    door: Literal["OPEN", "CLOSED"] = "CLOSED"
    temperature_c: float = 25.1


@dataclass(frozen=True, slots=True)
class _Settings:
    """What has been set since power-on."""

    columns: int = 0
    rows: int = 0
    first_strip: int = 1
    strips: int = 0
    wavelengths_nm: tuple[int, ...] = ()
    shake_s: int = 0
    read_type: str = ""

    @property
    def whole(self) -> bool:
        shape = self.columns and self.rows and self.first_strip == 1
        return bool(shape and self.strips == self.columns and self.wavelengths_nm)


def twin(dialect: Dialect, setup: TwinSetup) -> Twin:
    """A simulated SpectraMax behind a line with the setup's faults; InputError when it is wrong."""
    return with_faults(SpectraMaxTwin(dialect, setup), setup.faults, own=OWN_FAULTS)


class SpectraMaxTwin:
    """Keeps settings, drawer, measurement, one data set and the error log."""

    def __init__(self, dialect: Dialect, setup: TwinSetup) -> None:
        self._dialect = dialect
        self._setup = setup
        self._options = _twin_options(setup.options)
        own = [fault for fault in setup.faults if fault.kind in OWN_FAULTS]
        self._plan = FaultPlan(own)
        self._unread = b""
        self._settings = _Settings()
        self._door: str = self._options.door
        self._state = AIR_CALIBRATION
        self._busy_until_s = self._options.power_on_s
        self._coming: PlateData | None = None
        self._data: PlateData | None = None
        self._setpoint = "0.0"
        self._log: dict[str, int] = {}
        self._verbs = self._table()

    def receive(self, data: bytes, now_s: float) -> list[Emission]:
        self._unread += data
        emissions = []
        while end := self._end_of_line():
            line, self._unread = self._unread[:end], self._unread[end:]
            if line.strip():
                emissions.append(self._answer_line(line, now_s))
        self._unread = self._unread[-2 * MOST_LINE_BYTES :]
        return emissions

    def _end_of_line(self) -> int:
        """Behind the first CR or LF; 0 when there is none."""
        ends = [at for at in (self._unread.find(b"\r"), self._unread.find(b"\n")) if at >= 0]
        return min(ends) + 1 if ends else 0

    def _answer_line(self, line: bytes, now_s: float) -> Emission:
        if len(line) > MOST_LINE_BYTES:
            return self._emit("?", Refusal(TOO_LONG))
        try:
            command = Command.from_bytes(line)
        except GarbledReply:
            return self._emit("?", Refusal(NOT_FOUND))
        step = command.name or "!"
        faults = {fault.kind: fault for fault in self._plan.turn(step)}
        self._finish(now_s)
        if "operator-stop" in faults:
            self._stop()
        answer = self._answer(command, faults, now_s)
        if "operator-stop" in faults and step == "READ":
            self._stop()
        if "low-lamp" in faults and step == "READ":
            self._log[LAMP_LOW] = self._log.get(LAMP_LOW, 0) + 1
        if "warning" in faults and isinstance(answer, Reply):
            answer = replace(answer, note=faults["warning"].arg or "Warning: lamp")
        return self._emit(step, answer)

    def _answer(self, command: Command, faults: Mapping[str, Fault], now_s: float) -> Answer:
        if "error" in faults:
            return self._refusal(command, str(int(faults["error"].number(200))))
        if "busy" in faults:
            return self._refusal(command, BUSY)
        if "wrong-instrument" in faults and command.name == "READTYPE":
            return self._refusal(command, INVALID_ARGUMENT)
        if self._state != IDLE and command.name not in ALWAYS:
            return self._refusal(command, MEASURING if self._state == READING else BUSY)
        verb = self._verbs.get(command.name)
        answer = Refusal(NOT_FOUND) if verb is None else verb(command.args, now_s)
        if isinstance(answer, Refusal):
            return self._refusal(command, answer.code)
        return self._done(command) if answer == DONE else answer

    def _done(self, command: Command) -> Reply:
        """Settings with two prompts have nothing between them."""
        two = self._dialect.prompts(command.name, {}) == 2 and self._options.second_prompt
        return Reply(self._options.note, "\r\n" if two else None)

    def _refusal(self, command: Command, code: str) -> Refusal:
        """Behind an OK where two prompts are due, as the public client's tests have it."""
        return Refusal(code, acknowledged=self._dialect.prompts(command.name, {}) == 2)

    def _emit(self, step: str, answer: Answer) -> Emission:
        options = self._options
        after_s = options.drawer_s if step in ("OPEN", "CLOSE") else options.answer_s
        if isinstance(answer, Status | ErrorLog | PlateData):
            return Emission(after_s=after_s, data=answer.to_bytes(options.note), step=step)
        return Emission(after_s=after_s, data=answer.to_bytes(), step=step)

    def _finish(self, now_s: float) -> None:
        """What the instrument was busy with is over when its time has come."""
        if self._state != IDLE and now_s >= self._busy_until_s:
            self._state = IDLE
            self._data, self._coming = self._coming or self._data, None

    def _stop(self) -> None:
        self._state = IDLE
        self._coming = self._data = None

    # -- commands ----------------------------------------------------------------------------

    def _table(self) -> dict[str, Verb]:
        verbs: dict[str, Verb] = {
            "": lambda args, _: DONE,
            "STATUS": lambda args, _: Status(self._door, self._state),
            "ERROR": lambda args, _: ErrorLog(
                tuple(LogEntry(code, text_of(code), count) for code, count in self._log.items())
            ),
            "CLEAR": self._clear,
            "CANCEL": self._cancel,
            "OPEN": lambda args, _: self._move(OPEN),
            "CLOSE": lambda args, _: self._move(CLOSED),
            "TEMP": self._temperature,
            "XPOS": lambda args, _: self._place(args, "columns"),
            "YPOS": lambda args, _: self._place(args, "rows"),
            "STRIP": self._strip,
            "CSPEED": _one_of("8", "1"),
            "SHAKE": self._shake,
            "WAVELENGTH": self._wavelength,
            "CALIBRATE": _one_of("ON", "ONCE", "OFF"),
            "MODE": _one_of("ENDPOINT"),
            "ORDER": _one_of("COLUMN"),
            "SPEED": _one_of("ON", "OFF"),
            "READTYPE": self._read_type,
            "READ": self._read,
            "TRANSFER": self._transfer,
        }
        extra = {each.name for each in self._dialect.extra}
        if "TAG" in extra:
            verbs["TAG"] = _one_of("ON", "OFF")
        if "NVRAM" in extra:
            verbs["NVRAM"] = lambda args, _: _checked(args, 2) or DONE
        return verbs

    def _clear(self, args: tuple[str, ...], now_s: float) -> Answer:
        if args == ("DATA",):
            self._data = None
        elif args == ("ERROR",):
            self._log.clear()
        else:
            return _checked(args, 1) or Refusal(INVALID_ARGUMENT)
        return DONE

    def _cancel(self, args: tuple[str, ...], now_s: float) -> Answer:
        self._stop()
        return DONE

    def _move(self, door: str) -> Answer:
        self._door = door
        return DONE

    def _temperature(self, args: tuple[str, ...], now_s: float) -> Answer:
        if args:
            if len(args) > 1 or not _is_number(args[0]) or not 0 <= float(args[0]) <= 45:
                return _checked(args, 1) or Refusal(INVALID_ARGUMENT)
            self._setpoint = f"{float(args[0]):.1f}"
        return Reply(self._options.note, f"\r\n{self._setpoint} {self._options.temperature_c}\r\n")

    def _place(self, args: tuple[str, ...], count: Literal["columns", "rows"]) -> Answer:
        good = all(_is_number(arg) for arg in args[:2]) and args[2:3] and args[2].isdecimal()
        wrong = _checked(args, 3) or (None if good else Refusal(INVALID_ARGUMENT))
        if wrong is None:
            number = int(args[2])
            self._settings = (
                replace(self._settings, columns=number)
                if count == "columns"
                else replace(self._settings, rows=number)
            )
        return wrong or DONE

    def _strip(self, args: tuple[str, ...], now_s: float) -> Answer:
        wrong = _checked(args, 2)
        if wrong is None and not all(arg.isdecimal() for arg in args):
            wrong = Refusal(INVALID_ARGUMENT)
        if wrong is None:
            first, strips = map(int, args)
            self._settings = replace(self._settings, first_strip=first, strips=strips)
        return wrong or DONE

    def _shake(self, args: tuple[str, ...], now_s: float) -> Answer:
        if len(args) == 5 and all(arg.isdecimal() for arg in args):
            self._settings = replace(self._settings, shake_s=int(args[0]))
        elif args in (("OFF",), ("STOP",)):
            self._settings = replace(self._settings, shake_s=0)
        elif args not in (("ON",), ("NOW",)):
            return Refusal(TOO_FEW) if not args else Refusal(INVALID_ARGUMENT)
        return DONE

    def _wavelength(self, args: tuple[str, ...], now_s: float) -> Answer:
        words = [arg.removeprefix("F") for arg in args]
        if not words or len(words) > MOST_WAVELENGTHS:
            return Refusal(TOO_MANY if words else TOO_FEW)
        if not all(word.isdecimal() and 100 <= int(word) <= 1999 for word in words):
            return Refusal(INVALID_ARGUMENT)
        self._settings = replace(self._settings, wavelengths_nm=tuple(map(int, words)))
        return DONE

    def _read_type(self, args: tuple[str, ...], now_s: float) -> Answer:
        if args != (self._dialect.read_type,):
            return _checked(args, 1) or Refusal(INVALID_ARGUMENT)
        self._settings = replace(self._settings, read_type=args[0])
        return DONE

    def _read(self, args: tuple[str, ...], now_s: float) -> Answer:
        """An open drawer refuses the read: whether READ closes it is unknown, chosen here."""
        settings = self._settings
        if self._door == OPEN or not settings.whole or not settings.read_type:
            return Refusal(INVALID_SETTINGS)
        took_s = settings.shake_s + self._options.read_s * len(settings.wavelengths_nm)
        self._state = READING
        self._busy_until_s = now_s + took_s
        self._data, self._coming = None, self._measure(now_s)
        return DONE

    def _measure(self, now_s: float) -> PlateData:
        """The wells where the client's geometry looks; beyond the plate there is nothing."""
        settings, chemistry, options = self._settings, self._setup.chemistry, self._options
        plate, lies = PlateFormat(settings.rows, settings.columns), FORMATS[chemistry.format]
        blocks = []
        for nm in settings.wavelengths_nm:
            wells = chemistry.plate(nm)
            values = [
                wells[row * lies.columns + column]
                if row < lies.rows and column < lies.columns
                else Unread.NOT_MEASURED
                for row in range(plate.rows)
                for column in range(plate.columns)
            ]
            blocks.append(
                Block.of(nm, values, plate, decimals=options.decimals, limit_od=options.limit_od)
            )
        return PlateData(
            f"{now_s:.1f}",
            f"{options.temperature_c:.1f}",
            f"{plate.size}-well",
            settings.wavelengths_nm,
            tuple(blocks),
        )

    def _transfer(self, args: tuple[str, ...], now_s: float) -> Answer:
        data, self._data = self._data, None
        return Refusal(NO_DATA) if data is None else data


def _one_of(*words: str) -> Verb:
    """A setting with one argument out of these."""

    def verb(args: tuple[str, ...], now_s: float) -> Answer:
        return _checked(args, 1) or (DONE if args[0] in words else Refusal(INVALID_ARGUMENT))

    return verb


def _checked(args: tuple[str, ...], count: int) -> Refusal | None:
    """A refusal unless there are so many arguments."""
    if len(args) == count:
        return None
    return Refusal(TOO_FEW if len(args) < count else TOO_MANY)


def _is_number(text: str) -> bool:
    return not isinstance(cell_value(text), Unread)


def _twin_options(options: Mapping[str, object]) -> SpectraMaxTwinOptions:
    try:
        return SpectraMaxTwinOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("twin options", Mistake(where, first["msg"])) from error
