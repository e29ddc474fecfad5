"""A short chaos run of each way to close a row; `python -m bench chaos` is the long one."""

import asyncio
from pathlib import Path

import pytest

from bench.chaos import Mode, Plan, run
from tests.conftest import MOSQUITTO

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


def short(mode: Mode) -> Plan:
    return Plan(
        mode=mode,
        plates=48,
        readers=2,
        broker_dies_s=(0.5, 1.6, 2.9),
        collector_away_s=(0.8, 3.8),
        daemon_dies_s=2.2,
        settled_within_s=40.0,
    )


@pytest.mark.parametrize("mode", ["receipts", "replay"])
def test_nothing_is_lost_nothing_doubled_every_copy_the_same(mode: Mode, tmp_path: Path) -> None:
    found = asyncio.run(run(short(mode), tmp_path))
    assert (found.plates, found.results, found.unsaid) == (48, 48, 0)
    assert (found.lost, found.doubled, found.differing) == (0, 0, 0)


def test_a_row_that_is_closed_on_the_brokers_word_alone_loses(tmp_path: Path) -> None:
    """The contrast: without it, the two above could pass because nothing happened."""
    found = asyncio.run(run(short("puback"), tmp_path))
    assert (found.plates, found.unsaid, found.doubled, found.differing) == (48, 0, 0, 0)
    assert found.lost > 0
