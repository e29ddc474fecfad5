"""Every command that README and docs show is run here, or says why it is not."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import CLIENTS, MOSQUITTO, free_port
from tests.docs.docs_pages import NOT_RUN, PAGES, ROOT, Block, blocks
from tests.docs.docs_session import Session, commands, missing

# Ports that pages show: the broker of a trial.
PORTS = ("1884",)
WITH_COMMANDS = [page for page in PAGES if any(b.language == "console" for b in blocks(page))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=str)
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    todo = blocks(page)
    text = "".join(block.text for block in todo if block.language == "console")
    if "mosquitto" in text and (MOSQUITTO is None or None in CLIENTS):
        pytest.skip("mosquitto or mosquitto-clients is not installed")
    if "curl" in text and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "systemd").symlink_to(ROOT / "systemd")  # as in a clone
    with Session(tmp_path, {port: free_port() for port in PORTS}) as session:
        for block in todo:
            if block.language == "console":
                if not block.mark.startswith("not run: "):
                    _obey(session, block)
            elif "." in block.word:
                session.write(block)
        session.finish()


def _obey(session: Session, block: Block) -> None:
    mark = block.mark
    terminal = re.fullmatch(r"terminal ([a-z]+)(, output comes later)?", mark)
    exits = re.fullmatch(r"exits (\d+)", mark)
    assert terminal or exits or not mark, f"{block.where}: unknown mark {mark!r}"
    if terminal:
        session.start(block, terminal[1], later=terminal[2] is not None)
    else:
        session.run(block, int(exits[1]) if exits else 0)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_what_is_not_run_says_why_and_the_reason_is_true(page: Path) -> None:
    for block in blocks(page):
        if block.mark.startswith("not run: "):
            reason = block.mark.removeprefix("not run: ")
            assert reason in NOT_RUN, f"{block.where}: {reason!r} is no reason that counts"
            assert re.search(NOT_RUN[reason], block.text), f"{block.where}: is it true?"
        if block.language in ("sh", "bash", "shell"):
            pytest.fail(f"{block.where}: commands stand in console blocks, with `$ `")
        if block.language == "console":
            assert commands(block), f"{block.where}: no command"


def test_the_readme_names_the_two_commands() -> None:
    text = "".join(block.text for block in blocks(Path("README.md")))
    assert "$ make demo\n" in text
    assert "$ make test\n" in text


def test_the_comparison_sees_what_differs() -> None:
    said = "one 1\ntwo\nthree\n"
    assert missing(["one …", "two"], said) is None
    assert missing(["…", "three"], said) is None
    assert missing(["one …", "three"], said) == "three"
    assert missing(["two"], said) == "two"
    assert missing(["…", "two", "two"], said) == "two"
    assert missing(["anything"], "") == "anything"
