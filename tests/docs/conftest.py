"""A real result, once: what the demo's subscriber received."""

import json
import subprocess
import sys
from typing import Any

import pytest


@pytest.fixture(scope="session")
def demo_result() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "readerd", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    received: dict[str, Any] = json.loads(done.stdout)
    return received
