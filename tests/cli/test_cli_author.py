"""The verbs of a driver's author: a new driver from nothing to conforming, outside this tree."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from readerd.cli import main
from readerd.cli.skeleton import write_package
from readerd.driver import catalog
from readerd.errors import InputError
from tests.driver.ports import plate_file

ROOT = Path(__file__).parents[2]
# A whole conformance run is seconds; this is only how long a failure may hang.
WITHIN_S = 120
NAME, PACKAGE = "acme-one", "readerd_acme_one"
BUILD = "from hatchling.build import build_wheel; print(build_wheel('dist'))"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code: int | str | None = 0
    try:
        main(list(arguments))
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert isinstance(code, int)
    return code, said.out, said.err


def test_conformance_holds_for_the_driver_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "conformance", "sim", "--rule", "reads-what-lies-there")
    assert code == 0
    assert out.splitlines()[-1] == "sim: 2 hold, 0 broken"  # 96 and 384 wells
    both = ("reads-what-lies-there", "strips-are-hints")
    asked = [part for rule in both for part in ("--rule", rule)]
    code, out, _ = run(capsys, "conformance", "sim", "--json", "--format", "96", *asked)
    answer = json.loads(out)
    assert code == 0
    assert answer["holds"] is True
    assert [rule["name"] for rule in answer["rules"]] == list(both)
    assert {rule["format"] for rule in answer["rules"]} == {96}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["conformance", "nobodys"], 2, "'nobodys'; installed: biorad"),
        (["conformance", "sim", "--rule", "none"], 2, "known are "),
        (["conformance", "sim", "--plate", "p.csv"], 2, "belong to --port"),
        (["conformance", "sim", "--port", "COM3"], 78, "write serial:"),
        (["conformance", "sim", "--port", "twin:"], 78, "simulated instrument"),
        (["conformance", "sim", "--port", "serial:/none/tty"], 4, "/none/tty: No such file"),
        (["conformance", "sim", "--port", "tcp://h:1", "--option", "x"], 2, "NAME=VALUE"),
        (["conformance", "sim", "--port", "tcp://h:1", "--option", "x=1"], 2, "--option x: "),
        (["conformance", "sim", "--port", "tcp://h:1", "--plate", "none.csv"], 2, "cannot be read"),
        (["new-driver", "Acme"], 2, "a-z, 0-9"),
        (["new-driver", "-x"], 2, "No such option"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, _, err = run(capsys, *arguments)
    assert (seen, says in err) == (code, True), err


@pytest.fixture
def twin_on_a_line(tmp_path: Path) -> Iterator[str]:
    """`readerd twin` as a process of its own, with a plate file; the port it serves on."""
    plate = tmp_path / "plate.csv"
    plate.write_text(plate_file(catalog.find("sim").photometric_range))
    where = ("--pty", str(tmp_path / "line"), "--plate", str(plate), "--time-scale", "0.05")
    process = subprocess.Popen(
        [sys.executable, "-m", "readerd", "twin", "sim", *where],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate(timeout=WITHIN_S)


def test_conformance_of_what_is_on_a_port(
    twin_on_a_line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ("reads-what-lies-there", "parks-from-any-state", "moves-to-a-state")
    asked = [part for rule in rules for part in ("--rule", rule)]
    port = ("--port", twin_on_a_line, "--option", "reply_timeout_s=2")
    plate = tmp_path / "plate.csv"
    code, out, _ = run(capsys, "conformance", "sim", *port, "--plate", str(plate), *asked)
    assert code == 0, out
    assert "3 hold, 0 broken" in out
    plate.write_text(plate.read_text().replace("0.177", "0.178"))
    code, out, _ = run(capsys, "conformance", "sim", *port, "--plate", str(plate), *asked)
    assert code == 1
    assert "A10 at 450 nm reads 0.177, in it is 0.178" in out


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new driver, written, built and installed in a folder of its own, far from our tree."""
    into = tmp_path_factory.mktemp("elsewhere")
    folder = write_package(NAME, into)
    built = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    # A wheel of pure Python is installed by unpacking it: no package index, no pip, no network.
    with zipfile.ZipFile(folder / "dist" / built.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(into / "site")
    return into


def elsewhere(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python that also sees the new package, in a folder that is not ours."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=installed / f"readerd-{NAME}",
        env={**os.environ, "PYTHONPATH": str(installed / "site")},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def test_a_new_driver_is_found_and_conforms_at_once(installed: Path) -> None:
    assert NAME not in catalog.installed()
    listed = elsewhere(installed, "readerd", "drivers", "--json")
    assert NAME in [driver["name"] for driver in json.loads(listed.stdout)]
    tried = elsewhere(installed, "readerd", "conformance", NAME, "--json")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    answer = json.loads(tried.stdout)
    assert answer["driver"] == NAME
    assert len(answer["rules"]) > 30
    names = {rule["name"] for rule in answer["rules"]}
    assert {"knows-who-it-is", "survives-a-late-answer", "stays-small"} <= names


def test_its_own_tests_are_the_house_rules_in_three_lines(installed: Path) -> None:
    # All of them are tried above; here is what pytest makes of them.
    some = ("-k", "not survives and not cancelled and not stays")
    tried = elsewhere(installed, "pytest", "-q", "-p", "no:cacheprovider", *some, "tests")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    told = re.search(r"(\d+) passed, (\d+) deselected", tried.stdout)
    assert told is not None
    assert int(told[1]) + int(told[2]) > 30
    lines = (installed / f"readerd-{NAME}" / "tests" / "test_house_rules.py").read_text()
    code = [line for line in lines.splitlines() if line and not line.startswith('"""')]
    assert len(code) == 3


def test_nothing_of_the_one_it_was_copied_from_is_left(installed: Path) -> None:
    for file in (installed / "site" / PACKAGE).glob("*.py"):
        text = file.read_text()
        assert "readerd_sim" not in text
        assert "SimReader" not in text
    readable = (installed / f"readerd-{NAME}" / "README.md").read_text()
    assert f"readerd conformance {NAME}" in readable


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = write_package("acme", tmp_path)
    (folder / "README.md").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        write_package("acme", tmp_path)
    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Acme", "acme_one", "1acme", "acme-", "../acme", "a" * 40])
def test_a_name_that_is_no_good_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_package(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
