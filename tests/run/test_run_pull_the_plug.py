"""The process dies at every commit of a two-plate session; the next process puts it right.

A press is a run that ends exactly once, whatever the moment; what was told keeps its bytes; no
plate is measured by a resume.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.run.run_scene import Scene, play, request

CHILD = Path(__file__).with_name("plug_child.py")
# Two plates, each accept, begin, keep, finish.
COMMITS = 8
# What the next process finds after N commits have been carried out, and how it closes it.
LEFT = ["", "accepted", "reading", "read", "", "accepted", "reading", "read", ""]
CLOSED = {"accepted": "failed", "reading": "interrupted", "read": "done"}


Session = Callable[[Path, int, str], int]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """`session(journal, N, moment)` plays one in a process of its own; its exit code."""
    # One thread: what is forked must not lose any.
    more = {"PYTHONPATH": str(CHILD.parents[2]), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **more},
    ) as forks:
        stdin, stdout = forks.stdin, forks.stdout
        assert stdin is not None
        assert stdout is not None

        def play_one(journal: Path, number: int, moment: str) -> int:
            stdin.write(f"{number} {moment} {journal}\n")
            stdin.flush()
            return int(stdout.readline())

        yield play_one
        stdin.close()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, COMMITS + 1))
def test_die_at_a_commit(number: int, moment: str, tmp_path: Path, session: Session) -> None:
    journal = tmp_path / "j.db"
    assert session(journal, number, moment) == 9
    carried_out = number - (moment == "before")

    async def next_process(stage: Scene) -> None:
        told = {row.event_id: row.payload for row in stage.store.outbox.pending(100)}
        left = stage.store.unfinished()
        assert [run.state for run in left] == ([LEFT[carried_out]] if LEFT[carried_out] else [])
        stage.runner.resume()
        for run in left:
            closed = stage.store.run(run.id)
            assert closed is not None
            assert closed.state == CLOSED[run.state]
        rows = stage.store.outbox.pending(100)
        assert told.items() <= {row.event_id: row.payload for row in rows}.items()
        results = [json.loads(row.payload)["data"] for row in rows if row.topic == "result"]
        runs = stage.store.newest(10)
        assert sorted(one["run"]["id"] for one in results) == sorted(run.id for run in runs)
        assert not stage.tasks, "a resume measures nothing"
        for kind in ("result", "event"):
            numbers = [row.sequence for row in rows if row.topic == kind]
            assert numbers == list(range(1, len(numbers) + 1))
        if runs:  # the repeated press is still the same run
            ticket = stage.runner.submit(request("press-1", "PLT1"))
            assert (ticket.run_id, ticket.duplicate) == (runs[-1].id, True)

    play(journal, next_process)


def test_there_are_no_more_commits_than_were_tried(tmp_path: Path, session: Session) -> None:
    assert session(tmp_path / "j.db", COMMITS + 1, "before") == 0
