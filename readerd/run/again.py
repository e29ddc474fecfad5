"""A run told again: revised from its stored reading, or recovered from the instrument's memory.

Neither measures. A revision quantifies the same reading with another plate map or with wells left
out, and takes by itself what the LIMS has sent for the plate since the revision before. A recovery
asks the instrument for its last plate (a transfer) when the run had lost it, and only while no
other run has measured since. Both are a person's decision and carry the reason; both are the next
revision of the same run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import JsonValue

from readerd.assay.definition import Assay
from readerd.assay.kit import judge_kit
from readerd.assay.layout import PlateMap
from readerd.assay.result import Flag
from readerd.errors import ErrorCode, InputError, RequestError
from readerd.run.bench import Bench
from readerd.run.plan import check_map
from readerd.run.report import Basis, Delivered, Outcome, Plan, kit_used
from readerd.run.rows import ReadingRow
from readerd.run.scribe import BASIS, DELIVERED, Scribe
from readerd.run.store import Store


@dataclass(frozen=True, slots=True)
class Revised:
    """The revision that was made; `late_map` is the map of the LIMS that it is the first to use."""

    revision: int
    late_map: str | None


class Again:
    """Revisions and recoveries of one bridge."""

    def __init__(
        self, scribe: Scribe, store: Store, bench: Bench, on_stored: Callable[[], None]
    ) -> None:
        self._scribe = scribe
        self._store = store
        self._bench = bench
        self._on_stored = on_stored

    def revise(
        self,
        run_id: str,
        reason: str,
        *,
        by: str | None = None,
        plate_map: PlateMap | None = None,
        masks: Mapping[str, str] | None = None,
    ) -> Revised:
        """The next revision. A plate map replaces the one before, masks add up.

        Without a map of its own it takes the newest of the LIMS, if that came since.
        """
        self._known(run_id)
        run, plan, assay = self._scribe.recall(run_id)
        newest = self._store.result(run_id)
        plate = self._scribe.delivered(run_id)
        if run.state != "done" or newest is None or plate is None:
            text = f"run {run_id} is {run.state}: there is no plate to compute again"
            raise RequestError(ErrorCode.STATE_MISMATCH, text)
        before = BASIS.validate_python(newest.basis)
        late = None if plate_map else self._late_map(plan, assay, before)
        newest_map = self._store.memory.plate_map(plan.plate)
        basis = replace(
            before,
            plate_map=plate_map or late or before.plate_map,
            lims_map=newest_map.plate_map.id if newest_map else None,
            masks={**before.masks, **(masks or {})},
            reason=reason,
            revision=newest.revision + 1,
        )
        try:
            outcome = self._outcome(run_id, basis)
        except InputError as error:
            raise RequestError(ErrorCode.INVALID_PAYLOAD, str(error)) from None
        told = {"revision": basis.revision, **_named(basis.plate_map), "by": by}
        telling = self._scribe.tell(run, plan, assay, outcome, "revised", text=reason, details=told)
        self._store.revise(run_id, telling)
        self._on_stored()
        return Revised(basis.revision, late.id if late else None)

    def _late_map(self, plan: Plan, assay: Assay, before: Basis) -> PlateMap | None:
        """What the LIMS has sent since the revision before; RequestError when it does not fit."""
        stored = self._store.memory.plate_map(plan.plate)
        used = _id_of(before.plate_map)
        # An earlier readerd kept no `lims_map`; what the plan rests on was known all the same.
        known = before.lims_map or _id_of(plan.plate_map)
        if stored is None or stored.plate_map.id in (known, used):
            return None
        if stored.assay not in (None, assay.id):
            text = (
                f"the LIMS's plate map {stored.plate_map.id} is for assay {stored.assay}, this run"
                f" was read with {assay.id}; give the right one with --plate-map"
            )
            raise RequestError(ErrorCode.INVALID_PAYLOAD, text)
        check_map(stored.plate_map, stored.wells, assay)
        return stored.plate_map

    async def recover(self, run_id: str, reason: str, *, by: str | None = None) -> int:
        """The plate that a failed or interrupted run had lost; the revision's number."""
        self._known(run_id)
        run, plan, assay = self._scribe.recall(run_id)
        newest = self._store.result(run_id)
        if run.state not in ("failed", "interrupted") or newest is None or not run.started_at:
            text = f"run {run_id} is {run.state}: only a run that lost its plate can be recovered"
            raise RequestError(ErrorCode.STATE_MISMATCH, text)
        if (later := self._store.measured_since(run_id)) is not None:
            text = f"run {later} has measured since: the instrument's last plate is another one"
            raise RequestError(ErrorCode.STATE_MISMATCH, text)
        measured = await self._bench.resend(assay.layout.format)
        wanted = {plan.measurement_nm, *([plan.reference_nm] if plan.reference_nm else [])}
        if set(measured.reading.plates) != wanted:
            held = ", ".join(map(str, measured.reading.plates))
            text = f"the instrument's last plate was read at {held} nm: it is not this run's"
            raise RequestError(ErrorCode.PLATE_MISMATCH, text)
        delivered = Delivered(reading=measured.reading, read_at={})
        basis = Basis(
            plate_map=plan.plate_map,
            lims_map=_id_of(plan.plate_map),
            reason=reason,
            revision=newest.revision + 1,
            recovered=True,
        )
        outcome = self._quantified(run_id, delivered, measured.raw, basis)
        told: dict[str, JsonValue] = {"revision": basis.revision, "by": by}
        telling = self._scribe.tell(
            run, plan, assay, outcome, "recovered", text=reason, details=told
        )
        document = DELIVERED.dump_python(delivered, mode="json")
        row = ReadingRow(document, measured.raw, measured.transcript, measured.settling)
        self._store.recover(run_id, row, telling)
        self._on_stored()
        return basis.revision

    def _outcome(self, run_id: str, basis: Basis) -> Outcome:
        plate = self._scribe.delivered(run_id)
        if plate is None:
            raise RuntimeError(f"run {run_id} has no reading")
        return self._quantified(run_id, *plate, basis)

    def _quantified(self, run_id: str, delivered: Delivered, raw: bytes, basis: Basis) -> Outcome:
        from readerd.assay.quantify import quantify  # half a second of import: see daemon._warm

        run, plan, assay = self._scribe.recall(run_id)
        result = quantify(
            assay,
            delivered.reading,
            reference_nm=plan.reference_nm,
            photometric_range=self._bench.driver.photometric_range,
            plate_map=basis.plate_map,
            masks=basis.masks,
        )
        if run.started_at is not None:
            read_on = datetime.fromisoformat(run.started_at).date()
            result = judge_kit(result, kit_used(plan, assay).expires, read_on)
        if basis.recovered:
            result = replace(result, flags=(*result.flags, Flag.RECOVERED))
        if basis.clock_jumped:
            result = replace(result, flags=(*result.flags, Flag.CLOCK_UNSYNCHRONISED))
        return Outcome(
            finished_at=self._scribe.now(),
            delivered=delivered,
            result=result,
            raw=raw,
            basis=basis,
        )

    def conclude(self, run_id: str, *, clock_jumped: bool = False) -> Outcome:
        """The first revision, from the stored reading: what a restart repeats."""
        _, plan, _ = self._scribe.recall(run_id)
        heard = _id_of(plan.plate_map)
        basis = Basis(plate_map=plan.plate_map, lims_map=heard, clock_jumped=clock_jumped)
        return self._outcome(run_id, basis)

    def _known(self, run_id: str) -> None:
        if self._store.run(run_id) is None:
            raise RequestError(ErrorCode.RUN_UNKNOWN, f"no run {run_id!r} in the journal")


def _id_of(plate_map: PlateMap | None) -> str | None:
    return plate_map.id if plate_map else None


def _named(plate_map: PlateMap | None) -> dict[str, JsonValue]:
    """Which plate map a revision rests on, for its event."""
    if plate_map is None:
        return {"plate_map": None, "plate_map_source": "assay"}
    return {"plate_map": plate_map.id, "plate_map_source": plate_map.source}
