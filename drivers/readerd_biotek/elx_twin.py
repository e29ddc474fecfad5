"""ELx808 and ELx800, simulated: the reader's side of the same codec.

Steps are command letters (`n`, `q`, `o`, `e`, `W`, `A`, `J`, `k`, `r`, `S`, `D`, `X`), `V` and
`V-table`, `temperature` (the command `]`), `S-data` (the plate), `junk` (a NAK to anything else).
Own faults: `nak[@STEP]`, `error@STEP:CODE`, `busy@STEP:S` (hears nothing for S seconds from then),
`bad-checksum[@S-data]`, `abort@S-data[:N]` and `operator-stop@S-data[:N]` (DLE and 0100 behind N
bytes), `missing-filter:NM`, `wrong-instrument[@e][:PART]`.
"""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field, ValidationError

from readerd.driver.contract import Options
from readerd.driver.virtual import Emission, Fault, FaultPlan, Twin, TwinSetup, with_faults
from readerd.errors import GarbledReply, InputError, Mistake
from readerd.plate import OpticalDensity, Unread
from readerd_biotek.complaints import ABORTED
from readerd_biotek.elx_codec import SLOTS, TABLE_BYTES, AssayTable, FilterTable, Temperature
from readerd_biotek.elx_data import LIMIT_OD, Block, Dump, PlateData
from readerd_biotek.framing import (
    ACK,
    OK,
    Aborted,
    Answer,
    Nak,
    Nothing,
    Started,
    Status,
    Version,
)

OWN_FAULTS = (
    "nak", "error", "busy", "bad-checksum", "abort", "operator-stop", "missing-filter",
    "wrong-instrument",
)  # fmt: skip
# Chosen here, with the 570 nm that the one reader seen (405, 450, 490, 590, 650, 750) has not.
FILTERS_NM = (405, 450, 490, 570, 630, None)
# Seen on an ELx808.
ELX808 = Version("7340201", "3.15")
# Invented: no answer of an ELx800 is known.
ELX800 = Version("7000000", "1.00")
# Seen on a Synergy.
STRANGER = "1650200"
BUSY_S = 30.0
NOT_FITTED, WRONG_DEFINITION, NO_INCUBATOR, FAILED = "0E01", "1600", "1500", "1600"
# Bytes that follow a command in one breath.
_ARGUMENTS = {"n": 1, "q": 1, "k": 1, "r": 2}
_NAMES = {"]": "temperature"}


class ElxTwinOptions(Options):
    """What the manual leaves open, as this simulated reader has it."""

    read_s: float = Field(default=10.0, ge=0)  # one wavelength; chosen here
    answer_s: float = Field(default=0.02, ge=0)  # a short command; chosen here
    carrier_s: float = Field(default=2.0, ge=0)
    home_s: float = Field(default=1.0, ge=0)  # from X to DLE
    over_range_od: float = Field(default=LIMIT_OD, gt=0, le=LIMIT_OD)
    incubator_tenths: int = Field(default=237, ge=0, le=999)  # 0 = there is none
    deaf_while_reading: bool = False  # hears X alone; needs a wire in real time
    final_terminator: bool = True


def elx808_twin(setup: TwinSetup) -> Twin:
    """A simulated ELx808 behind a line with the setup's faults; InputError when it is wrong."""
    return with_faults(ElxTwin(setup, ELX808, dumps=False), setup.faults, own=OWN_FAULTS)


def elx800_twin(setup: TwinSetup) -> Twin:
    """A simulated ELx800: an ELx808 that can send its last plate again."""
    return with_faults(ElxTwin(setup, ELX800, dumps=True), setup.faults, own=OWN_FAULTS)


class ElxTwin:
    """Keeps the forms, the definition and the last plate; powers up with the 312 forms."""

    def __init__(self, setup: TwinSetup, version: Version, *, dumps: bool) -> None:
        self._setup = setup
        self._options = _twin_options(setup.options)
        own = [fault for fault in setup.faults if fault.kind in OWN_FAULTS]
        self._plan = FaultPlan(own)
        self._filters = _filters(setup, own)
        self._version = version
        self._dumps = dumps
        self._unread = b""
        self._table_wanted = False
        self._elx_form = False
        self._table: AssayTable | None = None
        self._rows_named = False
        self._last: Block | None = None
        self._last_error = OK
        self._deaf_until_s = 0.0
        self._reading_until_s = 0.0

    def receive(self, data: bytes, now_s: float) -> list[Emission]:
        emissions: list[Emission] = []
        self._unread += data
        while self._unread:
            if self._deaf(now_s):
                self._unread = self._unread[1:]
            elif self._table_wanted:
                if len(self._unread) < TABLE_BYTES:
                    break
                table, self._unread = self._unread[:TABLE_BYTES], self._unread[TABLE_BYTES:]
                emissions += self._take_table(table, now_s)
            else:
                command = self._unread[:1].decode("latin-1")
                size = 1 + _ARGUMENTS.get(command, 0)
                if len(self._unread) < size:
                    break
                argument, self._unread = self._unread[1:size], self._unread[size:]
                emissions += self._obey(command, argument, now_s)
        return emissions

    def _deaf(self, now_s: float) -> bool:
        if now_s < self._deaf_until_s:
            return True
        reading = self._options.deaf_while_reading and now_s < self._reading_until_s
        return reading and not self._unread.startswith(b"X")

    def _obey(self, command: str, argument: bytes, now_s: float) -> list[Emission]:
        step = _NAMES.get(command, command)
        known = command in "nqkroeWAJ]VSX" or (command == "D" and self._dumps)
        faults = {fault.kind: fault for fault in self._plan.turn(step if known else "junk")}
        if "busy" in faults:
            self._deaf_until_s = now_s + faults["busy"].number(BUSY_S)
            self._unread = b""
            return []
        if not known or "nak" in faults:
            self._unread = b""
            return [self._emission("junk" if not known else step, Nak().to_bytes())]
        if command == "X":
            return [self._halt(now_s)]
        if command == "V" and "error" not in faults:
            self._table_wanted = True
            return [self._emission(step, ACK)]
        error = faults["error"].arg or FAILED if "error" in faults else None
        if command == "S":
            return self._read(error, now_s)
        if command == "D":
            return [self._dump()]
        return [self._short(command, argument, error, faults.get("wrong-instrument"))]

    def _short(
        self, command: str, argument: bytes, error: str | None, stranger: Fault | None
    ) -> Emission:
        status = OK if error is None else Status(error)
        body: Version | FilterTable | Temperature | Nothing = Nothing()
        if command == "n":
            self._elx_form = argument == b"1"
        elif command == "r":
            self._rows_named = argument == bytes([1, 8])
            status = status if self._rows_named else Status("2100")
        elif command == "e":
            body = self._version
            if stranger is not None:
                body = Version(stranger.arg or STRANGER, "1.00")
        elif command == "W":
            body = self._filters
        elif command == "]":
            body = Temperature(self._options.incubator_tenths)
            if not body.tenths and status.ok:
                status = Status(NO_INCUBATOR)
        elif command == "o":
            said, self._last_error = self._last_error, OK
            status = said if error is None else status
            answer = Answer(body, status).to_bytes()  # always in the ELx form
            return self._emission(command, answer)
        after_s = self._options.carrier_s if command in "AJ" else self._options.answer_s
        answer = Answer(body, self._formed(status)).to_bytes()
        return replace(self._emission(_NAMES.get(command, command), answer), after_s=after_s)

    def _take_table(self, sent: bytes, now_s: float) -> list[Emission]:
        self._table_wanted = False
        self._rows_named = False
        self._table = None
        status = OK
        faults = {fault.kind: fault for fault in self._plan.turn("V-table")}
        if "busy" in faults:
            self._deaf_until_s = now_s + faults["busy"].number(BUSY_S)
            return []
        try:
            table = AssayTable.from_bytes(sent)
        except GarbledReply:
            status = Status(WRONG_DEFINITION)
        else:
            missing = [nm for nm in table.wavelengths_nm if nm not in self._filters.positions]
            self._table = None if missing else table
            status = Status(NOT_FITTED) if missing else OK
        if "error" in faults:
            status = Status(faults["error"].arg or FAILED)
        if "nak" in faults:
            return [self._emission("V-table", Nak().to_bytes())]
        return [self._emission("V-table", self._formed(status).to_bytes())]

    def _read(self, error: str | None, now_s: float) -> list[Emission]:
        table = self._table
        if table is None or error is not None:
            self._last_error = Status(error or WRONG_DEFINITION)
            error = self._last_error.code
            return [self._emission("S", Started(self._formed(Status(error))).to_bytes())]
        took_s = table.shake_s + self._options.read_s * len(table.wavelengths_nm)
        self._reading_until_s = now_s + self._options.answer_s + took_s
        begun = Started(self._formed(OK)).to_bytes()
        blocks = tuple(Block.of(self._plate(nm)) for nm in table.wavelengths_nm)
        self._last = blocks[0]
        sent = self._plate_bytes(table, blocks)[len(begun) :]
        data = Emission(after_s=took_s, data=sent, step="S-data")
        return [self._emission("S", begun), self._damaged(data, len(blocks))]

    def _plate_bytes(self, table: AssayTable, blocks: tuple[Block, ...]) -> bytes:
        started = self._formed(OK)
        if table.several_nm or self._rows_named:
            ended = self._elx_form and self._options.final_terminator
            return PlateData(blocks, OK if ended else None, started).to_bytes()
        return Dump(blocks[0], table.name, final=self._formed(OK), started=started).to_bytes()

    def _damaged(self, data: Emission, blocks: int) -> Emission:
        faults = {fault.kind: fault for fault in self._plan.turn("S-data")}
        sent = data.data
        if "bad-checksum" in faults:
            at = -7 if self._elx_form else -1
            sent = sent[:at] + bytes([sent[at] ^ 0xFF]) + sent[at + 1 :]
        stop = faults.get("abort") or faults.get("operator-stop")
        if stop is not None:
            kept = sent[: int(stop.number(len(sent) // 2))]
            sent = kept + Aborted(Status(ABORTED)).to_bytes()
            self._last_error = Status(ABORTED)
        if "error" in faults:
            sent = Aborted(Status(faults["error"].arg or FAILED)).to_bytes()
        return replace(data, data=sent)

    def _halt(self, now_s: float) -> Emission:
        reading = now_s < self._reading_until_s
        self._reading_until_s = now_s
        status = Status(ABORTED) if reading else OK
        answer = Aborted(self._formed(status)).to_bytes()
        halted = self._emission("X", answer)
        return replace(halted, after_s=self._options.home_s, replaces=reading)

    def _dump(self) -> Emission:
        if self._last is None:
            return self._emission("D", Nak().to_bytes())
        final = Status("0")
        return self._emission("D", Dump(self._last, "", final=final, started=None).to_bytes())

    def _plate(self, wavelength_nm: int) -> tuple[OpticalDensity, ...]:
        limit_od = self._options.over_range_od
        return tuple(
            Unread.SATURATED if isinstance(value, Unread) or abs(value) > limit_od else value
            for value in self._setup.chemistry.plate(wavelength_nm)
        )

    def _formed(self, status: Status) -> Status:
        """In the form that `n` has set; the 312 form has one digit."""
        if self._elx_form:
            return status
        return Status("0") if status.ok else Status("8")

    def _emission(self, step: str, data: bytes) -> Emission:
        return Emission(after_s=self._options.answer_s, data=data, step=step)


def _filters(setup: TwinSetup, faults: list[Fault]) -> FilterTable:
    fitted = FILTERS_NM if setup.filters_nm is None else setup.filters_nm
    if len(fitted) > SLOTS or not all(nm is None or 340 <= nm <= 900 for nm in fitted):
        raise InputError("filters", Mistake("", "at most six, 340 to 900 nm or none"))
    missing = {int(fault.number(0)) for fault in faults if fault.kind == "missing-filter"}
    kept = (None if nm in missing else nm for nm in fitted)
    return FilterTable((*kept, *(None for _ in range(SLOTS - len(fitted)))))


def _twin_options(options: Mapping[str, object]) -> ElxTwinOptions:
    try:
        return ElxTwinOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("twin options", Mistake(where, first["msg"])) from error
