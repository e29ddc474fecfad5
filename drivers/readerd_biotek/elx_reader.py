"""ELx808: identify, read, park, present, admit, as the conversation that each of them is.

The reader powers up with the 312 forms of status and data, so every verb begins with `n1`. There is
no remote mode: the front panel is free whenever nothing is being read. All wavelengths come from
one pass; the definition is sent before every read, because `S` alone would use whatever the panel
left behind.
"""

from collections.abc import Callable

from readerd.driver.contract import OnStrip
from readerd.driver.link import Link
from readerd.driver.planning import refuse_unfitted
from readerd.errors import ErrorCode, GarbledReply, InstrumentFault, RequestError
from readerd.plate import Identity, OpticalDensity, Reading, ReadRequest, Strip, well_name
from readerd_biotek.complaints import REFUSED, text_of
from readerd_biotek.conversation import Conversation, require_part
from readerd_biotek.elx_codec import (
    CARRIER_IN,
    CARRIER_OUT,
    DEFINE,
    ELX_STATUS_FORM,
    FILTERS,
    HALT,
    HIGHEST_NM,
    LAST_ERROR,
    LONGEST_SHAKE_S,
    LOWEST_NM,
    QUIET,
    READ_MODE,
    READ_PLATE,
    ROWS,
    TABLE_BYTES,
    TEMPERATURE,
    AssayTable,
    filters_decoder,
    temperature_decoder,
)
from readerd_biotek.elx_data import ROWS as PLATE_ROWS
from readerd_biotek.elx_data import Block, Data, Dump, PlateData, dump_decoder, plate_decoder
from readerd_biotek.elx_options import ElxOptions, measurement_s, table_s
from readerd_biotek.framing import (
    Aborted,
    Nak,
    ReplyDecoder,
    Started,
    done_decoder,
    verdict_decoder,
)

ELX800_MODEL = "ELx800"
EXPERIMENTAL = "experimental driver: no ELx800 was ever read with it"
READ_MODES = {"enhanced": b"0", "fast": b"1"}
ALL_ROWS = bytes([1, PLATE_ROWS])
# Fills any table that is waited for; no byte of it is a command.
FILLER = bytes(TABLE_BYTES)


class Elx808:
    """A Reader and a Carrier."""

    def __init__(
        self,
        link: Link,
        options: ElxOptions,
        model: str = "ELx808",
        notes: tuple[str, ...] = (),
    ) -> None:
        self._talk = Conversation(
            link,
            reply_s=options.reply_timeout_s,
            halt_s=options.carrier_timeout_s,
            wake=HALT + FILLER,
        )
        self._link = link
        self._options = options
        self._model = model
        self._always = notes
        self._last_seen: Identity | None = None

    async def identify(self) -> Identity:
        """Software, fitted filters, and that no error stands; cleans a dirty link first."""
        if self._link.dirty:
            await self._talk.resync("identify")
        identity = await self.who("identify")
        await self._require_no_error()
        return identity

    async def _require_no_error(self) -> None:
        """Reading the last error clears it, unless it is fatal or a self-test is required [V]."""
        await self._link.ask(
            LAST_ERROR, done_decoder(), within_s=self._options.reply_timeout_s, phase="last error"
        )
        try:
            await self._talk.ask(LAST_ERROR, done_decoder(), "standing error")
        except InstrumentFault as error:
            if error.needs_human or error.code == REFUSED:
                raise
            text = f"{text_of(error.code)}; it stands after it was read: a self-test is required"
            raise InstrumentFault(
                error.code, text, needs_human=True, phase=error.phase, tail=error.tail
            ) from None

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One endpoint plate, all wavelengths in one pass."""
        _refuse_impossible(request, self._options)
        if self._last_seen is not None:
            refuse_unfitted(request, self._last_seen)
        identity = await self.who("read")
        refuse_unfitted(request, identity)
        if self._options.admit_first:
            await self.admit()
        temperature_c = await self._incubator()
        await self._define(request)
        data = await self._measure(request, on_strip)
        blocks, notes = self._judged(data, request)
        plates = {
            nm: block.values for nm, block in zip(request.wavelengths_nm, blocks, strict=True)
        }
        return Reading(
            identity=identity,
            format=96,
            plates=plates,
            temperature_c=temperature_c,
            notes=(*self._always, *notes),
        )

    async def park(self) -> None:
        """Nothing is being read and the link is clean."""
        await self._talk.resync("park")

    async def present(self) -> None:
        """The carrier is out."""
        await self._carry(CARRIER_OUT, "present")

    async def admit(self) -> None:
        """The carrier is in."""
        await self._carry(CARRIER_IN, "admit")

    async def who(self, phase: str) -> Identity:
        """The identity, in ELx form from here on."""
        await self._talk.ask(ELX_STATUS_FORM, done_decoder(), f"{phase} status form")
        if self._options.quiet:
            await self._talk.ask(QUIET, done_decoder(), f"{phase} quiet")
        version = await self._talk.version(phase)
        firmware = require_part(version, self._options.parts, self._model, phase)
        filters = await self._talk.ask(FILTERS, filters_decoder(), f"{phase} filters")
        self._last_seen = Identity(
            model=self._model,
            firmware=firmware,
            wavelengths_nm=filters.fitted_nm,
            names_itself=bool(self._options.parts),
        )
        return self._last_seen

    async def _carry(self, command: bytes, phase: str) -> None:
        await self._talk.ask(command, done_decoder(), phase, self._options.carrier_timeout_s)

    async def _incubator(self) -> float | None:
        if not self._options.temperature:
            return None
        answer = await self._talk.ask(TEMPERATURE, temperature_decoder(), "temperature")
        return answer.celsius

    async def _define(self, request: ReadRequest) -> None:
        """Read mode, assay table; then all rows, which `V` would reset."""
        if self._options.speed != "as-set":
            mode = READ_MODE + READ_MODES[self._options.speed]
            await self._talk.ask(mode, done_decoder(), "read mode")
        await self._talk.announce(DEFINE, "V", FILLER)
        table = _table(request, self._options).to_bytes()
        await self._talk.ask(table, verdict_decoder(), "V table", table_s(self._options))
        if len(request.wavelengths_nm) == 1 and self._options.single == "rows":
            await self._talk.ask(ROWS + ALL_ROWS, done_decoder(), "all rows")

    async def _measure(self, request: ReadRequest, on_strip: OnStrip) -> PlateData | Dump:
        decoder = self._decoder(request, on_strip)
        self._talk.way_out = b"" if self._options.read_before_abort else HALT
        data = await self._link.ask(
            READ_PLATE,
            decoder,
            within_s=measurement_s(request, self._options),
            gap_s=self._options.gap_timeout_s,
            phase="S",
        )
        self._talk.way_out = b""
        if isinstance(data, Nak):
            raise self._talk.refusal(None, "S")
        if isinstance(data, Started | Aborted):
            refusal = self._talk.refusal(data.status, "S")
            await self._talk.settle("S")  # whether anything follows is not said
            raise refusal
        if data.final is None:
            await self._talk.settle("S end")
        elif not data.final.ok:
            raise self._talk.refusal(data.final, "S")
        return data

    def _decoder(self, request: ReadRequest, on_strip: OnStrip) -> ReplyDecoder[Data]:
        on_row = _strips(request, on_strip)
        if len(request.wavelengths_nm) == 1 and self._options.single == "312":
            return dump_decoder(on_row)
        final = self._options.require_final_terminator
        return plate_decoder(len(request.wavelengths_nm), on_row, final_terminator=final)

    def _judged(
        self, data: PlateData | Dump, request: ReadRequest
    ) -> tuple[tuple[Block, ...], tuple[str, ...]]:
        """The blocks of this plate, or GarbledReply; the link is clean either way."""
        if isinstance(data, Dump):
            return (data.block,), ("312 form: the reader sent no checksum",)
        tail = self._link.transcript.tail()
        if len(data.blocks) != len(request.wavelengths_nm):
            text = f"{len(data.blocks)} plates for {len(request.wavelengths_nm)} wavelengths"
            raise GarbledReply(text, phase="S", tail=tail)
        wrong = [index for index, block in enumerate(data.blocks, 1) if not block.right]
        notes = [] if data.final is not None else ["the final terminator was not waited for"]
        if not wrong:
            return data.blocks, ("checksums held", *notes)
        which = ", ".join(map(str, wrong))
        if self._options.checksum == "verify":
            raise GarbledReply(f"wrong checksum of block {which}", phase="S", tail=tail)
        notes.append(f"wrong checksum of block {which} (option checksum = ignore)")
        return data.blocks, tuple(notes)


def elx800(link: Link, options: ElxOptions) -> Elx808:
    """An ELx800 spoken to as an ELx808, and every reading marked as such."""
    return Elx808(link, options, ELX800_MODEL, (EXPERIMENTAL,))


def _table(request: ReadRequest, options: ElxOptions) -> AssayTable:
    wavelengths_nm = request.wavelengths_nm
    # A name without letters: none of its bytes is a command, should they ever go astray.
    name = "".join(f"{nm:03d}" for nm in wavelengths_nm[:2])
    shake = (request.shake_s, options.shake_speed if request.shake_s else 0)
    if len(wavelengths_nm) == 1:
        return AssayTable(name, wavelengths_nm[0], (), *shake)
    return AssayTable(name, None, wavelengths_nm, *shake)


def _refuse_impossible(request: ReadRequest, options: ElxOptions) -> None:
    wavelengths_nm = request.wavelengths_nm
    if request.format != 96:
        text = f"only 96-well plates, not {request.format}"
        raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
    if not 1 <= len(set(wavelengths_nm)) == len(wavelengths_nm) <= options.most_wavelengths:
        text = f"one to {options.most_wavelengths} different wavelengths in one read"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    outside = [nm for nm in wavelengths_nm if not LOWEST_NM <= nm <= HIGHEST_NM]
    if outside:
        text = f"{outside[0]} nm is not between {LOWEST_NM} and {HIGHEST_NM} nm"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    if not 0 <= request.shake_s <= LONGEST_SHAKE_S:
        text = f"0 to {LONGEST_SHAKE_S} s of shaking, not {request.shake_s} s"
        raise RequestError(ErrorCode.INVALID_PAYLOAD, text)


def _strips(
    request: ReadRequest, on_strip: OnStrip
) -> Callable[[int, int, tuple[OpticalDensity, ...]], None]:
    def on_row(block: int, row: int, values: tuple[OpticalDensity, ...]) -> None:
        wells = (well_name(row, column) for column in range(len(values)))
        on_strip(Strip(request.wavelengths_nm[block], dict(zip(wells, values, strict=True))))

    return on_row
