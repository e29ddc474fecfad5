"""Every recorded run in `tests/recordings` goes through its driver again, byte for byte.

The science on top may differ in the last digit from one processor to another, so it is not asked to
be the same bits here; the golden messages hold it to 1e-9.
"""

from pathlib import Path

import pytest

from readerd.driver import catalog
from readerd.run.evidence import Evidence
from readerd.run.reproduce import reproduce

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*.json"))


def test_there_are_recordings() -> None:
    assert RECORDINGS


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recorded_run_comes_out_as_it_did(path: Path) -> None:
    evidence = Evidence.model_validate_json(path.read_text(encoding="utf-8"))
    settle, read, quantify = reproduce(evidence, catalog.find(evidence.driver))
    assert (settle.same, read.same) == (True, True)
    assert (quantify.same is None) == (evidence.reading is None)
