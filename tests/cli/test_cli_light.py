"""A verb that only asks starts at once: what is heavy is imported where it is used."""

import subprocess
import sys

HEAVY = ("aiomqtt", "asyncio", "numpy", "pydantic", "rich", "scipy", "sqlite3", "uvicorn")


def test_the_list_of_verbs_imports_nothing_heavy_and_showing_a_result_no_mathematics() -> None:
    heavy = f"print(*sorted({{*sys.modules}} & {{*{HEAVY}}}))"
    code = f"import readerd.cli.command, sys; {heavy}; import readerd.cli.show; {heavy}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    verbs, shown = done.stdout.splitlines()
    assert verbs.split() == []
    assert shown.split() == ["numpy", "pydantic", "rich"]
