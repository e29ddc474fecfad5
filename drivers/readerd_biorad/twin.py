"""Bio-Rad Model 680, simulated: the instrument's side of the same codec.

Own faults: `bad-checksum[@STEP[#N]]` (the measurement block's sum is off by one),
`missing-filter:NM`, `operator-stop@STEP` (STOP is pressed when this command comes: local mode,
8073), `error@STEP:CODE`, `wrong-instrument[@ID#N][:TEXT]` (what ID answers). Steps are command
names.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from pydantic import Field, ValidationError

from readerd.driver.contract import Options
from readerd.driver.virtual import Emission, Fault, FaultPlan, Twin, TwinSetup, with_faults
from readerd.errors import GarbledReply, InputError, Mistake
from readerd_biorad.absdata import COLUMNS, ROWS, TITLE, Block, PlateData, cell_bytes
from readerd_biorad.codec import (
    CR,
    MOST_LINE_BYTES,
    NOT_REMOTE,
    POSITIONS,
    SUCCESS,
    Command,
    Counters,
    Filters,
    Reply,
)
from readerd_biorad.reader import LONGEST_SHAKE_S, MODEL

OWN_FAULTS = ("bad-checksum", "missing-filter", "operator-stop", "error", "wrong-instrument")
# The manual's error table is not at hand: a number of the twin's own for everything but 8073.
TWIN_REFUSES = 9999
# Chosen here: which filters come with the instrument is not known.
FILTERS_NM = (405, 450, 490, 570, 595, 630, 655, None)
SECOND_WAVELENGTH_SHARE = 0.5
# 550 manual: what a Model 550 answers to ID.
STRANGER = "0550"


class Model680TwinOptions(Options):
    """What the manual leaves open, as this simulated instrument has it."""

    checksum: Literal["A", "B", "C"] = "A"
    read_s: float = Field(default=6.0, ge=0)  # one plate at normal speed; chosen here
    answer_s: float = Field(default=0.02, ge=0)  # a short command; chosen here


def twin(setup: TwinSetup) -> Twin:
    """A simulated Model 680 behind a line with the setup's faults; InputError when it is wrong."""
    return with_faults(Model680Twin(setup), setup.faults, own=OWN_FAULTS)


class Model680Twin:
    """Keeps the mode, the last plate and the odometer; powers up in local mode."""

    def __init__(self, setup: TwinSetup) -> None:
        self._setup = setup
        self._options = _twin_options(setup.options)
        own = [fault for fault in setup.faults if fault.kind in OWN_FAULTS]
        self._plan = FaultPlan(own)
        self._filters = _filters(setup, own)
        self._unread = b""
        self._remote = False
        self._last: PlateData | None = None
        self._counters = Counters(power_cycles=12, hours=3120, plates=1204)

    def receive(self, data: bytes, now_s: float) -> list[Emission]:
        self._unread += data
        emissions = []
        while CR in self._unread:
            line, _, self._unread = self._unread.partition(CR)
            try:
                command = Command.from_bytes(line + CR)
            except GarbledReply:
                continue  # noise on the line is nobody's command
            emissions.append(self._answer(command, now_s))
        self._unread = self._unread[-MOST_LINE_BYTES:]
        return emissions

    def _answer(self, command: Command, now_s: float) -> Emission:
        step = command.name
        faults = {fault.kind: fault for fault in self._plan.turn(step)}
        if "operator-stop" in faults:
            self._remote = False
            return self._short(step, Reply(NOT_REMOTE))
        if "error" in faults:
            return self._short(step, Reply(int(faults["error"].number(TWIN_REFUSES))))
        if step == "AQ":
            self._remote = True
            return self._short(step, Reply(SUCCESS))
        if not self._remote:
            return self._short(step, Reply(NOT_REMOTE))
        stranger = faults.get("wrong-instrument")
        bad_checksum = "bad-checksum" in faults
        if step == "RPLATE":
            return self._read_plate(command.args, now_s, bad_checksum)
        if step == "RTPLATE":
            return self._send_plate(step, self._options.answer_s, bad_checksum)
        verbs: Mapping[str, Callable[[tuple[str, ...]], Reply | Filters | Counters]] = {
            "ID": lambda _: Reply(SUCCESS, (stranger.arg or STRANGER) if stranger else MODEL),
            "RL": self._to_local,
            "RS": self._to_local,
            "MR": lambda _: self._counters,
            "RM": self._zero_counters,
            "FSTATUS": lambda _: self._filters,
            "RWELL": self._read_well,
        }
        verb = verbs.get(step)
        return self._short(step, Reply(TWIN_REFUSES) if verb is None else verb(command.args))

    def _short(self, step: str, reply: Reply | Filters | Counters) -> Emission:
        return Emission(after_s=self._options.answer_s, data=reply.to_bytes(), step=step)

    def _to_local(self, _: tuple[str, ...]) -> Reply:
        self._remote = False
        return Reply(SUCCESS)

    def _zero_counters(self, _: tuple[str, ...]) -> Reply:
        self._counters = Counters(0, 0, 0)
        return Reply(SUCCESS)

    def _wavelengths(self, positions: tuple[str, ...]) -> tuple[int, ...] | None:
        """What is fitted at one or two positions (1 to 8); None when they are not all good."""
        fitted = []
        for position in positions:
            if not position.isdecimal() or not 1 <= int(position) <= POSITIONS:
                return None
            nm = self._filters.positions[int(position) - 1]
            if nm is None:
                return None
            fitted.append(nm)
        return tuple(fitted) if 1 <= len(fitted) <= 2 else None

    def _read_well(self, args: tuple[str, ...]) -> Reply:
        """RWELL column row wp1 [wp2]."""
        wavelengths_nm = self._wavelengths(args[2:])
        if wavelengths_nm is None or not all(word.isdecimal() for word in args[:2]):
            return Reply(TWIN_REFUSES)
        column, row = int(args[0]), int(args[1])
        if not (1 <= column <= COLUMNS and 1 <= row <= ROWS):
            return Reply(TWIN_REFUSES)
        plates = [self._setup.chemistry.plate(nm) for nm in wavelengths_nm]
        cells = [cell_bytes(plate[(row - 1) * COLUMNS + column - 1]) for plate in plates]
        return Reply(SUCCESS, b"".join(cells).decode("ascii").removeprefix(" "))

    def _read_plate(self, args: tuple[str, ...], now_s: float, bad_checksum: bool) -> Emission:
        """RPLATE speed mixtime mixspeed wp1 [wp2]."""
        wavelengths_nm = self._wavelengths(args[3:])
        shake_s = int(args[1]) if len(args) > 1 and args[1].isdecimal() else LONGEST_SHAKE_S + 1
        good = shake_s <= LONGEST_SHAKE_S and args[0] in ("1", "2") and args[2].upper() in "LMH"
        if wavelengths_nm is None or not good:
            return self._short("RPLATE", Reply(TWIN_REFUSES))
        took_s = self._options.read_s * (1 + SECOND_WAVELENGTH_SHARE * (len(wavelengths_nm) - 1))
        after_s = shake_s + took_s * (0.5 if args[0] == "1" else 1.0)
        plates = [self._setup.chemistry.plate(nm) for nm in wavelengths_nm]
        taken_at = self._setup.powered_up_at + timedelta(seconds=now_s + after_s)
        self._last = PlateData(
            TITLE,
            taken_at.strftime("%d/%m/%Y %H:%M:%S"),
            wavelengths_nm[0],
            wavelengths_nm[1] if len(wavelengths_nm) > 1 else None,
            tuple(Block.of(plate, self._options.checksum) for plate in plates),
        )
        self._counters = replace(self._counters, plates=(self._counters.plates + 1) % 10_000)
        return self._send_plate("RPLATE", after_s, bad_checksum)

    def _send_plate(self, step: str, after_s: float, bad_checksum: bool) -> Emission:
        if self._last is None:
            return self._short(step, Reply(TWIN_REFUSES))
        sent = self._last
        if bad_checksum:
            first, *others = sent.blocks
            off = replace(first, checksum=((first.checksum or 0) + 1) % 256)
            sent = replace(sent, blocks=(off, *others))
        return Emission(after_s=after_s, data=sent.to_bytes(), step=step)


def _filters(setup: TwinSetup, faults: list[Fault]) -> Filters:
    fitted = FILTERS_NM if setup.filters_nm is None else setup.filters_nm
    if len(fitted) > POSITIONS or not all(nm is None or 400 <= nm <= 750 for nm in fitted):
        raise InputError("filters", Mistake("", "at most eight, 400 to 750 nm or none"))
    missing = {int(fault.number(0)) for fault in faults if fault.kind == "missing-filter"}
    kept = (None if nm in missing else nm for nm in fitted)
    return Filters((*kept, *(None for _ in range(POSITIONS - len(fitted)))))


def _twin_options(options: Mapping[str, object]) -> Model680TwinOptions:
    try:
        return Model680TwinOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("twin options", Mistake(where, first["msg"])) from error
