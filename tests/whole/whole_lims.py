"""A daemon in this loop on a twin behind a pseudo-terminal, and a LIMS that commands it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from readerd.config import load_config
from readerd.daemon import opener, serve, wall_clock
from readerd.demo.twin import simulated
from readerd.driver.serve import serve_pty
from readerd.house import House
from tests.whole.whole_bench import Bench

ROOT = "readerd/v1/lab1/bench2"
ALL = ["ping", "info", "arm", "disarm", "platemap", "read", "abort", "replay", "resend", "get"]
WITHIN_S = 20.0
MakeBench = Callable[..., Bench]


def configure(bench: Bench, **changes: str) -> None:
    """Lines put under the heading of a section: `mqtt='commands = []'`."""
    text = bench.config.read_text()
    for section, lines in changes.items():
        heading = f"[{section}]\n"
        if heading not in text:
            text += f"\n{heading}"
        text = text.replace(heading, f"{heading}{lines}\n")
    bench.config.write_text(text)


@asynccontextmanager
async def running(
    bench: Bench,
    *,
    now: Callable[[], datetime] = wall_clock,
    time_scale: float = 0,
    faults: Sequence[str] = (),
) -> AsyncIterator[House]:
    """The daemon, its reader ready and its commands subscribed to; stopped in order."""
    config = load_config(bench.config)
    twin = simulated(config.driver, specs=faults)
    line = config.driver.line(config.options)
    stop = asyncio.Event()
    ready: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    tty = str(bench.directory / "tty")
    where = serve_pty(twin, line, path=tty, time_scale=time_scale)
    async with where, standing(config.mqtt.port) as stands, asyncio.TaskGroup() as group:
        open_stream = opener(config)
        group.create_task(
            serve(config, open_stream=open_stream, now=now, stop=stop, on_ready=ready.set_result)
        )
        house = await ready
        await house.bench.until_ready()
        await stands()
        yield house
        stop.set()


@asynccontextmanager
async def standing(port: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """To wait until a daemon says `online`: before that the broker has nobody to command."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"{ROOT}/status", qos=1)

        async def stands() -> None:
            async with asyncio.timeout(WITHIN_S):
                async for message in client.messages:
                    told = json.loads(bytes(message.payload))
                    if not message.retain and told["status"] == "online":
                        return

        yield stands


@dataclass
class Lims:
    """One MQTT client that commands and listens."""

    client: aiomqtt.Client
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    async def command(
        self,
        verb: str,
        request_id: str,
        *,
        retain: bool = False,
        properties: Properties | None = None,
        issued: datetime | None = None,
        lives_s: float = 20,
        requester: str = "lims",
        expect: dict[str, Any] | None = None,
        **args: Any,
    ) -> None:
        at = issued or datetime.now(UTC)
        body = {
            "request_id": request_id,
            "requester": requester,
            "issued_at": at.isoformat(),
            "expires_at": (at + timedelta(seconds=lives_s)).isoformat(),
            "args": {key.rstrip("_"): value for key, value in args.items()},
            "expect": expect,
        }
        await self.say(f"cmd/{verb}", body, retain=retain, properties=properties)

    async def say(self, topic: str, body: object, **more: Any) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.client.publish(f"{ROOT}/{topic}", payload, qos=1, **more)

    async def hear(self, topic: str, count: int = 1) -> list[Any]:
        """The next messages on a topic, decoded; the others stay in `heard`."""
        return [json.loads(payload) for payload in await self.bytes(topic, count)]

    async def bytes(self, topic: str, count: int = 1) -> list[bytes]:
        found: list[bytes] = []
        async with asyncio.timeout(WITHIN_S):
            async for message in self.client.messages:
                name = str(message.topic).removeprefix(f"{ROOT}/")
                self.heard.append((name, bytes(message.payload)))
                if name == topic:
                    found.append(bytes(message.payload))
                if len(found) == count:
                    return found
        raise AssertionError("the connection ended")

    async def ask(self, verb: str, request_id: str, **more: Any) -> list[Any]:
        """Both answers, or the one refusal."""
        await self.command(verb, request_id, **more)
        first = (await self.hear("rsp/lims"))[0]
        return [first] if first["status"] == "rejected" else [first, *await self.hear("rsp/lims")]


@asynccontextmanager
async def lims(port: int, version: str = "5", **more: Any) -> AsyncIterator[Lims]:
    protocol = aiomqtt.ProtocolVersion.V5 if version == "5" else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", port, protocol=protocol, **more) as client:
        for topics in ("rsp/#", "replay/#", "result", "event", "state"):
            await client.subscribe(f"{ROOT}/{topics}", qos=1)
        yield Lims(client)


def asking_for(topic: str, correlation: bytes) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = topic
    properties.CorrelationData = correlation
    return properties
