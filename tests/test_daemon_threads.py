"""What blocks in a thread holds up nobody: neither another thread's work nor the stop."""

import asyncio
import threading
import time

from readerd.daemon import LAST_THREADS_S, Aside

# More than asyncio's own pool has on any machine of ours.
MANY = 40


def test_who_blocks_is_neither_queued_behind_nor_waited_for() -> None:
    release = threading.Event()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(Aside())
        for _ in range(MANY):
            loop.run_in_executor(None, release.wait)
        async with asyncio.timeout(5):
            return await asyncio.to_thread(int, "7")

    began_s = time.monotonic()
    try:
        assert asyncio.run(main()) == 7
        assert time.monotonic() - began_s < LAST_THREADS_S + 3
    finally:
        release.set()


def test_what_was_begun_is_finished_when_it_is_short() -> None:
    done: list[int] = []
    begun = threading.Event()

    def work() -> None:
        begun.wait()
        done.append(1)

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(Aside())
        asyncio.get_running_loop().run_in_executor(None, work)
        begun.set()

    asyncio.run(main())
    assert done == [1]
