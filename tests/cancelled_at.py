"""Cancel a coroutine at its nth suspension: every await of a conversation becomes a test case."""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


@types.coroutine
def _cancel_itself_at(
    coroutine: Coroutine[Any, Any, Any], suspension: int
) -> Generator[Any, Any, Any]:
    task = asyncio.current_task()
    assert task is not None
    thrown: BaseException | None = None
    for number in _from_one():
        try:
            waited = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration as done:
            return done.value
        if number == suspension:
            asyncio.get_running_loop().call_soon(task.cancel)
        thrown = None
        try:
            yield waited
        except BaseException as error:
            thrown = error


def _from_one() -> Generator[int, None, None]:
    number = 0
    while True:
        number += 1
        yield number


async def cancelled_at(suspension: int, start: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    """Run `start()` as a task that is cancelled at that suspension; False when it ended before."""

    async def run() -> object:
        step: Awaitable[Any] = _cancel_itself_at(start(), suspension)
        return await step

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    return False
