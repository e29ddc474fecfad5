"""The reader beside us: opened, identified, read, parked, and recovered on one ladder.

The problem: cables come out, instruments fall silent, and an answer that was given up may still
come and be taken for the next one. The rule: one task (`run`) owns opening, identifying and
recovering; `read` only measures and, when that fails, hands the trouble over. Whatever went wrong
(silence, rubbish, unplugging, a cancelled read) walks the same ladder: resync and park on the open
link; else close, reopen, park, identify, 1 s doubling to 60 s; a fault that needs a human, and an
instrument that is not the expected one, end in `needs_human`; we keep asking quietly, and nobody
sees another state until the answer is another.
Rejected: reconnecting inside drivers (each its own way), and repeating a measurement (colour goes
on changing; a second read is another measurement).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from readerd.driver.contract import Carrier, Driver, OnStrip, Options, Reader, Resender
from readerd.driver.link import Link, Transcript
from readerd.driver.stream import ByteStream
from readerd.errors import (
    ErrorCode,
    InstrumentError,
    InstrumentFault,
    LinkLost,
    NoReply,
    RequestError,
    WrongInstrument,
)
from readerd.payload import BenchState
from readerd.plate import Identity, Reading, ReadRequest, Strip
from readerd.run import states
from readerd.run.outage import Outage
from readerd.run.promise import Promise
from readerd.run.rows import ReadingRow

log = logging.getLogger(__name__)

T = TypeVar("T")

# docs/explanation/what-happens-when.md: 1 s doubling to 60 s.
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
# On top of the driver's own estimate: the bench's deadline is a net under the link's deadlines.
GRACE_S = 10.0
# A carrier moves in seconds; the slowest sheet says 15 s.
CARRIER_S = 30.0
# A port opens at once or not at all; a serial one does it in a thread that nobody can cancel.
OPEN_S = 30.0
# A stop must end within 10 s and should within 3; parking may take this much of it.
PARK_ON_STOP_S = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A plate with its evidence and the moments when each wavelength was complete."""

    reading: Reading
    read_at: Mapping[int, datetime]
    raw: bytes
    transcript: bytes
    settling: bytes


class Bench:
    """One reader. `state` is the contract's word; `on_change` hears every move."""

    def __init__(
        self,
        driver: Driver,
        options: Options,
        open_stream: Callable[[], Awaitable[ByteStream]],
        *,
        now: Callable[[], datetime],
        on_change: Callable[[], None],
        expect_identity: str = "",
        probe_every_s: float = 0.0,
    ) -> None:
        self.driver = driver
        self.options = options
        self.identity: Identity | None = None
        self.reason: str | None = None
        self.rev = 0
        self.since = now()
        self._state: BenchState = "absent"
        self._open_stream = open_stream
        self._now = now
        self._on_change = on_change
        self._expect_identity = expect_identity
        self._link: Link | None = None
        self._reader: Reader | None = None
        self._trouble: asyncio.Future[InstrumentError] | None = None
        self._doubt: InstrumentError | None = None  # of a probe, for the job behind it
        self._retry_now = asyncio.Event()
        self._ready = asyncio.Event()
        self._transcript = Transcript()
        self._settling = Transcript()
        self._in_use = asyncio.Lock()
        self._probe_every_s = probe_every_s
        self._outage = Outage(log)
        self._cause = copy_context()  # of the trouble: the log names the run that met it
        self._job, self._ladder = Promise(), Promise()
        self.promises = (self._job, self._ladder)
        any_read = ReadRequest(wavelengths_nm=(450, 570), format=max(driver.formats))
        self._longest_s = driver.rest_s(driver.estimate_s(any_read, options), options)

    @property
    def state(self) -> BenchState:
        return self._state

    def _move(self, event: str, reason: str | None = None) -> None:
        before = self._state
        self._state = cast(BenchState, states.move(states.BENCH, before, event))
        self.reason = reason
        self.rev += 1
        self.since = self._now()
        (self._ready.set if self._state in ("ready", "armed") else self._ready.clear)()
        log.debug("bench from=%s to=%s reason=%s", before, self._state, reason)
        self._on_change()

    # -- measuring ---------------------------------------------------------------------------

    def require_ready(self) -> Identity:
        """Who will measure; RequestError when nobody can now (and an early look for the reader)."""
        if self._state in ("ready", "armed") and self.identity is not None:
            return self.identity
        if self._state == "reading":
            raise RequestError(ErrorCode.BUSY, "the reader is reading a plate")
        self._retry_now.set()
        code = ErrorCode.READER_FAULT if self._state == "needs_human" else ErrorCode.READER_OFFLINE
        why = f": {self.reason}" if self.reason else ""
        state = self._state.replace("needs_human", "in need of a person")
        raise RequestError(code, f"the reader is {state}{why}")

    def arm(self) -> None:
        """A plate is announced; RequestError when the reader is not there for it."""
        self.require_ready()
        self._move("arm")

    def disarm(self) -> None:
        """No plate is announced any more."""
        self._move("disarm")

    async def until_ready(self) -> None:
        """Wait until a read would be accepted."""
        await self._ready.wait()

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Measured:
        """One plate, measured once. InstrumentError and cancellation leave the ladder at work."""
        clock = _WavelengthClock(self._now, on_strip)
        bound_s = self.driver.estimate_s(request, self.options) + GRACE_S
        reading = await self._occupy(lambda reader: reader.read(request, clock.on_strip), bound_s)
        return self._measured(reading, clock.times(request.wavelengths_nm))

    async def resend(self, format: int) -> Measured:
        """The instrument's last plate again: a transfer. RequestError where it cannot."""
        if not isinstance(self._reader, Resender):
            raise RequestError(
                ErrorCode.UNKNOWN_VERB, f"a {self.driver.name} cannot send its last plate again"
            )
        resender = self._reader
        request = ReadRequest(wavelengths_nm=(), format=format)
        bound_s = self.driver.estimate_s(request, self.options) + GRACE_S
        reading = await self._occupy(lambda _: resender.resend(), bound_s)
        return self._measured(reading, {})

    async def move_carrier(self, *, out: bool) -> None:
        """Present the plate or take it in. RequestError where there is no carrier."""
        if not isinstance(self._reader, Carrier):
            text = f"a {self.driver.name} has no carrier that readerd can move"
            raise RequestError(ErrorCode.UNKNOWN_VERB, text)
        carrier = self._reader
        await self._occupy(lambda _: carrier.present() if out else carrier.admit(), CARRIER_S)

    async def _occupy(self, job: Callable[[Reader], Awaitable[T]], bound_s: float) -> T:
        """Do one job with the reader to ourselves; any trouble is the ladder's."""
        self.require_ready()
        link, reader = cast(Link, self._link), cast(Reader, self._reader)
        self._transcript = Transcript()
        self._move("read")
        self._job.within(bound_s, "a job of the reader")
        self._longest_s = max(self._longest_s, self.driver.rest_s(bound_s, self.options))
        try:
            async with asyncio.timeout(bound_s), self._in_use:
                if link.dirty:
                    raise NoReply("the reader fell silent just before", phase="read")
                if self._doubt is not None:
                    raise self._doubt
                link.transcript = self._transcript
                answer = await job(reader)
        except RequestError:
            self._delivered(link)
            raise
        except TimeoutError:
            error = NoReply(f"it was not done within {bound_s:g} s", phase="read")
            self._hand_over(error)
            raise error from None
        except InstrumentError as error:
            self._hand_over(error)
            raise
        except BaseException:
            self._hand_over(NoReply("the read was cancelled", phase="read"))
            raise
        finally:
            self._job.idle()
        self._delivered(link)
        return answer

    def _measured(self, reading: Reading, read_at: Mapping[int, datetime]) -> Measured:
        words, now = self.evidence(), self._now()
        return Measured(
            reading=reading,
            read_at={nm: read_at.get(nm, now) for nm in reading.plates},
            raw=words.raw,
            transcript=words.transcript,
            settling=words.settling,
        )

    def _delivered(self, link: Link) -> None:
        """Ready again; or on the ladder, when the plate is whole but the rest was not confirmed."""
        if link.dirty:
            self._hand_over(NoReply("the reader was not heard to be at rest", phase="read"))
        else:
            self._move("delivered")

    def evidence(self) -> ReadingRow:
        """What went over the wire in the last job, without a plate."""
        words = self._transcript
        return ReadingRow(None, words.received, words.to_bytes(), self._settling.to_bytes())

    def _hand_over(self, error: InstrumentError) -> None:
        self._cause = copy_context()
        self._move("lost" if isinstance(error, LinkLost) else "failed", str(error))
        if self._trouble is not None and not self._trouble.done():
            self._trouble.set_result(error)

    # -- the ladder --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the reader open, known and at rest until cancelled; then park it and let go."""
        try:
            attempt = 0
            while True:
                try:
                    await self._connect()
                    attempt = 0
                    await self._serve()
                except InstrumentError as error:
                    attempt += 1
                    text = f"reader=lost attempt={attempt} reason={error}"
                    self._cause.run(self._outage.lost, text)
                    await self._give_up(error)
                await self._pause(attempt)
        finally:
            await self._stop()

    async def _connect(self) -> None:
        """From absent to ready; InstrumentError on any step."""
        self._ladder.within(OPEN_S, "opening the port")
        stream = await self._open_stream()
        # The first on this link: later ones build on what came before.
        self._settling = Transcript()
        self._link = Link(stream, transcript=self._settling)
        self._reader = self.driver.open(self._link, self.options)
        if self._state != "needs_human":
            self._move("opened")
        await self._settle(self._reader)

    async def _settle(self, reader: Reader) -> None:
        """From hello to ready: at rest, and known to be the right instrument."""
        self._ladder.within(self._longest_s, "bringing the reader to rest")
        await reader.park()
        identity = self._recognised(await reader.identify())
        self.identity, self._doubt = identity, None
        self._trouble = asyncio.get_running_loop().create_future()
        self._move("identified")
        self._ladder.idle()
        text = f"reader=ready model={identity.model} serial={identity.serial}"
        self._cause.run(self._outage.back, text)
        self._cause = copy_context()

    def _recognised(self, identity: Identity) -> Identity:
        """The same identity, or WrongInstrument when another one is expected."""
        expected = self._expect_identity
        if expected and expected not in (identity.serial, identity.model):
            seen = identity.serial or identity.model
            raise WrongInstrument(f"expected {expected!r}, {seen!r} answers", phase="identify")
        return identity

    async def _serve(self) -> None:
        """Until the link is lost; every other trouble is mended on the open link, if it can be."""
        link, reader = cast(Link, self._link), cast(Reader, self._reader)
        while True:
            error = await self._next_trouble(link)
            if isinstance(error, LinkLost):
                raise error
            self._cause.run(self._outage.lost, f"reader=recovering reason={error}")
            self._ladder.within(self._longest_s, "bringing the reader to rest")
            link.transcript = Transcript()
            await reader.park()
            self._move("parked")
            await self._settle(reader)

    async def _next_trouble(self, link: Link) -> InstrumentError:
        """Trouble from a job, from a probe, or a link that is lost while nobody uses it."""
        trouble = cast("asyncio.Future[InstrumentError]", self._trouble)
        watch = asyncio.create_task(link.lost())
        either: list[asyncio.Future[Any]] = [watch, trouble]
        try:
            while not (trouble.done() or watch.done()):
                await asyncio.wait(
                    either,
                    timeout=self._probe_every_s or None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not (trouble.done() or watch.done()) and self._state == "ready":
                    await self._probe(link)
            while self._state == "reading" and not trouble.done():
                async with self._in_use:  # the job under way meets the loss itself, or is over
                    pass
        finally:
            watch.cancel()
        if not trouble.done():
            self._hand_over(LinkLost(watch.result(), phase="idle"))
        return trouble.result()

    async def _probe(self, link: Link) -> None:
        """Is it still there, and still the same one? Asked while nobody uses it."""
        async with self._in_use:
            link.transcript = Transcript()
            self._ladder.within(self._longest_s, "asking the reader who it is")
            try:
                self.identity = self._recognised(await cast(Reader, self._reader).identify())
            except InstrumentError as error:
                if self._state == "reading":  # the job that waits for us meets it itself
                    self._doubt = error
                elif self._state in ("ready", "armed"):
                    self._hand_over(error)
            finally:
                self._ladder.idle()

    async def _give_up(self, error: InstrumentError) -> None:
        """Close the port; say whether a person must come."""
        needs_human = isinstance(error, WrongInstrument) or (
            isinstance(error, InstrumentFault) and error.needs_human
        )
        await self._close()
        after = ("stuck", "needs_human") if needs_human else ("lost", "absent")
        if self._state != after[1]:
            self._move(after[0], str(error))
        elif self.reason != str(error):
            self.reason = str(error)
            self._on_change()

    async def _pause(self, attempt: int) -> None:
        wait_s = min(FIRST_RETRY_S * 2 ** max(attempt - 1, 0), LAST_RETRY_S)
        self._ladder.within(wait_s, "the pause before the port is opened again")
        self._retry_now.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._retry_now.wait()
        except TimeoutError:
            pass

    async def _close(self) -> None:
        link, self._link, self._reader = self._link, None, None
        if link is not None:
            await link.close()

    async def _stop(self) -> None:
        """Leave the front panel free; a reader that does not answer is not waited for."""
        if self._reader is not None:
            try:
                async with asyncio.timeout(PARK_ON_STOP_S):
                    await self._reader.park()
            except (InstrumentError, TimeoutError) as error:
                log.warning("reader=left_as_it_is reason=%s", str(error) or "no answer")
        await self._close()


class _WavelengthClock:
    """Notes when the last strip of each wavelength came, and passes the strips on."""

    def __init__(self, now: Callable[[], datetime], on_strip: OnStrip) -> None:
        self._now = now
        self._on_strip = on_strip
        self._read_at: dict[int, datetime] = {}

    def on_strip(self, strip: Strip) -> None:
        self._read_at[strip.wavelength_nm] = self._now()
        self._on_strip(strip)

    def times(self, wavelengths_nm: Sequence[int]) -> dict[int, datetime]:
        """The moment of each wavelength; now, for one that came without strips."""
        return {nm: self._read_at.get(nm, self._now()) for nm in wavelengths_nm}
