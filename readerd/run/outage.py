"""Tells a thing that goes and comes: the first failure, the recovery, and not every turn between.

The problem: years of a loose plug or of a broker behind a bad radio link must not fill a log, and
the last line of a log must be true. The rule: the first failure is a WARNING, repeats are DEBUG,
the recovery is one INFO, each at once. What has failed five times within ten minutes flaps: it is
DEBUG until it has been away for a minute. Rejected: telling a recovery late (people wait for that
line with the plug in their hand), a mere limit of lines (the last one must be true).
"""

import asyncio
import logging
from collections import deque

OFTEN = 5
WITHIN_S = 600.0
STEADY_S = 60.0


class Outage:
    """One link's ups and downs on the log of its room; used on the loop."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._is_told_up: bool | None = None
        self._told_at_s: deque[float] = deque(maxlen=OFTEN)
        self._timer: asyncio.TimerHandle | None = None

    def lost(self, text: str) -> None:
        """It failed, for the first time or again."""
        if self._is_told_up is False or self._timer is not None:
            self._log.debug(text)
        elif self._flaps():
            self._log.debug(text)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(STEADY_S, self._tell_lost, text)
        else:
            self._tell_lost(text)

    def back(self, text: str) -> None:
        """It works."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._log.log(logging.DEBUG if self._is_told_up else logging.INFO, text)
        self._is_told_up = True

    def _flaps(self) -> bool:
        since_s = asyncio.get_running_loop().time() - WITHIN_S
        return len(self._told_at_s) == OFTEN and self._told_at_s[0] > since_s

    def _tell_lost(self, text: str) -> None:
        self._timer = None
        self._is_told_up = False
        self._told_at_s.append(asyncio.get_running_loop().time())
        self._log.warning(text)
