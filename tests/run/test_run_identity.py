"""Which plate, assay and kit, by whom: what a run may begin with, and what it says of that."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from readerd.assay.layout import Binding, PlateMap
from readerd.driver import catalog
from readerd.errors import ErrorCode, RequestError
from readerd.payload import Kit, Operator
from readerd.run.arming import ARMED_S, Armed
from readerd.run.evidence import Evidence
from readerd.run.memory import StoredMap
from readerd.run.reproduce import reproduce
from readerd.run.runner import START_WITHIN_S
from readerd.run.settings import PlatesSettings
from tests.run.run_scene import DRIVER, PLATE, Scene, play, request

# The scene's clock stands still on 2026-03-04.
EXPIRED, GOOD = "2026-03-03", "2026-03"


def named(assay: str, **kit: str) -> str:
    """The founding assay under another id, with another kit."""
    text = PLATE.assay_text.replace('id = "il6-elisa"', f'id = "{assay}"')
    for key, value in kit.items():
        text = text.replace(f'{key} = ""', f'{key} = "{value}"', 1)
    return text


def a_map(map_id: str, sample: str = "S26-0001", **more: Any) -> StoredMap:
    plate_map = PlateMap(samples={"U1": Binding(sample, 2.0)}, id=map_id)
    return StoredMap(plate_map=plate_map, assay=more.get("assay"), wells=more.get("wells"))


def refusals(stage: Scene) -> list[dict[str, Any]]:
    rows = [row for row in stage.store.outbox.pending(100) if row.topic == "event"]
    data = [json.loads(row.payload)["data"] for row in rows]
    return [one for one in data if one["kind"] == "refused"]


def test_the_assay_is_the_requests_then_the_barcodes_then_the_maps_then_the_default(
    tmp_path: Path,
) -> None:
    async def script(stage: Scene) -> None:
        found = {}
        for number, (plate, mapped, asked) in enumerate(
            [
                ("TNF-1", "il8", "il2"),
                ("TNF-1", "il8", None),
                ("XX-IL2", "il8", None),  # both patterns match: the first wins
                ("PLT1", "il8", None),
                ("PLT2", None, None),
                (None, None, None),
            ]
        ):
            if plate is not None and mapped is not None:
                stage.runner.bind_map(plate, a_map(f"M{number}", assay=mapped), "lims")
            rules, read = stage.runner.rules, request("k", plate, assay=asked)
            found[plate, asked] = rules.assay_for(read, stage.runner._mapped(read)).id
        assert list(found.values()) == ["il2", "tnf", "xx", "il8", "il6-elisa", "il6-elisa"]
        data = (await stage.read("k1", "TNF-1")).data
        assert data.software.assay.id == "tnf"
        assert (await stage.read("k2", "PLT1")).data.software.assay.id == "il8"

    others = [named(name) for name in ("tnf", "xx", "il2", "il8")]
    by_barcode = {"^TNF-": "tnf", "^XX": "xx", "IL2$": "il2"}
    play(tmp_path / "j.db", script, more_assays=others, by_barcode=by_barcode)


OPERATOR = Operator(id="op-17", known_by="badge")


@pytest.mark.parametrize(
    ("plates", "asked", "code"),
    [
        ({"barcode": "^PLT[0-9]+$"}, {"plate": "PLT1x"}, ErrorCode.BARCODE_INVALID),
        ({"barcode": "^PLT[0-9]+$"}, {"plate": "x PLT1"}, ErrorCode.BARCODE_INVALID),
        ({}, {"plate": ""}, ErrorCode.BARCODE_INVALID),
        ({"require_operator": True}, {}, ErrorCode.OPERATOR_MISSING),
        (
            {"require_operator": True},
            {"operator": Operator(id=" ", known_by="badge")},
            ErrorCode.OPERATOR_MISSING,
        ),
        ({"plate_map": "required"}, {}, ErrorCode.PLATE_MAP_MISSING),
        ({"plate_map": "required"}, {"plate": None}, ErrorCode.PLATE_MAP_MISSING),
        ({}, {"kit_expires": "31.01.2027"}, ErrorCode.INVALID_PAYLOAD),
    ],
)
def test_what_is_missing_is_refused_told_and_no_run(
    tmp_path: Path, plates: dict[str, Any], asked: dict[str, Any], code: ErrorCode
) -> None:
    async def script(stage: Scene) -> None:
        for _ in (1, 2):
            with pytest.raises(RequestError) as refused:
                stage.runner.submit(request("k1", **asked))
            assert refused.value.code == code
        assert stage.store.newest(9) == []
        told = [(one["code"], one["details"]) for one in refusals(stage)]
        assert told == [(code, {"key": "k1", "trigger": "cli", "by": None})] * 2
        if "require_operator" in plates:
            assert (await stage.read("k2", operator=OPERATOR)).data.run.operator == OPERATOR

    play(tmp_path / "j.db", script, plates=PlatesSettings(**plates))


@pytest.mark.parametrize(
    ("policy", "reason", "told"),
    [
        ("with-reason", "lid was on", ("reread", 2, "lid was on")),
        ("with-reason", None, "--reread --reason"),
        ("with-reason", "  ", "--reread --reason"),
        ("free", "lid was on", ("reread", 2, "lid was on")),
        ("free", None, ("reread", 2, None)),
        ("never", "lid was on", "forbids"),
    ],
)
def test_the_same_barcode_again(
    tmp_path: Path, policy: Any, reason: str | None, told: tuple[str, int, str | None] | str
) -> None:
    async def script(stage: Scene) -> None:
        first = await stage.read("k1", reread_reason="nobody had read it")
        assert (first.data.run.read_type, first.data.run.attempt) == ("normal", 1)
        assert first.data.reason is None
        if isinstance(told, str):
            with pytest.raises(RequestError, match=told) as refused:
                stage.runner.submit(request("k2", reread_reason=reason))
            assert refused.value.code is ErrorCode.ALREADY_READ
            assert [one["code"] for one in refusals(stage)] == ["already_read"]
            return
        second = await stage.read("k2", reread_reason=reason)
        run = second.data.run
        assert (run.read_type, run.attempt, second.data.reason) == told
        assert (second.data.revision, second.data.revises) == (1, None)  # it supersedes nothing
        assert stage.result(first.data.run.id) == first
        assert stage.runner.again.revise(run.id, "bubble", masks={"C3": "bubble"}).revision == 2
        assert stage.result(run.id).data.run.read_type == "reread"

    play(tmp_path / "j.db", script, plates=PlatesSettings(reread=policy))


def test_a_run_that_delivered_nothing_makes_no_reread(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        assert (await stage.read("k1")).data.acquisition == "failed"
        await stage.bench.until_ready()
        run = (await stage.read("k2")).data.run
        assert (run.read_type, run.attempt) == ("normal", 2)

    play(tmp_path / "j.db", script, "truncate@RPLATE#1:700", plates=PlatesSettings(reread="never"))


@pytest.mark.parametrize(
    ("asked", "kit"),
    [
        ({}, ("L1", GOOD)),
        ({"kit_lot": "L1"}, ("L1", GOOD)),
        ({"kit_lot": "L2"}, ("L2", None)),  # the file's day is that of the file's lot
        ({"kit_lot": "L2", "kit_expires": "2027-01-31"}, ("L2", "2027-01-31")),
        ({"kit_expires": "2027-01-31"}, ("L1", "2027-01-31")),
    ],
)
def test_lot_and_expiry_are_the_files_or_the_runs(
    tmp_path: Path, asked: dict[str, str], kit: tuple[str, str | None]
) -> None:
    async def script(stage: Scene) -> None:
        data = (await stage.read("k1", **asked)).data
        assert data.kit == Kit(lot=kit[0], expires=kit[1])
        assert (data.verdict, data.flags) == ("pass", [])

    play(tmp_path / "j.db", script, assay=named("il6-elisa", lot="L1", expires=GOOD))


def test_an_expired_kit_is_read_flagged_warned_of_and_reproduced(tmp_path: Path) -> None:
    evidence: list[Evidence] = []

    async def script(stage: Scene) -> None:
        for key, asked in (("k1", {}), ("k2", {"kit_lot": "L2", "kit_expires": EXPIRED})):
            data = (await stage.read(key, key.upper(), **asked)).data
            assert (data.acquisition, data.curve, data.verdict) == ("complete", "accepted", "warn")
            assert data.flags == ["KIT_EXPIRED"]
            assert (data.qc.rules[-1].id, data.qc.rules[-1].observed) == ("kit-expiry", 1.0)
            stage.runner.again.revise(data.run.id, "bubble", masks={"C3": "bubble"})
            again = stage.result(data.run.id).data
            assert (again.flags, again.kit) == (["KIT_EXPIRED"], data.kit)
            evidence.append(stage.runner.evidence(data.run.id))
        fresh = await stage.read("k3", "PLT3", kit_lot="L3", kit_expires="2026-03-04")
        assert (fresh.data.verdict, fresh.data.flags) == ("pass", [])

    play(tmp_path / "j.db", script, assay=named("il6-elisa", lot="L1", expires=EXPIRED))
    for one in evidence:
        assert [stage.same for stage in reproduce(one, DRIVER)] == [True, True, True]


def test_the_barcodes_source_is_whoever_told_it(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        arm = stage.runner.arm
        arm(Armed(plate="PLT1", assay=None, source="scanner"))
        pressed = await stage.read("k1", None)
        assert (pressed.data.plate.barcode, pressed.data.plate.barcode_source) == (
            "PLT1", "scanner",
        )  # fmt: skip
        arm(Armed(plate="PLT2", assay=None, source="scanner"))
        asked = await stage.read("k2", "PLT2", barcode_source="request")
        assert asked.data.plate.barcode_source == "request"
        nobody = await stage.read("k3", None)
        assert (nobody.data.plate.barcode, nobody.data.plate.barcode_source) == (None, None)

    play(tmp_path / "j.db", script)


def test_what_is_armed_expires_after_120_s_and_is_told(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        arming = stage.runner.arming
        for time_around in (1, 2):
            stage.runner.arm(Armed(plate="PLT1", assay=None, source="scanner"))
            await asyncio.sleep(60)  # virtual
            stage.runner.arm(Armed(plate="PLT2", assay=None, source="scanner"))  # begins anew
            await asyncio.sleep(ARMED_S - 1)
            assert (stage.bench.state, arming.current and arming.current.plate) == (
                "armed", "PLT2",
            )  # fmt: skip
            rev = stage.bench.rev
            await asyncio.sleep(2)
            assert (stage.bench.state, stage.bench.rev) == ("ready", rev + 1)
            assert arming.current is None
            kinds = [kind for kind, _ in stage.events()]
            assert kinds == ["armed", "armed", "disarmed"] * time_around
        told = json.loads(stage.store.outbox.pending(99)[-1].payload)
        assert (told["subject"], told["data"]["text"]) == ("PLT2", "not read within 120 s")
        with pytest.raises(RequestError) as nothing:
            arming.disarm("too late")
        assert nothing.value.code is ErrorCode.NOT_ARMED

    play(tmp_path / "j.db", script)


def test_an_announced_plate_stays_so_while_the_carrier_moves(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        arming = stage.runner.arming
        stage.runner.arm(Armed(plate="PLT1", assay=None, source="scanner"))
        arm_id = arming.arm_id
        for out in (True, False):
            await arming.move_carrier(out=out)
            assert (stage.bench.state, arming.arm_id) == ("armed", arm_id)
        stage.runner.submit(request("k1", None))
        await stage.finished()
        await arming.move_carrier(out=True)
        assert (stage.bench.state, arming.current) == ("ready", None)
        assert [run.plate for run in stage.store.newest(9)] == ["PLT1"]

    play(tmp_path / "j.db", script, driver=catalog.find("sim"))


def test_a_read_plate_is_not_disarmed_by_the_old_clock(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        stage.runner.arm(Armed(plate="PLT1", assay=None, source="scanner"))
        stage.runner.submit(request("k1", None))
        await asyncio.sleep(ARMED_S - 5)
        stage.runner.arm(Armed(plate="PLT2", assay=None, source="scanner"))
        await asyncio.sleep(10)
        assert stage.bench.state == "armed"
        assert [kind for kind, _ in stage.events()] == ["armed", "started", "completed", "armed"]

    play(tmp_path / "j.db", script)


def test_a_run_that_could_not_start_leaves_no_plate_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(stage: Scene) -> None:
        stage.runner.arm(Armed(plate="PLT1", assay=None, source="scanner"))
        stage.runner.submit(request("k1", None))
        loop = asyncio.get_running_loop()
        late = loop.time() + START_WITHIN_S + 1  # the machine was busy
        with monkeypatch.context() as busy:
            busy.setattr(loop, "time", lambda: late)
            await asyncio.sleep(0)
        assert stage.bench.state == "ready"
        kinds = [("armed", None), ("failed", "not_started"), ("disarmed", None)]
        assert stage.events() == kinds

    play(tmp_path / "j.db", script)


def test_a_late_map_of_the_lims_is_taken_by_the_next_revision_and_once(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        revise, bind = stage.runner.again.revise, stage.runner.bind_map
        bind("PLT1", a_map("M1", "early"), "lims")
        run = (await stage.read("k1")).data.run.id
        told = []
        bind("PLT2", a_map("M9", "stranger"), "lims")
        told.append(revise(run, "nothing new").late_map)
        bind("PLT1", a_map("M2", "late"), "lims")
        told.append(revise(run, "the map came late").late_map)
        told.append(revise(run, "bubble", masks={"C3": "bubble"}).late_map)
        by_hand = PlateMap(samples={"U1": Binding("by hand")}, id="f.csv", source="request")
        bind("PLT1", a_map("M3", "later"), "lims")
        told.append(revise(run, "we know better", plate_map=by_hand).late_map)
        told.append(revise(run, "speck", masks={"D3": "speck"}).late_map)  # M3 was known by then
        bind("PLT1", a_map("M4", "latest"), "lims")
        told.append(revise(run, "corrected").late_map)
        assert told == [None, "M2", None, None, None, "M4"]
        rows = [row for row in stage.store.outbox.pending(99) if row.run_id == run]
        results = [json.loads(row.payload)["data"] for row in rows if row.topic == "result"]
        maps = [one["plate"]["plate_map"]["id"] for one in results]
        assert [one["revision"] for one in results] == [1, 2, 3, 4, 5, 6, 7]
        samples = [
            next(sample["sample_id"] for sample in one["samples"] if sample["position"] == "U1")
            for one in results
        ]
        assert samples == ["early", "early", "late", "late", "by hand", "by hand", "latest"]
        assert maps == ["M1", "M1", "M2", "M2", "f.csv", "f.csv", "M4"]
        assert results[6]["plate"]["plate_map"]["source"] == "lims"
        assert results[6]["reason"] == "corrected"
        assert [one is not None for one in results[6]["wells"]["masked"]].count(True) == 2
        events = [json.loads(row.payload)["data"] for row in rows if row.topic == "event"]
        assert events[-1]["details"] == {
            "revision": 7, "plate_map": "M4", "plate_map_source": "lims",
            "by": None,
        }  # fmt: skip

    play(tmp_path / "j.db", script)


def test_a_map_by_hand_in_an_earlier_journal_stays(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        stage.runner.bind_map("PLT1", a_map("M1"), "lims")
        run = (await stage.read("k1")).data.run.id
        by_hand = PlateMap(samples={"U1": Binding("by hand")}, id="f.csv", source="request")
        stage.runner.again.revise(run, "we know better", plate_map=by_hand)
        stage.store.journal.db.execute(
            "UPDATE results SET basis = json_remove(basis, '$.lims_map')"
        )
        assert stage.runner.again.revise(run, "speck", masks={"D3": "speck"}).late_map is None
        assert stage.result(run).data.plate.plate_map.id == "f.csv"

    play(tmp_path / "j.db", script)


def test_a_late_map_that_does_not_fit_the_run_is_refused_and_one_by_hand_helps(
    tmp_path: Path,
) -> None:
    async def script(stage: Scene) -> None:
        run = (await stage.read("k1")).data.run.id
        strange = PlateMap(samples={"Z9": Binding("1")}, id="M3")
        for unfit, code in (
            (a_map("M1", assay="tnf"), ErrorCode.INVALID_PAYLOAD),
            (a_map("M2", wells=384), ErrorCode.FORMAT_UNSUPPORTED),
            (StoredMap(plate_map=strange, assay=None, wells=None), ErrorCode.INVALID_PAYLOAD),
        ):
            stage.runner.bind_map("PLT1", unfit, "lims")
            with pytest.raises(RequestError) as refused:
                stage.runner.again.revise(run, "late map")
            assert refused.value.code is code
            assert stage.result(run).data.revision == 1
        by_hand = PlateMap(samples={"U1": Binding("1")}, id="f.csv", source="request")
        assert stage.runner.again.revise(run, "by hand", plate_map=by_hand).revision == 2
        assert stage.runner.again.revise(run, "bubble", masks={"C3": "bubble"}).revision == 3

    play(tmp_path / "j.db", script)


def test_a_map_that_comes_during_the_read_names_its_run(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        ticket = stage.runner.submit(request("k1"))
        await asyncio.sleep(2)  # virtual: the instrument is measuring
        stage.runner.bind_map("PLT1", a_map("M1"), "lims")
        assert stage.store.began_before("PLT1") == [ticket.run_id]
        await stage.finished()
        assert stage.result(ticket.run_id).data.plate.plate_map.source == "assay"
        assert stage.runner.again.revise(ticket.run_id, "late").late_map == "M1"

    play(tmp_path / "j.db", script)
