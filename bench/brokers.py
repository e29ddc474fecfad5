"""Which brokers carry the contract: mosquitto, RabbitMQ, NATS, as far as they are installed here.

For each: a daemon on a twin and a collector, three plates, the broker killed with SIGKILL and
started again on the same disk, three more plates. Told are the MQTT version that was agreed on, how
many results the collector has, how many are confirmed by receipt in the journal, and whether the
retained status is there. Nothing has to be installed: a broker that is not here is told as such.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aiomqtt

from bench._parts import free_port
from bench._scene import Program, Reader, broker, collector, listening, readers, rows
from bench.chaos import asked, is_ready, until

PLATES = 3
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def mosquitto(directory: Path, port: int) -> Program | None:
    try:
        return broker(directory, port)
    except FileNotFoundError:
        return None


def nats(directory: Path, port: int) -> Program | None:
    program = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        return None
    config = directory / "nats.conf"
    config.write_text(
        f'server_name: bench\nlisten: "127.0.0.1:{free_port()}"\n'
        f'jetstream {{ store_dir: "{directory / "nats"}" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}" }}\n'
    )
    return Program([program, "-c", str(config)], directory / "broker.log")


def rabbitmq(directory: Path, port: int) -> Program | None:
    if not RABBITMQ.exists():
        return None
    config = directory / "rabbitmq.conf"
    config.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{free_port()}\n"
        f"mqtt.listeners.tcp.1 = 127.0.0.1:{port}\n"
        "mqtt.allow_anonymous = true\n"
    )
    (directory / "plugins").write_text("[rabbitmq_mqtt].\n")
    settings = {
        "HOME": str(directory),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "bench@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "ERL_EPMD_PORT": str(free_port()),
    }
    assigned = [f"{name}={value}" for name, value in settings.items()]
    return Program(["env", *assigned, str(RABBITMQ)], directory / "broker.log")


# Erlang takes half a minute on two slow cores.
BROKER_WITHIN_S = 90.0

Make = Callable[[Path, int], Program | None]
BROKERS: dict[str, Make] = {
    "mosquitto": mosquitto,
    "nats": nats,
    "rabbitmq": rabbitmq,
}


async def try_out(make: Make, directory: Path, version: str) -> str:
    port = free_port()
    running = make(directory, port)
    if running is None:
        return "not installed"
    lims = collector(directory, port, "--mqtt", "3.1.1")
    try:
        async with readers(directory, port, 1, '"lims"', version) as [reader]:
            running.start()
            await listening(port, BROKER_WITHIN_S)
            lims.start()
            reader.program.start()
            if not await until(30.0, partial(is_ready, reader)):
                return "the daemon finds no connection"
            told = [await plates(directory, reader, 0)]
            await asyncio.to_thread(running.end, signal.SIGKILL)
            running.start()
            await listening(port, BROKER_WITHIN_S)
            told.append(await plates(directory, reader, PLATES))
            status = await retained(port)
            log = (directory / "b1.log").read_text()
            agreed = log.rpartition("link=up version=")[2].split(" ")[0]
            return f"MQTT {agreed}; {told[0]}; broker killed; {told[1]}; retained status: {status}"
    finally:
        lims.end(signal.SIGKILL)
        running.end(signal.SIGKILL)
        end_epmd(running.arguments)


def end_epmd(arguments: list[str]) -> None:
    """Erlang's name server leaves its parent's session; ours listens on a port of its own."""
    ports = [text for text in arguments if text.startswith("ERL_EPMD_PORT=")]
    program = shutil.which("epmd")
    if ports and program is not None:
        command = [program, "-port", ports[0].partition("=")[2], "-kill"]
        for _ in range(50):  # it refuses while it believes that its node lives
            if b"Killed" in subprocess.run(command, check=False, capture_output=True).stdout:
                return
            time.sleep(0.1)


async def plates(directory: Path, reader: Reader, first: int) -> str:
    """Make some; how many of all so far are collected and confirmed."""
    for number in range(first, first + PLATES):
        body: dict[str, object] = {"plate_barcode": f"P{number:05d}", "key": f"k{number}"}
        await until(20.0, partial(asked, reader, body))
    total = first + PLATES
    await until(40.0, lambda: confirmed(reader) == total)
    kept = rows(directory / "collected.db", "SELECT count(*) FROM messages WHERE kind='result'")
    return f"collected {kept[0][0]}/{total}, confirmed {confirmed(reader)}/{total}"


def confirmed(reader: Reader) -> int:
    sql = "SELECT count(*) FROM outbox WHERE topic = 'result' AND state = 'confirmed'"
    return int(rows(reader.journal, sql)[0][0])


async def retained(port: int) -> str:
    """What a newcomer sees at once."""
    try:
        async with asyncio.timeout(5), aiomqtt.Client("127.0.0.1", port) as client:
            await client.subscribe("readerd/v1/bench/b1/status", qos=1)
            async for message in client.messages:
                return "online" if b"online" in bytes(message.payload) else "offline"
    except (TimeoutError, aiomqtt.MqttError):
        pass
    return "none"


def main() -> int:
    """Always 0: what a broker does is its own affair, we tell it."""
    for name, make in BROKERS.items():
        with tempfile.TemporaryDirectory(prefix=f"readerd-{name}-") as directory:
            # RabbitMQ before 3.13 closes on MQTT 5 without saying that it speaks only 3.1.1.
            version = "3.1.1" if name == "rabbitmq" else "auto"
            said = asyncio.run(try_out(make, Path(directory), version))
            print(f"{name:<10} {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
