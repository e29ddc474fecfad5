"""A link that goes and comes is told once each way; flapping is told seldom, and never falsely."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from readerd.run.outage import OFTEN, STEADY_S, WITHIN_S, Outage
from tests.virtual_clock import run_virtual

Told = Callable[[], list[str]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """What was told at INFO and above since the last look."""
    caplog.set_level(logging.INFO)

    def lines() -> list[str]:
        found = [f"{one.levelname} {one.getMessage()}" for one in caplog.records]
        caplog.clear()
        return found

    return lines


def test_the_first_failure_is_told_and_the_recovery_once(told: Told) -> None:
    async def main() -> None:
        link = Outage(logging.getLogger("test"))
        link.back("up")
        assert told() == ["INFO up"]
        for _ in range(OFTEN - 1):
            for _ in range(3):
                link.lost("lost")
                await asyncio.sleep(1)
            link.back("up")
            assert told() == ["WARNING lost", "INFO up"]

    run_virtual(main())


def test_a_link_that_flaps_for_a_day_fills_no_log(told: Told) -> None:
    async def main() -> None:
        link = Outage(logging.getLogger("test"))
        link.back("up")
        for _ in range(8640):
            link.lost("lost")
            await asyncio.sleep(5)
            link.back("up")
            await asyncio.sleep(5)
        lines = told()
        assert len(lines) <= 1 + 2 * (OFTEN + OFTEN * 86_400 / WITHIN_S)
        assert lines[-1] == "INFO up"

    run_virtual(main())


def test_what_stays_away_is_told_even_after_flapping(told: Told) -> None:
    async def main() -> None:
        link = Outage(logging.getLogger("test"))
        for _ in range(OFTEN):
            link.lost("lost")
            link.back("up")
        told()
        link.lost("lost for good")
        await asyncio.sleep(STEADY_S - 1)
        link.lost("lost for good")
        assert told() == []
        await asyncio.sleep(2)
        assert told() == ["WARNING lost for good"]
        link.back("up")
        assert told() == ["INFO up"]

    run_virtual(main())
