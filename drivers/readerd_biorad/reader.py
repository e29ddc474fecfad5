"""Bio-Rad Model 680: identify, read, park, resend, as the conversation that each of them is.

Every verb takes the instrument to remote mode (AQ) and gives it back (RL), on error paths too. A
failing RL after a good plate costs the plate nothing: it becomes a warning on the Reading, and the
link stays dirty when no answer came.

The challenge is `AQ` and `ID` in one breath: AQ because in local mode ID may be refused, ID because
no other reply is a short text and nothing else. The instrument answers in order [inferred: RPLATE
has no acknowledgement, nothing can be told apart otherwise], so an abandoned plate comes before.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NoReturn, TypeVar

from readerd.driver.codec import Decoder
from readerd.driver.contract import OnStrip
from readerd.driver.link import Link
from readerd.driver.planning import refuse_unfitted
from readerd.errors import (
    ErrorCode,
    GarbledReply,
    InstrumentError,
    InstrumentFault,
    RequestError,
    WrongInstrument,
)
from readerd.plate import Identity, OpticalDensity, Reading, ReadRequest, Strip, well_name
from readerd_biorad.absdata import RULE_TEXTS, PlateData, plate_decoder
from readerd_biorad.codec import (
    NOT_REMOTE,
    SUCCESS,
    Command,
    Counters,
    Filters,
    IdentityScan,
    Reply,
    acknowledgement_decoder,
    counters_decoder,
    filters_decoder,
    identity_decoder,
)
from readerd_biorad.options import TRANSFER_S, Model680Options, measurement_s

T = TypeVar("T")

MODEL = "Model 680"
# p. 50: speed 1 fast, 2 normal; mixing speed L, M, H; mixing time up to 999 s.
SPEEDS = {"fast": "1", "normal": "2"}
SHAKE_SPEEDS = {"low": "L", "medium": "M", "high": "H"}
LONGEST_SHAKE_S = 999

CHALLENGE = Command("AQ").to_bytes() + Command("ID").to_bytes()
CHALLENGE_REPLIES = 2


class Model680:
    """A Reader and a Resender."""

    def __init__(self, link: Link, options: Model680Options) -> None:
        self._link = link
        self._options = options
        self._last_seen: Identity | None = None

    async def identify(self) -> Identity:
        """Model and fitted filters; cleans a dirty link first. WrongInstrument for other models."""
        if self._link.dirty:
            await self._challenge("identify")
        (identity, _), complaint = await self._in_remote_mode(lambda: self._who("identify"))
        if complaint is not None:
            raise complaint
        return identity

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One endpoint plate at one wavelength or two, both in one pass of the instrument."""
        _refuse_impossible(request)
        if self._last_seen is not None:
            refuse_unfitted(request, self._last_seen)
        reading, complaint = await self._in_remote_mode(lambda: self._measure(request, on_strip))
        return reading if complaint is None else _warned(reading, complaint)

    async def resend(self) -> Reading:
        """The last plate again (RTPLATE), from the instrument's memory."""
        reading, complaint = await self._in_remote_mode(self._transfer_again)
        return reading if complaint is None else _warned(reading, complaint)

    async def park(self) -> None:
        """Local mode and a clean link, whatever went on before."""
        if self._link.dirty:
            await self._challenge("park")
        released = await self._ask(Command("RL"), acknowledgement_decoder(), "park")
        if released.code not in (SUCCESS, NOT_REMOTE):
            self._refused(released, "park")

    async def _challenge(self, phase: str) -> None:
        """Afterwards the link is clean and the instrument is in remote mode, whichever it is."""
        answer_s = CHALLENGE_REPLIES * self._options.reply_timeout_s
        await self._link.challenge(CHALLENGE, IdentityScan, answer_s=answer_s, phase=phase)

    async def _in_remote_mode(
        self, conversation: Callable[[], Awaitable[T]]
    ) -> tuple[T, InstrumentError | None]:
        """What the conversation returns, and what went wrong when leaving remote mode after it."""
        phase = "enter remote mode"
        entered = await self._ask(Command("AQ"), acknowledgement_decoder(), phase)
        if entered.refused:
            self._refused(entered, phase)
        try:
            result = await conversation()
        except BaseException:
            await self._release()
            raise
        return result, await self._release()

    async def _release(self) -> InstrumentError | None:
        if self._link.dirty:
            return None
        phase = "leave remote mode"
        try:
            released = await self._ask(Command("RL"), acknowledgement_decoder(), phase)
            if released.code not in (SUCCESS, NOT_REMOTE):
                self._refused(released, phase)
        except InstrumentError as error:
            return error
        return None

    async def _who(self, phase: str) -> tuple[Identity, Filters]:
        answer = await self._ask(Command("ID"), identity_decoder(), phase)
        if answer.refused:
            self._refused(answer, phase)
        model = _require_model(answer, phase)
        filters = await self._ask(Command("FSTATUS"), filters_decoder(), f"{phase} filters")
        if isinstance(filters, Reply):
            self._refused(filters, f"{phase} filters")
        identity = Identity(model=model, wavelengths_nm=filters.fitted_nm)
        self._last_seen = identity
        return identity, filters

    async def _measure(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        identity, filters = await self._who("read")
        refuse_unfitted(request, identity)
        counters, notes = await self._odometer()
        positions = [str(filters.position(nm)) for nm in request.wavelengths_nm]
        speed = SPEEDS[self._options.speed]
        shake = (str(request.shake_s), SHAKE_SPEEDS[self._options.shake_speed])
        command = Command("RPLATE", (speed, *shake, *positions))
        within_s = measurement_s(request, self._options)
        data = await self._transfer(command, within_s, on_strip)
        data, transfers = await self._until_right(data, request.wavelengths_nm, on_strip)
        return _reading(identity, data, (*notes, *self._notes(data, transfers)), counters)

    async def _transfer_again(self) -> Reading:
        identity, _ = await self._who("resend")
        data = await self._retransmit(_nobody)
        data, transfers = await self._until_right(data, None, _nobody)
        notes = ("sent again from the instrument's memory", *self._notes(data, transfers))
        return _reading(identity, data, notes, {})

    async def _odometer(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Asked before the plate, so that its failure cannot cost one."""
        if not self._options.counters:
            return {}, ()
        counters = await self._ask(Command("MR"), counters_decoder(), "read counters")
        if isinstance(counters, Counters):
            return {
                "power_cycles": counters.power_cycles,
                "hours": counters.hours,
                "plates": counters.plates,
            }, ()
        if counters.code == NOT_REMOTE:
            self._refused(counters, "read counters")
        return {}, (f"maintenance counters refused with {counters.code:04d}",)

    async def _retransmit(self, on_strip: OnStrip) -> PlateData:
        within_s = self._options.reply_timeout_s + TRANSFER_S
        return await self._transfer(Command("RTPLATE"), within_s, on_strip)

    async def _transfer(self, command: Command, within_s: float, on_strip: OnStrip) -> PlateData:
        data = await self._link.ask(
            command.to_bytes(),
            plate_decoder(_strips(on_strip)),
            within_s=within_s,
            gap_s=self._options.gap_timeout_s,
            phase=command.name,
        )
        if isinstance(data, Reply):
            self._refused(data, command.name)
        return data

    async def _until_right(
        self, data: PlateData, wavelengths_nm: tuple[int, ...] | None, on_strip: OnStrip
    ) -> tuple[PlateData, int]:
        """The first transfer of this plate that is right, and how many it took."""
        for transfer in range(1, self._options.transfers + 1):
            wrong = self._wrong(data, wavelengths_nm)
            if wrong is None:
                return data, transfer
            if transfer < self._options.transfers:
                data = await self._retransmit(on_strip)
        tail = self._link.transcript.tail()
        text = f"{wrong} in {self._options.transfers} transfers of one plate"
        raise GarbledReply(text, phase="transfer", tail=tail)

    def _wrong(self, data: PlateData, wavelengths_nm: tuple[int, ...] | None) -> str | None:
        if wavelengths_nm is not None and data.wavelengths_nm != wavelengths_nm:
            return f"filters {data.wavelengths_nm} nm instead of {wavelengths_nm} nm"
        rule = self._options.checksum
        if rule == "ignore" or (data.rules if rule == "auto" else rule in data.rules):
            return None
        return "wrong checksum"

    def _notes(self, data: PlateData, transfers: int) -> tuple[str, ...]:
        notes = []
        if self._options.checksum == "ignore":
            notes.append("checksum not verified (option checksum = ignore)")
        else:
            held = " and ".join(f"{rule} ({RULE_TEXTS[rule]})" for rule in sorted(data.rules))
            notes.append(f"checksum rule {held} held")
        if transfers > 1:
            notes.append(f"transfer {transfers} of this plate was the first with a right checksum")
        if data.taken_at is not None:
            notes.append(f"instrument clock {data.taken_at} (day first)")
        return tuple(notes)

    async def _ask(self, command: Command, decoder: Decoder[T], phase: str) -> T:
        within_s = self._options.reply_timeout_s
        return await self._link.ask(command.to_bytes(), decoder, within_s=within_s, phase=phase)

    def _refused(self, reply: Reply, phase: str) -> NoReturn:
        code = f"{reply.code:04d}"
        default = "no text known for this number"
        if reply.code == NOT_REMOTE:
            default = "not in remote mode: the operator released the instrument at its front panel"
        text = self._options.error_texts.get(code, default)
        raise InstrumentFault(code, text, phase=phase, tail=self._link.transcript.tail())


def _require_model(answer: Reply, phase: str) -> str:
    if not answer.text.upper().startswith(MODEL.upper()):
        raise WrongInstrument(f"{answer.text!r} answers instead of a {MODEL}", phase=phase)
    return answer.text


def _refuse_impossible(request: ReadRequest) -> None:
    wavelengths_nm = request.wavelengths_nm
    if request.format != 96:
        text = f"the Model 680 reads 96-well plates, not {request.format}"
        raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
    if not 1 <= len(set(wavelengths_nm)) == len(wavelengths_nm) <= 2:
        text = "the Model 680 reads one wavelength or two different ones"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    if not 0 <= request.shake_s <= LONGEST_SHAKE_S:
        text = f"the Model 680 shakes 0 to {LONGEST_SHAKE_S} s, not {request.shake_s} s"
        raise RequestError(ErrorCode.INVALID_PAYLOAD, text)


def _reading(
    identity: Identity, data: PlateData, notes: tuple[str, ...], counters: dict[str, int]
) -> Reading:
    plates = {nm: block.values for nm, block in zip(data.wavelengths_nm, data.blocks, strict=True)}
    return Reading(identity=identity, format=96, plates=plates, notes=notes, counters=counters)


def _warned(reading: Reading, complaint: InstrumentError) -> Reading:
    return replace(reading, warnings=(*reading.warnings, f"after the plate: {complaint}"))


def _strips(on_strip: OnStrip) -> Callable[[int, int, tuple[OpticalDensity, ...]], None]:
    def on_row(wavelength_nm: int, row: int, values: tuple[OpticalDensity, ...]) -> None:
        wells = (well_name(row, column) for column in range(len(values)))
        on_strip(Strip(wavelength_nm, dict(zip(wells, values, strict=True))))

    return on_row


def _nobody(strip: Strip) -> None:
    """Strips of a plate that is transferred again are nobody's progress."""
