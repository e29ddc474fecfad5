"""One press of a button, whatever fingers and contacts do with it.

The problem: contacts bounce, gloves press twice, a nervous hand presses again when the lamp turns
green, somebody leans on the button, and the way to stop a read must be the same button. The rule:

- the first edge counts, at once; whatever follows within `debounce_s` is the contact, not the
  finger, and the level that stands when it has settled is what holds;
- down while nothing is read is a PRESS;
- for `lockout_s` after an accepted press and after every end of a run, another press is the same
  hand: nothing. It must not read the plate again, and it deserves no red lamp;
- down while a plate is read waits to be understood: held for `hold_s` it is ABORT, let go earlier
  it is BUSY (nothing within the lock-out). The press that began a run never aborts it, so leaning
  on the button is one read.

Time comes in with each call, on one clock; `wake_at_s` says when to call `tick` next. Only `tick`
aborts: an edge may be heard late, and a tap that was heard late is no hold. Whether a plate is read
is asked, not remembered: runs begin and end without this button too.

Rejected: acting on release (a reader that starts when the hand leaves feels broken), a queue of
presses (it would read whatever plate lies there later), an own "busy" (it can disagree).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a press means."""

    PRESS = "press"
    BUSY = "busy"  # a press while a plate is read
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Act:
    """Something to be done; `stamp` names the physical press, where its device can."""

    kind: Kind
    stamp: str | None = None


class Button:
    """The state machine of one button; pure but for asking whether a plate is read."""

    def __init__(
        self,
        *,
        debounce_s: float,
        hold_s: float,
        lockout_s: float,
        is_reading: Callable[[], bool],
    ) -> None:
        self._debounce_s = debounce_s
        self._hold_s = hold_s
        self._lockout_s = lockout_s
        self._is_reading = is_reading
        self._level = False  # as it was heard last
        self._held = False  # as it counts
        self._stamp: str | None = None
        self._settles_s = -math.inf
        self._locked_until_s = -math.inf
        # Down while a plate was read, and not understood yet: since when, and whether locked then.
        self._waiting: tuple[float, bool] | None = None

    def lock(self, at_s: float) -> None:
        """A press was accepted, or a run has ended."""
        self._locked_until_s = at_s + self._lockout_s

    def edge(self, at_s: float, *, is_down: bool, stamp: str | None = None) -> list[Act]:
        """The contact closed or opened."""
        acts = self._settle(at_s)
        self._level = is_down
        if is_down:
            self._stamp = stamp
        return acts + self._settle(at_s)

    def click(self, at_s: float, stamp: str | None = None) -> list[Act]:
        """A press from a source that tells no release: a token, a command barcode, a message."""
        return self.edge(at_s, is_down=True, stamp=stamp) + self.edge(at_s, is_down=False)

    def let_go(self, at_s: float) -> None:
        """The device is gone: nobody holds it."""
        self._level = self._held = False
        self._waiting = None

    def tick(self, at_s: float) -> list[Act]:
        """Time has passed."""
        acts: list[Act] = []
        if self._waiting is not None and at_s >= self._waiting[0] + self._hold_s and self._level:
            self._waiting = None
            if self._is_reading():
                acts.append(Act(Kind.ABORT, self._stamp))
        return acts + self._settle(at_s)

    @property
    def wake_at_s(self) -> float | None:
        """When `tick` has something to do without another edge; None: never."""
        times = []
        if self._level != self._held:
            times.append(self._settles_s)
        if self._waiting is not None and self._level:
            times.append(self._waiting[0] + self._hold_s)
        return min(times, default=None)

    def _settle(self, at_s: float) -> list[Act]:
        if self._level == self._held or at_s < self._settles_s:
            return []
        self._held = self._level
        self._settles_s = at_s + self._debounce_s
        return self._down(at_s) if self._held else self._up()

    def _down(self, at_s: float) -> list[Act]:
        is_locked = at_s < self._locked_until_s
        if self._is_reading():
            self._waiting = (at_s, is_locked)
            return []
        return [] if is_locked else [Act(Kind.PRESS, self._stamp)]

    def _up(self) -> list[Act]:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting[1] or not self._is_reading():
            return []
        return [Act(Kind.BUSY, self._stamp)]
