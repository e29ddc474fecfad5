"""The daemon's log: priorities for the journal, the run on each of its lines."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from readerd.cli import journald
from readerd.cli.log import Lines
from readerd.run.log_run import of_run


def record(level: int, text: str, *values: object, error: bool = False) -> logging.LogRecord:
    info = None
    if error:
        try:
            raise ValueError("two\nlines")
        except ValueError as caught:
            info = (ValueError, caught, caught.__traceback__)
    return logging.LogRecord("readerd.run", level, __file__, 1, text, values, info)


@pytest.mark.parametrize(
    ("level", "head"),
    [
        (logging.DEBUG, "<7>"),
        (logging.INFO, "<6>"),
        (logging.WARNING, "<4>"),
        (logging.ERROR, "<3>"),
        (logging.CRITICAL, "<2>"),
        (logging.WARNING + 5, "<4>"),
    ],
)
def test_the_journal_gets_a_priority_and_no_time(level: int, head: str) -> None:
    line = Lines(journal=True).format(record(level, "state=%s", "ready"))
    assert line == f"{head}readerd.run state=ready"


def test_every_line_of_a_run_says_so() -> None:
    with of_run("01RUN"):
        lines = Lines(journal=True).format(record(logging.ERROR, "bug", error=True)).split("\n")
        plain = Lines(journal=False).format(record(logging.INFO, "state=done"))
    assert len(lines) > 4
    assert all(line.startswith("<3>readerd.run run=01RUN ") for line in lines)
    assert lines[-1].endswith(" lines")
    assert plain.endswith(" INFO readerd.run run=01RUN state=done")
    assert "run=" not in Lines(journal=True).format(record(logging.INFO, "idle"))


def test_nobody_outside_writes_a_line_of_his_own() -> None:
    lines = Lines(journal=True).format(record(logging.WARNING, "plate=%s", "X\n<0>forged\r<0>too"))
    assert all(line.startswith("<4>readerd.run ") for line in lines.split("\n"))
    assert "\r" not in lines


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        yield ours, theirs


def test_the_journal_is_known_by_its_stream(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = os.fstat(pair[0].fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert journald.is_journal(pair[0].fileno())
    assert not journald.is_journal(pair[1].fileno())
    assert not journald.is_journal(-1)
    assert journald.marked("a\nb", journald.ERROR) == "a\nb"  # stderr is another stream
    monkeypatch.setenv("JOURNAL_STREAM", "nonsense")
    assert not journald.is_journal(pair[0].fileno())
    monkeypatch.setattr(journald, "is_journal", lambda: True)
    assert journald.marked("a\nb", journald.ERROR) == "<3>a\n<3>b"
