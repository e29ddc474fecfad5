"""One press is one press: bounces, nervous hands, holds and leaning, in made-up time."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from readerd.edge.button import Act, Button, Kind

DEBOUNCE_S, HOLD_S, LOCKOUT_S = 0.03, 2.0, 2.0


@dataclass
class Hand:
    """A button, a clock, and whether a plate is read; presses that are given begin a run."""

    reads_s: float = 30.0
    now_s: float = 100.0
    ends_s: float = 0.0

    def __post_init__(self) -> None:
        self.button = Button(
            debounce_s=DEBOUNCE_S,
            hold_s=HOLD_S,
            lockout_s=LOCKOUT_S,
            is_reading=lambda: self.now_s < self.ends_s,
        )
        self.acts: list[tuple[float, Act]] = []

    def wait(self, for_s: float) -> "Hand":
        """Time passes; the button is ticked when it asks, runs end when they end."""
        until_s = self.now_s + for_s
        while (next_s := self._next()) is not None and next_s <= until_s:
            self.now_s = next_s
            if next_s == self.ends_s:
                self.button.lock(next_s)
                self.ends_s = 0.0
            self._do(self.button.tick(next_s))
        self.now_s = until_s
        return self

    def _next(self) -> float | None:
        times = [self.button.wake_at_s, self.ends_s or None]
        return min((max(at_s, self.now_s) for at_s in times if at_s is not None), default=None)

    def _do(self, acts: list[Act]) -> None:
        for act in acts:
            self.acts.append((round(self.now_s - 100, 3), act))
            if act.kind == Kind.PRESS:
                self.button.lock(self.now_s)
                self.ends_s = self.now_s + self.reads_s
            if act.kind == Kind.ABORT:
                self.ends_s = 0.0
                self.button.lock(self.now_s)

    def down(self, stamp: str | None = None) -> "Hand":
        self._do(self.button.edge(self.now_s, is_down=True, stamp=stamp))
        return self

    def up(self) -> "Hand":
        self._do(self.button.edge(self.now_s, is_down=False))
        return self

    def press(self) -> "Hand":
        return self.down().wait(0.1).up()

    def click(self) -> "Hand":
        self._do(self.button.click(self.now_s))
        return self

    @property
    def kinds(self) -> list[str]:
        return [act.kind for _, act in self.acts]


def test_a_press_counts_when_the_finger_comes_not_when_it_leaves() -> None:
    hand = Hand().down("stamp")
    assert hand.acts == [(0.0, Act(Kind.PRESS, "stamp"))]
    assert hand.wait(0.2).up().wait(60).kinds == ["press"]


def test_leaning_on_the_button_is_one_read() -> None:
    assert Hand().down().wait(100).up().wait(10).kinds == ["press"]


def test_a_bouncing_contact_is_one_press_also_when_it_bounces_on_release() -> None:
    hand = Hand()
    for bounce_s in (0.004, 0.003, 0.006, 0.001):
        hand.down().wait(bounce_s).up().wait(bounce_s)
    hand.down().wait(0.3)
    for bounce_s in (0.002, 0.005):
        hand.up().wait(bounce_s).down().wait(bounce_s)
    assert hand.up().wait(60).kinds == ["press"]


def test_a_release_hidden_in_a_bounce_is_not_forgotten() -> None:
    hand = Hand(reads_s=1.0).down().wait(0.01).up()  # so short that it looks like a bounce
    assert hand.wait(10).down().kinds == ["press", "press"]


def test_a_double_press_and_the_press_at_the_green_lamp_are_the_same_hand() -> None:
    hand = Hand(reads_s=10.0).press().wait(0.3).press().wait(0.4).press()
    assert hand.kinds == ["press"]
    assert hand.wait(10.2).press().kinds == ["press"]  # the run has just ended
    assert hand.wait(LOCKOUT_S).press().kinds == ["press", "press"]


def test_a_press_while_a_plate_is_read_is_told_once_it_is_let_go() -> None:
    hand = Hand().press().wait(10).down("second").wait(1.9)
    assert hand.kinds == ["press"]
    hand.up().wait(60)
    assert [(at_s, act.stamp) for at_s, act in hand.acts if act.kind == Kind.BUSY] == [
        (12.0, "second")
    ]
    assert hand.kinds == ["press", "busy"]


def test_a_held_button_gives_the_run_up_at_once_and_only_once() -> None:
    hand = Hand().press().wait(9.9).down().wait(60).up().wait(60)
    assert [(at_s, act.kind) for at_s, act in hand.acts] == [(0.0, "press"), (12.0, "abort")]


def test_a_tap_that_is_heard_late_is_no_hold() -> None:
    hand = Hand().press().wait(9.9).down()
    hand.now_s += 3  # the machine was busy; meanwhile the finger left
    assert hand.up().wait(60).kinds == ["press", "busy"]


def test_a_hold_within_the_lock_out_aborts_too() -> None:
    assert Hand().press().wait(0.5).down().wait(5).up().kinds == ["press", "abort"]


def test_a_run_that_ends_under_the_finger_leaves_nothing_to_abort() -> None:
    hand = Hand(reads_s=5.0).press().wait(4.0).down().wait(10).up().wait(10)
    assert hand.kinds == ["press"]


def test_a_device_that_vanishes_is_held_by_nobody() -> None:
    hand = Hand().press().wait(9.9).down()
    hand.button.let_go(hand.now_s)
    assert hand.wait(30).kinds == ["press"]
    assert hand.wait(5).press().kinds == ["press", "press"]


def test_tokens_without_a_release_bounce_double_and_are_busy_like_presses() -> None:
    hand = Hand(reads_s=10.0).click().wait(0.01).click().wait(0.5).click()
    assert hand.wait(5).kinds == ["press"]
    assert hand.click().wait(0.01).click().wait(1).kinds == ["press", "busy"]
    assert hand.wait(10).click().kinds == ["press", "busy", "press"]


steps = st.lists(st.tuples(st.floats(0.0005, 4.0), st.booleans()), max_size=60)


@given(steps, st.floats(0.5, 20.0))
def test_whatever_a_hand_does_reads_are_apart_and_every_abort_was_held(
    moves: list[tuple[float, bool]], reads_s: float
) -> None:
    hand = Hand(reads_s=reads_s)
    for pause_s, is_down in moves:
        hand.wait(pause_s)
        (hand.down if is_down else hand.up)()
    hand.up().wait(100)
    assert hand.button.wake_at_s is None
    running_until_s = -1e9
    for at_s, act in hand.acts:
        if act.kind == Kind.PRESS:
            assert at_s >= running_until_s + LOCKOUT_S - 0.002
            running_until_s = at_s + reads_s
        else:
            assert at_s <= running_until_s + 0.002
        if act.kind == Kind.ABORT:
            running_until_s = at_s


@given(st.lists(st.floats(0.0001, 0.0029), min_size=1, max_size=9))
def test_any_train_of_bounces_is_one_press(pauses: list[float]) -> None:
    hand = Hand().down()
    for number, pause_s in enumerate(pauses):
        hand.wait(pause_s)
        (hand.down if number % 2 else hand.up)()
    assert hand.wait(60).up().wait(60).kinds == ["press"]
