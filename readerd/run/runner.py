"""The path of one plate: request, measurement, meaning, message. `Runner.submit` is the one door.

The problem: a run crosses an instrument, mathematics and a broker, and may die between any two.
The rule: nothing waits and nothing is repeated. A request is accepted only when the bench is ready
and idle, because one that waited would read whatever plate lies there later; the run starts at
once; each step ends with a commit that says so; and however a run ends, a result tells it.
Rejected: a queue of requests, re-reading after a failure, an "accepted" before the commit.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue

from readerd.assay.definition import Assay
from readerd.errors import ErrorCode, InstrumentError, RequestError
from readerd.payload import Failure, RunEnded, Trigger
from readerd.plate import ReadRequest
from readerd.run.again import Again
from readerd.run.arming import Armed, Arming
from readerd.run.bench import Bench
from readerd.run.clock import ClockWatch
from readerd.run.evidence import Evidence
from readerd.run.feed import Feed
from readerd.run.log_run import of_run
from readerd.run.memory import StoredMap
from readerd.run.plan import Rules, RunRequest, check_map, make_plan
from readerd.run.progress import Progress
from readerd.run.report import Basis, Delivered, Outcome, Plan
from readerd.run.rows import NewRun, ReadingRow, RunRow
from readerd.run.scribe import DELIVERED, PLAN, Scribe
from readerd.run.store import Store
from readerd.run.tally import Tally

log = logging.getLogger(__name__)

# docs/reference/messages.md: a run starts at once, within 5 s, or it has failed.
START_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """The answer to `submit`: the run, and whether it is an earlier one with the same key."""

    run_id: str
    duplicate: bool


class Runner:
    """Accepts requests and carries each to its result."""

    def __init__(
        self,
        *,
        scribe: Scribe,
        rules: Rules,
        bench: Bench,
        store: Store,
        feed: Feed,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_stored: Callable[[], None],
        clock: ClockWatch | None = None,
        tally: Tally | None = None,
    ) -> None:
        self.scribe = scribe
        self.rules = rules
        self.bench = bench
        self.store = store
        self.feed = feed
        self.again = Again(scribe, store, bench, on_stored)
        self.arming = Arming(bench, scribe, store, spawn, on_stored)
        self._clock = clock
        self.tally = tally or Tally()
        self.spawn = spawn
        self.on_stored = on_stored
        self._current: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._abort_reason: str | None = None
        self._abort_by: str | None = None
        self._is_closed = False

    @property
    def current_run(self) -> str | None:
        """The run that is under way."""
        return self._current

    # -- the door ----------------------------------------------------------------------------

    def submit(self, request: RunRequest) -> Ticket:
        """A run for this request, or RequestError; the same key gets the same run again."""
        known = self.store.run_with_key(request.key)
        try:
            if known is not None:
                return _repeated(known, request)
            assay, plan = self._plan(request)
        except RequestError as refusal:
            self._refuse(request, refusal)
            raise
        new = NewRun(
            id=self.scribe.ulid(),
            key=request.key,
            plate=plan.plate,
            request=PLAN.dump_python(plan, mode="json"),
            assay_sha256=assay.sha256,
            assay_text=assay.text,
        )
        run_id = self.store.accept(new, self.scribe.at())
        self._current = run_id
        self._abort_reason = None
        with of_run(run_id):  # the task keeps it
            now_s = asyncio.get_running_loop().time()
            self._task = self.spawn(self._run(run_id, plan, assay, now_s))
        return Ticket(run_id, duplicate=False)

    def evidence(self, run_id: str) -> Evidence:
        """All that `readerd reproduce` needs; RequestError for an unknown run."""
        if self.store.run(run_id) is None:
            raise RequestError(ErrorCode.RUN_UNKNOWN, f"no run {run_id!r} in the journal")
        run, plan, _ = self.scribe.recall(run_id)
        row, newest = self.store.reading(run_id), self.store.result(run_id)
        return Evidence(
            run_id=run_id,
            driver=self.bench.driver.name,
            options=self.bench.options.model_dump(mode="json"),
            plan=PLAN.dump_python(plan, mode="json"),
            assay=run.assay_text,
            settling=row.settling.decode() if row else "",
            transcript=row.transcript.decode() if row else "",
            reading=row.reading if row else None,
            basis=newest.basis if newest else {},
            result=newest.payload.decode() if newest else None,
        )

    def abort(self, run_id: str | None, reason: str, *, by: str | None = None) -> str:
        """Give up the run under way; its id. It ends as failed, the reader is parked."""
        if self._current is None or self._task is None or run_id not in (None, self._current):
            what = "no run" if run_id is None else f"run {run_id} is not the one that"
            raise RequestError(ErrorCode.STATE_MISMATCH, f"{what} is under way")
        self._abort_reason, self._abort_by = reason, by
        # A task cancelled before its first step never runs, and would end nothing.
        asyncio.get_running_loop().call_soon(self._task.cancel)
        return self._current

    def arm(self, armed: Armed) -> None:
        """Announce a plate; RequestError (journalled) when it could not be read."""
        request = RunRequest(
            key="", trigger=Trigger(kind=armed.source), plate=armed.plate, assay=armed.assay
        )
        try:
            self._require_idle()
            self.rules.check_barcode(armed.plate)
            self.rules.assay_for(request, self._mapped(request))
            self.arming.arm(armed)
        except RequestError as refusal:
            self._refuse(request, refusal)
            raise

    def bind_map(self, plate: str, stored: StoredMap, requester: str) -> None:
        """Keep a plate map, checked before, for the next read of this barcode."""
        self.store.memory.put_plate_map(plate, self.scribe.at(), stored)
        details: dict[str, JsonValue] = {
            "samples": len(stored.plate_map.samples),
            "plate_map": stored.plate_map.id,
            "requester": requester,
        }
        event = self.scribe.event("plate_map", subject=plate, details=details)
        self.store.record(event, self.scribe.at())
        self.on_stored()

    def _mapped(self, request: RunRequest) -> str | None:
        stored = self.store.memory.plate_map(request.plate)
        return stored.assay if stored else None

    def close(self) -> None:
        """Begin nothing more: the daemon stops."""
        self._is_closed = True

    def _require_idle(self) -> None:
        if self._is_closed:
            raise RequestError(ErrorCode.READER_OFFLINE, "readerd is being stopped")
        if self._current is not None:
            raise RequestError(ErrorCode.BUSY, f"run {self._current} is under way")
        if (why := self.store.journal.lacks_room()) is not None:
            raise RequestError(ErrorCode.STORE_FULL, why)

    def _plan(self, request: RunRequest) -> tuple[Assay, Plan]:
        self._require_idle()
        request = self.arming.taken(request)
        was_read = request.plate is not None and self.store.was_read(request.plate)
        self.rules.check_plate(request, was_read=was_read)
        stored = self.store.memory.plate_map(request.plate)
        assay = self.rules.assay_for(request, stored.assay if stored else None)
        self.rules.check_mapped(request.plate, is_mapped=stored is not None)
        if stored is not None:
            check_map(stored.plate_map, stored.wells, assay)
        identity = self.bench.require_ready()
        formats = self.bench.driver.formats
        if assay.layout.format not in formats:
            raise RequestError(
                ErrorCode.FORMAT_UNSUPPORTED,
                f"assay {assay.id} has {assay.layout.format} wells, {identity.model} reads"
                f" {', '.join(map(str, formats))}",
            )
        plate_map = stored.plate_map if stored else None
        return assay, make_plan(request, assay, identity, was_read, plate_map)

    def _refuse(self, request: RunRequest, refusal: RequestError) -> None:
        trigger = request.trigger
        details: dict[str, JsonValue] = {
            "key": request.key,
            "trigger": trigger.kind,
            "by": trigger.source,
        }
        armed = self.arming.current
        self.refused(refusal, details, request.plate or (armed.plate if armed else None))

    def refused(
        self, refusal: RequestError, details: dict[str, JsonValue], plate: str | None = None
    ) -> None:
        """What was refused is journalled and told, whatever was asked for."""
        log.warning("refused code=%s plate=%s text=%s", refusal.code, plate, refusal.text)
        self.tally.refusals[refusal.code] += 1
        event = self.scribe.event(
            "refused", subject=plate, code=refusal.code, text=refusal.text, details=details
        )
        self.store.record(event, self.scribe.at())
        self.on_stored()

    def tell(
        self,
        kind: str,
        *,
        run_id: str | None = None,
        text: str | None = None,
        details: dict[str, JsonValue] | None = None,
    ) -> None:
        """An event that changes no run: journalled, and told."""
        event = self.scribe.event(kind, run_id=run_id, text=text, details=details)
        self.store.record(event, self.scribe.at(), run_id)
        self.on_stored()

    # -- one plate ---------------------------------------------------------------------------

    async def _run(self, run_id: str, plan: Plan, assay: Assay, accepted_s: float) -> None:
        offset_s = self._clock.offset_s() if self._clock else 0.0
        try:
            late_s = asyncio.get_running_loop().time() - accepted_s
            if late_s > START_WITHIN_S:
                text = f"did not start within {START_WITHIN_S:g} s"
                self._fail(run_id, Failure(code="not_started", phase=None, text=text))
                if self.arming.current is not None:  # the press that it waited for is over
                    self.arming.disarm(text)
                return
            started = self.scribe.event("started", run_id=run_id, subject=plan.plate)
            self.store.begin(run_id, self.scribe.at(), started)
            self.on_stored()
            log.info("state=reading plate=%s assay=%s", plan.plate, assay.id)
            if await self._measure(run_id, plan, assay):
                jumped = self._clock is not None and self._clock.jumped_since(offset_s)
                self._conclude(run_id, clock_jumped=jumped)
        finally:
            self._current = None

    async def _measure(self, run_id: str, plan: Plan, assay: Assay) -> bool:
        """Whether the plate is in the journal; if not, the failure is."""
        request = ReadRequest(
            wavelengths_nm=(
                plan.measurement_nm,
                *([plan.reference_nm] if plan.reference_nm else []),
            ),
            format=assay.layout.format,
            shake_s=assay.read.shake_s,
        )
        progress = Progress(run_id, plan, assay, self.feed)
        try:
            with self.tally.read.timed(asyncio.get_running_loop().time):
                measured = await self.bench.read(request, progress.on_strip)
        except RequestError as refusal:
            self._fail(run_id, Failure(code=refusal.code, phase="plan", text=refusal.text))
        except InstrumentError as error:
            self._fail(run_id, failure_of(error))
        except asyncio.CancelledError:
            if self._abort_reason is not None:  # we cancelled it ourselves: the task goes on
                text = f"aborted: {self._abort_reason}"
                failure = Failure(code="aborted", phase="read", text=text)
                self._fail(run_id, failure, details={"by": self._abort_by})
                return False
            text = "readerd was stopped while the plate was being read"
            self._fail(run_id, Failure(code="interrupted", phase="read", text=text), "interrupt")
            raise
        else:
            delivered = Delivered(reading=measured.reading, read_at=measured.read_at)
            document = DELIVERED.dump_python(delivered, mode="json")
            row = ReadingRow(document, measured.raw, measured.transcript, measured.settling)
            self.store.keep(run_id, row)
            return True
        finally:
            progress.end()
        return False

    def _conclude(self, run_id: str, *, clock_jumped: bool = False) -> None:
        """From the stored reading to the stored result: what a restart repeats."""
        run, plan, assay = self.scribe.recall(run_id)
        with self.tally.fit.timed():
            outcome = self.again.conclude(run_id, clock_jumped=clock_jumped)
        result = outcome.result
        if result is None:
            raise RuntimeError(f"run {run_id} was quantified without a result")
        details: dict[str, JsonValue] = {"verdict": result.verdict}
        telling = self.scribe.tell(run, plan, assay, outcome, "completed", details=details)
        self.store.finish(run_id, telling)
        log.info("state=done verdict=%s curve=%s", result.verdict, result.curve)
        self._ended(run_id)

    def _fail(
        self,
        run_id: str,
        failure: Failure,
        how: Literal["fail", "interrupt"] = "fail",
        *,
        evidence: bool = True,
        details: dict[str, JsonValue] | None = None,
    ) -> None:
        run, plan, assay = self.scribe.recall(run_id)
        row = self.bench.evidence() if evidence else None
        if row is not None and not row.transcript:
            row = None
        outcome = Outcome(
            finished_at=self.scribe.now(),
            failure=failure,
            identity=self.bench.identity,
            raw=row.raw if row else None,
            basis=Basis(plate_map=plan.plate_map),
        )
        kind = "interrupted" if how == "interrupt" else "failed"
        telling = self.scribe.tell(
            *(run, plan, assay, outcome, kind),
            code=failure.code,
            text=failure.text,
            details=details,
        )
        self.store.fail(run_id, how, failure.model_dump(mode="json"), row, telling)
        log.warning("state=%s code=%s text=%s", kind, failure.code, failure.text)
        self._ended(run_id)

    def _ended(self, run_id: str) -> None:
        self._current = None
        run = self.store.run(run_id)
        if run is not None:
            self.tally.runs[run.state] += 1
            self.feed.tell("run", RunEnded.model_validate({"run_id": run_id, "state": run.state}))
        self.on_stored()

    # -- after a restart ---------------------------------------------------------------------

    def resume(self) -> None:
        """Close what a former process left behind; READ is quantified again, nothing is re-read."""
        for run in self.store.unfinished():
            with of_run(run.id):
                self._close(run)

    def _close(self, run: RunRow) -> None:
        if run.state == "read":
            self._conclude(run.id)
        elif run.state == "reading":
            text = "readerd ended while the plate was being read; it is not read again by itself"
            failure = Failure(code="interrupted", phase="read", text=text)
            self._fail(run.id, failure, "interrupt", evidence=False)
        else:
            text = "readerd ended before the read began"
            failure = Failure(code="not_started", phase=None, text=text)
            self._fail(run.id, failure, evidence=False)


def _repeated(known: RunRow, request: RunRequest) -> Ticket:
    """The run that the key belongs to; RequestError when that was of another plate."""
    if request.plate not in (None, known.plate):
        text = f"key {request.key!r} belongs to run {known.id} of {known.plate or 'no barcode'}"
        raise RequestError(ErrorCode.PLATE_MISMATCH, f"{text}; a new plate needs a new key")
    return Ticket(known.id, duplicate=True)


def failure_of(error: InstrumentError) -> Failure:
    """The failure that a LIMS reads: a code to branch on, the step, one line."""
    code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    return Failure(code=code, phase=error.phase or None, text=str(error))
