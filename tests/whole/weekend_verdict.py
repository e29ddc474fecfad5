"""What of a weekend may not be, and its figures in one table."""

import statistics
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from readerd.demo.plate import il6_plate
from readerd.plate import Unread
from tests.whole.weekend_scene import Found

# The wire of every reader here carries at least three decimals.
WIRE_OD: Final = 0.0005 + 1e-9
# Noise of the simulated plates: a duplicate in the range is off by a few per cent.
TYPICAL_ERROR_PCT: Final = 6.0
# From the first sample to the last. What the weekend itself notes down is in it.
MORE_RESIDENT_MB, MORE_BLOCKS = 12.0, 10_000
# Four thousand pages are SQLite's own limit before a checkpoint; the rest is one long transaction.
MOST_WAL_MB: Final = 8.0
# A run: its reading with the wire's bytes twice, the result, five events, the audit.
MOST_JOURNAL_KB: Final = 80.0
# Retention is a day, looked at daily.
OLDEST_H: Final = 49.0
# Lines from INFO on: for each run, for each press that was refused, for each trouble.
LINES_OF_RUN, LINES_OF_REFUSAL, LINES_OF_TROUBLE = 4, 1, 8
# Whose trouble it is, by the names that the troubles have.
BROKER, LIMS = ("broker", "session"), ("LIMS", "receipt")
INSTRUMENT = (
    "cable", "silence", "rubbish", "break off", "late", "flipped", "checksum", "instrument",
)  # fmt: skip
# Every plate of a weekend and the truth about it; asked for again by each look at the same weekend.
_true_plate = lru_cache(maxsize=256)(il6_plate)
STANDING: Final = ["health", "info", "last", "state", "status"]


def complaints(found: Found) -> list[str]:
    """Everything that is not as promised; nothing when all is well."""
    return [*_told(found), *_numbers(found), *_at_rest(found), *_bounded(found), *_said(found)]


def _told(found: Found) -> Iterator[str]:
    """Every accepted run once, whole and in sequence."""
    tellings = Counter(one["data"]["run"]["id"] for one in found.told)
    for run_id, plate in found.runs.items():
        if tellings[run_id] != 1:
            yield f"plate {plate}, run {run_id}: told {tellings[run_id]} times"
    for run_id in tellings.keys() - found.runs.keys():
        yield f"run {run_id}: told, and nobody asked for it"
    for kind, numbers in found.streams.items():
        if numbers != list(range(1, found.last_sequence[kind] + 1)):
            last = found.last_sequence[kind]
            yield f"{kind}: the LIMS has {len(numbers)} of {last}, not each number once"
    if len({one["id"] for one in found.told}) != len(found.told):
        yield "the LIMS has an id twice"
    if found.broken_promises:
        yield f"gone before anybody had them: {found.broken_promises}"
    yield from found.lims_complaints


def _numbers(found: Found) -> Iterator[str]:
    """The plate that lay there, with its own numbers; or none, and why."""
    for envelope in found.told:
        data = envelope["data"]
        run_id = data["run"]["id"]
        plate, state = found.runs.get(run_id, -1), found.states.get(run_id)
        if data["plate"]["barcode"] != f"PLT{plate:05d}":
            yield f"run {run_id}: plate {plate} told as {data['plate']['barcode']}"
        if (data["acquisition"], state == "done") not in (("complete", True), ("failed", False)):
            yield f"run {run_id}: told as {data['acquisition']}, in the journal {state}"
        elif data["acquisition"] == "complete":
            yield from _wells(plate, data)
        elif not data["failure"]["code"] or data["wells"] is not None:
            yield f"run {run_id}: failed without a reason, or with wells"
    errors = concentration_errors_pct(found)
    if not errors or statistics.median(errors) > TYPICAL_ERROR_PCT:
        yield f"concentrations are off by {statistics.median(errors or [0]):.1f} %"


def _wells(plate: int, data: dict[str, Any]) -> Iterator[str]:
    truth = _true_plate(plate).chemistry
    for name, nm in (("a_measurement", 450), ("a_reference", 570)):
        for well, true, told in zip(
            data["wells"]["id"], truth.plates[nm], data["wells"][name], strict=True
        ):
            if isinstance(true, Unread) or told is None or abs(told - true) > WIRE_OD:
                yield f"plate {plate}, {well} at {nm} nm: {told} instead of {true}"
                return


def concentration_errors_pct(found: Found) -> list[float]:
    """How far the samples in the range are off the truth, without their dilution."""
    errors = []
    for envelope in found.told:
        data = envelope["data"]
        truth = _true_plate(found.runs.get(data["run"]["id"], 0)).truth
        for sample in data["samples"]:
            if sample["concentration"] is not None and sample["status"] == "ok":
                true = truth[sample["position"]]
                errors.append(abs(sample["concentration"] / true - 1) * 100)
    return errors


def _at_rest(found: Found) -> Iterator[str]:
    """Ready, settled, and no alarm left standing."""
    if found.state != "ready":
        yield f"the reader is {found.state}"
    if any(found.waiting.values()) or found.missing:
        yield f"not settled: {found.waiting}, missing {found.missing}"
    if found.audit is not None:
        yield f"the audit is broken: {found.audit}"
    if found.audit_lines != sum(found.last_sequence.values()):
        yield f"{found.audit_lines} lines of audit for {found.last_sequence}"
    if found.retained != STANDING:
        yield f"on the broker stands {found.retained}"


def _bounded(found: Found) -> Iterator[str]:
    first, last = found.samples[0], found.samples[-1]
    for what, more, most in (
        ("MB resident", last.resident_mb - first.resident_mb, MORE_RESIDENT_MB),
        ("blocks of memory", last.blocks - first.blocks, MORE_BLOCKS),
        ("MB of write-ahead log", found.most_wal_mb, MOST_WAL_MB),
        ("kB of journal for each run", journal_kb(found), MOST_JOURNAL_KB),
        ("hours that the oldest settled message is old", found.oldest_settled_h, OLDEST_H),
    ):
        if more > most:
            yield f"{more:.1f} {what}, and {most:g} are allowed"
    for what in ("tasks", "threads", "files"):
        held = [getattr(sample, what) for sample in found.samples]
        if len(set(held)) != 1:
            yield f"{what} at the quiet moments: {held}"


def _said(found: Found) -> Iterator[str]:
    """A line when something begins and when it is over, and none while it lasts."""
    most = LINES_OF_RUN * len(found.runs) + LINES_OF_REFUSAL * refusals(found)
    most += LINES_OF_TROUBLE * len(found.troubles)
    if lines_of_log(found) > most:
        yield f"{lines_of_log(found)} lines of log, and {most} are allowed"
    broker, lims, reader = (_troubles(found, words) for words in (BROKER, LIMS, INSTRUMENT))
    failed = sum(state != "done" for state in found.states.values())
    for text, allowed in {
        "WARNING edge.publisher: mqtt link=lost": broker + found.starts,
        "INFO edge.publisher: mqtt link=up": broker + found.starts,
        "WARNING edge.receipts: results without": broker + lims + found.starts,
        "INFO edge.receipts: results without": broker + lims + 2 * found.starts,
        "WARNING run.bench: reader=lost": reader + found.starts,
        "WARNING run.bench: reader=recovering": reader + failed,
        "INFO run.bench: reader=ready": 2 * reader + failed + found.starts,
        "WARNING run.runner: run=": failed,
        "WARNING run.upkeep: clock": 2 * _troubles(found, ("clock",)),  # summer time sets no clock
        "ERROR": 0,
        "CRITICAL": 0,
    }.items():
        told = said(found, text)
        if told > allowed:
            yield f"{told} times {text}, and {allowed} are allowed"


def said(found: Found, text: str) -> int:
    """How many lines begin so: level, room and first words."""
    return sum(
        count for (level, line), count in found.log.items() if f"{level} {line}".startswith(text)
    )


def _troubles(found: Found, words: tuple[str, ...]) -> int:
    return sum(any(word in trouble.kind for word in words) for trouble in found.troubles)


def refusals(found: Found) -> int:
    return sum(found.refused.values())


def lines_of_log(found: Found) -> int:
    """From INFO on: what a log keeps as the daemon is shipped."""
    return sum(count for (level, _), count in found.log.items() if level != "DEBUG")


def journal_kb(found: Found) -> float:
    return found.samples[-1].journal_mb * 1e3 / len(found.runs)


def table(found: Found) -> str:
    """The figures of one weekend."""
    first, last = found.samples[0], found.samples[-1]
    states = sorted(Counter(found.states.values()).items())
    outcome = ", ".join(f"{count} {state}" for state, count in states)
    error_pct = statistics.median(concentration_errors_pct(found) or [0])
    hours = f"at hour {first.at_h:.0f}, {{}} at hour {last.at_h:.0f}"
    counts = found.lims_counts
    rows = {
        "driver, seed": f"{found.driver}, {found.seed}",
        "virtual time": f"{last.at_h:.0f} h in {found.wall_s:.1f} s, {found.cpu_s:.1f} s of CPU",
        "troubles": f"{len(found.troubles)}; the daemon started {found.starts} times",
        "runs": f"{len(found.runs)}: {outcome}",
        "presses": f"{refusals(found)} refused, {found.given_up} plates put back, unread",
        "told to the LIMS": f"{len(found.told)} results, {len(found.streams['event'])} events",
        "told again": f"{counts['duplicate']} messages; {counts['asked']} replays asked for",
        "optical densities": f"as on the plate; concentrations off by {error_pct:.1f} % (median)",
        "log": f"{lines_of_log(found)} lines from INFO on, {found.log_bytes / 1e3:.0f} kB",
        "resident": f"{first.resident_mb:.1f} MB {hours.format(f'{last.resident_mb:.1f} MB')}",
        "blocks of memory": f"{first.blocks} {hours.format(last.blocks)}",
        "at every sample": f"{last.tasks} tasks, {last.threads} threads, {last.files} files",
        "journal": f"{last.journal_mb:.1f} MB, {journal_kb(found):.0f} kB for each run",
        "write-ahead log": f"{found.most_wal_mb:.1f} MB at most",
    }
    return "\n".join(f"{name:<18} {value}" for name, value in rows.items())


HEADINGS: Final = (
    "seed", "driver", "runs", "done", "failed", "told", "dup", "replays", "refused", "starts",
    "lines", "+MB", "+blocks", "kB/run", "WAL MB", "CPU s",
)  # fmt: skip


def line(found: Found | None = None) -> str:
    """The figures of a weekend in one line; without one, their names."""
    widths = [12 if name == "driver" else 8 for name in HEADINGS]
    if found is None:
        return " ".join(f"{name:>{width}}" for name, width in zip(HEADINGS, widths, strict=True))
    first, last = found.samples[0], found.samples[-1]
    states = Counter(found.states.values())
    cells = (
        found.seed,
        found.driver,
        len(found.runs),
        states["done"],
        len(found.runs) - states["done"],
        len(found.told),
        found.lims_counts["duplicate"],
        found.lims_counts["asked"],
        refusals(found),
        found.starts,
        lines_of_log(found),
        f"{last.resident_mb - first.resident_mb:.1f}",
        last.blocks - first.blocks,
        f"{journal_kb(found):.0f}",
        f"{found.most_wal_mb:.1f}",
        f"{found.cpu_s:.1f}",
    )
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
