"""A journal that cannot be written, at the start: told in one line, exit code 74, nothing touched.

Root may write everywhere, so one process gives that right up and then starts a daemon on each
journal in turn.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from readerd.demo.plate import il6_assay_text
from readerd.run.store import Store

# prctl(2) and capabilities(7): PR_CAPBSET_DROP; CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
WITHOUT_ROOTS_RIGHT = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
for capability in (1, 2) if os.geteuid() == 0 else ():
    if libc.prctl(24, capability, 0, 0, 0):
        sys.exit("root's right to write everywhere cannot be given up here")
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
START_EACH = """
import json, os, sys
import readerd.cli.command, readerd.config, readerd.daemon
told = []
for config in sys.argv[1:]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 2)
        try:
            readerd.cli.main(["run", "--config", config])
        except SystemExit as end:
            os._exit(end.code)
    os.close(writing)
    said = open(reading).read()
    told.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said])
print(json.dumps(told))
"""
CONFIG = """
[reader]
site = "lab1"
id = "bench2"
driver = "synergyh1"
port = "twin:"
[assays]
directory = "{folder}"
default = "il6-elisa"
[store]
path = "{journal}"
[mqtt]
url = "mqtt://127.0.0.1:1"
"""


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Journals in folders that may or may not be written, by what is in the way."""
    found = {}
    for name in ("new in a folder", "old in a folder", "old file", "lock"):
        folder = tmp_path / name
        folder.mkdir()
        found[name] = folder / "journal.db"
        if name.startswith("old"):
            Store(found[name]).close()
        (folder / "journal.db.lock").touch()
        for path in folder.iterdir():
            path.chmod(0o444)
        if name == "old file":
            (folder / "journal.db.lock").chmod(0o644)
        if name.endswith("folder"):
            (folder / "journal.db.lock").unlink()
            folder.chmod(0o555)
    yield {**found, "no such file system": Path("/proc/readerd/journal.db")}
    for path in found.values():
        path.parent.chmod(0o755)


def contents(path: Path) -> dict[str, str]:
    if not path.parent.exists():
        return {}
    digests = [hashlib.sha256(one.read_bytes()).hexdigest() for one in path.parent.iterdir()]
    return dict(zip(map(str, path.parent.iterdir()), digests, strict=True))


def test_what_may_not_be_written_is_told_in_one_line(
    stores: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "il6.toml").write_text(il6_assay_text())
    configs = [tmp_path / f"{number}.config" for number in range(len(stores))]
    for config, journal in zip(configs, stores.values(), strict=True):
        config.write_text(CONFIG.format(folder=tmp_path, journal=journal))
    before = {name: contents(journal) for name, journal in stores.items()}
    command = [sys.executable, "-c", WITHOUT_ROOTS_RIGHT, START_EACH, *map(str, configs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    found = dict(zip(stores, json.loads(done.stdout), strict=True))
    for name, (code, said) in found.items():
        assert (code, said.count("\n")) == (74, 1), (name, said)
        assert said.startswith(f"readerd: journal {stores[name]}: "), said
    says = "Permission denied; readerd must be able to write it; the file is kept as it is\n"
    assert found.pop("old file")[1].endswith(says)
    for name, (_, said) in found.items():
        why = "No such file or directory" if name == "no such file system" else "Permission denied"
        folder = stores[name].parent
        assert said.endswith(f"{why}; readerd must be able to write in {folder}\n"), said
    assert {name: contents(journal) for name, journal in stores.items()} == before
