"""Molecular Devices SpectraMax: identify, read, park, present, admit, as conversations.

The challenge is STATUS: it is safe in every state, and no other answer begins with a door's word.
The instrument answers in order [inferred: replies do not name their command], so an abandoned plate
comes before it. But a status may answer a question that was asked through an earlier opening of the
port, and then its successors follow at once: each challenge goes on until they are through, and its
answer is not believed. There is no remote mode and no front panel lock to give back.

A measurement runs by itself: READ returns at once, STATUS tells when it is over, TRANSFER sends the
plate and forgets it. So a status that was damaged on the wire is asked for again and costs nothing,
and a plate that was damaged is lost: RESEND exists, but nobody documents what it answers.

No question is known that makes the instrument name its model. `identify` sets the read type, whose
word differs between the dialects; that a model refuses the other's word is inferred.
"""

import asyncio
import contextlib
from typing import NoReturn, TypeVar

from readerd.driver.contract import OnStrip
from readerd.driver.link import Link
from readerd.errors import (
    ErrorCode,
    GarbledReply,
    InstrumentError,
    InstrumentFault,
    LinkLost,
    NoReply,
    RequestError,
    WrongInstrument,
)
from readerd.plate import (
    FORMATS,
    Identity,
    OpticalDensity,
    Reading,
    ReadRequest,
    Strip,
    well_name,
)
from readerd_spectramax.codec import (
    ENDS,
    Command,
    Refusal,
    Reply,
    ReplyDecoder,
    Status,
    StatusScan,
    log_decoder,
    setting_decoder,
    status_decoder,
)
from readerd_spectramax.codes import INVALID_ARGUMENT, NO_DATA, NOT_FOUND, needs_human, text_of
from readerd_spectramax.dialect import Dialect
from readerd_spectramax.options import (
    HELD_UP_S,
    SpectraMaxOptions,
    measurement_s,
    transfer_s,
)
from readerd_spectramax.platedata import OnColumn, PlateData, plate_decoder

T = TypeVar("T")

# Answers that were held up come one behind the other; this is a long time between two of them.
QUIET_S = 0.25
MOST_PAUSES = int(HELD_UP_S / QUIET_S)
# `!CSPEED` [P].
CARRIAGE = {"normal": "8", "slow": "1"}


class SpectraMax:
    """A Reader and a Carrier, in the dialect of one model."""

    def __init__(self, dialect: Dialect, link: Link, options: SpectraMaxOptions) -> None:
        self._dialect = dialect
        self._link = link
        self._options = options
        self._one_prompt: set[str] = set()  # commands of this read that ended one prompt early

    async def identify(self) -> Identity:
        """At rest, and the read type of the configured model is accepted; cleans a dirty link.

        WrongInstrument when the instrument refuses that word.
        """
        if self._link.dirty:
            await self._challenge("identify")
        await self._until_idle("identify", self._options.start_up_timeout_s)
        await self._set(self._read_type())
        return self._identity()

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One endpoint plate, all wavelengths in one pass, column by column."""
        self._refuse_impossible(request)
        self._one_prompt.clear()
        await self._close_for_read(await self._require_rest("read"))
        replies = [await self._set(command) for command in self._settings(request)]
        replies.append(await self._set(Command("READ")))
        await self._until_idle("READ", measurement_s(request, self._options))
        data = await self._transfer(request, on_strip)
        noted = (reply.note for reply in replies if "warning" in (reply.note or "").lower())
        return Reading(
            identity=self._identity(),
            format=request.format,
            plates={block.wavelength_nm: block.values for block in data.blocks},
            temperature_c=data.temperature_c,
            warnings=(*(note or "" for note in noted), *await self._error_log()),
            notes=self._notes(),
        )

    async def park(self) -> None:
        """At rest on a clean link, however long a measurement or a calibration still takes."""
        phase = "park"
        if self._link.dirty:
            await self._challenge(phase)
        if not self._idle(await self._status(phase)):
            if self._options.cancel:
                await self._set(Command("CANCEL"))
            longest_s = max(self._options.read_timeout_s, self._options.start_up_timeout_s)
            await self._until_idle(phase, longest_s)

    async def present(self) -> None:
        """The drawer is open; it is not moved when it was."""
        await self._move("OPEN", self._options.door_words[0], await self._require_rest("OPEN"))

    async def admit(self) -> None:
        """The drawer is closed; it is not moved when it was."""
        await self._move("CLOSE", self._options.door_words[1], await self._require_rest("CLOSE"))

    async def _move(self, name: str, door: str, status: Status) -> None:
        if status.door == door:
            return
        within_s = self._options.drawer_timeout_s
        await self._set(Command(name), within_s)
        await self._until_idle(name, within_s, door)

    async def _close_for_read(self, status: Status) -> None:
        closed = self._options.door_words[1]
        if status.door != closed and self._options.open_drawer == "refuse":
            text = f"the drawer is {status.door}, and options.open_drawer is refuse"
            raise RequestError(ErrorCode.STATE_MISMATCH, text)
        await self._move("CLOSE", closed, status)

    # -- questions ---------------------------------------------------------------------------

    async def _challenge(self, phase: str) -> None:
        await self._link.challenge(
            self._bytes(Command("STATUS")),
            lambda: StatusScan(self._options.door_words),
            answer_s=self._options.reply_timeout_s,
            phase=phase,
        )
        for _ in range(MOST_PAUSES):
            if not await self._link.pause(QUIET_S):
                return

    async def _status(self, phase: str) -> Status:
        """A status that was lost or damaged is asked for once more: it is not a measurement."""
        try:
            return await self._ask_status(phase)
        except (NoReply, GarbledReply):
            await self._challenge(phase)
        return await self._ask_status(phase)

    async def _ask_status(self, phase: str) -> Status:
        decoder = status_decoder(self._options.door_words)
        status = await self._ask(Command("STATUS"), decoder, phase)
        if isinstance(status, Refusal):
            self._refused(status, Command("STATUS"), phase)
        return status

    def _idle(self, status: Status) -> bool:
        return status.state in self._options.idle_words

    async def _require_rest(self, phase: str) -> Status:
        status = await self._status(phase)
        if not self._idle(status):
            raise InstrumentFault("STATUS", f"{status.state}, not at rest", phase=phase)
        return status

    async def _until_idle(self, phase: str, within_s: float, door: str | None = None) -> None:
        """Ask until the instrument is at rest, and its drawer where it shall be."""
        status = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    status = await self._status(phase)
                    if self._idle(status) and door in (None, status.door):
                        return
                    await self._link.pause(self._options.poll_s)
        except TimeoutError:
            seen = f"{status.door} {status.state}" if status else "no status"
            text = f"still {seen} after {within_s:g} s"
            raise InstrumentFault("STATUS", text, phase=phase) from None

    async def _set(self, command: Command, within_s: float | None = None) -> Reply:
        """A command whose answer is OK. Silence behind a prompt ends an answer that has no second.

        The missing prompt may still come, so the link is challenged; the Reading notes it.
        """
        prompts = self._dialect.prompts(command.name, self._options.prompts)
        decoder = setting_decoder(prompts, self._options.door_words)
        try:
            reply = await self._ask(command, decoder, command.name, within_s)
        except NoReply:
            if decoder.acknowledged is None:
                raise
            await self._challenge(command.name)
            self._one_prompt.add(command.name)
            return decoder.acknowledged
        if isinstance(reply, Refusal):
            self._refused(reply, command, command.name)
        return reply

    async def _ask(
        self, command: Command, decoder: ReplyDecoder[T], phase: str, within_s: float | None = None
    ) -> T | Refusal:
        return await self._link.ask(
            self._bytes(command),
            decoder,
            within_s=self._options.reply_timeout_s if within_s is None else within_s,
            gap_s=self._options.gap_timeout_s,
            phase=phase,
        )

    def _bytes(self, command: Command) -> bytes:
        return command.to_bytes(ENDS[self._options.end_of_line])

    def _refused(self, refusal: Refusal, command: Command, phase: str) -> NoReturn:
        code = refusal.code
        tail = self._link.transcript.tail()
        if command.name == "READTYPE" and code in (NOT_FOUND, INVALID_ARGUMENT):
            text = f"{command} is refused with {code}: no {self._dialect.model} answers"
            raise WrongInstrument(text, phase=phase, tail=tail)
        text = f"{text_of(code)} ({command})"
        if command.name == "TRANSFER" and code == NO_DATA:
            text += "; was the measurement stopped at the instrument?"
        raise InstrumentFault(code, text, needs_human=needs_human(code), phase=phase, tail=tail)

    # -- one plate ---------------------------------------------------------------------------

    def _read_type(self) -> Command:
        return Command("READTYPE", (self._dialect.read_type,))

    def _settings(self, request: ReadRequest) -> list[Command]:
        """In the order of the public client [P]."""
        options, plate = self._options, FORMATS[request.format]
        place = options.geometry(request.format)
        pitch = f"{place.pitch_mm:.3f}"
        shake = [Command("SHAKE", ("OFF",))]
        if request.shake_s:
            shake = [
                Command("SHAKE", ("ON",)),
                Command("SHAKE", (str(request.shake_s), "0", "0", "0", "0")),
            ]
        return [
            Command("CLEAR", ("DATA",)),
            Command("XPOS", (f"{place.x_mm:.3f}", pitch, str(plate.columns))),
            Command("YPOS", (f"{place.y_mm:.3f}", pitch, str(plate.rows))),
            Command("STRIP", ("1", str(plate.columns))),
            Command("CSPEED", (CARRIAGE[options.carriage],)),
            *shake,
            Command("WAVELENGTH", tuple(map(str, request.wavelengths_nm))),
            Command("CALIBRATE", (options.calibrate,)),
            Command("MODE", ("ENDPOINT",)),
            Command("ORDER", ("COLUMN",)),
            Command("SPEED", ("ON" if options.speed_read else "OFF",)),
            *(each for each in self._dialect.extra if each.name != "NVRAM" or options.settling),
            self._read_type(),
        ]

    async def _transfer(self, request: ReadRequest, on_strip: OnStrip) -> PlateData:
        """Sends and consumes the plate: there is no second transfer."""
        command = Command("TRANSFER")
        decoder = plate_decoder(_strips(on_strip, request))
        data = await self._ask(command, decoder, command.name, transfer_s(request))
        if isinstance(data, Refusal):
            self._refused(data, command, command.name)
        wrong = data.wrong(request.wavelengths_nm, request.format)
        if wrong is not None:
            raise GarbledReply(wrong, phase=command.name, tail=self._link.transcript.tail())
        return data

    async def _error_log(self) -> tuple[str, ...]:
        """After the plate: nothing that happens here may cost it."""
        if not self._options.error_log:
            return ()
        phase = "error log"
        try:
            log = await self._ask(Command("ERROR"), log_decoder(self._options.door_words), phase)
        except LinkLost as error:
            return (f"after the plate: {error}",)
        except InstrumentError as error:
            with contextlib.suppress(InstrumentError):
                await self._challenge(phase)
            return (f"after the plate: {error}",)
        if isinstance(log, Refusal):
            return (f"error log refused with {log.code} ({text_of(log.code)})",)
        return tuple(f"error log: {entry}" for entry in log.entries)

    def _identity(self) -> Identity:
        return Identity(model=self._dialect.model, names_itself=False)

    def _notes(self) -> tuple[str, ...]:
        single = (
            f"{name} ended with one prompt of two; options.prompts = {{{name} = 1}} saves the wait"
            for name in sorted(self._one_prompt)
        )
        return (
            f"the instrument does not name its model; it took READTYPE {self._dialect.read_type}",
            "no checksum in this protocol: shape and wavelengths verified, digits not",
            *single,
        )

    def _refuse_impossible(self, request: ReadRequest) -> None:
        wavelengths_nm, most = request.wavelengths_nm, self._options.most_wavelengths
        if request.format not in FORMATS:
            text = f"the {self._dialect.model} reads 96- and 384-well plates, not {request.format}"
            raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
        if not 1 <= len(set(wavelengths_nm)) == len(wavelengths_nm) <= most:
            text = f"the {self._dialect.model} reads one to {most} different wavelengths"
            raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
        shortest, longest = self._options.shortest_nm, self._options.longest_nm
        outside = [nm for nm in wavelengths_nm if not shortest <= nm <= longest]
        if outside:
            text = f"{outside[0]} nm is outside {shortest} to {longest} nm (options)"
            raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
        if request.shake_s < 0:
            raise RequestError(ErrorCode.INVALID_PAYLOAD, f"shaking for {request.shake_s} s")


def _strips(on_strip: OnStrip, request: ReadRequest) -> OnColumn:
    """Columns of the plate that was asked for; what does not fit it is no hint."""
    plate = FORMATS[request.format]

    def on_column(nm: int, column: int, values: tuple[OpticalDensity, ...]) -> None:
        fits = column < plate.columns and len(values) == plate.rows
        if fits and nm in request.wavelengths_nm:
            wells = (well_name(row, column) for row in range(plate.rows))
            on_strip(Strip(nm, dict(zip(wells, values, strict=True))))

    return on_column
