"""Who is suspected, who is acquitted, and for how long a verdict stands."""

from readerd.edge.suspects import REST_S, Suspects

WINDOW = 20


def test_two_ends_in_a_window_and_two_alone_and_an_hour_later_again() -> None:
    suspects = Suspects()
    for now in (0.0, REST_S + 10):
        suspects.connected(now)
        assert not suspects.rests(7)
        for count, window in ((1, WINDOW), (2, 1), (3, 1), (4, 1)):
            suspects.ended([7, 8] if count < 3 else [7], now)
            assert (suspects.window(WINDOW), suspects.rests(7)) == (window, count == 4)
        suspects.acquit()  # row 8 was taken
        assert suspects.window(WINDOW) == WINDOW
        suspects.connected(now + REST_S - 1)
        assert suspects.rests(7)


def test_an_answer_a_deadline_and_an_idle_end_acquit_everybody() -> None:
    suspects = Suspects()
    for _ in range(9):
        suspects.ended([7, 8], 0.0)
        suspects.acquit()
        suspects.ended([], 0.0)
    assert (suspects.window(WINDOW), suspects.rests(7)) == (WINDOW, False)


def test_a_broker_that_dies_on_another_row_each_time_convicts_none() -> None:
    suspects = Suspects()
    for row_id in range(1, 40):
        suspects.ended([row_id], 0.0)
    assert not any(suspects.rests(row_id) for row_id in range(1, 40))
