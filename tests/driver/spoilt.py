"""The driver that is written to be copied, spoilt in the ways in which authors spoil drivers.

`BROKEN_BY` names for each the house rule that must see it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from readerd.driver.codec import Decoder
from readerd.driver.contract import Driver, OnStrip, Options
from readerd.driver.link import Link
from readerd.errors import GarbledReply, InstrumentError, LinkLost
from readerd.plate import Identity, OpticalDensity, Reading, ReadRequest, Strip, Unread, complete
from readerd_sim import DRIVER
from readerd_sim.codec import AnswerDecoder, Command
from readerd_sim.reader import SimOptions, SimReader, _reading

T = TypeVar("T")


class Spoilt:
    """The reader as it is, but for what a case overrides."""

    def __init__(self, link: Link, options: SimOptions) -> None:
        self.link = link
        self.inner = SimReader(link, options)

    async def identify(self) -> Identity:
        return await self.inner.identify()

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        return await self.inner.read(request, on_strip)

    async def park(self) -> None:
        await self.inner.park()

    async def present(self) -> None:
        await self.inner.present()

    async def admit(self) -> None:
        await self.inner.admit()

    def pretend_clean(self) -> None:
        self.link._dirty = False


class AnotherEveryTime(Spoilt):
    asked = 0

    async def identify(self) -> Identity:
        self.asked += 1
        return replace(await self.inner.identify(), serial=f"SIM-{self.asked}")


class TwoDecimals(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        return bent(await self.inner.read(request, on_strip), lambda value: round(value, 2))


class NothingBelowZero(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        return bent(await self.inner.read(request, on_strip), lambda value: max(0.0, value))


class SaturatedIsFour(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        reading = await self.inner.read(request, on_strip)
        plates = {
            nm: tuple(4.0 if value is Unread.SATURATED else value for value in plate)
            for nm, plate in reading.plates.items()
        }
        return replace(reading, plates=plates)


class Slow(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        await self.link.pause(300)
        return await self.inner.read(request, on_strip)


class StripsLie(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        return await self.inner.read(
            request,
            lambda strip: on_strip(Strip(strip.wavelength_nm, dict.fromkeys(strip.values, 0.5))),
        )


class StripsAfterTheEnd(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        strips: list[Strip] = []
        reading = await self.inner.read(request, strips.append)
        asyncio.get_running_loop().call_soon(on_strip, strips[0])
        return reading


class AsksBeforeItRefuses(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        await self.inner.identify()
        return await self.inner.read(request, on_strip)


class NeverShakes(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        return await self.inner.read(replace(request, shake_s=0), on_strip)


class ReadsAnything(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        wavelengths_nm = tuple(nm for nm in set(request.wavelengths_nm) if nm > 0) or (450,)
        return await self.inner.read(replace(request, wavelengths_nm=wavelengths_nm), on_strip)


class MeasuresForResend(Spoilt):
    last: ReadRequest | None = None

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        self.last = request
        return await self.inner.read(request, on_strip)

    async def resend(self) -> Reading:
        request = self.last or ReadRequest(wavelengths_nm=(450, 570))
        return await self.inner.read(request, lambda strip: None)


class HasAFlag(Spoilt):
    """`busy` as a boolean kept by hand."""

    busy = False

    async def once(self, verb: Coroutine[Any, Any, T]) -> T:
        if self.busy:
            verb.close()
            raise RuntimeError("busy")
        self.busy = True
        result = await verb
        self.busy = False
        return result

    async def identify(self) -> Identity:
        return await self.once(self.inner.identify())

    async def park(self) -> None:
        await self.once(self.inner.park())

    async def present(self) -> None:
        await self.once(self.inner.present())

    async def resend(self) -> Reading:
        request = ReadRequest(wavelengths_nm=(450, 570))
        return await self.once(self.inner.read(request, lambda strip: None))


class ParksInWords(Spoilt):
    async def park(self) -> None:
        pass


class WaitsForQuiet(Spoilt):
    """The abandoned plate comes after the silence, and is taken for the next."""

    async def quiet(self) -> None:
        if self.link.dirty:
            await self.link.pause(1.0)
            self.pretend_clean()

    async def park(self) -> None:
        await self.quiet()

    async def identify(self) -> Identity:
        await self.quiet()
        return await self.inner.identify()

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        await self.quiet()
        return await self.inner.read(request, on_strip)


class TakesTheFirstPlate(Spoilt):
    """Asks for a plate on a link that owes one."""

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        self.pretend_clean()
        numbers = (request.format, request.shake_s, *request.wavelengths_nm)
        answer = await self.inner._ask(Command("READ", numbers), "read", 60.0)
        return _reading(request, Identity(model="Simulated Reader"), answer)


class KeepsWhatCame(Spoilt):
    """Half a plate is better than none."""

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        came: dict[int, dict[str, OpticalDensity]] = {nm: {} for nm in request.wavelengths_nm}
        identity = await self.inner.identify()
        try:
            return await self.inner.read(
                request, lambda strip: came[strip.wavelength_nm].update(strip.values)
            )
        except InstrumentError:
            plates = {nm: complete(wells, request.format) for nm, wells in came.items()}
            return Reading(identity=identity, format=request.format, plates=plates)


class Toggles(Spoilt):
    out = False

    async def present(self) -> None:
        self.out = not self.out
        await (self.inner.present() if self.out else self.inner.admit())

    async def admit(self) -> None:
        await self.present()


class HopesForTheCable(Spoilt):
    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        try:
            return await self.inner.read(request, on_strip)
        except LinkLost:
            await self.link.pause(5.0)
            raise


class KnowsEverybody(Spoilt):
    async def identify(self) -> Identity:
        with contextlib.suppress(Exception):
            return await self.inner.identify()
        self.pretend_clean()
        return Identity(model="Simulated Reader")


class WhoeverItIs(Spoilt):
    """An identity that could not be had is made up."""

    async def identify(self) -> Identity:
        try:
            return await self.inner.identify()
        except InstrumentError:
            return Identity(model="Some Reader")


def bent(reading: Reading, bend: Callable[[float], float]) -> Reading:
    plates = {
        nm: tuple(v if isinstance(v, Unread) else bend(v) for v in plate)
        for nm, plate in reading.plates.items()
    }
    return replace(reading, plates=plates)


@dataclass
class Asks:
    """The link, with another decoder in every question, or more patience."""

    link: Link
    decoder: Callable[[Any], Any] = lambda decoder: decoder
    patience: float = 1.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.link, name)

    async def ask(self, command: bytes, decoder: Any, *, within_s: float, phase: str) -> Any:
        within_s *= self.patience
        return await self.link.ask(command, self.decoder(decoder), within_s=within_s, phase=phase)


def asking(**how: Any) -> Driver:
    return replace(
        DRIVER, open=lambda link, options: SimReader(cast(Link, Asks(link, **how)), options)
    )


def spoilt(reader: type[Spoilt]) -> Driver:
    return replace(DRIVER, open=reader)


@dataclass
class Feeds:
    """A decoder that does something to every chunk first."""

    inner: Decoder[Any]
    chunk: Callable[[bytes], bytes]

    @property
    def begun(self) -> bool:
        return self.inner.begun

    def feed(self, data: bytes) -> Any:
        return self.inner.feed(self.chunk(data))


def feeding(chunk: Callable[[bytes], bytes]) -> Driver:
    return asking(decoder=lambda decoder: Feeds(decoder, chunk))


def whole_lines(data: bytes) -> bytes:
    """Who believes that a chunk is a message."""
    if data and not data.endswith(b"\n"):
        raise IndexError("no line end")
    return data


def text(data: bytes) -> bytes:
    return data.decode("ascii").encode("ascii")


def one_answer(data: bytes) -> bytes:
    """Who believes that one question always has one answer."""
    if b"END " in data[: data.rfind(b"END ")]:
        raise KeyError("two answers")
    return data


def one_line_at_a_time(data: bytes) -> bytes:
    """Who takes an answer in pieces for one that is broken, and says so properly."""
    if data and not data.endswith(b"\n"):
        raise GarbledReply("no line end")
    return data


class Hoards(Decoder[object]):
    begun = False

    def __init__(self) -> None:
        self._all: list[bytes] = []

    def feed(self, data: bytes) -> object | None:
        self._all.append(data)
        return None


class Undocumented(Options):
    read_timeout_s: float = 60.0
    """Documented."""

    reply_timeout_s: float = 3.0


BROKEN_BY: list[tuple[str, Driver]] = [
    ("describes-itself", replace(DRIVER, name="Sim 1")),
    ("describes-itself", replace(DRIVER, summary="")),
    ("describes-itself", replace(DRIVER, formats=(1536,))),
    ("describes-itself", replace(DRIVER, photometric_range=(0.0, float("inf")))),
    ("documents-its-options", replace(DRIVER, options=Undocumented)),
    ("estimates-finitely", replace(DRIVER, estimate_s=lambda request, options: 0.0)),
    ("estimates-finitely", replace(DRIVER, estimate_s=lambda request, options: float("inf"))),
    ("estimates-finitely", replace(DRIVER, estimate_s=lambda r, options: 90.0 - r.shake_s)),
    ("knows-who-it-is", spoilt(AnotherEveryTime)),
    ("reads-what-lies-there", spoilt(TwoDecimals)),
    ("reads-what-lies-there", spoilt(NothingBelowZero)),
    ("reads-what-lies-there", spoilt(SaturatedIsFour)),
    ("reads-what-lies-there", spoilt(Slow)),
    ("strips-are-hints", spoilt(StripsLie)),
    ("strips-are-hints", spoilt(StripsAfterTheEnd)),
    ("reads-any-chunks", feeding(whole_lines)),
    ("refuses-the-impossible", spoilt(AsksBeforeItRefuses)),
    ("refuses-the-impossible", spoilt(ReadsAnything)),
    ("shakes-as-long-as-asked", spoilt(NeverShakes)),
    ("sends-the-last-plate-again", spoilt(MeasuresForResend)),
    ("parks-from-any-state", spoilt(ParksInWords)),
    ("never-takes-the-abandoned-plate", spoilt(TakesTheFirstPlate)),
    ("moves-to-a-state", spoilt(Toggles)),
    ("identify-can-be-cancelled", spoilt(HasAFlag)),
    ("read-can-be-cancelled", spoilt(WaitsForQuiet)),
    ("park-can-be-cancelled", spoilt(HasAFlag)),
    ("carrier-can-be-cancelled", spoilt(HasAFlag)),
    ("resend-can-be-cancelled", spoilt(HasAFlag)),
    ("survives-silence", asking(patience=100.0)),
    ("survives-garbage", feeding(text)),
    ("survives-garbage", spoilt(WhoeverItIs)),
    ("survives-truncated", spoilt(KeepsWhatCame)),
    ("survives-a-flipped-bit", spoilt(KeepsWhatCame)),
    ("survives-a-stale-answer", feeding(one_answer)),
    ("survives-a-late-answer", spoilt(WaitsForQuiet)),
    ("survives-one-byte-chunks", feeding(whole_lines)),
    ("survives-coalesced-chunks", feeding(whole_lines)),
    ("survives-one-byte-chunks", feeding(one_line_at_a_time)),
    ("survives-unplugging", spoilt(HopesForTheCable)),
    ("knows-a-stranger", spoilt(KnowsEverybody)),
    ("takes-any-bytes", replace(DRIVER, decoders={})),
    (
        "takes-any-bytes",
        replace(DRIVER, decoders={"text": lambda: Feeds(AnswerDecoder("WHO"), text)}),
    ),
    ("stays-small", replace(DRIVER, decoders={"hoard": Hoards})),
]
