"""One plate through the runner: real journal, real driver and link, a twin, virtual time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from readerd.errors import ErrorCode, RequestError
from readerd.payload import ProgressMessage, RunEnded
from readerd.run.settings import PlatesSettings
from tests.run.run_scene import PLATE, Scene, play, request


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
        assert fits[-1] is not None
        assert fits[-1].converged
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
        assert len(stage.store.newest(10)) == 1
        assert ("refused", "busy") in stage.events()

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
