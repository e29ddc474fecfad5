"""A recorded run, computed again: the wire's bytes through driver and science, stage by stage.

The recording answers instead of the instrument: each command that the driver sends is compared with
the one that was sent then, and what came back then comes back now, at its recorded times, on a
clock that jumps. So a timeout is a timeout again, and takes no time.
"""

import asyncio
from dataclasses import dataclass

from readerd.assay.definition import load_assay
from readerd.assay.kit import judge_kit
from readerd.assay.quantify import quantify
from readerd.assay.result import PlateResult
from readerd.driver.conformance.clock import run_virtual
from readerd.driver.contract import Driver, Options, Reader, Resender
from readerd.driver.link import DirtyLink, Link, Transcript
from readerd.driver.transcript import Entry
from readerd.errors import InstrumentError, LinkLost
from readerd.payload import ResultEnvelope
from readerd.plate import Reading, ReadRequest, Strip
from readerd.run.evidence import Evidence
from readerd.run.report import Delivered, Plan, kit_used
from readerd.run.runner import failure_of
from readerd.run.scribe import BASIS, DELIVERED, PLAN


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a run: the same as then, or how it differs; None when it was not reached."""

    name: str
    same: bool | None
    text: str


class Recording:
    """A ByteStream that answers what was answered then. `differs` says where the driver left it."""

    def __init__(self, *, unplugged: bool) -> None:
        self._entries: list[Entry] = []
        self._began_s: float | None = None
        self._unplugged = unplugged
        self.differs: str | None = None

    def play(self, transcript: str, name: str) -> None:
        """What follows is this conversation."""
        self._entries = list(Transcript.from_bytes(transcript.encode(), name).entries)
        self._began_s = None

    async def receive(self) -> bytes:
        loop = asyncio.get_running_loop()
        if not self._entries and self._unplugged:
            raise LinkLost("unplugged, as it was then")
        if not self._entries or self._entries[0].direction != "<":
            await asyncio.Event().wait()  # silence, as it was: the driver's deadline ends it
        entry = self._entries[0]
        if self._began_s is not None:
            await asyncio.sleep(max(0.0, self._began_s + entry.offset_s - loop.time()))
        self._entries.pop(0)
        return entry.data

    def discard(self) -> bytes:
        return b""

    async def send(self, data: bytes) -> None:
        while self._entries and self._entries[0].direction == "<":
            self._entries.pop(0)  # came then, and nobody waited for it
        if not self._entries:
            self.differs = self.differs or f"sends {data!r} after the end of the recording"
            return
        entry = self._entries.pop(0)
        if self._began_s is None:
            self._began_s = asyncio.get_running_loop().time() - entry.offset_s
        if entry.data != data:
            self.differs = self.differs or f"sends {data!r}, but {entry.data!r} then"

    async def lost(self) -> str:
        await asyncio.Event().wait()
        return "never"

    async def close(self) -> None:
        self._entries.clear()


def reproduce(evidence: Evidence, driver: Driver) -> list[Stage]:
    """Every stage of the run, computed again with today's code and compared."""
    plan = PLAN.validate_python(evidence.plan)
    assay = load_assay(evidence.assay, f"assay of run {evidence.run_id}")
    then = None if evidence.result is None else ResultEnvelope.model_validate_json(evidence.result)
    failure = then.data.failure if then else None
    stages = []
    if evidence.transcript:
        lost = failure is not None and failure.code == "link_lost"
        heard = run_virtual(_converse(evidence, driver, plan, assay.layout.format, lost))
        code = failure.code if failure else None
        stages += [heard.settled, _compare_reading(evidence, heard, code)]
    if evidence.reading is None or then is None:
        return [*stages, Stage("quantify", None, "there was no plate")]
    basis = BASIS.validate_python(evidence.basis)
    result = quantify(
        assay,
        DELIVERED.validate_python(evidence.reading).reading,
        reference_nm=plan.reference_nm,
        photometric_range=driver.photometric_range,
        plate_map=basis.plate_map,
        masks=basis.masks,
    )
    if then.data.run.started_at is not None:
        read_on = then.data.run.started_at.date()
        result = judge_kit(result, kit_used(plan, assay).expires, read_on)
    return [*stages, _compare_result(result, then)]


@dataclass(frozen=True, slots=True)
class _Heard:
    settled: Stage
    reading: Reading | None
    failure: str | None
    differs: str | None


async def _converse(
    evidence: Evidence, driver: Driver, plan: Plan, format: int, unplugged: bool
) -> _Heard:
    recording = Recording(unplugged=unplugged)
    link = Link(recording)
    reader = driver.open(link, driver.options.model_validate(evidence.options))
    recording.play(evidence.settling, "settling")
    settled = await _settle(reader, recording)
    recording.play(evidence.transcript, "transcript")
    reference = () if plan.reference_nm is None else (plan.reference_nm,)
    request = ReadRequest(
        wavelengths_nm=(plan.measurement_nm, *reference),
        format=format,
        shake_s=load_assay(evidence.assay, "assay").read.shake_s,
    )
    try:
        async with asyncio.timeout(driver.estimate_s(request, reader_options(driver, evidence))):
            if evidence.basis.get("recovered") and isinstance(reader, Resender):
                reading = await reader.resend()
            else:
                reading = await reader.read(request, _nobody)
    except (InstrumentError, DirtyLink, TimeoutError) as error:
        code = failure_of(error).code if isinstance(error, InstrumentError) else "no_reply"
        return _Heard(settled, None, code, recording.differs)
    return _Heard(settled, reading, None, recording.differs)


def reader_options(driver: Driver, evidence: Evidence) -> Options:
    """The driver's options as they were."""
    return driver.options.model_validate(evidence.options)


async def _settle(reader: Reader, recording: Recording) -> Stage:
    try:
        await reader.park()
        identity = await reader.identify()
    except InstrumentError as error:
        return Stage("settle", False, str(error))
    same = recording.differs is None
    return Stage("settle", same, recording.differs or f"{identity.model} found and at rest")


def _compare_reading(evidence: Evidence, heard: _Heard, failed_then: str | None) -> Stage:
    if heard.differs is not None:
        return Stage("read", False, heard.differs)
    if evidence.reading is None:
        text = f"failed then with {failed_then}, now with {heard.failure or 'a plate'}"
        return Stage("read", heard.failure == failed_then, text)
    if heard.reading is None:
        return Stage("read", False, f"delivered a plate then, now {heard.failure}")
    then: Delivered = DELIVERED.validate_python(evidence.reading)
    if heard.reading == then.reading:
        count = sum(len(values) for values in heard.reading.plates.values())
        return Stage("read", True, f"{count} values, bit for bit")
    return Stage("read", False, "another reading from the same bytes")


def _compare_result(result: PlateResult, then: ResultEnvelope) -> Stage:
    data = then.data
    differing = [
        name
        for name, now, before in (
            ("acquisition", result.acquisition, data.acquisition),
            ("curve", result.curve, data.curve),
            ("verdict", result.verdict, data.verdict),
            ("wells", result.wells, data.wells),
            ("fit", result.fit, data.fit),
            ("qc", result.qc, data.qc),
            ("samples", result.samples, tuple(data.samples)),
        )
        if now != before
    ]
    if differing:
        return Stage("quantify", False, f"differs in {', '.join(differing)}")
    return Stage("quantify", True, f"verdict {result.verdict}, {len(result.samples)} samples")


def _nobody(strip: Strip) -> None:
    """Strips were hints then, and nobody waits for them now."""
