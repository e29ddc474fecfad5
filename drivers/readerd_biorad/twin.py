"""Bio-Rad Model 680 and 550, simulated: the instrument's side of the same codec.

Own faults: `bad-checksum[@STEP[#N]]` (the measurement block's sum is off by one),
`missing-filter:NM`, `operator-stop@STEP` (STOP is pressed when this command comes: local mode,
8073), `error@STEP:CODE`, `wrong-instrument[@ID#N][:TEXT]` (what ID answers), and of the Model 550
`panel-read[@STEP]` (a plate was read at the front panel just before this command came: its data are
sent unasked, if it was in local mode). Steps are command names.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from pydantic import Field, ValidationError

from readerd.driver.contract import Options
from readerd.driver.virtual import Emission, Fault, FaultPlan, Twin, TwinSetup, with_faults
from readerd.errors import GarbledReply, InputError, Mistake
from readerd.plate import OpticalDensity, Unread
from readerd_biorad.absdata import COLUMNS, ROWS, Block, PlateData, cell_bytes
from readerd_biorad.codec import (
    CR,
    MOST_LINE_BYTES,
    NOT_REMOTE,
    SUCCESS,
    Command,
    Counters,
    Filters,
    Reply,
)
from readerd_biorad.dialect import MODEL_550, MODEL_680, Dialect

OWN_FAULTS = ("bad-checksum", "missing-filter", "operator-stop", "error", "wrong-instrument")
PANEL_READ = "panel-read"
# The manual's error table is not at hand: a number of the twin's own for everything but 8073.
TWIN_REFUSES = 9999
# Chosen here: which filters come with the instrument is not known. A 550 has the first four.
FILTERS_NM = (405, 450, 490, 570, 595, 630, 655, None)
SECOND_WAVELENGTH_SHARE = 0.5


class TwinOptions(Options):
    """What the manual leaves open, as this simulated instrument has it."""

    checksum: Literal["A", "B", "C"] = "A"
    read_s: float = Field(default=6.0, ge=0)  # one plate at normal speed; chosen here
    answer_s: float = Field(default=0.02, ge=0)  # a short command; chosen here


def twin(dialect: Dialect, setup: TwinSetup) -> Twin:
    """A simulated instrument behind a line with the setup's faults; InputError when it is wrong."""
    own = (*OWN_FAULTS, PANEL_READ) if dialect.talks_unasked else OWN_FAULTS
    return with_faults(EiaTwin(dialect, setup), setup.faults, own=own)


class EiaTwin:
    """Keeps the mode, the last plate and the odometer; powers up in local mode."""

    def __init__(self, dialect: Dialect, setup: TwinSetup) -> None:
        self._dialect = dialect
        self._setup = setup
        self._options = _twin_options(setup.options)
        own = [fault for fault in setup.faults if fault.kind in (*OWN_FAULTS, PANEL_READ)]
        self._plan = FaultPlan(own)
        self._filters = _filters(dialect, setup, own)
        self._unread = b""
        self._remote = False
        self._last: PlateData | None = None
        self._counters = Counters(power_cycles=12, hours=3120, plates=1204)

    def receive(self, data: bytes, now_s: float) -> list[Emission]:
        self._unread += data
        emissions: list[Emission] = []
        while CR in self._unread:
            line, _, self._unread = self._unread.partition(CR)
            try:
                command = Command.from_bytes(line + CR)
            except GarbledReply:
                continue  # noise on the line is nobody's command
            faults = {fault.kind: fault for fault in self._plan.turn(command.name)}
            if PANEL_READ in faults and not self._remote:
                emissions.append(self._read_at_the_panel(now_s))
            emissions.append(self._answer(command, faults, now_s))
        self._unread = self._unread[-MOST_LINE_BYTES:]
        return emissions

    def _answer(self, command: Command, faults: Mapping[str, Fault], now_s: float) -> Emission:
        step = command.name
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
        bad_checksum = "bad-checksum" in faults
        if step == "RPLATE":
            return self._read_plate(command.args, now_s, bad_checksum)
        if step == "RTPLATE":
            return self._send_plate(step, self._options.answer_s, bad_checksum)
        name = self._dialect.id_text
        if "wrong-instrument" in faults:
            other = MODEL_680 if self._dialect is MODEL_550 else MODEL_550
            name = faults["wrong-instrument"].arg or other.id_text
        verbs: Mapping[str, Callable[[tuple[str, ...]], Reply | Filters | Counters]] = {
            "ID": lambda _: Reply(SUCCESS, name),
            "RL": self._to_local,
            "RS": self._to_local,
            "MR": lambda _: self._counters,
            "RM": self._zero_counters,
            "FSTATUS": lambda _: self._filters,
            "RWELL": self._read_well,
        }
        if step not in verbs or step not in self._dialect.commands:
            return self._short(step, Reply(TWIN_REFUSES))
        return self._short(step, verbs[step](command.args))

    def _short(self, step: str, reply: Reply | Filters | Counters) -> Emission:
        labels = self._dialect.counter_labels
        data = reply.to_bytes(labels) if isinstance(reply, Counters) else reply.to_bytes()
        return Emission(after_s=self._options.answer_s, data=data, step=step)

    def _to_local(self, _: tuple[str, ...]) -> Reply:
        self._remote = False
        return Reply(SUCCESS)

    def _zero_counters(self, _: tuple[str, ...]) -> Reply:
        self._counters = Counters(0, 0, 0)
        return Reply(SUCCESS)

    def _wavelengths(self, positions: tuple[str, ...]) -> tuple[int, ...] | None:
        """What is fitted at one or two positions (from 1); None when they are not all good."""
        fitted = []
        for position in positions:
            nm = self._filters.at(int(position)) if position.isdecimal() else None
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
        well, limit_od = (row - 1) * COLUMNS + column - 1, self._dialect.limit_od
        cells = [cell_bytes(plate[well], limit_od) for plate in plates]
        return Reply(SUCCESS, b"".join(cells).decode("ascii").removeprefix(" "))

    def _read_plate(self, args: tuple[str, ...], now_s: float, bad_checksum: bool) -> Emission:
        """RPLATE [speed] mixtime [mixspeed] wp1 [wp2]."""
        settings, positions = args[: self._dialect.settings], args[self._dialect.settings :]
        wavelengths_nm, shake_s = self._wavelengths(positions), self._shake_s(settings)
        if wavelengths_nm is None or shake_s is None:
            return self._short("RPLATE", Reply(TWIN_REFUSES))
        took_s = self._options.read_s * (1 + SECOND_WAVELENGTH_SHARE * (len(wavelengths_nm) - 1))
        fast = len(settings) > 1 and settings[0] == "1"
        after_s = shake_s + took_s * (0.5 if fast else 1.0)
        self._measure(wavelengths_nm, positions, now_s + after_s)
        return self._send_plate("RPLATE", after_s, bad_checksum)

    def _shake_s(self, settings: tuple[str, ...]) -> int | None:
        """The mixing time; None when the settings are not all good."""
        if len(settings) != self._dialect.settings:
            return None
        speed, shake_s, strength = settings if len(settings) == 3 else ("2", settings[0], "L")
        if not shake_s.isdecimal() or int(shake_s) > self._dialect.longest_shake_s:
            return None
        return int(shake_s) if speed in ("1", "2") and strength.upper() in "LMH" else None

    def _measure(
        self, wavelengths_nm: tuple[int, ...], positions: tuple[str, ...], at_s: float
    ) -> PlateData:
        """The plate that lies there, kept for RTPLATE."""
        dialect = self._dialect
        taken_at = self._setup.powered_up_at + timedelta(seconds=at_s)
        named = wavelengths_nm if dialect.tells_filters else tuple(map(int, positions))
        plates = [self._setup.chemistry.plate(nm) for nm in wavelengths_nm]
        self._last = PlateData(
            dialect.title,
            taken_at.strftime("%d/%m/%Y %H:%M:%S") if dialect.dated else None,
            named[0],
            named[1] if len(named) > 1 else None,
            tuple(Block.of(plate, self._options.checksum, dialect.limit_od) for plate in plates),
        )
        self._counters = replace(self._counters, plates=(self._counters.plates + 1) % 10_000)
        return self._last

    def _read_at_the_panel(self, now_s: float) -> Emission:
        """Two wavelengths, sent as one difference, and without the head of an answer."""
        fitted = [(str(at), nm) for at, nm in enumerate(self._filters.positions, 1) if nm][:2]
        positions, wavelengths_nm = zip(*fitted, strict=True)
        data = self._measure(wavelengths_nm, positions, now_s)
        block = Block.of(_subtracted(data), self._options.checksum, self._dialect.limit_od)
        sent = replace(data, blocks=(block,)).to_bytes().removeprefix(b"ERE 0000 ")
        return Emission(after_s=0.0, data=sent, step="PANEL")

    def _send_plate(self, step: str, after_s: float, bad_checksum: bool) -> Emission:
        if self._last is None:
            return self._short(step, Reply(TWIN_REFUSES))
        sent = self._last
        if bad_checksum:
            first, *others = sent.blocks
            off = replace(first, checksum=((first.checksum or 0) + 1) % 256)
            sent = replace(sent, blocks=(off, *others))
        return Emission(after_s=after_s, data=sent.to_bytes(), step=step)


def _subtracted(data: PlateData) -> tuple[OpticalDensity, ...]:
    """Measurement minus reference, where there is one."""
    measured, *others = (block.values for block in data.blocks)
    if not others:
        return measured
    return tuple(
        Unread.SATURATED if isinstance(m, Unread) or isinstance(r, Unread) else m - r
        for m, r in zip(measured, others[0], strict=True)
    )


def _filters(dialect: Dialect, setup: TwinSetup, faults: list[Fault]) -> Filters:
    positions = dialect.positions
    fitted = FILTERS_NM[:positions] if setup.filters_nm is None else setup.filters_nm
    if len(fitted) > positions or not all(nm is None or 400 <= nm <= 750 for nm in fitted):
        raise InputError("filters", Mistake("", f"at most {positions}, 400 to 750 nm or none"))
    missing = {int(fault.number(0)) for fault in faults if fault.kind == "missing-filter"}
    kept = (None if nm in missing else nm for nm in fitted)
    return Filters((*kept, *(None for _ in range(positions - len(fitted)))))


def _twin_options(options: Mapping[str, object]) -> TwinOptions:
    try:
        return TwinOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("twin options", Mistake(where, first["msg"])) from error
