"""The measure is not "published" but "the LIMS has it": receipts, and offering again without them.

A broker that was killed may have forgotten what it had acknowledged, so every connection begins by
offering again what has no receipt. In between, a look every 60 s finds results that were there at
the look before and are still without one; they go out again, the same bytes. What stays unanswered
even then is *in vain*: it goes out together, after 2 min, 4 min and so on up to an hour, because a
LIMS that is down for a weekend must not find a flood. A receipt for one of those brings the next
time back to 60 s: somebody who was silent answers again. A receipt for any other result says
nothing of them; if it did, a single result that is never answered for would bring all of its kind
out again behind every new plate.
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
        self._in_vain = 0  # the last row that was offered again, and is one of those
        self._pause_s = 0.0
        self._due_s = 0.0
        self._told = False

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
        row_id = self._outbox.receipt(consumer, receipt.event_id, receipt.outcome, ref, at)
        if not row_id:
            log.info("receipt consumer=%s event_id=%s unknown=true", consumer, receipt.event_id)
            return
        level = logging.WARNING if receipt.outcome == "refused" else logging.DEBUG
        log.log(level, "receipt consumer=%s outcome=%s event_id=%s ref=%s",
                consumer, receipt.outcome, receipt.event_id, ref)  # fmt: skip
        if row_id <= self._in_vain:
            self._pause_s = self._timing.receipt_first_s
            self._due_s = min(self._due_s, _loop_time() + self._pause_s)
        self._on_receipt()

    def connected(self) -> None:
        """The broker may have forgotten: all that has no receipt goes out again, in order."""
        if count := self._outbox.offer_unsettled():
            log.info("results without receipt=%d offered again", count)

    async def run(self) -> None:
        """Look again and again, until cancelled. StoreError passes."""
        seen_before = 0
        while True:
            await asyncio.sleep(self._timing.receipt_first_s)
            self._look(seen_before)
            seen_before = self._outbox.newest_unconfirmed()

    def _look(self, seen_before: int) -> None:
        if self._in_vain and not self._outbox.unanswered(self._in_vain):
            self._in_vain = 0
            log.log(logging.INFO if self._told else logging.DEBUG, "results without receipt=0")
            self._told = False
        count = self._outbox.offer_unsettled(seen_before, self._in_vain)
        if count and not self._in_vain:
            self._rest(2 * self._timing.receipt_first_s)
        elif self._in_vain and _loop_time() >= self._due_s:
            count += self._outbox.offer_unsettled(self._in_vain)
            self._rest(2 * self._pause_s)
        if count:
            self._in_vain = max(self._in_vain, seen_before)
            level = logging.DEBUG if self._told else logging.WARNING
            log.log(level, "results without receipt=%d offered again", count)
            self._told = True
            self._offer_again()

    def _rest(self, pause_s: float) -> None:
        self._pause_s = min(pause_s, self._timing.receipt_most_s)
        self._due_s = _loop_time() + self._pause_s


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
