"""A million random and mutated answers into every decoder of every installed driver.

Nothing may hang, no exception may come out but GarbledReply, and the memory stays where it was.
The answers that are tampered with are what the drivers' own twins say in a whole conversation.
"""

import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from readerd.driver import catalog
from readerd.driver.codec import Decoder
from readerd.driver.conformance.rubbish import feed, inputs, recorded
from readerd.driver.conformance.stage import TwinStage
from readerd.driver.contract import Driver

INPUTS = 1_000_000
# One input is microseconds to milliseconds; more is a hang.
BUDGET_SLOWEST_S = 0.5
BUDGET_GROWTH_MB = 32.0
BUDGET_S = 240.0
SEED = 20261122


@dataclass(slots=True)
class Tally:
    """What became of the inputs of one driver."""

    driver: str
    decoders: int
    outcomes: Counter[str]
    took_s: float
    slowest_s: float
    escaped: list[str]


def main() -> int:
    drivers = [catalog.find(name) for name in catalog.installed()]
    decoders = sum(len(driver.decoders) for driver in drivers)
    began_s, before_mb = time.perf_counter(), resident_mb()
    print(f"{'driver':<20}{'decoders':>9}{'inputs':>10}{'message':>10}{'garbled':>10}{'open':>10}"
          f"{'per s':>9}{'slowest':>12}")  # fmt: skip
    tallies = [measure(driver, -(-INPUTS // decoders)) for driver in drivers]
    took_s, grown_mb = time.perf_counter() - began_s, resident_mb() - before_mb
    total = sum(tally.outcomes.total() for tally in tallies)
    escaped = [text for tally in tallies for text in tally.escaped]
    slowest_s = max(tally.slowest_s for tally in tallies)
    print(f"{total} inputs into {decoders} decoders in {took_s:.0f} s (budget {BUDGET_S:g} s)")
    print(f"slowest input {slowest_s * 1000:.1f} ms (budget {BUDGET_SLOWEST_S * 1000:g} ms)")
    print(f"memory grown by {grown_mb:.1f} MB (budget {BUDGET_GROWTH_MB:g} MB)")
    print(f"exceptions outside our tree: {len(escaped)}")
    for text in escaped[:10]:
        print(f"  {text}")
    missed = took_s > BUDGET_S or slowest_s > BUDGET_SLOWEST_S or grown_mb > BUDGET_GROWTH_MB
    return int(bool(escaped) or missed or total < INPUTS)


def measure(driver: Driver, each: int) -> Tally:
    """So many inputs into each of the driver's decoders."""
    samples = recorded(TwinStage(driver, driver.formats[0]))
    dice = random.Random(f"{SEED} {driver.name}")
    tally = Tally(driver.name, len(driver.decoders), Counter(), 0.0, 0.0, [])
    began_s = time.perf_counter()
    for name, make in driver.decoders.items():
        for data in inputs(samples, dice, each):
            try_one(tally, name, make, data, dice)
    tally.took_s = time.perf_counter() - began_s
    seen = tally.outcomes
    rate = seen.total() / tally.took_s
    print(
        f"{tally.driver:<20}{tally.decoders:>9}{seen.total():>10}{seen['message']:>10}"
        f"{seen['garbled']:>10}{seen['open']:>10}{rate:>9.0f}{tally.slowest_s * 1000:>9.1f} ms",
        flush=True,
    )
    return tally


def try_one(
    tally: Tally, name: str, make: Callable[[], Decoder[object]], data: bytes, dice: random.Random
) -> None:
    began_s = time.perf_counter()
    try:
        outcome = feed(make(), data, dice)
    except Exception as error:
        outcome = "escaped"
        tally.escaped.append(f"{tally.driver} {name} on {data[:60]!r}: {error!r}")
    tally.outcomes[outcome] += 1
    tally.slowest_s = max(tally.slowest_s, time.perf_counter() - began_s)


def resident_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    sys.exit(main())
