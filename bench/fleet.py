"""Many readers on one broker: what one plate sends, and what a connection and a plate cost it.

First a real daemon on a twin reads one plate while a subscriber counts everything. Then many
connections like a daemon's (a will, a subscription, retained messages) stand on one mosquitto, and
each sends exactly those messages while one subscriber takes all of them.
"""

import asyncio
import logging
import os
import resource
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import aiomqtt

from bench._parts import free_port
from bench._scene import broker, listening, readers, rows
from bench.chaos import asked, is_ready, until

CONNECTIONS = 400
PLATES_EACH = 3
# At once: more than a listen queue holds are turned away, and mosquitto drops past 1,000 queued.
AT_ONCE = 20
QUIET = logging.getLogger("bench.fleet.quiet")
QUIET.setLevel(logging.CRITICAL)


@dataclass
class Heard:
    """Messages of one plate: topic below the root, retained or not, bytes."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def told(self) -> str:
        size = sum(len(payload) for _, payload in self.messages)
        result = max(len(payload) for _, payload in self.messages)
        return f"{len(self.messages)} messages, {size} bytes, the result {result} of them"


def ended(journal: Path) -> bool:
    sql = "SELECT count(*) FROM outbox WHERE topic = 'result' AND state = 'broker_acked'"
    return bool(rows(journal, sql)[0][0])


async def one_plate(directory: Path, port: int) -> Heard:
    """Everything that a daemon publishes for one plate, progress included."""
    heard = Heard()
    async with readers(directory, port, 1, "") as [reader]:
        reader.program.start()
        await until(20.0, partial(is_ready, reader))
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("readerd/v1/bench/b1/#", qos=1)
            listening_task = asyncio.create_task(_hear(client, heard))
            body: dict[str, object] = {"plate_barcode": "P1", "key": "k1"}
            await until(20.0, partial(asked, reader, body))
            await until(20.0, partial(ended, reader.journal))
            await asyncio.sleep(0.5)
            listening_task.cancel()
            await asyncio.wait({listening_task})
    return heard


async def _hear(client: aiomqtt.Client, heard: Heard) -> None:
    async for message in client.messages:
        topic = str(message.topic).removeprefix("readerd/v1/bench/b1/")
        if not message.retain and isinstance(message.payload, bytes):
            heard.messages.append((topic, message.payload))


def broker_costs(pid: int) -> tuple[float, float]:
    """Seconds of processor time and MB of memory."""
    text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(text[11]) + int(text[12])
    pages = int(text[21])
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return ticks * tick_s, pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class Fleet:
    """Connections like a daemon's, each sending the messages of some plates."""

    port: int
    plate: Heard
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    up: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def reader(self, number: int) -> None:
        root = f"readerd/v1/bench/r{number}"
        will = aiomqtt.Will(f"{root}/status", b"{}", 1, True)
        client = aiomqtt.Client("127.0.0.1", self.port, will=will, logger=QUIET, timeout=60)
        async with self.gate:
            await client.__aenter__()
            await client.subscribe(f"{root}/cmd/#", qos=1)
            for name in ("status", "info", "state", "health", "last"):
                await client.publish(f"{root}/{name}", b"x" * 300, qos=1, retain=True)
        self.up.release()
        await self.go.wait()
        for _ in range(PLATES_EACH):
            async with self.gate:
                for topic, payload in self.plate.messages:
                    await client.publish(f"{root}/{topic}", payload, qos=int(topic != "progress"))
        await client.__aexit__(None, None, None)


async def costs_of(fleet: Fleet, pid: int) -> dict[str, float]:
    """Costs per connection and per plate."""
    before_s, before_mb = broker_costs(pid)
    async with aiomqtt.Client("127.0.0.1", fleet.port, logger=QUIET) as lims:
        await lims.subscribe("readerd/v1/bench/+/result", qos=1)
        tasks = [asyncio.create_task(fleet.reader(number)) for number in range(CONNECTIONS)]
        for _ in range(CONNECTIONS):
            await fleet.up.acquire()
        up_s, up_mb = broker_costs(pid)
        began_s = asyncio.get_running_loop().time()
        fleet.go.set()
        taken = CONNECTIONS * PLATES_EACH
        async with asyncio.timeout(60):
            for _ in range(taken):
                await anext(aiter(lims.messages))
        took_s = asyncio.get_running_loop().time() - began_s
        after_s, _ = broker_costs(pid)
        await asyncio.gather(*tasks)
    return {
        "memory per connection, kB": (up_mb - before_mb) / CONNECTIONS * 1000,
        "processor per connection, ms": (up_s - before_s) / CONNECTIONS * 1000,
        "processor per plate, ms": (after_s - up_s) / taken * 1000,
        "plates per second (both sides on this machine)": taken / took_s,
    }


async def measure(directory: Path) -> None:
    port = free_port()
    mosquitto = broker(directory, port)
    mosquitto.start()
    try:
        await listening(port)
        plate = await one_plate(directory, port)
        print(f"one plate: {plate.told()}")
        assert mosquitto.process is not None
        costs = await costs_of(Fleet(port, plate), mosquitto.process.pid)
    finally:
        mosquitto.end(signal.SIGKILL)
    print(f"mosquitto with {CONNECTIONS} readers, {PLATES_EACH} plates each")
    for name, value in costs.items():
        print(f"  {name:<48} {value:8.2f}")


def main() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="readerd-bench-") as name:
        asyncio.run(measure(Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
