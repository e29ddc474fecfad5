"""Pauses that grow: full jitter below a doubling ceiling."""

import random

from hypothesis import given
from hypothesis import strategies as st

from readerd.edge.timing import Timing


@given(st.integers(0, 2**32), st.integers(1, 100))
def test_a_pause_never_passes_its_ceiling(seed: int, times: int) -> None:
    pause = Timing(uniform=random.Random(seed).uniform).pause()
    for failure in range(times):
        assert 0.0 <= pause.next_s() <= min(60.0, 2.0**failure)
        assert 30.0 <= pause.slow_s() <= 60.0


def test_a_long_weekend_of_failures_is_still_a_number() -> None:
    pause = Timing(uniform=lambda low, high: high).pause()
    assert [pause.next_s() for _ in range(5000)][-1] == 60.0


def test_the_ceiling_doubles_from_one_second_to_sixty_and_starts_again() -> None:
    pause = Timing(uniform=lambda low, high: high).pause()
    assert [pause.next_s() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    pause.reset()
    assert pause.next_s() == 1
