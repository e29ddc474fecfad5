"""The configuration is read again in a running daemon: kept, taken over, between two runs."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from readerd.config import load_config
from readerd.errors import ErrorCode, RequestError, StoreError
from readerd.house import House
from readerd.reload import LIVE, Reload, differences
from tests.virtual_clock import run_virtual
from tests.whole.virtual_house import Yes, a_read, ended, living, write_files

MANY_CHANGES = (
    ('port = "twin:"', 'port = "tcp://10.0.0.1:4001"'),
    ('path = "journal.db"', 'path = "journal.db"\nretention_days = 7'),
    ("127.0.0.1:1", "127.0.0.2:1"),
    ("[http]", 'commands = ["ping"]\nrequired_receipts = ["lims"]\n[http]'),
    ("[store]", '[plates]\nreread = "never"\n[store]'),
)


def events(house: House, kind: str = "config") -> list[dict[str, Any]]:
    """The data of all events of a kind, in order."""
    rows = house.store.outbox.between("event", 1, 10_000, 10_000)
    told = [json.loads(row.payload)["data"] for row in rows]
    return [data for data in told if data["kind"] == kind]


def edit(path: Path, *changes: tuple[str, str]) -> str:
    """Replace texts in the file; its new hash."""
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return sha256(text.encode()).hexdigest()


def reloading(house: House, path: Path) -> Reload:
    return Reload(house, lambda: load_config(path))


async def sha_of_a_read(house: House, key: str, plate: str) -> str:
    """Read a plate; the configuration that its result names."""
    run_id = house.runner.submit(a_read(key, plate)).run_id
    assert await ended(house, run_id) == "done"
    return sha_of(house, run_id)


def sha_of(house: House, run_id: str) -> str:
    newest = house.store.result(run_id)
    assert newest is not None
    return str(json.loads(newest.payload)["data"]["software"]["config_sha256"])


def test_a_bad_file_keeps_the_old_one_and_says_all_mistakes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        path = write_files(tmp_path)
        old = sha256(path.read_bytes()).hexdigest()
        async with living(path) as house:
            await house.bench.until_ready()
            edit(path, ('site = "lab1"', 'site = "Lab 1"'), ("[http]", "[http]\ncolour = 1"))
            await reloading(house, path).once()
            [told] = events(house)
            assert told["details"]["outcome"] == "kept"
            assert told["details"]["config_sha256"] == old
            mistakes = told["details"]["mistakes"]
            assert [one.split(":")[0] for one in mistakes] == ["reader.site", "http.colour"]
            assert "2 mistakes" in told["text"]
            lines = [record for record in caplog.records if "config=kept" in record.message]
            assert [record.levelno for record in lines] == [logging.ERROR] * 2
            assert await sha_of_a_read(house, "k1", "PLT1") == old

    run_virtual(main())


def test_a_good_file_is_taken_over_and_names_what_needs_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        path, broker = write_files(tmp_path), Yes()
        async with living(path, connect=broker.connect) as house:
            await house.bench.until_ready()
            reload = reloading(house, path)
            second = (tmp_path / "assays" / "il6.toml").read_text().replace("il6-elisa", "tnf")
            (tmp_path / "assays" / "tnf.toml").write_text(second)
            new = edit(path, *MANY_CHANGES)
            await reload.once()
            [told] = events(house)
            assert told["details"] == {
                "outcome": "applied",
                "changed": [
                    "assays tnf", "mqtt.commands", "mqtt.required_receipts", "plates.reread",
                    "store.retention_days",
                ],
                "restart": ["mqtt.url", "reader.port"],
                "config_sha256": new,
            }  # fmt: skip
            assert "a restart is needed for mqtt.url, reader.port" in told["text"]
            assert await sha_of_a_read(house, "k1", "PLT1") == new
            with pytest.raises(RequestError) as refusal:
                house.runner.submit(a_read("k2", "PLT1"))
            assert refusal.value.code == ErrorCode.ALREADY_READ
            assert house.status()["config_sha256"] == new
            await asyncio.sleep(1)  # until the broker's answers are closed
            assert house.store.outbox.counts()["unconfirmed"] == 1  # a receipt is waited for now
            infos = [one.payload for one in broker.heard if one.topic.endswith("/info")]
            assert json.loads(infos[-1])["assays"] == ["il6-elisa", "tnf"]
            await reload.once()  # nothing new, and the port still waits for its restart
            assert events(house)[-1]["details"]["changed"] == []
            assert events(house)[-1]["details"]["restart"] == ["mqtt.url", "reader.port"]

    run_virtual(main())


def test_a_run_ends_with_the_configuration_that_it_began_with(tmp_path: Path) -> None:
    async def main() -> None:
        path = write_files(tmp_path)
        old = sha256(path.read_bytes()).hexdigest()
        async with living(path) as house:
            await house.bench.until_ready()
            reload = reloading(house, path)
            first = house.runner.submit(a_read("k1", "PLT1")).run_id
            await asyncio.sleep(3)
            new = edit(path, ("[store]", "[plates]\nrequire_operator = true\n[store]"))
            await reload.once()
            assert events(house) == []
            assert house.runner.current_run == first
            assert await ended(house, first) == "done"
            assert sha_of(house, first) == old
            assert [one["details"]["config_sha256"] for one in events(house)] == [new]
            with pytest.raises(RequestError) as refusal:
                house.runner.submit(a_read("k2", "PLT2"))
            assert refusal.value.code == ErrorCode.OPERATOR_MISSING

    run_virtual(main())


def test_a_bad_file_during_a_run_keeps_the_old_one_for_good(tmp_path: Path) -> None:
    async def main() -> None:
        path = write_files(tmp_path)
        old = sha256(path.read_bytes()).hexdigest()
        async with living(path) as house:
            await house.bench.until_ready()
            reload = reloading(house, path)
            run = house.runner.submit(a_read("k1", "PLT1")).run_id
            await asyncio.sleep(3)
            edit(path, ("[store]", "[plates]\nrequire_operator = true\n[store]"))
            await reload.once()
            edit(path, ("require_operator = true", "require_operator = 7"))
            await reload.once()
            assert await ended(house, run) == "done"
            assert [one["details"]["outcome"] for one in events(house)] == ["kept"]
            assert house.runner.tally.config_ok is False
            assert await sha_of_a_read(house, "k2", "PLT2") == old

    run_virtual(main())


def test_a_journal_that_fails_under_it_ends_the_daemon(tmp_path: Path) -> None:
    async def main() -> None:
        path = write_files(tmp_path)
        async with living(path) as house:
            await house.bench.until_ready()
            house.store.journal.db.execute("PRAGMA query_only=ON")
            asked = asyncio.Event()
            asked.set()
            with pytest.raises(StoreError):
                await reloading(house, path).run(asked)
            house.store.journal.db.execute("PRAGMA query_only=OFF")

    run_virtual(main())


@pytest.mark.parametrize("name", ["reader", "mqtt", "store", "scanner", "button", "lamp"])
def test_every_key_of_a_section_is_compared(tmp_path: Path, name: str) -> None:
    config = load_config(write_files(tmp_path))
    inside = getattr(config, name, None) or getattr(config.panel, name)
    for key in type(inside).model_fields:
        other = inside.model_copy(update={key: "another"})
        if hasattr(config, name):
            changed = config.model_copy(update={name: other})
        else:
            panel = config.panel.model_copy(update={name: other})
            changed = config.model_copy(update={"panel": panel})
        assert list(differences(config, changed)) == [f"{name}.{key}"]
    assert list(differences(config, config)) == []


def test_the_page_names_what_is_taken_over(page: Callable[[str], str]) -> None:
    text = page("docs/reference/configuration.md")
    section = text.partition("## In a running daemon")[2].partition("\n## ")[0]
    named = {*re.findall(r"`([a-z_.]+)`", section), *re.findall(r"`\[([a-z]+)\]`", section)}
    assert set(LIVE) <= named


@pytest.fixture
def page() -> Callable[[str], str]:
    root = Path(__file__).parents[2]
    return lambda name: (root / name).read_text("utf-8")
