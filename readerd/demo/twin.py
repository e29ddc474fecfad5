"""A simulated instrument as a program of its own: `readerd twin`."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from readerd.csvfile import plate_from_csv, text_from_bytes
from readerd.demo.plate import il6_plate
from readerd.driver import catalog
from readerd.driver.chemistry import Chemistry, from_plates
from readerd.driver.contract import Driver
from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.virtual import Twin, TwinSetup, parse_fault
from readerd.errors import InputError, Mistake


async def serve_twin(
    driver_name: str,
    *,
    pty: Path | None,
    tcp: int | None,
    plate: Path | None,
    seed: int,
    specs: Sequence[str],
    time_scale: float,
    tell: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `tell` hears the port text once it can be opened."""
    driver = catalog.find(driver_name)
    twin = simulated(driver, chemistry(plate, seed), specs)
    line = driver.line(driver.example_options())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if pty is not None:
        served = serve_pty(twin, line, path=str(pty), time_scale=time_scale)
    else:
        served = serve_tcp(twin, line, port=tcp or 0, time_scale=time_scale)
    async with served as port:
        tell(port)
        await stop.wait()


def simulated(
    driver: Driver, chemistry: Chemistry | None = None, specs: Sequence[str] = ()
) -> Twin:
    """The driver's own instrument with these wells (else the IL-6 plate) and these faults."""
    faults = tuple(parse_fault(spec) for spec in specs)
    return driver.twin(TwinSetup(chemistry=chemistry or il6_plate().chemistry, faults=faults))


def chemistry(plate: Path | None, seed: int) -> Chemistry:
    """The wells of a plate file, or the founding IL-6 plate with this seed."""
    if plate is None:
        return il6_plate(seed).chemistry
    try:
        data = plate.read_bytes()
    except OSError as error:
        raise InputError(str(plate), Mistake("", f"cannot be read: {error.strerror}")) from None
    table = plate_from_csv(text_from_bytes(data, str(plate)), str(plate))
    return from_plates(table.plates, table.format)
