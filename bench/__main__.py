"""Runs every benchmark of this folder, each in a process of its own, under the machine's facts.

A benchmark is a module here with a function `main() -> int | None`; it prints what it measured and
returns non-zero when a budget is missed. A process each, because a benchmark of memory or start-up
time must not inherit what its neighbour imported.
"""

import ast
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent


def main(names: list[str]) -> int:
    """Runs the named benchmarks, or all; returns 1 when one missed a budget or failed."""
    known = [path.stem for path in sorted(FOLDER.glob("*.py")) if has_main(path)]
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    for fact, value in machine_facts().items():
        print(f"{fact:<12} {value}")
    results = {name: run(name) for name in names or known}
    missed = [name for name, code in results.items() if code]
    print(f"\n{len(results) - len(missed)} within budget, missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def has_main(path: Path) -> bool:
    """Whether the file defines `main` at its top level, told without importing it."""
    if path.stem.startswith("_"):
        return False
    body = ast.parse(path.read_text("utf-8")).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)


def run(name: str) -> int:
    """The exit code of one benchmark; its output goes straight through."""
    print(f"\n== {name}", flush=True)
    code = f"import sys; from bench.{name} import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", code], check=False, cwd=FOLDER.parent).returncode


def machine_facts() -> dict[str, str]:
    """What a number means nothing without; no host name, no path."""
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB",
        "system": f"{system()}, Linux {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "mosquitto": mosquitto_version(),
        "packages": ", ".join(
            f"{name} {version(name)}" for name in ("numpy", "scipy", "aiomqtt", "pyserial")
        ),
    }


def processor() -> str:
    """The processor's name for itself."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory_gb() -> float:
    """The machine's memory in 10^9 bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def system() -> str:
    """The distribution's own name."""
    return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())


def mosquitto_version() -> str:
    """What the broker says, or that there is none."""
    path = shutil.which("mosquitto")
    if path is None:
        return "none"
    # `-h` exits with 3 in mosquitto 2.0 and prints the version first.
    answer = subprocess.run([path, "-h"], capture_output=True, text=True, check=False)
    return answer.stdout.partition("\n")[0].removeprefix("mosquitto version ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
