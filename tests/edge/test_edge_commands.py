"""Commands and verbs on a whole run room, in virtual time; what they answer is kept in a list."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from readerd.edge.broker import Incoming, Outgoing
from readerd.edge.commands import Commands
from readerd.edge.presence import Presence
from readerd.edge.verbs import Verbs
from readerd.errors import ErrorCode
from readerd.payload import RunEnded
from readerd.payload_commands import ARGS
from readerd.run.evidence import Evidence
from readerd.run.feed import News
from readerd.run.journal import back_up
from readerd.run.reproduce import reproduce
from tests.run.run_scene import BRIDGE, DRIVER, Scene, at, play

ROOT = "readerd/v1/lab1/b1"
WHAT = ("run", "result", "evidence")


@dataclass
class Desk:
    """The commands of one scene, and the letters that they sent."""

    stage: Scene
    most_bytes: int = 1 << 20
    sent: list[Outgoing] = field(default_factory=list)
    refused: list[ErrorCode] = field(default_factory=list)

    def __post_init__(self) -> None:
        runner, store = self.stage.runner, self.stage.store
        presence = Presence(
            bridge=BRIDGE, bench=self.stage.bench, runner=runner, store=store, assays=[], now=at
        )
        verbs = Verbs(
            runner,
            presence,
            root_topic=ROOT,
            now=at,
            offer_again=lambda: None,
            room=lambda: 500,
        )
        self.commands = Commands(
            verbs,
            store.memory,
            root_topic=ROOT,
            enabled=list(ARGS),
            now=at,
            send=self.sent.append,
            takes=lambda message: len(message.payload) <= self.most_bytes,
            refuse=lambda code, text, details: self.refused.append(code),
        )
        runner.feed.call(self._on_news)

    def _on_news(self, news: News) -> None:
        if isinstance(news.message, RunEnded):
            self.commands.run_ended(news.message.run_id)

    def ask(self, verb: str, request_id: str, **args: Any) -> list[dict[str, Any]]:
        """What was answered before the command returned."""
        body = {
            "request_id": request_id,
            "requester": "lims",
            "issued_at": at().isoformat(),
            "expires_at": (at() + timedelta(seconds=20)).isoformat(),
            "args": args,
        }
        before = len(self.sent)
        self.commands(
            Incoming(
                topic=f"{ROOT}/cmd/{verb}",
                payload=json.dumps(body).encode(),
                retained=False,
                response_topic=f"{ROOT}/rsp/lims/desk",
                correlation=b"\x07",
            )
        )
        return self.answers(before)

    def answers(self, since: int = 0) -> list[dict[str, Any]]:
        return [json.loads(letter.payload) for letter in self.sent[since:]]

    def get(self, run_id: str, what: str | None = None) -> Any:
        """What `get` brought, or the code of its refusal."""
        named = {} if what is None else {"what": what}
        answers = self.ask("get", f"G{len(self.sent)}", run_id=run_id, **named)
        if answers[0]["status"] == "rejected":
            return answers[0]["error"]
        assert [one["status"] for one in answers] == ["accepted", "completed"]
        data = dict(answers[1]["data"])
        assert data.pop("run_id") == run_id
        [(name, found)] = data.items()
        assert name == (what or "result")
        return found


def test_every_get_brings_what_there_is_and_says_what_there_is_not(tmp_path: Path) -> None:
    evidence: list[Evidence] = []

    async def script(stage: Scene) -> None:
        desk = Desk(stage)
        for key, state in (("R1", "failed"), ("R2", "done")):
            await stage.bench.until_ready()
            run_id = desk.ask("read", key, plate_barcode=key)[0]["data"]["run_id"]
            await asyncio.sleep(2)  # virtual: the instrument is measuring
            assert desk.get(run_id, "run")["state"] == "reading"
            assert desk.get(run_id, "result") == "run_unknown"
            assert desk.get(run_id, "evidence")["result"] is None
            await stage.finished()
            newest = stage.store.result(run_id)
            assert newest is not None
            assert desk.get(run_id) == desk.get(run_id, "result") == json.loads(newest.payload)
            run = desk.get(run_id, "run")
            assert (run["id"], run["state"], run["plate"], run["attempt"]) == (
                run_id,
                state,
                key,
                1,
            )
            assert (run["failure"] is None) is (state == "done")
            assert run["accepted_at"] <= run["started_at"] <= run["finished_at"]
            evidence.append(Evidence.model_validate(desk.get(run_id, "evidence")))
        assert [desk.get("R0", what) for what in WHAT] == ["run_unknown"] * 3
        [wrong] = desk.ask("get", "W1", run_id=run_id, what="plate")
        assert (wrong["error"], wrong["text"]) == (
            "invalid_payload",
            "args.what: must be 'run', 'result' or 'evidence'",
        )
        [wrong] = desk.ask("get", "W2", what="run")
        assert (wrong["error"], wrong["text"]) == ("invalid_payload", "args.run_id: is missing")
        assert desk.refused == ["run_unknown"] * 5 + ["invalid_payload"] * 2

    play(tmp_path / "j.db", script, "garbage@RPLATE#1")
    for one in evidence:
        assert all(stage.same is not False for stage in reproduce(one, DRIVER))
    assert [one.reading is not None for one in evidence] == [False, True]


def test_what_is_larger_than_the_broker_allows_is_told_in_few_words(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        desk = Desk(stage, most_bytes=5000)
        run_id = desk.ask("read", "R1", plate_barcode="PLT1")[0]["data"]["run_id"]
        await stage.finished()
        for what, ends in (("run", "completed"), ("result", "failed"), ("evidence", "failed")):
            accepted, ended = desk.ask("get", what, run_id=run_id, what=what)
            assert (accepted["status"], ended["status"]) == ("accepted", ends)
            if ends == "failed":
                assert (ended["error"], ended["data"]) == ("too_large", {})
            again = desk.ask("get", what, run_id=run_id, what=what)
            assert again == [{**one, "duplicate": True} for one in (accepted, ended)]

    play(tmp_path / "j.db", script)


def test_a_read_by_command_names_its_kit_and_a_date_that_is_none_is_refused(
    tmp_path: Path,
) -> None:
    async def script(stage: Scene) -> None:
        desk = Desk(stage)
        kit = {"kit_lot": "L7", "kit_expires": "2026-02"}
        [wrong] = desk.ask("read", "R1", plate_barcode="PLT1", kit_expires="soon")
        assert wrong["error"] == "invalid_payload"
        assert "write the day as 2027-01-31" in wrong["text"]
        assert stage.events() == [("refused", "invalid_payload")]
        assert desk.refused == []  # the runner has journalled it already
        run_id = desk.ask("read", "R2", plate_barcode="PLT1", **kit)[0]["data"]["run_id"]
        await stage.finished()
        data = stage.result(run_id).data
        assert (data.kit.lot, data.kit.expires) == ("L7", "2026-02")
        assert (data.flags, data.plate.barcode_source) == (["KIT_EXPIRED"], "request")
        assert desk.answers()[-1]["data"]["verdict"] == "warn"

    play(tmp_path / "j.db", script)


@pytest.mark.parametrize("died", ["in the read", "before the answer"])
def test_a_read_that_nobody_answered_is_answered_after_the_restart_and_once(
    tmp_path: Path, died: str
) -> None:
    """The journal is copied as a power cut would leave it, and a second bridge opens it."""
    after, accepted = tmp_path / "after.db", dict[str, Any]()

    def at_the_end(news: News) -> None:
        if isinstance(news.message, RunEnded) and died == "before the answer":
            back_up(tmp_path / "j.db", after)

    async def first(stage: Scene) -> None:
        stage.runner.feed.call(at_the_end)
        desk = Desk(stage)
        accepted.update(desk.ask("read", "R1", plate_barcode="PLT1")[0])
        if died == "in the read":
            await asyncio.sleep(2)  # virtual: the instrument is measuring
            back_up(tmp_path / "j.db", after)
        await stage.finished()

    async def second(stage: Scene) -> None:
        desk = Desk(stage)
        stage.runner.resume()
        desk.commands.resume()
        [ended] = desk.answers()
        assert (desk.sent[0].topic, desk.sent[0].correlation) == (f"{ROOT}/rsp/lims/desk", b"\x07")
        check_end(ended, died)
        run_id = accepted["data"]["run_id"]
        assert ended["data"]["run_id"] == run_id
        assert ended["data"]["event_id"] == stage.result(run_id).id
        desk.commands.resume()
        assert len(desk.sent) == 1
        told = [{**one, "duplicate": True} for one in (accepted, ended)]
        assert desk.ask("read", "R1", plate_barcode="PLT1") == told
        assert [run.id for run in stage.store.newest(9)] == [run_id]

    play(tmp_path / "j.db", first)
    play(after, second)
    play(after, nothing_is_owed)


def check_end(answer: dict[str, Any], died: str) -> None:
    assert answer["request_id"] == "R1"
    if died == "in the read":
        assert (answer["status"], answer["error"]) == ("failed", "reader_fault")
        assert answer["data"]["failure"] == "interrupted"
    else:
        assert (answer["status"], answer["data"]["verdict"]) == ("completed", "pass")


async def nothing_is_owed(stage: Scene) -> None:
    desk = Desk(stage)
    stage.runner.resume()
    desk.commands.resume()
    assert desk.sent == []
