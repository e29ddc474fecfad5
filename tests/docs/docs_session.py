"""A page's console blocks, run as a reader would run them: one directory, several terminals.

Shown output is compared line by line: `…` stands for anything within a line, a line of `…` alone
for any lines. Port numbers that pages show are replaced by free ones, so that nothing on the
machine is in the way. What keeps running is waited for by the output that the page shows, never by
time, and is ended by its own process group. Verbs that need no daemon run in this process, where
numpy and scipy are imported already; with anything that only a shell understands they do not.
"""

import contextlib
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypedDict

from readerd.cli import main
from tests.docs.docs_pages import Block

# Generous: a loaded machine may be slow, a hang must still end.
WITHIN_S = 20.0
# What would lead a page's `readerd` to another daemon than its own.
_OURS = ("RUNTIME_DIRECTORY", "READERD_READER")
# `readerd VERB …` with nothing of the shell but `> FILE` at the end.
_HERE = re.compile(r"readerd (?:check|fit|quantify) [^|&;<>$`*()#]*(?:> *\S+)?")


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Each command of a console block with the output lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif not found:
            raise ValueError(f"{block.where}: output before the first command")
        elif found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0][:-1].rstrip()} {line.strip()}", [])
        else:
            found[-1][1].append(line)
    return found


def pattern(shown: str) -> re.Pattern[str]:
    """One shown line as a pattern; trailing blanks do not count."""
    return re.compile(".*".join(re.escape(part) for part in shown.rstrip().split("…")) + r"\s*")


def missing(shown: list[str], said: str) -> str | None:
    """The first shown line that the output does not have at its place, or None."""
    lines = said.splitlines()
    at, anywhere = 0, False
    for line in shown:
        if line.strip() == "…":
            anywhere = True
            continue
        wanted = pattern(line)
        if anywhere:
            at = next((n for n in range(at, len(lines)) if wanted.fullmatch(lines[n])), len(lines))
        if at >= len(lines) or not wanted.fullmatch(lines[at]):
            return line
        at, anywhere = at + 1, False
    return None


class _Place(TypedDict):
    cwd: Path
    env: dict[str, str]
    text: Literal[True]


@dataclass
class Terminal:
    """A command that keeps running; `shown` is what the page says that it says."""

    block: Block
    process: subprocess.Popen[str]
    shown: list[str]
    heard: str = ""

    def await_shown(self, lines: int | None = None) -> None:
        """Read until the output has what is shown (so many lines of it); AssertionError if not."""
        assert self.process.stdout is not None
        patience = threading.Timer(WITHIN_S, os.killpg, (self.process.pid, signal.SIGTERM))
        patience.start()
        try:
            while (line := missing(self.shown[:lines], self.heard)) is not None:
                said = self.process.stdout.readline()
                assert said, f"{self.block.where}: ended without {line!r}:\n{self.heard}"
                self.heard += said
        finally:
            patience.cancel()

    def end(self) -> None:
        """End the process group that this terminal started, and hear the rest."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            rest, _ = self.process.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            rest, _ = self.process.communicate()
        self.heard += rest


@dataclass
class Session:
    """One reader of one page; leaving the context ends all that still runs."""

    directory: Path
    ports: Mapping[str, int]
    terminals: dict[str, Terminal] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for terminal in reversed(list(self.terminals.values())):
            terminal.end()

    def local(self, text: str) -> str:
        """The text with this session's ports."""
        for shown, free in self.ports.items():
            text = re.sub(rf"\b{shown}\b", str(free), text)
        return text

    def write(self, block: Block) -> None:
        path = self.directory / block.word
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.local(block.text), "utf-8")

    def start(self, block: Block, name: str, *, later: bool) -> None:
        """Give a terminal its command, after the end of the one that it ran before."""
        if name in self.terminals:
            former = self.terminals.pop(name)
            try:
                former.await_shown()
            finally:
                former.end()
        [(command, shown)] = commands(block)
        process = subprocess.Popen(
            ["bash", "-c", self.local(command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._place(),
        )
        terminal = Terminal(block, process, [self.local(line) for line in shown])
        self.terminals[name] = terminal
        terminal.await_shown(1 if later else None)

    def run(self, block: Block, exits: int) -> None:
        """Run the commands of a block; AssertionError for another exit code or other output."""
        todo = commands(block)
        for number, (command, shown) in enumerate(todo, start=1):
            code, said = self._answer(self.local(command))
            expected = exits if number == len(todo) else 0
            heard = f"$ {command}\n{said}\nexit {code}"
            assert code == expected, f"{block.where}:\n{heard}\n{self._terminals()}"
            line = missing([self.local(line) for line in shown], said)
            assert line is None, f"{block.where}:\n{heard}\nnot said: {line!r}"

    def finish(self) -> None:
        """Whatever should have been said by now has been said."""
        for terminal in self.terminals.values():
            terminal.await_shown()

    def _answer(self, command: str) -> tuple[int, str]:
        """Exit code of a command, and what it says on either stream."""
        place = self._place()
        if _HERE.fullmatch(command):
            return _here(command, place["cwd"], place["env"])
        done = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=WITHIN_S,
            check=False,
            **place,
        )
        return done.returncode, done.stdout

    def _terminals(self) -> str:
        """What the terminals said, when a command went wrong."""
        for terminal in self.terminals.values():
            terminal.end()
        return "\n".join(f"-- {name}:\n{one.heard}" for name, one in self.terminals.items())

    def _place(self) -> _Place:
        run = self.directory / "run"
        run.mkdir(exist_ok=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
        environment = {
            **{name: value for name, value in os.environ.items() if name not in _OURS},
            "PATH": path,
            "XDG_RUNTIME_DIR": str(run),
            "PYTHONUNBUFFERED": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "COLUMNS": "80",
        }
        return {"cwd": self.directory, "env": environment, "text": True}


def _here(command: str, directory: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """The same in this process: its folder, its environment, its streams."""
    asked, _, file = command.partition(">")
    said, kept = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    code: object = 0
    with contextlib.chdir(directory), contextlib.redirect_stderr(said):
        os.environ.update(environment)
        try:
            with contextlib.redirect_stdout(kept if file else said):
                main(shlex.split(asked)[1:])
        except SystemExit as end:
            code = end.code
        finally:
            os.environ.clear()
            os.environ.update(before)
        if file:
            Path(file.strip()).write_text(kept.getvalue(), "utf-8")
    assert isinstance(code, int), f"{command}: ends with {code!r}"
    return code, said.getvalue()
