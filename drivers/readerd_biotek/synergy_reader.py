"""Synergy H1 / Cytation: identify, read, park, present, admit, as the conversations they are.

One procedure reads one wavelength: two wavelengths are two reads, the plate stays inside. Strips
come with each, so both moments are known. The instrument has no remote mode.
"""

from collections.abc import Mapping

from readerd.driver.contract import OnStrip
from readerd.driver.link import Link
from readerd.errors import ErrorCode, GarbledReply, RequestError, WrongInstrument
from readerd.plate import (
    FORMATS,
    Identity,
    OpticalDensity,
    Reading,
    ReadRequest,
    Strip,
    Unread,
    complete,
    well_name,
)
from readerd_biotek.conversation import Conversation, require_part
from readerd_biotek.framing import (
    ETX,
    Aborted,
    Nak,
    Started,
    done_decoder,
    verdict_decoder,
)
from readerd_biotek.synergy_codec import (
    DEFINE,
    GEOMETRY,
    HALT,
    HIGHEST_NM,
    LOWEST_NM,
    READ_PLATE,
    SERIAL,
    TRAY_FAST,
    TRAY_IN,
    TRAY_OUT,
    TRAY_SLOW,
    TRAY_SPEED,
    Procedure,
    Promise,
    promise_decoder,
    serial_decoder,
)
from readerd_biotek.synergy_data import Frame, frame_decoder
from readerd_biotek.synergy_options import SynergyOptions, geometry, measurement_s

# More is nobody's endpoint assay, and every one is a read of its own.
MOST_WAVELENGTHS = 6
# Software of an ELx808 begins with this: it speaks the same first words.
ELX_PART = "734"
# Ends an argument that is waited for, whichever it is: the longest that has no ETX has 5 bytes.
END = ETX * 5


class SynergyH1:
    """A Reader and a Carrier."""

    def __init__(self, link: Link, options: SynergyOptions) -> None:
        self._talk = Conversation(
            link,
            reply_s=options.reply_timeout_s,
            halt_s=options.tray_timeout_s,
            wake=HALT + END,
            family="if it is as on the ELx808",
        )
        self._link = link
        self._options = options

    async def identify(self) -> Identity:
        """Software and serial number; cleans a dirty link first. Any wavelength can be set."""
        if self._link.dirty:
            await self._talk.resync("identify")
        return await self._who("identify")

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One endpoint plate, one read for each wavelength, in the order of the request."""
        _refuse_impossible(request)
        identity = await self._who("read")
        if self._options.admit_first:
            await self.admit()
        shape = geometry(request.format, self._options)
        await self._set(GEOMETRY, shape.to_bytes(), "y")
        frames = {
            nm: await self._measure(nm, request.format, on_strip) for nm in request.wavelengths_nm
        }
        plates = {nm: self._plate(frame, request.format) for nm, frame in frames.items()}
        return Reading(
            identity=identity,
            format=request.format,
            plates=plates,
            temperature_c=frames[request.wavelengths_nm[-1]].temperature_c,
            notes=self._notes(frames, plates),
        )

    async def park(self) -> None:
        """Nothing is being read and the link is clean."""
        await self._talk.resync("park")

    async def present(self) -> None:
        """The tray is out."""
        await self._move(TRAY_OUT, "present")

    async def admit(self) -> None:
        """The tray is in."""
        await self._move(TRAY_IN, "admit")

    async def _who(self, phase: str) -> Identity:
        version = await self._talk.version(phase)
        if version.part.startswith(ELX_PART):
            raise WrongInstrument(f"an ELx808 answers ({version.part})", phase=phase)
        firmware = require_part(version, self._options.parts, self._options.model, phase)
        serial = await self._talk.ask(SERIAL, serial_decoder(), f"{phase} serial number")
        return Identity(
            model=self._options.model,
            serial=serial.number,
            firmware=firmware,
            names_itself=bool(self._options.parts),
        )

    async def _move(self, command: bytes, phase: str) -> None:
        speed = TRAY_SLOW if self._options.slow_tray else TRAY_FAST
        await self._set(TRAY_SPEED, speed, f"{phase} speed")
        await self._talk.ask(command, done_decoder(), phase, self._options.tray_timeout_s)

    async def _set(self, command: bytes, argument: bytes, phase: str) -> None:
        await self._talk.announce(command, phase, END)
        await self._talk.ask(argument, verdict_decoder(), f"{phase} argument")

    async def _measure(self, wavelength_nm: int, format: int, on_strip: OnStrip) -> Frame:
        await self._define(wavelength_nm, format)

        def on_row(values: Mapping[str, OpticalDensity]) -> None:
            on_strip(Strip(wavelength_nm, dict(values)))

        decoder = frame_decoder(format, on_row, Unread(self._options.stars))
        phase = f"O {wavelength_nm} nm"
        self._talk.way_out = b"" if self._options.read_before_abort else HALT
        frame = await self._link.ask(
            READ_PLATE,
            decoder,
            within_s=measurement_s(format, self._options),
            gap_s=self._options.gap_timeout_s,
            phase=phase,
        )
        self._talk.way_out = b""
        if isinstance(frame, Nak):
            raise self._talk.refusal(None, phase)
        if isinstance(frame, Started | Aborted):
            refusal = self._talk.refusal(frame.status, phase)
            await self._talk.settle(phase)  # whether anything follows is not known
            raise refusal
        return self._judged(frame, phase)

    async def _define(self, wavelength_nm: int, format: int) -> None:
        plate = FORMATS[format]
        procedure = Procedure(wavelength_nm, plate.rows, plate.columns)
        phase = f"D {wavelength_nm} nm"
        await self._talk.announce(DEFINE, phase, END)
        promise = await self._talk.ask(procedure.to_bytes(), promise_decoder(), f"{phase} argument")
        if not isinstance(promise, Promise):
            raise GarbledReply("a status where the procedure's answer was due", phase=phase)
        if self._options.checksum == "verify" and not promise.right:
            tail = self._link.transcript.tail()
            raise GarbledReply("wrong checksum of the procedure's answer", phase=phase, tail=tail)

    def _judged(self, frame: Frame, phase: str) -> Frame:
        if not frame.final.ok:
            raise self._talk.refusal(frame.final, phase)
        if self._options.checksum == "verify" and not frame.right:
            tail = self._link.transcript.tail()
            raise GarbledReply("wrong checksum", phase=phase, tail=tail)
        return frame

    def _plate(self, frame: Frame, format: int) -> tuple[OpticalDensity, ...]:
        cells = frame.cells(Unread(self._options.stars))
        return complete({well_name(*well): value for well, value in cells.items()}, format)

    def _notes(
        self, frames: Mapping[int, Frame], plates: Mapping[int, tuple[OpticalDensity, ...]]
    ) -> tuple[str, ...]:
        wrong = [f"{nm} nm" for nm, frame in frames.items() if not frame.right]
        notes = ["checksums held"]
        if wrong:
            notes = [f"wrong checksum at {', '.join(wrong)} (option checksum = ignore)"]
        for nm, values in plates.items():
            missing = sum(value is Unread.NOT_MEASURED for value in values)
            if missing:
                notes.append(f"{missing} wells did not come at {nm} nm")
        return tuple(notes)


def _refuse_impossible(request: ReadRequest) -> None:
    wavelengths_nm = request.wavelengths_nm
    if request.format not in (96, 384):
        text = f"96- and 384-well plates, not {request.format}"
        raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
    if not 1 <= len(set(wavelengths_nm)) == len(wavelengths_nm) <= MOST_WAVELENGTHS:
        text = f"one to {MOST_WAVELENGTHS} different wavelengths"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    outside = [nm for nm in wavelengths_nm if not LOWEST_NM <= nm <= HIGHEST_NM]
    if outside:
        text = f"{outside[0]} nm is not between {LOWEST_NM} and {HIGHEST_NM} nm"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
    if request.shake_s:
        text = "shaking is not known well enough on this instrument: shake_s must be 0"
        raise RequestError(ErrorCode.INVALID_PAYLOAD, text)
