"""The state tables: legal moves arrive, illegal ones raise and change nothing."""

import pytest

from readerd.run import states

TABLES = {"bench": states.BENCH, "run": states.RUN, "outbox": states.OUTBOX}


@pytest.mark.parametrize("name", TABLES)
def test_every_next_state_is_a_state(name: str) -> None:
    table = TABLES[name]
    assert {after for moves in table.values() for after in moves.values()} <= set(table)


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached(name: str) -> None:
    table = TABLES[name]
    first = next(iter(table))
    reached = {first}
    while grown := {after for state in reached for after in table[state].values()} - reached:
        reached |= grown
    assert reached == set(table)


def test_an_illegal_move_says_what_is_allowed() -> None:
    with pytest.raises(
        states.IllegalMove, match="'keep' in state 'accepted'; allowed: begin, fail"
    ):
        states.move(states.RUN, "accepted", "keep")


def test_a_run_that_ended_never_measures_or_finishes_again() -> None:
    for state in ("done", "failed", "interrupted"):
        for event in ("begin", "keep", "finish", "fail"):
            with pytest.raises(states.IllegalMove):
                states.move(states.RUN, state, event)
