"""The shipped units: what systemd says of them, and a whole plate under their rules."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from readerd.config import _File
from readerd.install.render import service, shipped
from tests.systemd.sandboxed import LIBRARY, settings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "readerd@.service"
SANDBOXED = (sys.executable, "-m", "tests.systemd.sandboxed", str(UNIT))
# systemd-analyze security counts in tenths: at most 2.0, where 10 is everything allowed.
MOST_EXPOSURE = "20"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """Run a program of systemd's to its end."""

    def done(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return done


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd (systemd-analyze) is not installed")
    return found


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    """The units as `readerd install` writes them, with a program that is there."""
    (tmp_path / "readerd@.service").write_text(service(["/bin/true"]), "utf-8")
    (tmp_path / "readerd@.socket").write_text(shipped("readerd@.socket"), "utf-8")
    for kind in ("service", "socket"):
        (tmp_path / f"readerd@bench1.{kind}").symlink_to(tmp_path / f"readerd@.{kind}")
    return tmp_path


def test_verify_is_clean(rendered: Path, analyze: str, run: Run) -> None:
    units = [str(rendered / f"readerd@bench1.{kind}") for kind in ("service", "socket")]
    done = run(analyze, "verify", "--man=no", *units, SYSTEMD_UNIT_PATH=f"{rendered}:")
    ours = [line for line in done.stderr.splitlines() if "readerd" in line]
    assert (done.returncode, ours) == (0, [])
    broken = rendered / "readerd@.service"
    broken.write_text(broken.read_text("utf-8").replace("=notify", "=shout"), "utf-8")
    done = run(analyze, "verify", "--man=no", *units, SYSTEMD_UNIT_PATH=f"{rendered}:")
    assert "shout" in done.stderr


def test_the_exposure_is_small(rendered: Path, analyze: str, run: Run) -> None:
    question = (analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSURE}")
    done = run(*question, str(rendered / "readerd@bench1.service"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"exposure level for readerd@bench1\.service: [01]\.", done.stdout)


def test_the_rules_that_the_service_rests_on() -> None:
    unit = settings(UNIT)
    assert unit["Type"] == ["notify"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert 0 < int(unit["WatchdogSec"][0]) <= 60
    assert not {"BindsTo", "PrivateUsers", "PrivateDevices"} & set(unit)
    assert all(re.fullmatch(r"char-\w+ rw", rule) for rule in unit["DeviceAllow"])
    assert unit["LoadCredential"] == ["mqtt-password:/etc/readerd/%i.password"]
    # A restart in RestartSec= is never one too many for the burst.
    starts = int(unit["StartLimitIntervalSec"][0]) / int(unit["RestartSec"][0])
    assert starts < int(unit["StartLimitBurst"][0])
    door = settings(ROOT / "systemd" / "readerd@.socket")
    assert (door["SocketGroup"], door["SocketMode"]) == (["readerd-operators"], ["0660"])


def test_users_and_folders_are_made_as_written(tmp_path: Path, run: Run, analyze: str) -> None:
    """By systemd's own programs, in a root of their own; only root may finish what they begin."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).touch()
    originals = ROOT / "readerd" / "install" / "shipped"
    into = f"--root={tmp_path}"
    done = run("systemd-sysusers", into, str(originals / "sysusers.conf"))
    for made in ("group 'readerd-operators'", "group 'dialout'", "user 'readerd'"):
        assert f"Creating {made}" in done.stderr
    if os.geteuid() == 0:
        groups = (tmp_path / "etc" / "group").read_text("utf-8")
        assert re.search(r"^dialout:.*:readerd$", groups, re.MULTILINE)
        done = run("systemd-tmpfiles", into, "--create", str(originals / "tmpfiles.conf"))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "run" / "readerd").stat().st_uid != 0


@pytest.fixture
def sandbox(analyze: str, run: Run) -> Run:
    """Run a Python program under the unit's system-call filter and memory rule."""
    if run(sys.executable, "-c", f"import ctypes; ctypes.CDLL('{LIBRARY}')").returncode:
        pytest.skip(f"{LIBRARY} is not installed")
    return lambda *arguments, **more: run(*SANDBOXED, sys.executable, *arguments, **more)


def test_a_whole_plate_under_the_units_rules(sandbox: Run) -> None:
    """Serial line, threads, SQLite, sockets, HTTP, MQTT, and numpy's and scipy's fit."""
    done = sandbox("-m", "readerd", "demo", "--json", OPENBLAS_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["verdict"] == "pass"


FORBIDDEN = """
import ctypes, mmap, os, socket, sys

libc = ctypes.CDLL(None, use_errno=True)

def refused(name, call):
    try:
        call()
    except OSError as error:
        print(name, error.errno)
    else:
        print(name, "was allowed")

def protect():
    page = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, 4):
        raise OSError(ctypes.get_errno(), "mprotect")

refused("writable code", lambda: mmap.mmap(-1, 1, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))
refused("code later", protect)
refused("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
refused("chroot", lambda: os.chroot("/"))
refused("affinity", lambda: os.sched_setaffinity(0, {0}))
print("internet", socket.socket().fileno() > 0)
"""


def test_the_rules_do_close_what_they_close(sandbox: Run) -> None:
    """EPERM is 1, EAFNOSUPPORT 97; without this, a plate under no rules would pass as well."""
    done = sandbox("-c", FORBIDDEN)
    assert done.stdout.splitlines() == [
        "writable code 1",
        "code later 1",
        "netlink 97",
        "chroot 1",
        "affinity 1",
        "internet True",
    ], done.stderr


def test_the_shipped_example_holds_every_key() -> None:
    """Set, or commented out with its default; nothing that readerd does not know."""
    text = shipped("bench2.toml")
    bare = re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    every = tomllib.loads(bare)
    known = {
        name: set(getattr(field.annotation, "model_fields", ()))
        for name, field in _File.model_fields.items()
    }
    assert {name: set(every[name]) for name, keys in known.items() if keys} == {
        name: keys for name, keys in known.items() if keys
    }
    assert _File.model_validate(every) == _File.model_validate(tomllib.loads(text))
