"""Scanner, button and reader on three pseudo-terminals, mosquitto, the LIMS side: lamp green."""

import asyncio
import json
import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from readerd.demo.broker import Broker
from tests.conftest import StartMosquitto
from tests.whole.whole_bench import Start
from tests.whole.whole_lims import ROOT, WITHIN_S, MakeBench, configure, running

BUTTON = 'source = "serial:button"\nlockout_s = 0.5'
RECEIPTS = 'required_receipts = ["lims"]'


@dataclass
class Device:
    """Something on a serial line that sends lines, until it is unplugged."""

    link: Path
    ends: tuple[int, int] = (-1, -1)

    def plug_in(self) -> "Device":
        self.ends = pty.openpty()
        tty.setraw(self.ends[1])
        self.link.symlink_to(os.ttyname(self.ends[1]))
        return self

    def says(self, line: str) -> None:
        os.write(self.ends[0], f"{line}\r\n".encode())

    def unplug(self) -> None:
        self.link.unlink()
        for end in self.ends:
            os.close(end)


@dataclass
class Watcher:
    """Who stands at the bench and sees the lamp."""

    client: aiomqtt.Client
    seen: list[str] = field(default_factory=list)

    async def until(self, state: str) -> dict[str, Any]:
        """The lamp's message with this state; `seen` keeps the lights on the way."""
        return await self._next("lamp", lambda body: bool(body) and body["state"] == state)

    async def until_alarm(self, code: str, *, stands: bool) -> None:
        await self._next(f"alarm/{code}", lambda body: bool(body) == stands)

    async def _next(self, topic: str, wanted: Any) -> dict[str, Any]:
        async with asyncio.timeout(WITHIN_S):
            async for message in self.client.messages:
                body = json.loads(bytes(message.payload) or b"{}")
                if str(message.topic) == f"{ROOT}/lamp":
                    self.seen.append(body["light"])
                if str(message.topic) == f"{ROOT}/{topic}" and wanted(body):
                    return dict(body)
        raise AssertionError("the connection ended")


@asynccontextmanager
async def watching(port: int, version: str = "5") -> AsyncIterator[Watcher]:
    protocol = aiomqtt.ProtocolVersion.V5 if version == "5" else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", port, protocol=protocol) as client:
        await client.subscribe(f"{ROOT}/lamp", qos=1)
        await client.subscribe(f"{ROOT}/alarm/#", qos=1)
        yield Watcher(client)


def stored(folder: Path) -> list[str]:
    """Barcodes of the results that the LIMS side has."""
    bodies = [json.loads(path.read_bytes()) for path in folder.rglob("*.json")]
    return sorted(body["subject"] for body in bodies if body["type"].endswith("result.v1"))


async def test_from_the_scanner_to_the_lims_and_back_to_the_lamp(
    bench: MakeBench, mosquitto: StartMosquitto, start: Start, tmp_path: Path
) -> None:
    broker = mosquitto()
    here = bench(port="serial:tty", broker=broker.port)
    configure(here, scanner='source = "serial:scanner"', button=BUTTON, mqtt=RECEIPTS)
    scanner = Device(tmp_path / "scanner").plug_in()
    button = Device(tmp_path / "button").plug_in()
    url = f"mqtt://127.0.0.1:{broker.port}"
    async with watching(broker.port) as lamp, running(here, time_scale=0.01) as house:
        await lamp.until("idle")
        scanner.says("PLT1")
        assert (await lamp.until("armed"))["plate_barcode"] == "PLT1"
        button.says("READ\r\nREAD")
        assert (await lamp.until("delivering"))["light"] == "blinking"
        start("collect", "--url", url, "--to", "lims")  # only now is there anybody to receive it
        run_id = (await lamp.until("done"))["run_id"]
        assert house.store.outbox.delivery(run_id) == "settled"
        assert stored(tmp_path / "lims") == ["PLT1"]
        assert (lamp.seen[:2], lamp.seen.index("green")) == (["dark", "amber"], len(lamp.seen) - 1)

        button.unplug()
        await lamp.until_alarm("button-lost", stands=True)
        button.plug_in()
        await lamp.until_alarm("button-lost", stands=False)
        scanner.says("no barcode!")
        assert (await lamp.until("refused"))["code"] == "barcode_invalid"
        scanner.says("PLT2")
        await lamp.until("armed")
        button.says("READ")
        await lamp.until("done")
        assert stored(tmp_path / "lims") == ["PLT1", "PLT2"]
    assert house.runner.current_run is None


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_wireless_button_on_the_same_broker(
    bench: MakeBench, broker: Broker, tmp_path: Path, version: str
) -> None:
    topic = "zigbee2mqtt/bench2-button"
    here = bench(port="serial:tty", broker=broker.port)
    configure(
        here,
        scanner='source = "serial:scanner"',
        button=f'source = "mqtt:{topic}"',
        mqtt=f'version = "{version}"',
    )
    scanner = Device(tmp_path / "scanner").plug_in()
    async with watching(broker.port) as lamp:
        await lamp.client.publish(topic, '{"action":"single"}', qos=1, retain=True)
        async with running(here) as house:
            await lamp.until("idle")
            scanner.says("PLT1")
            await lamp.until("armed")
            await lamp.client.publish(topic, '{"action":"double"}', qos=1)
            await lamp.client.publish(topic, '{"action":"single"}', qos=1)
            assert (await lamp.until("done"))["plate_barcode"] == "PLT1"
            assert [run.state for run in house.store.newest(9)] == ["done"]
            events = house.store.outbox.between("event", 1, 99, 99)
            kinds = [json.loads(row.payload)["data"]["kind"] for row in events]
            assert kinds == ["armed", "started", "completed"]
