"""Which numbers of a stream have arrived, which are missing, and when to ask for them.

The problem: three clocks disagree. A number missed between two that came was lost on the way. A
number at the end that only `health` speaks of may be lost, or be under way, or be the ten
thousandth of a backlog that is still being sent in order. Asking at once for everything would make
every reader send its backlog twice.

The rule: a hole is asked for when it has stood for a moment, the end when the stream has also been
silent for that moment. Whoever asked in vain asks again after a growing pause, for ever: a number
that the reader no longer keeps costs one small message every five minutes and is seen in the log.
Only an answer, or a new hole, makes the pause short again; any new number would not do, because a
reader that refuses the question says so in an event, which is a new number. Rejected: remembering
numbers as "gone for good" (a restored journal would never be heard).
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

Range = tuple[int, int]


class Seen:
    """A set of sequence numbers from 1, held as closed ranges: memory follows the holes."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._ranges: list[Range] = []
        for number in numbers:
            self.add(number)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._ranges, (number, number))
        after = index < len(self._ranges) and self._ranges[index][0] == number
        return after or (index > 0 and self._ranges[index - 1][1] >= number)

    @property
    def last(self) -> int:
        """The highest number; 0 when there is none."""
        return self._ranges[-1][1] if self._ranges else 0

    def add(self, number: int) -> bool:
        """Whether it is new."""
        if number < 1 or number in self:
            return False
        index = bisect_right(self._ranges, (number, number))
        first, last = number, number
        if index < len(self._ranges) and self._ranges[index][0] == number + 1:
            last = self._ranges.pop(index)[1]
        if index > 0 and self._ranges[index - 1][1] == number - 1:
            index -= 1
            first = self._ranges.pop(index)[0]
        self._ranges.insert(index, (first, last))
        return True

    def missing(self, through: int) -> list[Range]:
        """The ranges that are not here, from 1 to `through`, in order."""
        found: list[Range] = []
        expected = 1
        for first, last in self._ranges:
            if first > expected:
                found.append((expected, min(first - 1, through)))
            expected = last + 1
            if expected > through:
                break
        if expected <= through:
            found.append((expected, through))
        return [(first, last) for first, last in found if first <= last]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a number may be missing before it is asked for, and how often again."""

    missing_for_s: float = 2.0
    again_first_s: float = 5.0
    again_most_s: float = 300.0
    ranges_at_once: int = 10


@dataclass(slots=True)
class Stream:
    """One stream of one reader: what came, what `health` says there is, when to ask."""

    reader: str  # site/reader, as in the topic
    kind: str
    stream: str
    patience: Patience
    seen: Seen = field(default_factory=Seen)
    told: int = 0
    _moved_s: float = 0.0
    _holed_s: float | None = None
    _ask_at_s: float = 0.0
    _pause_s: float = 0.0
    _asked: list[Range] = field(default_factory=list)

    def add(self, sequence: int, now_s: float) -> bool:
        """A message came; whether its number is new. Progress makes the next question early."""
        opens = sequence > self.seen.last + 1
        answers = any(first <= sequence <= last for first, last in self._asked)
        new = self.seen.add(sequence)
        if new:
            self._moved_s = now_s
        if new and (opens or answers):
            self._pause_s = 0.0
            self._ask_at_s = min(self._ask_at_s, now_s + self.patience.again_first_s)
        return new

    def tell(self, last_sequence: int, now_s: float) -> None:
        """`health` says how far the stream goes."""
        if last_sequence > self.told:
            self.told = last_sequence
            self._moved_s = now_s

    def missing(self) -> list[Range]:
        """Everything that is known to exist and is not here."""
        return self.seen.missing(max(self.seen.last, self.told))

    def ask(self, now_s: float) -> list[Range]:
        """The ranges to ask for now; none when it is too early or nothing is missing."""
        holes = self.seen.missing(self.seen.last)
        self._holed_s = (self._holed_s if self._holed_s is not None else now_s) if holes else None
        quiet = now_s - self._moved_s >= self.patience.missing_for_s
        stood = self._holed_s is not None and now_s - self._holed_s >= self.patience.missing_for_s
        wanted = self.missing() if quiet else holes if stood else []
        if not wanted or now_s < self._ask_at_s:
            return []
        pause_s = max(self.patience.again_first_s, 2 * self._pause_s)
        self._pause_s = min(self.patience.again_most_s, pause_s)
        self._ask_at_s = now_s + self._pause_s
        self._asked = wanted[: self.patience.ranges_at_once]
        return self._asked
