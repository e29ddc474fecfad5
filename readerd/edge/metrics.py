"""`GET /metrics`: what a monitoring system asks every few seconds, in Prometheus's text format.

The library (prometheus-client) takes 0.1 s to import and 7 MB, so this module is imported by the
first scrape, in a thread. Nothing is counted here: values are read when they are asked for.
"""

import os
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

from readerd.payload import BenchState
from readerd.run.store import Store
from readerd.run.tally import Durations, Tally

__all__ = ["CONTENT_TYPE", "Facts", "exposition"]

# A run ends in one of these; what never happened is 0 and not absent.
OUTCOMES: Final = ("done", "failed", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One moment of one reader."""

    ok: bool
    state: BenchState
    labels: Mapping[str, str]  # of readerd_build_info
    store: Store
    tally: Tally
    alarms: Mapping[str, str]
    connected: bool
    connections: int
    now: datetime


def exposition(facts: Facts) -> bytes:
    """The whole page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readerd(facts))
    return generate_latest(registry)


class _Readerd(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts
        yield _gauge("readerd_up", "1: a plate can be read or is being read", facts.ok)
        yield _one_of("readerd_state", "What the bench is doing", "state", facts.state)
        yield from _plates(facts.tally)
        yield from _delivery(facts)
        yield from _room(facts.store)
        alarms = GaugeMetricFamily("readerd_alarm", "Alarms that stand", labels=["code"])
        for code in sorted(facts.alarms):
            alarms.add_metric([code], 1)
        yield alarms
        text = "1: the last reload took the file over, or there was none"
        yield _gauge("readerd_config_last_reload_success", text, facts.tally.config_ok)
        info = GaugeMetricFamily("readerd_build_info", "Who this is", labels=[*facts.labels])
        info.add_metric([*facts.labels.values()], 1)
        yield info
        yield from _process()


def _plates(tally: Tally) -> Iterator[Metric]:
    runs = CounterMetricFamily(
        "readerd_runs", "Runs that ended since the start", labels=["outcome"]
    )
    for outcome in OUTCOMES:
        runs.add_metric([outcome], tally.runs[outcome])
    yield runs
    refusals = CounterMetricFamily(
        "readerd_refusals", "Requests that were refused since the start", labels=["code"]
    )
    for code, count in sorted(tally.refusals.items()):
        refusals.add_metric([code], count)
    yield refusals
    yield _histogram("readerd_read_duration_seconds", "How long reads took", tally.read)
    yield _histogram("readerd_fit_duration_seconds", "From the plate to the result", tally.fit)


def _delivery(facts: Facts) -> Iterator[Metric]:
    outbox = facts.store.outbox
    messages = GaugeMetricFamily(
        "readerd_outbox_messages", "Messages that have not arrived", labels=["state"]
    )
    for state, count in outbox.counts().items():
        messages.add_metric([state], count)
    yield messages
    oldest = outbox.unsettled(1)
    age_s = (
        (facts.now - datetime.fromisoformat(oldest[0].stored_at)).total_seconds() if oldest else 0
    )
    text = "Age of the oldest message that has not arrived; 0: all have"
    yield _gauge("readerd_outbox_oldest_unsettled_age_seconds", text, max(age_s, 0))
    last = GaugeMetricFamily("readerd_last_sequence", "Last number given", labels=["stream"])
    for stream, sequence in outbox.last_sequence().items():
        last.add_metric([stream], sequence)
    yield last
    yield _gauge("readerd_mqtt_connected", "1: the broker has welcomed us", facts.connected)
    yield CounterMetricFamily(
        "readerd_mqtt_reconnects",
        "Connections to the broker after the first",
        value=max(0, facts.connections - 1),
    )


def _room(store: Store) -> Iterator[Metric]:
    path = store.journal.path
    disk = os.statvfs(path)
    files = (path, path.with_name(f"{path.name}-wal"))
    journal_bytes = sum(file.stat().st_size for file in files if file.exists())
    yield _gauge("readerd_journal_bytes", "The journal with its write-ahead log", journal_bytes)
    free_bytes = disk.f_bavail * disk.f_frsize
    yield _gauge("readerd_disk_free_bytes", "Free beside the journal", free_bytes)


def _process() -> Iterator[Metric]:
    """What the library's own collector tells; that one is empty under ProcSubset=pid."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    # proc_pid_stat(5): behind the name, which may hold anything, starttime is the 20th.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    rss = pages * resource.getpagesize()
    yield _gauge("process_resident_memory_bytes", "Resident memory", rss)
    yield _gauge("process_start_time_seconds", "When it started, of the epoch", time.time() - age_s)
    yield _gauge("process_open_fds", "Open files", len(os.listdir("/proc/self/fd")))
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield _gauge("process_max_fds", "Most open files", most_files)
    text = "Processor time, user and system"
    yield CounterMetricFamily("process_cpu_seconds", text, value=time.process_time())


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))


def _one_of(name: str, text: str, label: str, value: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for one in get_args(BenchState):
        family.add_metric([one], float(one == value))
    return family


def _histogram(name: str, text: str, durations: Durations) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=[])
    buckets: list[tuple[str, float]] = []
    total = 0
    bounds = (*map(str, durations.bounds_s), "+Inf")
    for bound, count in zip(bounds, durations.counts, strict=True):
        total += count
        buckets.append((bound, total))
    family.add_metric([], buckets=buckets, sum_value=durations.sum_s)
    return family
