"""Until when somebody will have moved, said by himself before he waits.

The problem: a task that waits for ever looks the same as one that has nothing to do. The rule:
whoever waits for the world says first how long that may last at most; a promise that is broken is a
fault, whatever the task believes of itself. What waits for work, and not for an answer, promises
nothing. Rejected: counting turns (an idle part turns never), asking the task (it is stuck).
"""

import asyncio

# A promise is a net under deadlines that are kept elsewhere; so much later it is broken.
GRACE_S = 15.0


class Promise:
    """One part's word, by the loop's clock, which nobody can set."""

    def __init__(self) -> None:
        self._doing = ""
        self._until_s: float | None = None

    def within(self, bound_s: float, doing: str) -> None:
        """I am doing this now, and shall be further in `bound_s` at the latest."""
        self._until_s = asyncio.get_running_loop().time() + bound_s
        self._doing = doing

    def idle(self) -> None:
        """There is nothing to be done until somebody asks."""
        self._until_s = None

    def broken(self) -> str | None:
        """What should have ended, and how long ago; None while the word is kept."""
        if self._until_s is None:
            return None
        late_s = asyncio.get_running_loop().time() - self._until_s
        return f"{self._doing} is {late_s:.0f} s late" if late_s > GRACE_S else None
