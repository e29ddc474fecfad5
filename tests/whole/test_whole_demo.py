"""The demo as a stranger starts it: the event as received, and the screen."""

import json
import math
from pathlib import Path
from typing import Any

from tests.whole.whole_bench import readerd


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_demo_json_is_the_event_as_received(tmp_path: Path) -> None:
    done = readerd("demo", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    envelope = json.loads(done.stdout)
    assert (envelope["specversion"], envelope["sequence"]) == ("1.0", 1)
    assert envelope["type"] == "org.readerd.result.v1"
    wells = envelope["data"]["wells"]
    assert {len(column) for column in wells.values()} == {96}
    for measured, reference, corrected in zip(
        wells["a_measurement"], wells["a_reference"], wells["corrected"], strict=True
    ):
        assert corrected == measured - reference
    assert all(map(math.isfinite, numbers(envelope)))
    assert list(tmp_path.iterdir()) == []


def test_demo_shows_true_and_found_side_by_side(tmp_path: Path) -> None:
    done = readerd("demo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.lstrip().startswith("PASS")
    for part in ("corrected OD", "standard curve", "samples, pg/mL", "true", "above range"):
        assert part in done.stdout
    assert "\x1b" not in done.stdout
