"""The measure is not "published" but "the LIMS has it": receipts, and offering again without them.

A broker that was killed may have forgotten what it had acknowledged, so every connection begins by
offering again what has no receipt. In between, a look after 60 s finds results that were there at
the look before and are still without one; they go out again, the same bytes, and the next look is
twice as far away, up to an hour: a LIMS that is down for a weekend must not find a flood. Any
receipt brings the looks back to 60 s.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from readerd.complaint import in_words
from readerd.edge.broker import Incoming
from readerd.edge.timing import Timing
from readerd.payload_commands import Receipt, Requester
from readerd.run.outbox import Outbox

log = logging.getLogger(__name__)

_CONSUMER = TypeAdapter[str](Requester)


class Receipts:
    """Told of every message on `receipt/#`."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        now: Callable[[], datetime],
        offer_again: Callable[[], None],
        on_receipt: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
    ) -> None:
        self._outbox = outbox
        self._now = now
        self._offer_again = offer_again
        self._on_receipt = on_receipt
        self._timing = timing or Timing()
        self._wait_s = self._timing.receipt_first_s
        self._heard = asyncio.Event()

    def __call__(self, message: Incoming) -> None:
        """What a consumer says of a result; whatever is not that is logged and left."""
        if message.retained:
            log.warning("receipt topic=%s refused=retained", message.topic)
            return
        try:
            consumer = _CONSUMER.validate_python(message.topic.rpartition("/receipt/")[2])
            receipt = Receipt.model_validate_json(message.payload)
        except ValidationError as error:
            log.warning("receipt topic=%s refused=%s", message.topic, in_words(error.errors()[0]))
            return
        at = self._now().isoformat()
        ref = receipt.ref or ""
        if not self._outbox.receipt(consumer, receipt.event_id, receipt.outcome, ref, at):
            log.info("receipt consumer=%s event_id=%s unknown=true", consumer, receipt.event_id)
            return
        level = logging.WARNING if receipt.outcome == "refused" else logging.DEBUG
        log.log(level, "receipt consumer=%s outcome=%s event_id=%s ref=%s",
                consumer, receipt.outcome, receipt.event_id, ref)  # fmt: skip
        self._heard.set()
        self._on_receipt()

    def connected(self) -> None:
        """The broker may have forgotten: all that has no receipt goes out again, in order."""
        if count := self._outbox.offer_unsettled():
            log.info("results without receipt=%d offered again", count)

    async def run(self) -> None:
        """Look again and again, until cancelled. StoreError passes."""
        seen_before = 0
        while True:
            if await self._wait():
                continue
            count = self._outbox.offer_unsettled(seen_before) if seen_before else 0
            if count:
                log.warning("results without receipt=%d offered again", count)
                self._wait_s = min(2 * self._wait_s, self._timing.receipt_most_s)
                self._offer_again()
            seen_before = self._outbox.newest_unconfirmed()

    async def _wait(self) -> bool:
        """Until the next look; True when a receipt has come, and brought it nearer."""
        was_slow = self._wait_s > self._timing.receipt_first_s
        self._heard.clear()
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    await self._heard.wait()
                    self._heard.clear()
                    self._wait_s = self._timing.receipt_first_s
                    if was_slow:
                        return True
        except TimeoutError:
            return False
