"""Bio-Rad Model 680 and 550: identify, read, park, resend, each as its conversation.

Every verb takes the instrument to remote mode (AQ) and gives it back (RL), on error paths too. A
failing RL after a good plate costs the plate nothing: it becomes a warning on the Reading, and the
link stays dirty when no answer came.

The challenge is `AQ` and `ID` in one breath: AQ because in local mode ID may be refused, ID because
no other reply is a short text and nothing else. The instrument answers in order [inferred: RPLATE
has no acknowledgement, nothing can be told apart otherwise], so an abandoned plate comes before.

A 550 sends each plate that is read at its front panel, unasked, and subtracted when dual. That can
only be while it is in local mode, so AQ and RL skip lines until their own answer; a plate is taken
from an answer to RPLATE or RTPLATE alone, and with as many blocks as it names filters.
"""

from collections.abc import Awaitable, Callable, Mapping
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
from readerd_biorad.absdata import RULE_TEXTS, OnRow, PlateData, plate_decoder
from readerd_biorad.codec import (
    NOT_REMOTE,
    SUCCESS,
    AcknowledgementScan,
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
from readerd_biorad.dialect import Dialect
from readerd_biorad.options import TRANSFER_S, ModelOptions, measurement_s

T = TypeVar("T")

CHALLENGE = (Command("AQ"), Command("ID"))


class EiaReader:
    """A Reader and a Resender."""

    def __init__(self, dialect: Dialect, link: Link, options: ModelOptions) -> None:
        self._dialect = dialect
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
        _refuse_impossible(request, self._dialect)
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
        released = await self._ask(Command("RL"), self._acknowledgement(), "park")
        if released.code not in (SUCCESS, NOT_REMOTE):
            self._refused(released, "park")

    async def _challenge(self, phase: str) -> None:
        """Afterwards the link is clean and the instrument is in remote mode, whichever it is."""
        query = b"".join(command.to_bytes(self._options.device) for command in CHALLENGE)
        answer_s = len(CHALLENGE) * self._options.reply_timeout_s
        await self._link.challenge(query, IdentityScan, answer_s=answer_s, phase=phase)

    def _acknowledgement(self) -> Decoder[Reply]:
        return AcknowledgementScan() if self._dialect.talks_unasked else acknowledgement_decoder()

    async def _in_remote_mode(
        self, conversation: Callable[[], Awaitable[T]]
    ) -> tuple[T, InstrumentError | None]:
        """What the conversation returns, and what went wrong when leaving remote mode after it."""
        phase = "enter remote mode"
        entered = await self._ask(Command("AQ"), self._acknowledgement(), phase)
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
            released = await self._ask(Command("RL"), self._acknowledgement(), phase)
            if released.code not in (SUCCESS, NOT_REMOTE):
                self._refused(released, phase)
        except InstrumentError as error:
            return error
        return None

    async def _who(self, phase: str) -> tuple[Identity, Filters]:
        answer = await self._ask(Command("ID"), identity_decoder(), phase)
        if answer.refused:
            self._refused(answer, phase)
        model = _require_model(answer, self._dialect, phase)
        filters = self._options.filters or await self._ask_filters(f"{phase} filters")
        identity = Identity(model=model, wavelengths_nm=filters.fitted_nm)
        self._last_seen = identity
        return identity, filters

    async def _ask_filters(self, phase: str) -> Filters:
        filters = await self._ask(Command("FSTATUS"), filters_decoder(), phase)
        if isinstance(filters, Reply):
            self._refused(filters, phase)
        return filters

    async def _measure(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        identity, filters = await self._who("read")
        refuse_unfitted(request, identity)
        counters, notes = await self._odometer()
        wanted_nm = request.wavelengths_nm
        positions = tuple(filters.position(nm) or 0 for nm in wanted_nm)
        settings = self._options.plate_settings(request.shake_s)
        command = Command("RPLATE", (*settings, *map(str, positions)))
        expected = wanted_nm if self._dialect.tells_filters else positions
        on_row = _strips(on_strip, dict(zip(expected, wanted_nm, strict=True)))
        data = await self._transfer(command, measurement_s(request, self._options), on_row)
        data, transfers = await self._until_right(data, expected, on_row)
        plates = self._plates(data, filters)
        notes = (*notes, *self._notes(data, transfers))
        return Reading(identity=identity, format=96, plates=plates, notes=notes, counters=counters)

    async def _transfer_again(self) -> Reading:
        identity, filters = await self._who("resend")
        data = await self._retransmit(None)
        data, transfers = await self._until_right(data, None, None)
        notes = ("sent again from the instrument's memory", *self._notes(data, transfers))
        plates = self._plates(data, filters)
        return Reading(identity=identity, format=96, plates=plates, notes=notes)

    def _plates(self, data: PlateData, filters: Filters) -> dict[int, tuple[OpticalDensity, ...]]:
        """The blocks by wavelength; GarbledReply for a position where no filter is."""
        plates = {}
        for which, block in zip(data.filters, data.blocks, strict=True):
            wavelength_nm = which if self._dialect.tells_filters else filters.at(which)
            if wavelength_nm is None:
                text = f"data of filter position {which}, where none is fitted"
                tail = self._link.transcript.tail()
                raise GarbledReply(text, phase="transfer", tail=tail)
            plates[wavelength_nm] = block.values
        return plates

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

    async def _retransmit(self, on_row: OnRow | None) -> PlateData:
        within_s = self._options.reply_timeout_s + TRANSFER_S
        return await self._transfer(Command("RTPLATE"), within_s, on_row)

    async def _transfer(self, command: Command, within_s: float, on_row: OnRow | None) -> PlateData:
        data = await self._link.ask(
            command.to_bytes(self._options.device),
            plate_decoder(on_row),
            within_s=within_s,
            gap_s=self._options.gap_timeout_s,
            phase=command.name,
        )
        if isinstance(data, Reply):
            self._refused(data, command.name)
        return data

    async def _until_right(
        self, data: PlateData, filters: tuple[int, ...] | None, on_row: OnRow | None
    ) -> tuple[PlateData, int]:
        """The first transfer of this plate that is right, and how many it took."""
        for transfer in range(1, self._options.transfers + 1):
            wrong = self._wrong(data, filters)
            if wrong is None:
                return data, transfer
            if transfer < self._options.transfers:
                data = await self._retransmit(on_row)
        tail = self._link.transcript.tail()
        text = f"{wrong} in {self._options.transfers} transfers of one plate"
        raise GarbledReply(text, phase="transfer", tail=tail)

    def _wrong(self, data: PlateData, filters: tuple[int, ...] | None) -> str | None:
        if filters is not None and data.filters != filters:
            return f"filters {data.filters} instead of {filters}"
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
        sent = command.to_bytes(self._options.device)
        return await self._link.ask(sent, decoder, within_s=within_s, phase=phase)

    def _refused(self, reply: Reply, phase: str) -> NoReturn:
        code = f"{reply.code:04d}"
        default = "no text known for this number"
        if reply.code == NOT_REMOTE:
            default = "not in remote mode: the operator released the instrument at its front panel"
        text = self._options.error_texts.get(code, default)
        raise InstrumentFault(code, text, phase=phase, tail=self._link.transcript.tail())


def _require_model(answer: Reply, dialect: Dialect, phase: str) -> str:
    if dialect.says.fullmatch(answer.text) is None:
        raise WrongInstrument(f"{answer.text!r} answers instead of a {dialect.model}", phase=phase)
    return answer.text if answer.text.lower().startswith("model") else dialect.model


def _refuse_impossible(request: ReadRequest, dialect: Dialect) -> None:
    wavelengths_nm, shake_s = request.wavelengths_nm, request.shake_s
    if request.format != 96:
        text = f"the {dialect.model} reads 96-well plates, not {request.format}"
        raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
    if not 1 <= len(set(wavelengths_nm)) == len(wavelengths_nm) <= 2:
        text = f"the {dialect.model} reads one wavelength or two different ones"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    if not 0 <= shake_s <= dialect.longest_shake_s:
        text = f"the {dialect.model} shakes 0 to {dialect.longest_shake_s} s, not {shake_s} s"
        raise RequestError(ErrorCode.INVALID_PAYLOAD, text)


def _warned(reading: Reading, complaint: InstrumentError) -> Reading:
    return replace(reading, warnings=(*reading.warnings, f"after the plate: {complaint}"))


def _strips(on_strip: OnStrip, wavelengths_nm: Mapping[int, int]) -> OnRow:
    """Rows as strips; of a filter that was not asked for there are none."""

    def on_row(which: int, row: int, values: tuple[OpticalDensity, ...]) -> None:
        wells = (well_name(row, column) for column in range(len(values)))
        if which in wavelengths_nm:
            on_strip(Strip(wavelengths_nm[which], dict(zip(wells, values, strict=True))))

    return on_row
