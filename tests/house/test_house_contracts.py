"""Every import contract, broken on purpose: a rule that nothing can break says nothing.

The tree is copied once; each case plants one bad import in the copy, runs `lint-imports` there and
expects exactly the contract it aims at to be reported broken. The unplanted copy keeps them all.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LINTER: dict[str, Any] = SETTINGS["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["id"]: contract for contract in LINTER["contracts"]
}
DRIVERS = {path.parent.name for path in (ROOT / "drivers").glob("*/__init__.py")}
# A second driver is entered in the copy's contracts, so that two drivers can know each other.
PLANTED_DRIVER = "readerd_planted"

LINT = """
import contextlib, io, json, sys
from importlinter.cli import lint_imports
for _ in sys.stdin:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = lint_imports(no_logo=True, cache_dir=sys.argv[1])
    print(json.dumps([code, said.getvalue()]), flush=True)
"""

# contract, file of the copy, the line planted at its end
VIOLATIONS = [
    ("layers", "readerd/errors.py", "import readerd.plate"),
    ("layers", "readerd/driver/contract.py", "import readerd.assay"),
    ("layers", "readerd/run/__init__.py", "import readerd.view"),
    ("layers", "readerd/demo/__init__.py", "import readerd.collect"),
    ("layers", "readerd/placeless.py", ""),
    ("core-names-no-driver", "readerd/cli/__init__.py", "import readerd_biorad"),
    ("drivers-see-only-their-floor", "drivers/readerd_biorad/__init__.py", "import readerd.assay"),
    ("drivers-apart", "drivers/readerd_biorad/__init__.py", f"import {PLANTED_DRIVER}"),
    ("pure-rooms", "readerd/plate.py", "import time"),
    ("pure-rooms", "readerd/assay/result.py", "import asyncio"),
    ("pure-rooms", "readerd/view/__init__.py", "import socket"),
    ("lims-side-apart", "readerd/collect/__init__.py", "import readerd.run.store"),
    ("sqlite-home", "readerd/edge/__init__.py", "import sqlite3"),
    ("serial-home", "drivers/readerd_biorad/__init__.py", "import serial"),
    ("visa-home", "readerd/driver/pump.py", "import pyvisa"),
    ("web-home", "readerd/cli/__init__.py", "import uvicorn"),
    ("metrics-home", "readerd/house.py", "import prometheus_client"),
    ("web-home", "readerd/edge/__init__.py", "from starlette.routing import Route"),
    ("rich-home", "readerd/daemon.py", "from rich.table import Table"),
    ("gpio-home", "readerd/edge/lamp.py", "import gpiod"),
    ("mqtt-home", "readerd/run/__init__.py", "import aiomqtt"),
    ("mqtt-home", "readerd/daemon.py", "from paho.mqtt.client import Client"),
    ("scipy-home", "readerd/assay/__init__.py", "import scipy.special"),
    ("scipy-home", "readerd/view/__init__.py", "from scipy.optimize import brentq"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything the contracts speak of, with one more driver."""
    copy = tmp_path_factory.mktemp("tree")
    for folder in ("readerd", "drivers"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    planted = copy / "drivers" / PLANTED_DRIVER / "__init__.py"
    planted.parent.mkdir()
    planted.write_text("", "utf-8")
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    entered = settings.replace('"readerd_biorad"', f'"readerd_biorad", "{PLANTED_DRIVER}"')
    (copy / "pyproject.toml").write_text(entered, "utf-8")
    return copy


@pytest.fixture(scope="module")
def linter(tree: Path) -> Iterator["Linter"]:
    # The copy comes before the editable install; the width keeps a name on one line.
    path = f"{tree}:{tree / 'drivers'}"
    with subprocess.Popen(
        [sys.executable, "-c", LINT, str(tree.with_name("cache"))],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Linter(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize(
    ("contract", "file", "line"), VIOLATIONS, ids=[f"{v[0]}-{v[1]}" for v in VIOLATIONS]
)
def test_planted_import_breaks_its_contract_and_no_other(
    tree: Path, linter: "Linter", contract: str, file: str, line: str
) -> None:
    with planted(tree / file, line):
        assert linter.broken() == {CONTRACTS[contract]["name"]}


def test_the_tree_as_it_stands_keeps_every_contract(linter: "Linter") -> None:
    assert linter.broken() == set()


def test_every_contract_is_broken_by_some_case() -> None:
    assert {contract for contract, _, _ in VIOLATIONS} == set(CONTRACTS)


def test_every_driver_is_entered_in_every_list() -> None:
    assert set(LINTER["root_packages"]) == {"readerd"} | DRIVERS
    assert set(CONTRACTS["core-names-no-driver"]["forbidden_modules"]) == DRIVERS
    assert set(CONTRACTS["drivers-see-only-their-floor"]["source_modules"]) == DRIVERS
    assert set(CONTRACTS["drivers-apart"]["modules"]) == DRIVERS


def test_all_rooms_but_the_floor_are_closed_to_drivers() -> None:
    rooms = {path.stem for path in (ROOT / "readerd").glob("*.py")} | {
        path.parent.name for path in (ROOT / "readerd").glob("*/__init__.py")
    }
    floor = {"driver", "plate", "csvfile", "errors", "__init__"}
    closed = CONTRACTS["drivers-see-only-their-floor"]["forbidden_modules"]
    assert set(closed) == {f"readerd.{room}" for room in rooms - floor}


@contextmanager
def planted(file: Path, line: str) -> Iterator[None]:
    """The file with one more line, or a new file; afterwards as it was."""
    before = file.read_bytes() if file.exists() else None
    file.write_bytes((before or b"") + f"\n{line}\n".encode())
    try:
        yield
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)


@dataclass
class Linter:
    """`lint-imports` in a tree, as often as it is asked, in one process that imports it once."""

    process: subprocess.Popen[str]

    def broken(self) -> set[str]:
        """The names of the contracts that it reports broken."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        code, said = json.loads(self.process.stdout.readline())
        if not re.search(r"^Contracts: \d+ kept, \d+ broken", said, re.MULTILINE):
            pytest.fail(said, pytrace=False)
        names = set(re.findall(r"^(.+) BROKEN$", said, re.MULTILINE))
        assert (code != 0) == bool(names)
        return names
