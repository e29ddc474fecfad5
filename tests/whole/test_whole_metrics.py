"""`GET /metrics` of a whole bridge, read by another program's parser. Virtual time."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from readerd.errors import RequestError
from readerd.house import House
from tests.docs.docs_pages import sections, table
from tests.virtual_clock import run_virtual
from tests.whole.test_whole_watchdog import refusing, unplugged
from tests.whole.virtual_house import a_read, ended, living, write_files


async def scrape(house: House) -> dict[str, float]:
    """`name{label="value"}` -> value."""
    page, media_type = await house.metrics()
    assert media_type.startswith("text/plain; version=")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page.decode()):
        assert family.documentation
        assert family.type != "unknown"
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert name not in found
            found[name] = sample.value
    return found


def size_of(journal: Path) -> int:
    return sum(os.path.getsize(f"{journal}{end}") for end in ("", "-wal"))


def test_a_plate_is_counted_and_timed(tmp_path: Path) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            await house.bench.until_ready()
            before = await scrape(house)
            assert before["readerd_up"] == 1
            assert before['readerd_runs_total{outcome="done"}'] == 0
            began_s = asyncio.get_running_loop().time()
            run = house.runner.submit(a_read("k1", "PLT1")).run_id
            await asyncio.sleep(1)
            assert (await scrape(house))['readerd_state{state="reading"}'] == 1
            assert await ended(house, run) == "done"
            took_s = asyncio.get_running_loop().time() - began_s
            with pytest.raises(RequestError):
                house.runner.submit(a_read("k2", "no barcode"))
            await asyncio.sleep(1)
            after = await scrape(house)
            assert after['readerd_runs_total{outcome="done"}'] == 1
            assert after['readerd_refusals_total{code="barcode_invalid"}'] == 1
            assert after["readerd_read_duration_seconds_count"] == 1
            assert 0 < after["readerd_read_duration_seconds_sum"] <= took_s
            assert after['readerd_read_duration_seconds_bucket{le="600.0"}'] == 1
            assert after['readerd_read_duration_seconds_bucket{le="5.0"}'] == (took_s <= 5)
            assert after["readerd_fit_duration_seconds_count"] == 1
            assert after['readerd_last_sequence{stream="result"}'] == 1
            assert after['readerd_outbox_messages{state="stored"}'] == 0
            assert after["readerd_outbox_oldest_unsettled_age_seconds"] == 0
            assert (after["readerd_mqtt_connected"], after["readerd_mqtt_reconnects_total"]) == (
                1,
                0,
            )
            assert after["readerd_journal_bytes"] == size_of(tmp_path / "journal.db")
            assert after["readerd_disk_free_bytes"] > 0
            assert after["process_resident_memory_bytes"] > 1e7
            [info] = [name for name in after if name.startswith("readerd_build_info{")]
            assert f'config_sha256="{house.runner.scribe.bridge.config_sha256}"' in info
            assert 'reader="bench2"' in info

    run_virtual(main())


def test_every_figure_stands_on_its_page(tmp_path: Path) -> None:
    async def main() -> None:
        async with living(write_files(tmp_path)) as house:
            page, _ = await house.metrics()
            found = {family.name for family in text_string_to_metric_families(page.decode())}
            rows = set(table(sections("docs/how-to/watch-it.md")["Figures"]))
            named = {row.removesuffix("_total") for row in rows} - {"metric", "process_…"}
            assert {name for name in found if name.startswith("readerd_")} == named
            checks = set(table(sections("docs/how-to/watch-it.md")["Is it well?"])) - {"check"}
            assert set(house.checks()) == checks

    run_virtual(main())


def test_what_is_to_page_on_is_seen(tmp_path: Path) -> None:
    async def main() -> None:
        path = write_files(tmp_path)
        async with living(path, connect=refusing, open_stream=unplugged) as house:
            house.runner.tell("carrier")  # any message that now waits for a broker
            house.edge.on_alarm("store-full", 'full: "disk"\n')
            await asyncio.sleep(3600)
            found = await scrape(house)
            assert (found["readerd_up"], found['readerd_state{state="absent"}']) == (0, 1)
            assert sum(value for name, value in found.items() if "readerd_state" in name) == 1
            assert found['readerd_outbox_messages{state="stored"}'] == 1
            assert found["readerd_outbox_oldest_unsettled_age_seconds"] == pytest.approx(
                3600, abs=1
            )
            assert found["readerd_mqtt_connected"] == 0
            assert found['readerd_alarm{code="store-full"}'] == 1
            house.edge.on_alarm("store-full", None)
            assert 'readerd_alarm{code="store-full"}' not in await scrape(house)

    run_virtual(main())


# The unit's ProcSubset=pid: of /proc only the processes.
BOX = ("unshare", "-rmpf", "sh", "-c", 'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh")
TELL = (
    "from readerd.edge.metrics import _process as tell;"
    "print(*(one.name for family in tell() for one in family.samples))"
)


def test_the_process_is_told_in_the_units_sandbox_too() -> None:
    is_ours = subprocess.run((*BOX, "true"), capture_output=True, check=False).returncode == 0
    box = BOX if is_ours else ()  # a machine that allows no namespace tells at least that it tells
    said = subprocess.check_output((*box, sys.executable, "-c", TELL), text=True)
    assert "process_resident_memory_bytes" in said.split()
    assert "process_cpu_seconds_total" in said.split()
