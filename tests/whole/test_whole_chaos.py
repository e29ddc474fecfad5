"""A short chaos run with receipts and with replay.

`python -m bench chaos` is the long one; it prints the contrast too, rows closed on PUBACK alone,
whose losses depend on the moment and are no test.
"""

import asyncio
from pathlib import Path

import pytest

from bench.chaos import Mode, Plan, run
from tests.conftest import MOSQUITTO

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


def short(mode: Mode) -> Plan:
    return Plan(
        mode=mode,
        plates=36,
        per_s=9.0,
        readers=2,
        broker_dies_s=(0.5, 1.6, 2.9),
        collector_away_s=(0.8, 3.8),
        daemon_dies_s=2.2,
        settled_within_s=40.0,
    )


@pytest.mark.parametrize("mode", ["receipts", "replay"])
def test_nothing_is_lost_nothing_doubled_every_copy_the_same(mode: Mode, tmp_path: Path) -> None:
    found = asyncio.run(run(short(mode), tmp_path))
    assert (found.plates, found.results, found.unsaid) == (36, 36, 0)
    assert (found.lost, found.doubled, found.differing) == (0, 0, 0)
