"""The show: one IL-6 plate through the whole path, no hardware, no broker, no configuration.

Everything is the real thing but the instrument: the twin sits behind a real pseudo-terminal, the
daemon reads its TOML file and opens the terminal as a serial port, the read is asked for at the
local door, and what is shown is what an MQTT subscriber received from the embedded broker.
"""

import asyncio
import json
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from readerd.config import Config, load_config
from readerd.daemon import opener, serve
from readerd.demo.broker import Broker
from readerd.demo.plate import TruePlate, il6_plate
from readerd.demo.twin import simulated
from readerd.driver import catalog
from readerd.driver.serve import serve_pty
from readerd.edge.door import Door
from readerd.house import House
from readerd.payload import ResultEnvelope

PLATE = "IL6-0001"
# Fast enough to watch, slow enough to see the curve grow.
TIME_SCALE = 0.1
RESULT_WITHIN_S = 60.0
# The demo has failed when a sample in range is further from the truth than this.
WITHIN = 0.20

_CONFIG = """\
[reader]
site = "demo"
id = "bench1"
driver = "{driver}"
port = "serial:{terminal}"

[reader.options]
{options}
[assays]
directory = "assays"
default = "il6-elisa"

[store]
path = "journal.db"

[mqtt]
url = "mqtt://127.0.0.1:{broker_port}"

[http]
socket = "bench1.sock"
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running demo: the daemon, the plate in its twin, and the file that configures it."""

    house: House
    plate: TruePlate
    config_path: Path
    broker_port: int


@asynccontextmanager
async def stage(driver_name: str, directory: Path) -> AsyncIterator[Stage]:
    """Broker, twin and daemon, up and ready; all gone at the end."""
    plate = il6_plate()
    driver = catalog.find(driver_name)
    terminal = str(directory / "reader.tty")
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker())
        twin, line = simulated(driver, plate.chemistry), driver.line(driver.example_options())
        await stack.enter_async_context(serve_pty(twin, line, path=terminal, time_scale=TIME_SCALE))
        path = directory / "bench1.toml"
        path.write_text(
            _CONFIG.format(
                driver=driver_name,
                terminal=terminal,
                options=_toml(driver.example),
                broker_port=broker.port,
            )
        )
        (directory / "assays").mkdir()
        (directory / "assays" / "il6-elisa.toml").write_text(plate.assay_text)
        house = await stack.enter_async_context(_daemon(load_config(path)))
        yield Stage(house, plate, path, broker.port)


def _toml(values: Mapping[str, object]) -> str:
    """Lines of a table: TOML writes numbers, texts and lists as JSON does."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


@asynccontextmanager
async def _daemon(config: Config) -> AsyncIterator[House]:
    """The daemon in this loop; if it fails, so does whoever stands inside."""
    stop = asyncio.Event()
    ready: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(config, open_stream=opener(config), stop=stop, on_ready=ready.set_result)
        )
        yield await ready
        stop.set()


async def one_plate(driver_name: str) -> tuple[bytes, TruePlate]:
    """The result of one plate as a subscriber received it, and the truth about the plate."""
    with tempfile.TemporaryDirectory(prefix="readerd-demo-") as directory:
        async with stage(driver_name, Path(directory)) as running:
            return await receive_one(running), running.plate


async def receive_one(running: Stage) -> bytes:
    """Subscribe, ask for a read at the local door, wait for the result."""
    async with asyncio.timeout(RESULT_WITHIN_S):
        async with aiomqtt.Client("127.0.0.1", running.broker_port) as subscriber:
            await subscriber.subscribe("readerd/v1/demo/bench1/result", qos=1)
            await running.house.bench.until_ready()
            await asyncio.to_thread(
                Door(running.house.config.socket).post, "/v1/runs", {"plate_barcode": PLATE}
            )
            async for message in subscriber.messages:
                if isinstance(message.payload, bytes):
                    return message.payload
    raise RuntimeError("the subscription ended without a result")


async def keep_serving(driver_name: str, tell: Callable[[str], None]) -> None:
    """The same stage, standing until SIGINT or SIGTERM, for whoever wants to try the doors."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="readerd-demo-") as directory:
        async with stage(driver_name, Path(directory)) as running:
            socket = running.house.config.socket
            tell(
                f"broker   mqtt://127.0.0.1:{running.broker_port}, topics readerd/v1/demo/bench1/#"
            )
            tell(f"config   {running.config_path}")
            tell(f"read     readerd read --reader {socket} --plate {PLATE} --wait")
            await stop.wait()


def is_true(payload: bytes, truth: Mapping[str, float]) -> bool:
    """Whether every sample that is truly in range was found within 20 % of the truth."""
    data = ResultEnvelope.model_validate_json(payload).data
    if data.fit is None or data.fit.lloq is None or data.fit.uloq is None:
        return False
    return all(
        sample.concentration is not None
        and abs(sample.concentration / truth[sample.position] - 1) <= WITHIN
        for sample in data.samples
        if data.fit.lloq <= truth[sample.position] <= data.fit.uloq
    )
