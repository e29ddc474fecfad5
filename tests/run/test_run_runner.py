"""One plate through the runner: real journal, real driver and link, a twin, virtual time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from readerd.assay.layout import Binding, PlateMap
from readerd.errors import ErrorCode, RequestError
from readerd.payload import ProgressMessage, RunEnded
from readerd.run.evidence import Evidence
from readerd.run.reproduce import reproduce
from readerd.run.settings import PlatesSettings
from tests.run.run_scene import DRIVER, PLATE, Scene, play, request


def test_a_plate_becomes_a_result_with_the_truth_in_it(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        assert not ticket.duplicate
        await stage.finished()
        data = stage.result(ticket.run_id).data
        assert (data.acquisition, data.curve, data.verdict) == ("complete", "accepted", "pass")
        assert data.wells is not None
        for measured, reference, corrected in zip(
            data.wells.a_measurement, data.wells.a_reference, data.wells.corrected, strict=True
        ):
            assert measured is not None
            assert reference is not None
            assert corrected == measured - reference
        found = {sample.position: sample.value for sample in data.samples}
        assert found["QL"] == pytest.approx(PLATE.truth["QL"], rel=0.15)
        assert data.instrument.counters["plates"] >= 1204
        assert data.raw is not None
        assert data.raw.bytes > 1300
        assert stage.events() == [("started", None), ("completed", None)]

    play(tmp_path / "j.db", script)


def test_the_curve_grows_while_the_plate_is_read(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        stage.runner.submit(request("k1"))
        await stage.finished()
        progress = [news.message for news in stage.news if news.kind == "progress"]
        assert len(progress) == 16
        fits = [message.fit for message in progress if isinstance(message, ProgressMessage)]
        assert fits[0] is None
        assert fits[-1] is None  # all wells are in: the result follows
        assert fits[-2] is not None
        assert fits[-2].converged
        assert stage.news[-1].message == RunEnded.model_validate(
            {"run_id": stage.store.newest(1)[0].id, "state": "done"}
        )

    play(tmp_path / "j.db", script)


def test_same_key_same_run_other_key_busy(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        first = stage.runner.submit(request("press"))
        again = stage.runner.submit(request("press"))
        assert (again.run_id, again.duplicate) == (first.run_id, True)
        with pytest.raises(RequestError) as busy:
            stage.runner.submit(request("other", "PLT2"))
        assert busy.value.code == ErrorCode.BUSY
        await stage.finished()
        later = stage.runner.submit(request("press"))
        assert (later.run_id, later.duplicate) == (first.run_id, True)
        assert stage.runner.submit(request("press", None)) == later
        with pytest.raises(RequestError, match="a new plate needs a new key") as other:
            stage.runner.submit(request("press", "PLT2"))
        assert other.value.code == ErrorCode.PLATE_MISMATCH
        assert len(stage.store.newest(10)) == 1
        assert [code for kind, code in stage.events() if kind == "refused"] == [
            "busy", "plate_mismatch",
        ]  # fmt: skip

    play(tmp_path / "j.db", script)


def test_a_plate_that_was_read_needs_a_reason(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        stage.runner.submit(request("k1"))
        await stage.finished()
        with pytest.raises(RequestError, match="--reread --reason") as refused:
            stage.runner.submit(request("k2"))
        assert refused.value.code == ErrorCode.ALREADY_READ
        ticket = stage.runner.submit(request("k3", reread_reason="bubble in A1"))
        await stage.finished()
        data = stage.result(ticket.run_id).data
        assert (data.run.read_type, data.run.attempt, data.reason) == ("reread", 2, "bubble in A1")

    play(tmp_path / "j.db", script)


@pytest.mark.parametrize(
    ("plates", "asked", "code"),
    [
        ({"barcode": "^PLT[0-9]+$"}, {"plate": "WRONG"}, ErrorCode.BARCODE_INVALID),
        ({"require_operator": True}, {}, ErrorCode.OPERATOR_MISSING),
        ({}, {"assay": "il8"}, ErrorCode.ASSAY_UNKNOWN),
    ],
)
def test_what_is_refused_is_journalled_and_no_run(
    tmp_path: Path, plates: dict[str, Any], asked: dict[str, Any], code: ErrorCode
) -> None:
    async def script(stage: Scene) -> None:
        for _ in range(2):
            with pytest.raises(RequestError) as refused:
                stage.runner.submit(request("k1", **asked))
            assert refused.value.code == code
        assert stage.store.newest(10) == []
        assert stage.events() == [("refused", code)] * 2

    play(tmp_path / "j.db", script, plates=PlatesSettings(**plates))


def test_a_failed_read_is_a_failed_result_with_its_evidence(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        for number in (1, 2):
            await stage.bench.until_ready()
            ticket = stage.runner.submit(request(f"k{number}"))
            await stage.finished()
            data = stage.result(ticket.run_id).data
            assert (data.acquisition, data.curve, data.wells) == ("failed", "none", None)
            assert data.failure is not None
            assert data.failure.code == "garbled_reply"
            assert data.reason == data.failure.text
            evidence = stage.store.reading(ticket.run_id)
            assert evidence is not None
            assert evidence.reading is None
            assert b"RPLATE" in evidence.transcript
        await stage.bench.until_ready()
        ticket = stage.runner.submit(request("k3"))
        await stage.finished()
        assert stage.result(ticket.run_id).data.acquisition == "complete"

    play(tmp_path / "j.db", script, "garbage@RPLATE#1-2")


def test_stopping_in_a_read_closes_the_run_as_interrupted(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        await asyncio.sleep(2)  # virtual: the instrument is measuring
        stage.tasks[0].cancel()
        await stage.finished()
        run = stage.store.run(ticket.run_id)
        assert run is not None
        assert run.state == "interrupted"
        failure = stage.result(ticket.run_id).data.failure
        assert failure is not None
        assert failure.code == "interrupted"

    play(tmp_path / "j.db", script)


def test_an_alternative_reference_is_used_recorded_and_flagged(tmp_path: Path) -> None:
    assay = PLATE.assay_text.replace(
        "reference_alternatives_nm = []", "reference_alternatives_nm = [620, 630]"
    )

    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        await stage.finished()
        data = stage.result(ticket.run_id).data
        assert (data.read.reference_nm, data.read.requested_reference_nm) == (630, 570)
        assert "REFERENCE_ALTERNATIVE" in data.flags

    play(tmp_path / "j.db", script, "missing-filter:570", assay=assay)


def test_a_missing_reference_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        with pytest.raises(RequestError, match="has 405, 450, 490, 595, 630, 655 nm fitted"):
            stage.runner.submit(request("k1"))
        assert stage.store.newest(1) == []

    play(tmp_path / "j.db", script, "missing-filter:570")


def test_an_aborted_read_is_failed_parked_and_the_next_works(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        with pytest.raises(RequestError, match="no run is under way"):
            stage.runner.abort(None, "nothing to do")
        for number in (1, 2):
            await stage.bench.until_ready()
            ticket = stage.runner.submit(request(f"k{number}"))
            await asyncio.sleep(2)  # virtual: the instrument is measuring
            assert stage.runner.abort(ticket.run_id, "wrong plate") == ticket.run_id
            await stage.finished()
            failure = stage.result(ticket.run_id).data.failure
            assert failure is not None
            assert (failure.code, failure.text) == ("aborted", "aborted: wrong plate")
        await stage.bench.until_ready()
        ticket = stage.runner.submit(request("k3"))
        await stage.finished()
        assert stage.result(ticket.run_id).data.acquisition == "complete"

    play(tmp_path / "j.db", script)


def test_a_late_plate_map_and_a_mask_are_revisions_of_the_same_reading(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        await stage.finished()
        again = stage.runner.again
        plate_map = PlateMap(samples={"U1": Binding("S-1", 2.0)}, id="M1", version="3")
        assert again.revise(ticket.run_id, "map came late", plate_map=plate_map).revision == 2
        assert again.revise(ticket.run_id, "bubble", masks={"C3": "bubble"}).revision == 3
        data = stage.result(ticket.run_id).data
        assert (data.revision, data.revises, data.reason) == (3, 2, "bubble")
        assert (data.plate.plate_map.id, data.plate.plate_map.source) == ("M1", "lims")
        sample = next(one for one in data.samples if one.position == "U1")
        assert (sample.sample_id, sample.dilution) == ("S-1", 2.0)
        assert data.wells is not None
        assert data.wells.masked[data.wells.id.index("C3")] == "bubble"
        results = [row.sequence for row in stage.store.outbox.pending(100) if row.topic == "result"]
        assert results == [1, 2, 3]
        with pytest.raises(RequestError, match="Z9"):
            again.revise(ticket.run_id, "no such well", masks={"Z9": "?"})
        with pytest.raises(RequestError, match="no run"):
            again.revise("01J", "why")

    play(tmp_path / "j.db", script)


def test_a_lost_plate_is_recovered_from_the_instruments_memory(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        await stage.finished()
        assert stage.result(ticket.run_id).data.acquisition == "failed"
        await stage.bench.until_ready()
        assert await stage.runner.again.recover(ticket.run_id, "cable was out") == 2
        data = stage.result(ticket.run_id).data
        assert (data.acquisition, data.verdict, data.revision) == ("complete", "pass", 2)
        assert "RECOVERED" in data.flags
        run = stage.store.run(ticket.run_id)
        assert run is not None
        assert run.state == "done"
        with pytest.raises(RequestError, match="only a run that lost its plate"):
            await stage.runner.again.recover(ticket.run_id, "again")

    play(tmp_path / "j.db", script, "truncate@RPLATE#1:700")


def test_a_plate_is_not_recovered_when_another_was_measured_since(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        lost = stage.runner.submit(request("k1"))
        await stage.finished()
        await stage.bench.until_ready()
        stage.runner.submit(request("k2", "PLT2"))
        await stage.finished()
        with pytest.raises(RequestError, match="has measured since"):
            await stage.runner.again.recover(lost.run_id, "too late")

    play(tmp_path / "j.db", script, "truncate@RPLATE#1:700")


def test_every_kind_of_run_is_reproduced_from_its_bytes(tmp_path: Path) -> None:
    evidence: list[Evidence] = []

    async def script(stage: Scene) -> None:
        for number in range(5):
            await stage.bench.until_ready()
            ticket = stage.runner.submit(request(f"k{number}", f"PLT{number}"))
            await stage.finished()
            evidence.append(stage.runner.evidence(ticket.run_id))
        with pytest.raises(RequestError, match="no run"):
            stage.runner.evidence("01J")

    faults = (
        "silence@RPLATE#2",
        "garbage@RPLATE#3",
        "unplug@RPLATE#4:500",
        "bad-checksum@RPLATE#5",
    )
    play(tmp_path / "j.db", script, *faults)
    assert [one.reading is not None for one in evidence] == [True, False, False, False, True]
    for one in evidence:
        copy = Evidence.model_validate_json(one.model_dump_json())
        stages = reproduce(copy, DRIVER)
        assert [stage.name for stage in stages] == ["settle", "read", "quantify"]
        assert not [stage for stage in stages if stage.same is False], one.result


def test_a_change_in_bytes_or_science_is_seen(tmp_path: Path) -> None:
    evidence: list[Evidence] = []

    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        await stage.finished()
        evidence.append(stage.runner.evidence(ticket.run_id))

    play(tmp_path / "j.db", script)
    [one] = evidence
    other_bytes = one.model_copy(update={"transcript": one.transcript.replace(" 0.0", " 0.1", 1)})
    assert [stage.same for stage in reproduce(other_bytes, DRIVER)][1] is False
    other_command = one.model_copy(
        update={"transcript": one.transcript.replace("RPLATE", "RPLATO")}
    )
    assert "RPLATO" in reproduce(other_command, DRIVER)[1].text
    other_assay = one.model_copy(update={"assay": one.assay.replace("cv = 0.05", "cv = 0.06")})
    assert reproduce(other_assay, DRIVER)[2].text.startswith("differs in wells, fit")
