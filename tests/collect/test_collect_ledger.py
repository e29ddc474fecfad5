"""Gaps: laws of the ranges, and when a stream asks."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from readerd.collect.ledger import Patience, Seen, Stream

NUMBERS = st.lists(st.integers(1, 40), max_size=60)
PATIENCE = Patience(missing_for_s=2, again_first_s=5, again_most_s=20)


@given(NUMBERS, st.integers(0, 50))
def test_seen_is_a_set_of_numbers(numbers: list[int], through: int) -> None:
    seen, plain = Seen(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number not in plain)
        plain.add(number)
    assert all((number in seen) == (number in plain) for number in range(60))
    assert seen.last == max(plain, default=0)
    ranges = seen.missing(through)
    told = [number for first, last in ranges for number in range(first, last + 1)]
    assert told == [number for number in range(1, through + 1) if number not in plain]
    assert all(after > last + 1 for (_, last), (after, _) in pairwise(ranges))


def stream(*numbers: int) -> Stream:
    made = Stream("lab1/b1", "result", "S", PATIENCE)
    for number in numbers:
        made.add(number, 100.0)
    return made


def test_a_hole_is_asked_for_when_it_has_stood_even_in_a_busy_stream() -> None:
    busy = stream(1, 2, 5)
    assert busy.ask(101.0) == []
    busy.add(6, 102.9)
    assert busy.ask(102.9) == []
    busy.add(7, 103.0)
    assert busy.ask(103.0) == [(3, 4)]


def test_a_hole_that_closes_by_itself_is_not_asked_for() -> None:
    late = stream(1, 3)
    assert late.ask(101.0) == []
    late.add(2, 101.5)
    assert late.ask(110.0) == []
    late.add(5, 110.0)
    assert late.ask(111.0) == []  # the new hole waits its own time


def test_the_end_that_health_speaks_of_is_asked_for_in_silence_only() -> None:
    backlog = stream(1)
    backlog.tell(9, 101.0)
    backlog.add(2, 102.9)
    assert backlog.ask(104.0) == []
    assert backlog.ask(104.9) == [(3, 9)]
    assert backlog.missing() == [(3, 9)]


def test_asking_in_vain_grows_slower_and_progress_makes_it_quick_again() -> None:
    gone = stream(1, 3)
    gone.ask(100.0)
    asked = [second for second in range(100, 200) if gone.ask(float(second))]
    assert [b - a for a, b in pairwise(asked)] == [5, 10, 20, 20, 20, 20]
    gone.add(6, 200.0)
    assert [second for second in range(200, 212) if gone.ask(float(second))][:2] == [205, 210]


def test_an_answer_is_progress_and_the_event_that_refuses_the_question_is_none() -> None:
    refused = stream(1, 4)
    asked = []
    for second in range(100, 180):
        if ranges := refused.ask(float(second)):
            asked.append(second)
            refused.add(4 + len(asked), second + 0.1)  # "refused", says the reader, in an event
            assert ranges == [(2, 3)]
    assert [b - a for a, b in pairwise(asked)] == [5, 10, 20, 20, 20]
    refused.add(2, 180.0)
    assert [second for second in range(180, 190) if refused.ask(float(second))] == [185]


def test_many_ranges_are_asked_for_a_few_at_a_time() -> None:
    holed = stream(*range(2, 100, 2))
    holed.ask(100.0)
    assert len(holed.ask(110.0)) == PATIENCE.ranges_at_once
