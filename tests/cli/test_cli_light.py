"""A verb that only asks starts at once: what is heavy is imported where it is used."""

import subprocess
import sys

HEAVY = ("aiomqtt", "asyncio", "numpy", "pydantic", "rich", "scipy", "sqlite3", "uvicorn")


def test_the_list_of_verbs_imports_nothing_heavy() -> None:
    code = f"import readerd.cli.command, sys; print(*sorted({{*sys.modules}} & {{*{HEAVY}}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
