"""The pinned files fit pyproject.toml, carry a hash for everything, and name no host."""

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUNTIME: list[str] = SETTINGS["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = SETTINGS["project"]["optional-dependencies"]
GROUPS: dict[str, list[str]] = SETTINGS["dependency-groups"]
WANTED = {
    "tools": GROUPS["tools"],
    "runtime": RUNTIME + GROUPS["build"],
    "dev": RUNTIME + GROUPS["build"] + GROUPS["dev"],
    "bench": RUNTIME + GROUPS["build"] + GROUPS["dev"] + GROUPS["bench"],
}


@pytest.mark.parametrize("name", WANTED)
def test_every_pin_carries_a_hash_and_names_no_host(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    pins = [entry for entry in entries if re.match(r"[a-z0-9]", entry)]
    assert pins
    assert [pin for pin in pins if not re.search(r"==.+--hash=sha256:[0-9a-f]{64}", pin)] == []
    assert [entry for entry in entries if "://" in entry or re.match(r"\s*-", entry)] == []


@pytest.mark.parametrize("name", WANTED)
def test_what_pyproject_asks_for_is_pinned_as_asked(name: str) -> None:
    pins = pinned(name)
    for line in WANTED[name]:
        wanted = Requirement(line)
        versions = pins.get(canonicalize_name(wanted.name), [])
        assert versions, f"{line} is not in requirements/{name}.txt: make lock"
        assert all(wanted.specifier.contains(version) for version in versions), line


def test_the_sets_contain_one_another() -> None:
    # So that `make demo` after `make test` has nothing to reinstall.
    for small, large in (("runtime", "dev"), ("dev", "bench")):
        assert pinned(small).items() <= pinned(large).items()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("readerd", "runtime"), ("drivers", "runtime"), ("tests", "dev"), ("bench", "bench")],
)
def test_what_is_imported_is_asked_for(folder: str, name: str) -> None:
    # Not what happens to be installed, by hand or as somebody else's dependency.
    optional = [line for extra in EXTRAS.values() for line in extra]
    lines = WANTED[name] + optional
    asked = {canonicalize_name(Requirement(line).name) for line in lines} | {"readerd"}
    owners = installed()
    for file in (ROOT / folder).rglob("*.py"):
        for package in imported(file):
            distributions = {canonicalize_name(owner) for owner in owners.get(package, [package])}
            assert distributions & asked, f"{file.relative_to(ROOT)} imports {package}"


@cache
def installed() -> Mapping[str, list[str]]:
    """Who brought each importable name; seconds, so it is asked once."""
    return packages_distributions()


def imported(file: Path) -> set[str]:
    """The top-level names that a file imports and that neither Python nor this tree provides."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - ours()


@cache
def ours() -> set[str]:
    """What stands in this tree, the parts that tests import from beside them too."""
    drivers = {path.parent.name for path in ROOT.glob("drivers/*/__init__.py")}
    return {"readerd", "tests", "bench", *drivers, *(p.stem for p in (ROOT / "tests").rglob("*"))}


def pinned(name: str) -> dict[str, list[str]]:
    """Package -> its versions; more than one when it depends on the Python version."""
    pins: dict[str, list[str]] = {}
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    for package, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE):
        pins.setdefault(package, []).append(version)
    return pins
