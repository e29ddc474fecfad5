"""A weekend's backlog: 10,000 stored rows to a broker, in order, with flat memory.

Beside it a bare aiomqtt loop that publishes the same bytes to the same broker with the same number
of messages in flight, and keeps no journal: what the certainty costs.
"""

import asyncio
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt

from bench._parts import mosquitto
from readerd.edge.mqtt import WINDOW, connector
from readerd.edge.mqtt_settings import MqttSettings
from readerd.edge.publisher import Publisher
from readerd.run.rows import OutboxRow, Place, Stored
from readerd.run.store import Store

ROWS = 10_000
# A 96-well IL-6 result, as tests/golden/result-pass.json.
BYTES = 29_600
TIMES = 5
BUDGET_RATIO, BUDGET_GROWTH_MB = 0.5, 20.0
TOPIC = "readerd/v1/bench/b1"
AT = "2026-03-04T09:15:42.000+00:00"


class Journal:
    """A real store, and who waits until the last row is closed."""

    def __init__(self, store: Store) -> None:
        self._outbox = store.outbox
        self.closed: list[int] = []
        self.done = asyncio.Event()

    def pending(self, limit: int, after_row_id: int = 0) -> Sequence[OutboxRow]:
        return self._outbox.pending(limit, after_row_id)

    def broker_acked(self, row_ids: Sequence[int], at: str) -> None:
        self._outbox.broker_acked(row_ids, at)
        self.closed += row_ids
        if len(self.closed) == ROWS:
            self.done.set()


def body(sequence: int) -> bytes:
    """A payload of the usual size that says which it is."""
    return f'{{"sequence":{sequence},"data":"'.encode().ljust(BYTES - 2, b"x") + b'"}'


def compose(place: Place) -> Stored:
    return Stored(f"E{place.sequence:025d}", body(place.sequence))


def resident_mb() -> float:
    text = Path("/proc/self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


async def drained(store: Store, port: int) -> tuple[float, float, bool]:
    """Rows per second, growth of memory in MB, and whether they went in order."""
    journal = Journal(store)
    settings = MqttSettings(url=f"mqtt://127.0.0.1:{port}")
    publisher = Publisher(
        connector(settings, "readerd-bench-b1"),
        TOPIC,
        journal,
        session=1,
        now=lambda: datetime.now(UTC),
    )
    stop = asyncio.Event()
    highest_mb = before_mb = resident_mb()
    began_s = time.perf_counter()
    run = asyncio.create_task(publisher.run(stop))
    while not journal.done.is_set():
        try:
            async with asyncio.timeout(0.2):
                await journal.done.wait()
        except TimeoutError:
            highest_mb = max(highest_mb, resident_mb())
    took_s = time.perf_counter() - began_s
    highest_mb = max(highest_mb, resident_mb())
    stop.set()
    await run
    return ROWS / took_s, highest_mb - before_mb, journal.closed == sorted(journal.closed)


async def bare(port: int) -> float:
    """Messages per second of a loop that only publishes."""
    # It warns of every call beyond the tenth; printing that would slow it down.
    quiet = logging.getLogger("bench.drain.bare")
    quiet.setLevel(logging.CRITICAL)
    version = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client("127.0.0.1", port, protocol=version, logger=quiet) as client:
        numbers = iter(range(1, ROWS + 1))

        async def one_after_another() -> None:
            for sequence in numbers:
                await client.publish(f"{TOPIC}/event", body(sequence), qos=1)

        began_s = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(WINDOW)))
        return ROWS / (time.perf_counter() - began_s)


def backlog(path: Path) -> Path:
    """A journal with everything still to send."""
    store = Store(path)
    for _ in range(ROWS):
        store.record(compose, AT)
    store.close()
    return path


def one_round(full: Path, port: int) -> tuple[float, float, float, bool]:
    """Our rows per second, the bare loop's messages, growth in MB, in order; on the same bytes."""
    copy = full.with_name("round.db")
    shutil.copyfile(full, copy)
    os.sync()  # else the first commits wait for the copy
    store = Store(copy)
    rate, grown, in_order = asyncio.run(drained(store, port))
    store.close()
    copy.unlink()
    return rate, asyncio.run(bare(port)), grown, in_order


def main() -> int:
    """1 when the ratio or the growth misses its budget, or the order is broken."""
    rounds = []
    with tempfile.TemporaryDirectory(prefix="readerd-bench-") as name:
        full = backlog(Path(name) / "backlog.db")
        with mosquitto(Path(name)) as port:
            for _ in range(TIMES):
                rounds.append(one_round(full, port))
                rate, plain, grown, _ = rounds[-1]
                print(
                    f"  {rate:6.0f} rows/s beside {plain:6.0f}: {rate / plain:.2f}; +{grown:.1f} MB"
                )
    # Pairs, because the machine's other work comes and goes.
    ratio = statistics.median(rate / plain for rate, plain, _, _ in rounds)
    ours, bares, growths, orders = zip(*rounds, strict=True)
    growth, ordered = max(growths), all(orders)
    print(f"drain of {ROWS} rows of {BYTES} bytes, median of {TIMES} pairs")
    print(f"  readerd       {statistics.median(ours):8.0f} rows/s, journal and fsync included")
    print(f"  bare aiomqtt  {statistics.median(bares):8.0f} messages/s, window {WINDOW}")
    print(f"  ratio         {ratio:8.2f}  (budget {BUDGET_RATIO:g})")
    print(f"  memory grows  {growth:8.1f} MB  (budget {BUDGET_GROWTH_MB:g})")
    print(f"  in order      {'yes' if ordered else 'NO':>8}")
    return int(ratio < BUDGET_RATIO or growth > BUDGET_GROWTH_MB or not ordered)


if __name__ == "__main__":
    sys.exit(main())
