"""The LIMS side at work: receive, keep, answer, look for gaps, ask, come back after every loss.

The problem: "published", "delivered" and "stored" are three different things, and only the last one
counts. A broker may die and forget who subscribed, we may die between receiving and storing, and a
message that arrives twice must be told from two messages.

The rule: messages are kept in batches, and only when a batch is durable does each result get its
receipt, and then the broker its acknowledgement. A crash at any point makes the message come again;
it is then a duplicate, which gets a receipt too, because the first one may be what was lost. What
nobody sends again by itself is found by the numbers and asked for. The same id with other bytes is
never stored over the first: it is refused, loudly, because then somebody broke the contract.

Rejected: a receipt per message before the commit (a promise that a power cut breaks), dropping
messages that do not fit our models (a newer reader may say more than we know).
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import aiomqtt
from ulid import ULID

from readerd.collect.ledger import Range, Stream
from readerd.collect.link import Connect, Link, LinkLost, connection
from readerd.collect.message import (
    ROOT,
    Answer,
    Garbage,
    Health,
    Info,
    Item,
    Said,
    Status,
    understand,
)
from readerd.collect.settings import CollectSettings
from readerd.collect.shelf import Outcome, Shelf

# Messages kept in one commit, while more are waiting.
BATCH: Final = 50
# The contract, section 4: commands expire within 30 s.
ASK_WITHIN_S: Final = 20
# What one question may bring; the rest is asked for when it has come. The daemon's own limit.
REPLAY_MOST: Final = 200

# A cancellation that was swallowed is repeated after this.
CANCEL_AGAIN_S: Final = 0.2

Tell = Callable[[str], None]
T = TypeVar("T")


class Collector:
    """Collects until it is told to stop. `tell` gets one line for each thing worth a line."""

    def __init__(
        self,
        settings: CollectSettings,
        shelf: Shelf,
        *,
        tell: Tell,
        now: Callable[[], datetime],
        connect: Connect = connection,
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._shelf = shelf
        self._tell = tell
        self._now = now
        self._streams: dict[tuple[str, str, str], Stream] = {}
        self._current: dict[tuple[str, str], str] = {}  # (reader, kind) -> the stream of `info`
        self._told: dict[tuple[str, str], int] = {}  # the same -> the last sequence of `health`
        self.counts = {"stored": 0, "duplicate": 0, "differs": 0, "garbage": 0, "asked": 0}
        self.connected = asyncio.Event()
        self._failures = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. StoreError passes: what cannot be kept must not be acknowledged."""
        for place in self._shelf.places():
            self._stream(place.reader, place.kind, place.stream).seen.add(place.sequence)
        living = asyncio.create_task(self._live())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(living, stopping)
        if not living.cancelled():
            living.result()

    def missing(self) -> dict[str, list[Range]]:
        """What is known to exist and is not here, by stream."""
        return {
            f"{stream.reader} {stream.kind} {stream.stream}": ranges
            for stream in self._streams.values()
            if (ranges := stream.missing())
        }

    async def _live(self) -> None:
        settings = self._settings
        while True:
            try:
                await self._one_connection()
            except LinkLost as error:
                ceiling_s = settings.retry_first_s * 2.0 ** min(self._failures, 30)
                pause_s = settings.uniform(0.0, min(settings.retry_most_s, ceiling_s))
                if self._failures == 0:
                    self._tell(f"broker lost: {error}; trying again")
                self._failures += 1
                await asyncio.sleep(pause_s)

    async def _one_connection(self) -> None:
        async with self._connect(self._settings, self._refused) as link:
            for refused in await link.subscribe():
                self._tell(f"REFUSED: the broker does not let us subscribe to {refused}")
            self._failures = 0
            self._tell(f"connected to {self._settings.url} as {self._settings.client_id}")
            self.connected.set()
            arrived: asyncio.Queue[aiomqtt.Message] = asyncio.Queue(BATCH)
            try:
                await _together(
                    self._receive(link, arrived), self._keep(link, arrived), self._ask(link)
                )
            finally:
                self.connected.clear()

    def _refused(self, reason: str) -> None:
        self._tell(f"REFUSED: the broker does not let us publish: {reason}")

    async def _receive(self, link: Link, arrived: asyncio.Queue[aiomqtt.Message]) -> None:
        async for message in link.incoming():
            await arrived.put(message)
        raise LinkLost("the connection ended")

    async def _keep(self, link: Link, arrived: asyncio.Queue[aiomqtt.Message]) -> None:
        while True:
            batch = [await arrived.get()]
            while len(batch) < BATCH and not arrived.empty():
                batch.append(arrived.get_nowait())
            items = [item for message in batch if (item := self._look(message)) is not None]
            if items:
                # To its end, because a kept message that nobody counted would be asked for again.
                await self._send_receipts(link, await _whole(self._store(items)))
            for message in batch:
                link.acknowledge(message)

    async def _store(self, items: list[Item]) -> list[tuple[Item, Outcome]]:
        """Durable and counted; in a thread, because fsync takes its time."""
        outcomes = await asyncio.to_thread(self._shelf.keep, items)
        kept = list(zip(items, outcomes, strict=True))
        for item, outcome in kept:
            self._count(item, outcome)
        return kept

    def _look(self, message: aiomqtt.Message) -> Item | None:
        """The message to keep, if it is one; everything else is dealt with here."""
        payload = message.payload if isinstance(message.payload, bytes) else b""
        topic = str(message.topic)
        if not payload and message.retain:
            return None  # somebody has taken it off the broker
        try:
            understood = understand(topic, payload)
        except Garbage as error:
            self.counts["garbage"] += 1
            self._tell(f"GARBAGE: {error}")
            return None
        if understood is None:
            return None
        reader, said = understood
        if isinstance(said, Item):
            return said
        self._hear(reader, said)
        return None

    def _hear(self, reader: str, said: Said) -> None:
        if isinstance(said, Status):
            self._tell(f"{reader} is {said.status}")
        elif isinstance(said, Info):
            self._current |= {(reader, kind): stream for kind, stream in said.streams.items()}
            self._compare(reader)
        elif isinstance(said, Health):
            self._told |= {(reader, kind): last for kind, last in said.last_sequence.items()}
            self._compare(reader)
        elif isinstance(said, Answer) and said.error not in (None, "busy"):
            self._tell(f"{reader} does not replay: {said.error}: {said.text}")
        elif isinstance(said, Answer) and said.data.forgotten:
            self._tell(f"{reader} no longer keeps {said.data.forgotten} of what is missing")

    def _compare(self, reader: str) -> None:
        """`info` names the streams, `health` how far they go; either may come first."""
        now_s = asyncio.get_running_loop().time()
        for kind in ("result", "event"):
            current = self._current.get((reader, kind))
            if current is not None:
                last = self._told.get((reader, kind), 0)
                self._stream(reader, kind, current).tell(last, now_s)

    def _stream(self, reader: str, kind: str, stream: str) -> Stream:
        key = (reader, kind, stream)
        if key not in self._streams:
            self._streams[key] = Stream(reader, kind, stream, self._settings.patience)
        return self._streams[key]

    def _count(self, item: Item, outcome: Outcome) -> None:
        self.counts[outcome] += 1
        if outcome == "differs":
            self._tell(f"DIFFERS: {item.name} {item.id} came again with other bytes; not kept")
            return
        stream = self._stream(item.reader, item.kind, item.stream)
        new = stream.add(item.sequence, asyncio.get_running_loop().time())
        if outcome == "stored" and not new:
            self._tell(f"DOUBLED: {item.name} exists with another id than {item.id}; both kept")
        elif outcome == "duplicate" or item.kind == "result":
            self._tell(f"{outcome} {item.name} {item.id}")

    async def _send_receipts(self, link: Link, kept: list[tuple[Item, Outcome]]) -> None:
        if not self._settings.receipts:
            return
        at = self._now().isoformat(timespec="milliseconds")
        await asyncio.gather(
            *(
                link.publish(
                    f"{ROOT}/{item.reader}/receipt/{self._settings.consumer}",
                    _receipt(item, outcome, self._shelf.ref(item), at),
                )
                for item, outcome in kept
                if item.kind == "result"
            )
        )

    async def _ask(self, link: Link) -> None:
        """Look for gaps now and then, and ask for what is missing."""
        while True:
            await asyncio.sleep(self._settings.look_every_s)
            if not self._settings.replay:
                continue
            now_s = asyncio.get_running_loop().time()
            for stream in list(self._streams.values()):
                for first, last in stream.ask(now_s):
                    numbers = f"{first}-{last}" if last > first else str(first)
                    self._tell(f"gap {stream.reader} {stream.kind} {numbers}: asking for a replay")
                    self.counts["asked"] += 1
                    await link.publish(
                        f"{ROOT}/{stream.reader}/cmd/replay",
                        _replay(self._settings.consumer, stream.stream, first, last, self._now()),
                        expiry_s=ASK_WITHIN_S,
                    )


def _receipt(item: Item, outcome: Outcome, ref: str, at: str) -> bytes:
    """The contract, section 4: `receipt/{consumer}`."""
    said = "refused" if outcome == "differs" else outcome
    ref = "the same id with other bytes is stored" if outcome == "differs" else ref
    return json.dumps({"event_id": item.id, "outcome": said, "ref": ref, "at": at}).encode()


def _replay(consumer: str, stream: str, first: int, last: int, now: datetime) -> bytes:
    """The contract, section 4: `cmd/replay`."""
    most = min(REPLAY_MOST, last - first + 1)
    args = {"stream": stream, "from": first, "to": last, "max": most}
    body = {
        "request_id": str(ULID.from_datetime(now)),
        "requester": consumer,
        "issued_at": now.isoformat(timespec="milliseconds"),
        "expires_at": (now + timedelta(seconds=ASK_WITHIN_S)).isoformat(timespec="milliseconds"),
        "args": args,
    }
    return json.dumps(body).encode()


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Await it to its end, even when we are cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run until one ends; its exception is ours, the others are cancelled and waited for."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(*tasks)
    for task in done:
        task.result()


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel until they have ended: the MQTT library can swallow a cancellation, because
    `asyncio.wait_for` did before Python 3.12 when the answer came at the same moment."""
    waiting, ours = set(tasks), None
    while waiting:
        for task in waiting:
            task.cancel()
        try:
            _, waiting = await asyncio.wait(waiting, timeout=CANCEL_AGAIN_S)
        except asyncio.CancelledError as error:  # told again by our own caller: not before they end
            ours, waiting = error, {task for task in waiting if not task.done()}
    if ours is not None:
        raise ours
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: whoever needs it asks again
