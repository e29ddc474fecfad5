"""How long a broker that hangs is taken for one that works: SIGSTOP, the defaults as shipped.

Its connections stay open and no FIN comes. Two daemons on it: one has a result to deliver, one is
idle. What is timed is from the signal to `mqtt.connected: false` at the local door.
"""

import asyncio
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bench._parts import free_port
from bench._scene import Reader, broker, listening, readers
from readerd.errors import NoDaemon

BUDGET_S = 30.0
PATIENCE_S = 60.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="readerd-bench-") as name:
        return asyncio.run(measure(Path(name)))


async def measure(directory: Path) -> int:
    port = free_port()
    program = broker(directory, port)
    program.start()
    try:
        await listening(port)
        async with readers(directory, port, 2, "") as (busy, idle):
            for one in (busy, idle):
                one.program.start()
                await until(one, connected=True)
            program.tell(signal.SIGSTOP)
            began_s = time.monotonic()
            await asyncio.to_thread(busy.door.post, "/v1/runs", {"plate_barcode": "PLT1"})
            times_s = await asyncio.gather(
                *(until(one, connected=False, began_s=began_s) for one in (busy, idle))
            )
    finally:
        program.end(signal.SIGKILL)
    for text, time_s in zip(("a result to deliver", "idle"), times_s, strict=True):
        print(f"{text:<20} noticed after {time_s:5.1f} s  (budget {BUDGET_S:g} s)")
    return int(max(times_s) > BUDGET_S)


async def until(reader: Reader, *, connected: bool, began_s: float = 0.0) -> float:
    """Seconds from `began_s` until the daemon says so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(NoDaemon):
                answer = await asyncio.to_thread(reader.door.get, "/v1/status")
                if answer["mqtt"]["connected"] is connected:
                    return time.monotonic() - began_s
            await asyncio.sleep(0.1)
