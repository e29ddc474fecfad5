"""The broker's side of one bridge: publisher, commands and receipts, tied together."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from pydantic import JsonValue

from readerd.edge.alarms import ALARMS
from readerd.edge.broker import Connect
from readerd.edge.commands import Commands
from readerd.edge.drain import OutboxRow
from readerd.edge.mqtt_settings import MqttSettings
from readerd.edge.presence import Presence
from readerd.edge.publisher import OnMessage, Publisher
from readerd.edge.receipts import Receipts
from readerd.edge.timing import Timing
from readerd.edge.verbs import Verbs
from readerd.errors import ErrorCode
from readerd.payload import ResultEnvelope
from readerd.run import rows
from readerd.run.outbox import Outbox
from readerd.run.runner import Runner

log = logging.getLogger(__name__)


class Watched:
    """The journal's outbox, and an event for whoever waits until rows have been acknowledged."""

    def __init__(self, outbox: Outbox, on_settled: Callable[[], None]) -> None:
        self._outbox = outbox
        self._on_settled = on_settled
        self.settled = asyncio.Event()

    def pending(self, limit: int, after_row_id: int = 0) -> Sequence[rows.OutboxRow]:
        return self._outbox.pending(limit, after_row_id)

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        self._outbox.broker_acked(row_ids, at)
        self.settle()

    def settle(self) -> None:
        """A row got on: the broker has it, or a consumer has answered."""
        self.settled.set()
        self._on_settled()


class MqttEdge:
    """Everything between the run room and the broker."""

    def __init__(
        self,
        settings: MqttSettings,
        runner: Runner,
        presence: Presence,
        *,
        root_topic: str,
        connect: Connect,
        now: Callable[[], datetime],
        elsewhere: Mapping[str, OnMessage] | None = None,
        on_settled: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
    ) -> None:
        self._runner = runner
        self._elsewhere = elsewhere or {}
        self._presence = presence
        self._standing: dict[str, str | None] = {}
        store, timing = runner.store, timing or Timing()
        self.outbox = Watched(store.outbox, on_settled)
        self.publisher = self._publisher(root_topic, connect, now, timing)
        letters = self.publisher.letters
        self.verbs = Verbs(
            runner,
            presence,
            root_topic=root_topic,
            now=now,
            offer_again=self.publisher.offer_again,
            room=lambda: letters.room,
        )
        self.commands = self._commands(settings, root_topic, now)
        self.receipts = Receipts(
            store.outbox,
            now=now,
            offer_again=self.publisher.offer_again,
            on_receipt=self.outbox.settle,
            timing=timing,
        )

    def _publisher(
        self, root_topic: str, connect: Connect, now: Callable[[], datetime], timing: Timing
    ) -> Publisher:
        return Publisher(
            connect,
            root_topic,
            self.outbox,
            session=self._runner.store.next_session(),
            now=now,
            on_alarm=self.on_alarm,
            on_link=self._on_link,
            on_too_large=self._point_at,
            inbox={
                "cmd/#": lambda message: self.commands(message),
                "receipt/#": lambda message: self.receipts(message),
            },
            elsewhere=self._elsewhere,
            timing=timing,
        )

    def _commands(
        self, settings: MqttSettings, root_topic: str, now: Callable[[], datetime]
    ) -> Commands:
        return Commands(
            self.verbs,
            self._runner.store.memory,
            root_topic=root_topic,
            enabled=settings.commands,
            now=now,
            send=self.publisher.letters.put,
            takes=self.publisher.takes,
            refuse=self._refuse,
        )

    async def run(self, silence: asyncio.Event) -> None:
        """Until `silence`: then a goodbye. StoreError passes."""
        looking = asyncio.create_task(self.receipts.run())
        publishing = asyncio.create_task(self.publisher.run(silence))
        try:
            done, _ = await asyncio.wait({looking, publishing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            if not publishing.done() and not silence.is_set():
                publishing.cancel()
            await asyncio.wait({looking, publishing})
        for task in done:
            task.result()

    def on_alarm(self, code: str, text: str | None) -> None:
        """Stand it on the broker, or take it away; told again only when it changes."""
        if code in self._standing and self._standing[code] == text:
            return
        self._standing[code] = text
        self.publisher.publish_retained(f"alarm/{code}", self._presence.alarm(code, text))

    @property
    def alarms(self) -> dict[str, str]:
        """What stands now: code and text."""
        return {code: text for code, text in self._standing.items() if text is not None}

    def _on_link(self, connected: bool) -> None:
        if connected:
            self.receipts.connected()
            for code in ALARMS:  # what stands there may be from a daemon that was killed
                if code not in self._standing:
                    self.on_alarm(code, None)

    def _refuse(self, code: ErrorCode, text: str, details: dict[str, JsonValue]) -> None:
        self._runner.tally.refusals[code] += 1
        scribe = self._runner.scribe
        event = scribe.event("refused", code=code, text=text, details=details)
        self._runner.store.record(event, scribe.at())
        self.publisher.wake()

    def _point_at(self, row: OutboxRow) -> None:
        """A result that the broker would not take: a small event says where it is."""
        if row.topic != "result":
            return
        found = ResultEnvelope.model_validate_json(row.payload)
        details: dict[str, JsonValue] = {
            "event_id": found.id,
            "stream": found.stream,
            "sequence": found.sequence,
            "bytes": len(row.payload),
            "sha256": sha256(row.payload).hexdigest(),
        }
        scribe = self._runner.scribe
        run_id = found.data.run.id
        text = f"the result is larger than the broker allows; GET /v1/runs/{run_id} has it"
        event = scribe.event(
            "result_by_reference", subject=found.subject, run_id=run_id, text=text, details=details
        )
        self._runner.store.outbox.point_at(row.row_id, event, scribe.at())
