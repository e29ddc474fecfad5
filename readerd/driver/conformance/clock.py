"""An event loop whose clock jumps to the next timer when nothing is ready.

For `twin:` and other in-loop parts only: a real pty, socket or thread on this clock sees every
deadline fire at once. When nothing is ready and no timer is left, nothing can ever happen again:
that is `Deadlock`, not a test that hangs.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(AssertionError):
    """Everybody waits and no timer will wake anybody."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            return []  # something is due already; a file that is ready can wait for it
        # The loop's own pipe wakes it for signals and threads, which this clock does not wait for.
        ready = super().select(0) if len(self.get_map()) > 1 else []
        if ready:
            return ready
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0 and passes only while everybody waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # Twice the usual resolution would round deadlines; virtual time has no jitter.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now_s

    def run_in_executor(
        self, executor: object, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """What would go to a thread is done at once: a thread would work outside this clock."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time; pending tasks are cancelled as in `asyncio.run`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
