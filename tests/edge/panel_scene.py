"""Scanner, button and lamp on a whole house in virtual time: real journal, runner and twin.

The devices are pipes: what is written to one is what the kernel would hand over. There is no
broker; `acknowledge` closes rows as one would.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from readerd.config import load_config
from readerd.daemon import opener
from readerd.demo.plate import il6_assay_text
from readerd.demo.twin import simulated
from readerd.edge.broker import Incoming
from readerd.edge.button_settings import InputAddress
from readerd.edge.inputs import FdSource, Source
from readerd.errors import LinkLost
from readerd.house import House, wire
from readerd.payload import LampMessage, ResultEnvelope
from readerd.run.store import Store
from tests.virtual_clock import run_virtual

SERIAL = '[scanner]\nsource = "serial:scanner"\n[button]\nsource = "serial:button"\n'
SCAN = '[scanner]\nsource = "serial:scanner"\n[button]\nsource = "scan"\n'
EVDEV = '[scanner]\nsource = "serial:scanner"\n[button]\nsource = "evdev:button"\n'
GPIO = '[scanner]\nsource = "serial:scanner"\n[button]\nsource = "gpio:/dev/gpiochip0/17"\n'
MQTT = '[scanner]\nsource = "serial:scanner"\n[button]\nsource = "mqtt:zigbee2mqtt/button"\n'
UNIDENTIFIED = 'unarmed = "unidentified"\n'
# The twin reads a plate at two wavelengths in less than this.
ONE_READ_S = 20.0


@dataclass
class Desk:
    """A reader's bench, and hands."""

    house: House
    plugs: dict[str, int] = field(default_factory=dict)  # what writes into each device
    opened: list[str] = field(default_factory=list)
    is_unplugged: bool = False

    async def open_input(self, address: InputAddress, debounce_s: float) -> Source:
        name = "scanner" if address.text.endswith("scanner") else "button"
        self.opened.append(name)
        if self.is_unplugged:
            raise LinkLost(f"{address.text}: No such file or directory")
        reading, self.plugs[name] = os.pipe()
        return FdSource(address.text, reading, lambda: os.close(reading))

    async def scan(self, line: str) -> None:
        await self.feed("scanner", f"{line}\r".encode())

    async def feed(self, name: str, data: bytes) -> None:
        os.write(self.plugs[name], data)
        await asyncio.sleep(0.05)  # virtual

    async def press(self) -> None:
        await self.feed("button", b"READ\r\n")

    def remote(self, payload: str, *, retained: bool = False) -> None:
        topic, data = "zigbee2mqtt/button", payload.encode()
        self.house.panel.remote(Incoming(topic=topic, payload=data, retained=retained))

    async def read(self) -> None:
        """Long enough for a plate."""
        await asyncio.sleep(ONE_READ_S)

    async def minutes(self, count: float) -> None:
        await asyncio.sleep(60 * count)

    def unplug(self, name: str) -> None:
        os.close(self.plugs.pop(name))

    @property
    def lamp(self) -> LampMessage:
        """What stands on the broker as the lamp."""
        shown = self.house.edge.publisher._retained.get("lamp")
        assert shown is not None
        return LampMessage.model_validate_json(shown)

    def shines(self, light: str, state: str, code: str | None = None) -> bool:
        """Compared here, so that a failed assertion shows the whole message."""
        lamp = self.lamp
        assert (lamp.light, lamp.state, lamp.code) == (light, state, code), lamp
        return True

    def acknowledge(self) -> None:
        """The broker has everything."""
        outbox = self.house.edge.outbox
        outbox.broker_acked([row.row_id for row in outbox.pending(99)], "2026-03-04T09:15:42Z")

    def runs(self) -> list[tuple[str, str | None]]:
        """State and barcode of all runs, oldest first."""
        return [(run.state, run.plate) for run in reversed(self.house.store.newest(99))]

    def events(self, kind: str | None = None) -> list[tuple[str, str | None]]:
        rows = self.house.store.outbox.between("event", 1, 999, 999)
        data = [json.loads(row.payload)["data"] for row in rows]
        return [(one["kind"], one["code"]) for one in data if kind in (None, one["kind"])]

    def refusals(self) -> list[str | None]:
        return [code for _, code in self.events("refused")]

    def result(self, number: int = 0) -> ResultEnvelope:
        run = self.house.store.newest(99)[number]
        newest = self.house.store.result(run.id)
        assert newest is not None
        return ResultEnvelope.model_validate_json(newest.payload)


Script = Callable[[Desk], Coroutine[Any, Any, None]]


def configured(folder: Path, text: str) -> Path:
    (folder / "assays").mkdir(exist_ok=True)
    (folder / "assays" / "il6.toml").write_text(il6_assay_text())
    path = folder / "bench2.toml"
    head = '[reader]\nsite = "lab1"\nid = "bench2"\ndriver = "biorad680"\nport = "twin:"\n'
    assays = '[assays]\ndirectory = "assays"\ndefault = "il6-elisa"\n'
    rest = '[store]\npath = "journal.db"\n'
    mqtt = "" if "[mqtt]" in text else '[mqtt]\nurl = "mqtt://127.0.0.1"\n'
    path.write_text(head + assays + rest + mqtt + text)
    return path


@asynccontextmanager
async def desk(folder: Path, text: str) -> AsyncIterator[Desk]:
    """The daemon's house without its door and broker; a second one is a restart."""
    config = load_config(configured(folder, text))
    store, tasks = Store(config.store.path, config.mqtt.required_receipts), set()

    def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        tasks.add(task)
        return task

    house = wire(
        config,
        store,
        open_stream=opener(config, lambda: simulated(config.driver)),
        connect=lambda will: (_ for _ in ()).throw(AssertionError),
        now=lambda: datetime(2026, 3, 4, 9, 15, tzinfo=UTC),
        spawn=spawn,
        open_input=lambda address, debounce_s: stage.open_input(address, debounce_s),
    )
    stage = Desk(house)
    house.runner.resume()
    work = [spawn(house.bench.run()), spawn(house.panel.run())]
    try:
        ready = spawn(house.bench.until_ready())
        await asyncio.wait({ready, *work}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        yield stage
        for task in work:
            assert not task.done() or task.result()
    finally:
        for task in reversed([*tasks]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for plug in stage.plugs.values():
            os.close(plug)
        store.close()


def play(folder: Path, text: str, *scripts: Script) -> None:
    """Each script is one life of the daemon on the same journal."""

    async def main() -> None:
        for script in scripts:
            async with desk(folder, text) as stage:
                await script(stage)

    run_virtual(main())
