"""Twelve weekends, each with its own seed: what a reader's two days of trouble leave behind.

A weekend is 48 virtual hours of one daemon in one loop: journal, driver and mathematics are real,
the instrument is a twin, the broker and the clock are the test's. `python -m bench.weekend SEED
[DRIVER]` plays one and tells its story.
"""

import sys
import tempfile
from pathlib import Path

from tests.whole.weekend_fate import FAMILIES
from tests.whole.weekend_scene import Found, live
from tests.whole.weekend_verdict import complaints, line, table

WEEKENDS = 12
FIRST_SEED = 1


def main() -> int:
    """All of them, a line each; 1 when one of them ends in a complaint."""
    if len(sys.argv) > 1:
        return one(int(sys.argv[1]), *sys.argv[2:3])
    missed, drivers = 0, sorted(FAMILIES)
    print(line())
    for number in range(WEEKENDS):
        found = played(FIRST_SEED + number, drivers[number % len(drivers)])
        wrong = complaints(found)
        print(line(found), flush=True)
        print("".join(f"    {text}\n" for text in wrong), end="")
        missed += bool(wrong)
    return int(missed > 0)


def one(seed: int, driver: str = "biorad680") -> int:
    """One weekend, its story and its figures."""
    found = played(seed, driver)
    wrong = complaints(found)
    says = sorted(found.log.items(), key=lambda item: -item[1])
    print("\n".join(found.timeline), end="\n\n")
    print("\n".join(f"{count:6} {level:8} {text}" for (level, text), count in says), end="\n\n")
    print(table(found))
    print("\n".join(wrong) or "no complaints")
    return int(bool(wrong))


def played(seed: int, driver: str) -> Found:
    with tempfile.TemporaryDirectory(prefix="readerd-weekend-") as name:
        return live(seed, Path(name), driver=driver)


if __name__ == "__main__":
    sys.exit(main())
