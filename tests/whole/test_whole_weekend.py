"""Two virtual days in which everything goes wrong: bounded, and every plate told.

`python -m bench weekend` plays ten of them, `python -m bench.weekend SEED [DRIVER]` one, with its
whole story.
"""

import asyncio
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from tests.virtual_clock import run_virtual
from tests.whole.weekend_fate import HOUR_S
from tests.whole.weekend_scene import Found, live, made_world
from tests.whole.weekend_verdict import complaints, table

# A slow machine needs longer than the usual minute; virtual time does not.
pytestmark = pytest.mark.timeout(150)
SEED = 20260328


def require_well(found: Found) -> None:
    """Fails with the seed, what is wrong, and the story that led there."""
    if wrong := complaints(found):
        pytest.fail("\n".join([*wrong, "", *found.timeline, "", table(found)]))


def test_after_two_days_of_faults_every_plate_is_told_and_nothing_has_grown(tmp_path: Path) -> None:
    found = live(SEED, tmp_path, every_s=1440)
    sys.stdout.write(f"\n{table(found)}\n")
    require_well(found)
    assert found.samples[-1].at_h >= 48
    assert len(found.told) > 120
    assert len(set(found.states.values())) == 3  # done, failed and interrupted


def test_what_a_killed_daemon_left_standing_is_taken_away(tmp_path: Path) -> None:
    async def two_lives() -> tuple[bool, bool]:
        world = made_world(random.Random(SEED), tmp_path)
        topic = "readerd/v1/lab1/bench2/alarm/publish-refused"
        world.broker.refuses.append(lambda name, payload: name.endswith("/event"))
        await world.daemon.start()
        working = asyncio.create_task(world.technician.work(HOUR_S))
        await asyncio.sleep(HOUR_S)
        await working
        stood = topic in world.broker.retained
        await world.daemon.kill()
        world.broker.refuses.clear()
        await world.daemon.start()
        await asyncio.sleep(60)
        await world.daemon.stop()
        return stood, topic in world.broker.retained

    assert run_virtual(two_lives()) == (True, False)


def told_twice(found: Found) -> Found:
    return replace(found, told=[*found.told, found.told[3]])


def untold(found: Found) -> Found:
    return replace(found, told=found.told[1:])


def numbers_swapped(found: Found) -> Found:
    told = deepcopy(found.told)
    one, other = [each["data"] for each in told if each["data"]["wells"]][:2]
    one["wells"], other["wells"] = other["wells"], one["wells"]
    return replace(found, told=told)


def gap(found: Found) -> Found:
    return replace(found, streams={**found.streams, "event": found.streams["event"][:-1]})


def alarm_left(found: Found) -> Found:
    return replace(found, retained=["alarm/publish-refused", *found.retained])


def leak(found: Found) -> Found:
    last = replace(found.samples[-1], tasks=found.samples[-1].tasks + 1)
    return replace(found, samples=[*found.samples[:-1], last])


def chatter(found: Found) -> Found:
    lines = found.log.copy()
    lines["WARNING", "edge.publisher: mqtt link=lost"] += 30
    return replace(found, log=lines)


def forgotten(found: Found) -> Found:
    return replace(found, broken_promises=["01K"])


SPOILERS: list[Callable[[Found], Found]] = [
    told_twice, untold, numbers_swapped, gap, alarm_left, leak, chatter, forgotten,
]  # fmt: skip


def test_the_same_seed_is_the_same_weekend_and_what_would_be_wrong_in_it_is_seen(
    tmp_path: Path,
) -> None:
    def short(name: str) -> Found:
        (tmp_path / name).mkdir()
        return live(SEED, tmp_path / name, driver="elx808", every_s=300, share=1 / 32)

    found, again = short("one"), short("two")
    require_well(found)
    assert found.story == again.story
    for spoil in SPOILERS:
        assert complaints(spoil(found)), spoil.__name__
