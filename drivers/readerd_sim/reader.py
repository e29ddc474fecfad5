"""The simulated reader's conversation: identify, read, park, present and admit.

The challenge is STOP and WHO in one breath: STOP, so that nobody waits for a plate that was given
up; WHO, because no other answer names itself so. The reader answers in order: behind the answer to
WHO nothing older can come.
"""

from collections.abc import Callable

from pydantic import Field

from readerd.driver.contract import LineSettings, OnStrip, Options
from readerd.driver.link import Link
from readerd.errors import ErrorCode, GarbledReply, InstrumentFault, RequestError, WrongInstrument
from readerd.plate import FORMATS, Identity, OpticalDensity, Reading, ReadRequest, complete
from readerd_sim.codec import MOST_WAVELENGTHS, Answer, AnswerDecoder, Command, WhoScan, strip

MODEL = "Simulated Reader"
RANGE_NM = range(230, 1001)
LONGEST_SHAKE_S = 600
CHALLENGE = Command("STOP").to_bytes() + Command("WHO").to_bytes()
# The lamp does not burn: nothing that a program can do about it.
NEEDS_HUMAN = "4"
_NM = ErrorCode.WAVELENGTH_UNAVAILABLE


class SimOptions(Options):
    """`[reader.options]` of driver sim."""

    read_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """The longest that a plate takes, without shaking."""

    reply_timeout_s: float = Field(default=3.0, gt=0, le=60)
    """The longest that any other answer takes; the carrier needs two seconds."""


def line(options: SimOptions) -> LineSettings:
    """115200 8N1."""
    return LineSettings(baud=115_200)


def estimate_s(request: ReadRequest, options: SimOptions) -> float:
    """The longest that a whole `read` takes: WHO, then READ."""
    return options.reply_timeout_s + options.read_timeout_s + request.shake_s


class SimReader:
    """A Reader and a Carrier."""

    def __init__(self, link: Link, options: SimOptions) -> None:
        self._link = link
        self._options = options

    async def identify(self) -> Identity:
        if self._link.dirty:
            return await self._challenge("identify")
        return _identity(await self._ask(Command("WHO"), "identify"))

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One endpoint plate at up to six wavelengths, measured once."""
        _refuse_impossible(request)
        identity = _identity(await self._ask(Command("WHO"), "read"))
        command = Command("READ", (request.format, request.shake_s, *request.wavelengths_nm))
        within_s = self._options.read_timeout_s + request.shake_s
        answer = await self._ask(command, "read", within_s, lambda line: on_strip(strip(line)))
        return _reading(request, identity, answer)

    async def park(self) -> None:
        """Nothing is being measured and the link is clean; the carrier stays where it is."""
        if self._link.dirty:
            await self._challenge("park")
        else:
            await self._ask(Command("STOP"), "park")

    async def present(self) -> None:
        await self._ask(Command("OUT"), "present")

    async def admit(self) -> None:
        await self._ask(Command("IN"), "admit")

    async def _challenge(self, phase: str) -> Identity:
        answer_s = self._options.reply_timeout_s
        answer = await self._link.challenge(CHALLENGE, WhoScan, answer_s=answer_s, phase=phase)
        return _identity(answer)

    async def _ask(
        self,
        command: Command,
        phase: str,
        within_s: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Answer:
        decoder = AnswerDecoder(command.verb, on_line)
        within_s = within_s or self._options.reply_timeout_s
        answer = await self._link.ask(command.to_bytes(), decoder, within_s=within_s, phase=phase)
        tail = self._link.transcript.tail()
        if not answer.intact:
            raise GarbledReply("wrong sum", phase=phase, tail=tail)
        if answer.status != "ok":
            _, code, text = answer.status.split(" ", 2)
            human = code == NEEDS_HUMAN
            raise InstrumentFault(code, text, needs_human=human, phase=phase, tail=tail)
        return answer


def _identity(answer: Answer) -> Identity:
    model, serial, firmware = (*"".join(answer.lines).split(";"), "", "", "")[:3]
    if model != MODEL:
        raise WrongInstrument(f"{model!r} answers instead of a {MODEL}", phase="identify")
    return Identity(model=model, serial=serial or None, firmware=firmware or None)


def _reading(request: ReadRequest, identity: Identity, answer: Answer) -> Reading:
    found: dict[int, dict[str, OpticalDensity]] = {nm: {} for nm in request.wavelengths_nm}
    for part in map(strip, answer.lines):
        found.setdefault(part.wavelength_nm, {}).update(part.values)
    whole = [set(FORMATS[request.format].wells)] * len(request.wavelengths_nm)
    if [set(wells) for wells in found.values()] != whole:
        raise GarbledReply("not the wells that were asked for", phase="read")
    plates = {nm: complete(wells, request.format) for nm, wells in found.items()}
    return Reading(identity=identity, format=request.format, plates=plates)


def _refuse_impossible(request: ReadRequest) -> None:
    nms = request.wavelengths_nm
    limits = (
        (request.format in FORMATS, ErrorCode.FORMAT_UNSUPPORTED, "takes 96 and 384 wells"),
        (1 <= len(set(nms)) == len(nms) <= MOST_WAVELENGTHS, _NM, "reads 1 to 6 wavelengths"),
        (all(nm in RANGE_NM for nm in nms), _NM, "reads 230 to 1000 nm"),
        (0 <= request.shake_s <= LONGEST_SHAKE_S, ErrorCode.INVALID_PAYLOAD, "shakes 0 to 600 s"),
    )
    for possible, code, text in limits:
        if not possible:
            raise RequestError(code, f"the reader {text}")
