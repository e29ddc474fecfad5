"""Cancel a coroutine at its nth suspension: every await of a conversation becomes a test case."""

import asyncio
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast


@types.coroutine
def _stepped(
    coroutine: Coroutine[Any, Any, Any], at: Callable[[int], None]
) -> Generator[Any, Any, int]:
    """Run the coroutine, and call `at` at each of its suspensions; how many there were."""
    thrown: BaseException | None = None
    for number in itertools.count(1):
        try:
            waited = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration:
            return number - 1
        at(number)
        thrown = None
        try:
            yield waited
        except BaseException as error:
            thrown = error
    return 0  # unreachable: the count has no end


async def suspensions(coroutine: Coroutine[Any, Any, Any]) -> int:
    """How often the coroutine is suspended when nobody cancels it."""
    return await _awaitable(_stepped(coroutine, lambda number: None))


async def cancelled_at(suspension: int, start: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Run `start()` as a task that is cancelled at that suspension; False when it ended before."""

    def cancel(number: int) -> None:
        if number == suspension:
            asyncio.get_running_loop().call_soon(task.cancel)

    async def run() -> None:
        await _awaitable(_stepped(start(), cancel))

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    return False


def _awaitable(stepped: Any) -> Awaitable[int]:
    """What `types.coroutine` made of a generator function, as the type that it is."""
    return cast(Awaitable[int], stepped)
