"""The root conftest: a skipped test is named loudly, and with CI=true it is a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = """
import pytest

def test_runs():
    pass

@pytest.mark.skipif(True, reason="no broker here")
def test_marked():
    pass

def test_skips_inside():
    pytest.skip("no browser here")

@pytest.fixture
def port():
    pytest.skip("no port here")

def test_skips_in_its_fixture(port):
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_failure():
    raise ValueError
"""
MODULE_SKIPS = "import pytest\npytest.skip('no reader here', allow_module_level=True)\n"
REASONS = ("no broker here", "no browser here", "no port here", "no reader here")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of its own that leaves tests out in every way there is, under our conftest."""
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (tmp_path / "test_skips.py").write_text(SKIPS, "utf-8")
    (tmp_path / "test_module_skips.py").write_text(MODULE_SKIPS, "utf-8")
    return tmp_path


def test_each_skip_is_named_at_the_end(suite: Path) -> None:
    done = run(suite, ci="")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 4 skipped, 1 xfailed" in done.stdout
    end = done.stdout.partition("! LEFT OUT !")[2]
    assert all(reason in end for reason in REASONS), done.stdout
    assert "4 not run" in end


def test_each_skip_is_a_failure_in_ci(suite: Path) -> None:
    # A module that skips as a whole stops pytest at collection, so it is looked at alone first.
    module = run(suite, ci="true")
    assert module.returncode != 0
    assert "no reader here" in module.stdout
    (suite / "test_module_skips.py").unlink()
    rest = run(suite, ci="true")
    assert rest.returncode == 1, rest.stdout
    assert all(reason in rest.stdout for reason in REASONS[:3]), rest.stdout
    assert "LEFT OUT" not in rest.stdout
    assert "skipped" not in rest.stdout.splitlines()[-1]
    assert "1 passed" in rest.stdout
    assert "1 xfailed" in rest.stdout


def run(suite: Path, *, ci: str) -> subprocess.CompletedProcess[str]:
    """The suite's own pytest run, with the environment's CI as given."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=suite,
        # No plugin but our conftest: neither needs one, and each takes its time to import.
        env={**os.environ, "CI": ci, "COLUMNS": "120", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
