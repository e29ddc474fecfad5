"""The page that quotes the bench of the science: docs/explanation/how-sure.md, its three tables.

`python -m bench.science --write` puts the figures of that very run between the page's marks.
"""

import re
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench._plates import HIGH_DOSE, LOW_DOSE

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "how-sure.md"
BANDS = ((LOW_DOSE, 15.0), (15.0, 80.0), (80.0, HIGH_DOSE))


@dataclass
class Band:
    """What was reported for samples whose true dose lies in one band."""

    seen: int = 0
    covered: int = 0
    errors: list[float] = field(default_factory=list)

    @property
    def coverage_pct(self) -> float:
        return 100 * self.covered / max(self.seen, 1)

    @property
    def bias_pct(self) -> float:
        return 100 * statistics.median(self.errors) if self.errors else 0.0


@dataclass
class Tally:
    """What became of the plates of a scenario."""

    plates: int = 0
    refused: int = 0
    rejected: int = 0
    warned: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    bands: list[Band] = field(default_factory=lambda: [Band() for _ in BANDS])

    @property
    def coverage(self) -> float:
        return sum(b.covered for b in self.bands) / max(sum(b.seen for b in self.bands), 1)


@dataclass(frozen=True)
class Outcomes:
    """Fits without an answer, with one that ran away, and with a worse sum than another tool."""

    none: int
    ran_away: int
    worse: int


@dataclass(frozen=True)
class Row:
    """The speed of one tool; `ratio` to a bare curve_fit with a start."""

    milliseconds: float
    ratio: float
    outcomes: Outcomes | None


def write(tallies: Mapping[str, Tally], rows: Mapping[str, Row]) -> None:
    """The tables into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in (
        ("noise", noise(tallies)),
        ("bands", bands(tallies)),
        ("speed", speed(rows)),
    ):
        mark = f"<!-- bench {name} -->\n"
        pattern = re.compile(re.escape(mark) + r"(?:\|.*\n)*")
        if not pattern.search(text):
            raise LookupError(f"{PAGE.name} has no place {mark.strip()}")
        text = pattern.sub(mark + "".join(f"{line}\n" for line in lines), text)
    PAGE.write_text(text, encoding="utf-8")


def table(head: Iterable[str], body: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = list(head)
    for cells in (columns, ["---"] * len(columns), *body):
        yield f"| {' | '.join(cells)} |"


def noise(tallies: Mapping[str, Tally]) -> Iterator[str]:
    head = (
        "noise of a well (f: true response, OD)",
        "plates",
        "refused",
        "curve rejected",
        "verdict not pass",
        "silent",
        "95 % interval holds the truth",
    )
    body = (
        (
            name,
            *(f"{n:,}" for n in (tally.plates, tally.refused, tally.rejected, tally.warned)),
            str(sum(tally.silent.values())),
            f"{100 * tally.coverage:.2f} %",
        )
        for name, tally in tallies.items()
    )
    return table(head, body)


def bands(tallies: Mapping[str, Tally]) -> Iterator[str]:
    head = ("noise", *(f"{low:g} to {high:g} pg/mL" for low, high in BANDS))
    body = (
        (name, *(f"{band.coverage_pct:.1f} %, {band.bias_pct:+.2f} %" for band in tally.bands))
        for name, tally in tallies.items()
    )
    return table(head, body)


def speed(rows: Mapping[str, Row]) -> Iterator[str]:
    head = ("tool", "times a bare `curve_fit`", "no answer", "ran away", "worse than another")
    body = []
    for name, row in rows.items():
        found = row.outcomes
        counts = (found.none, found.ran_away, found.worse) if found else ("", "", "")
        body.append((name, f"{row.ratio:.2f}", *map(str, counts)))
    return table(head, body)
