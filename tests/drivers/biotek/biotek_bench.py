"""A simulated BioTek reader with a plate that can be exchanged, and the real driver on its line."""

import contextlib
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from hypothesis import strategies as st

from readerd.driver.contract import Driver
from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Unread
from readerd_biotek import ELX800, ELX808, SYNERGYH1
from tests.drivers.twin_bench import DUAL, PLATE_1, PLATE_2, SINGLE, Bench, now_s

__all__ = ["DRIVERS", "DUAL", "OVER_RANGE_OD", "PLATE_1", "PLATE_2", "SINGLE", "Bench",
           "feed_any_bytes", "now_s", "sent", "simulated"]  # fmt: skip

DRIVERS: Mapping[str, Driver] = {"elx808": ELX808, "elx800": ELX800, "synergyh1": SYNERGYH1}
# What the wire of each carries behind the point.
DECIMALS = {"elx808": 3, "elx800": 3, "synergyh1": 4}
OVER_RANGE_OD = 4.0


@cache
def values(plate: int, wavelength_nm: int, format: int) -> Sequence[OpticalDensity]:
    """Every well of every plate and wavelength different, all kinds of cells, four decimals."""
    if wavelength_nm != 450:
        base = 0.03 + plate / 100 + wavelength_nm / 1e4
        return [round(base + index / 1_000 + 0.0004, 4) for index in range(format)]
    numbers: list[OpticalDensity] = [round(plate + i / 50 + 0.0003, 4) for i in range(format)]
    numbers[1], numbers[2], numbers[3] = -0.0052 * plate, Unread.SATURATED, 0.0
    numbers[4], numbers[5], numbers[6] = 3.9999, 4.0001, -0.00004
    numbers[7], numbers[8] = Unread.NOT_MEASURED, Unread.UNREADABLE
    return numbers


@cache
def as_sent(driver: str, value: OpticalDensity) -> OpticalDensity:
    """What the wire of this driver can say about a well."""
    if value is Unread.NOT_MEASURED and driver == "synergyh1":
        return value
    if isinstance(value, Unread) or abs(value) > OVER_RANGE_OD:
        return Unread.SATURATED
    return round(value, DECIMALS[driver]) + 0.0


def simulated(
    name: str = "elx808",
    faults: tuple[str, ...] = (),
    *,
    twin_options: Mapping[str, Any] | None = None,
    **more: Any,
) -> Bench:
    return Bench(
        driver=DRIVERS[name],
        lies=values,
        laid_nm=(405, 450, 490, 570, 630),
        shown=partial(as_sent, name),
        faults=faults,
        twin_options={"over_range_od": OVER_RANGE_OD, **(twin_options or {})},
        **more,
    )


def sent(bench: Bench) -> list[bytes]:
    """What the driver has sent so far, one piece for each question."""
    return [entry.data for entry in bench.link.transcript.entries if entry.direction == ">"]


def feed_any_bytes(data: st.DataObject, driver: Driver, heard: bytes) -> None:
    """A spoilt conversation, or anything: a message, GarbledReply or more to come, nothing else."""
    decoder = data.draw(st.sampled_from(list(driver.decoders.values())))()
    spoilt = bytearray(heard)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    fed = data.draw(st.one_of(st.binary(max_size=400), st.just(bytes(spoilt))))
    piece = data.draw(st.sampled_from([1, 16, 2000]))
    pieces = (fed[at : at + piece] for at in range(0, len(fed), piece))
    with contextlib.suppress(GarbledReply):
        next((one for one in pieces if decoder.feed(one) is not None), None)
