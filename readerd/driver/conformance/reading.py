"""What a read is worth: the plate to the last digit, in time, and nothing that was not asked."""

import asyncio
from typing import cast

from readerd.driver.conformance.plates import PLATES, contradictions, disagreements
from readerd.driver.conformance.rule import Broken, Rule, Stage, require
from readerd.driver.conformance.subject import Subject
from readerd.driver.contract import Reader, Resender
from readerd.driver.virtual import Fault
from readerd.errors import ErrorCode, InstrumentError, RequestError
from readerd.plate import FORMATS, Reading, ReadRequest


def now_s() -> float:
    return asyncio.get_running_loop().time()


def require_plate(subject: Subject, reading: Reading) -> None:
    """Broken when the reading is not of the plate that lies there."""
    asked = set(subject.request.wavelengths_nm)
    require(reading.format == subject.format, f"a reading of {reading.format} wells")
    require(set(reading.plates) == asked, f"wavelengths {sorted(reading.plates)}, not {asked}")
    lies = subject.lies()
    if lies is not None:
        range_od = subject.driver.photometric_range
        wrong = disagreements(reading.plates, lies, subject.format, range_od)
        require(not wrong, f"{len(wrong)} wells differ: {'; '.join(wrong[:4])}")


def knows_who_it_is(stage: Stage) -> None:
    """`identify` names a model, gives the same answer twice, and leaves the link clean."""

    async def talk(subject: Subject) -> None:
        await subject.settle()
        first = await subject.reader.identify()
        second = await subject.reader.identify()
        require(first == second, f"{first} at first, then {second}")
        require(bool(first.model), "the model is empty")
        fitted = first.wavelengths_nm
        require(fitted is None or all(nm > 0 for nm in fitted), f"fitted wavelengths {fitted}")
        require(not subject.link.dirty, "the link is dirty afterwards")

    stage.run(talk)


def reads_what_lies_there(stage: Stage) -> None:
    """A reading shows every well to the last digit: negative, over range and missing ones too."""

    async def talk(subject: Subject) -> None:
        identity = await subject.settle()
        for plate in PLATES:
            subject.lay(plate)
            began_s = now_s()
            reading = await subject.read()
            took_s, bound_s = now_s() - began_s, subject.read_bound_s
            require(took_s <= bound_s, f"it took {took_s:.1f} s, the estimate allows {bound_s:g}")
            require(reading.identity == identity, f"read from {reading.identity}, not {identity}")
            require_plate(subject, reading)
            require(not subject.link.dirty, "the link is dirty after a read")

    stage.run(talk)


def strips_are_hints(stage: Stage) -> None:
    """Strips come during the read, name wells of the plate, and the last of them is the reading."""

    async def talk(subject: Subject) -> None:
        await subject.settle()
        reading = await subject.read()
        wrong = contradictions(subject.strips, reading)
        require(not wrong, "; ".join(wrong[:4]))
        told = len(subject.strips)
        await subject.reader.park()
        require(len(subject.strips) == told, "a strip came after the read was over")

    stage.run(talk)


def reads_any_chunks(stage: Stage) -> None:
    """The same reading whether an answer comes byte by byte, in pieces, or all at once."""
    for size in (1, 7, 1 << 20):

        async def talk(subject: Subject, size: int = size) -> None:
            await subject.settle()
            reading = await subject.read()
            try:
                require_plate(subject, reading)
            except Broken as broken:
                raise Broken(f"in pieces of {size}: {broken}") from None

        stage.run(talk, faults=[Fault(kind="split", arg=str(size))])


def refuses_the_impossible(stage: Stage) -> None:
    """What the instrument cannot do is a RequestError before anything is sent."""

    async def talk(subject: Subject) -> None:
        identity = await subject.settle()
        other = next(iter(set(FORMATS) - set(subject.driver.formats)), 1536)
        possible = subject.request.wavelengths_nm
        impossible: list[tuple[ReadRequest, ErrorCode]] = [
            (_asking(subject, format=other), ErrorCode.FORMAT_UNSUPPORTED),
            (_asking(subject, nm=()), ErrorCode.WAVELENGTH_UNAVAILABLE),
            (_asking(subject, nm=(possible[0],) * 2), ErrorCode.WAVELENGTH_UNAVAILABLE),
            (_asking(subject, nm=(0,)), ErrorCode.WAVELENGTH_UNAVAILABLE),
            (_asking(subject, nm=(-450,)), ErrorCode.WAVELENGTH_UNAVAILABLE),
            (_asking(subject, shake_s=-1), ErrorCode.INVALID_PAYLOAD),
        ]
        if identity.wavelengths_nm is not None:
            absent = next(nm for nm in range(401, 1000) if not identity.offers(nm))
            unfitted = _asking(subject, nm=(absent,))
            impossible.append((unfitted, ErrorCode.WAVELENGTH_UNAVAILABLE))
        for request, code in impossible:
            await _require_refusal(subject, request, code)
        require_plate(subject, await subject.read())

    stage.run(talk)


def _asking(
    subject: Subject, *, nm: tuple[int, ...] | None = None, format: int = 0, shake_s: int = 0
) -> ReadRequest:
    wavelengths_nm = subject.request.wavelengths_nm if nm is None else nm
    return ReadRequest(
        wavelengths_nm=wavelengths_nm, format=format or subject.format, shake_s=shake_s
    )


async def _require_refusal(subject: Subject, request: ReadRequest, code: ErrorCode) -> None:
    before = subject.link.transcript.sent
    try:
        await subject.reader.read(request, subject.strips.append)
    except RequestError as error:
        require(error.code == code, f"{request}: refused as {error.code}, not {code}")
    except InstrumentError as error:
        raise Broken(f"{request}: the instrument was asked first ({error})") from None
    else:
        raise Broken(f"{request}: it was read")
    require(subject.link.transcript.sent == before, f"{request}: refused after something was sent")


def shakes_as_long_as_asked(stage: Stage) -> None:
    """A read that shakes takes longer by that, within its estimate; or it is refused."""

    async def talk(subject: Subject) -> None:
        await subject.settle()
        shake_s = 20 if stage.is_twin else 3  # somebody stands there and waits
        request = _asking(subject, shake_s=shake_s)
        began_s = now_s()
        try:
            await subject.reader.read(request, subject.strips.append)
        except RequestError as error:
            require(error.code == ErrorCode.INVALID_PAYLOAD, f"refused as {error.code}")
            return
        took_s = now_s() - began_s
        bound_s = subject.driver.estimate_s(request, subject.options)
        require(took_s >= shake_s, f"{shake_s} s of shaking took {took_s:.1f} s in all")
        require(took_s <= bound_s, f"it took {took_s:.1f} s, the estimate is {bound_s:g} s")

    stage.run(talk)


def sends_the_last_plate_again(stage: Stage) -> None:
    """`resend` gives the last plate, even when another lies there; before any, it is refused."""

    async def talk(subject: Subject) -> None:
        await subject.settle()
        resender = cast(Resender, subject.reader)
        if stage.is_twin:
            try:
                await resender.resend()
            except (InstrumentError, RequestError):
                await subject.settle()
            else:
                raise Broken("a plate came before any was read")
            resender = cast(Resender, subject.reader)
        first = await subject.read()
        subject.lay(PLATES[1])
        again = await resender.resend()
        same = all(again.plates[nm] == first.plates.get(nm) for nm in again.plates)
        require(bool(again.plates) and same, "another plate came than was read")
        require_plate(subject, await subject.read())

    stage.run(talk)


def is_resender(reader: Reader) -> bool:
    return isinstance(reader, Resender)


RULES = (
    Rule(name="knows-who-it-is", check=knows_who_it_is, on_port=True),
    Rule(
        name="reads-what-lies-there", check=reads_what_lies_there, on_port=True, every_format=True
    ),
    Rule(name="strips-are-hints", check=strips_are_hints, on_port=True, every_format=True),
    Rule(name="reads-any-chunks", check=reads_any_chunks, every_format=True),
    Rule(name="refuses-the-impossible", check=refuses_the_impossible, on_port=True),
    Rule(name="shakes-as-long-as-asked", check=shakes_as_long_as_asked, on_port=True),
    Rule(
        name="sends-the-last-plate-again",
        check=sends_the_last_plate_again,
        on_port=True,
        applies=is_resender,
    ),
)
