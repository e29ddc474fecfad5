"""One file, all mistakes at once, each with its path."""

from pathlib import Path

import pytest

from readerd.config import load_config
from readerd.demo.plate import il6_assay_text
from readerd.errors import ConfigError

RIGHT = """
[reader]
site = "lab1"
id = "bench2"
driver = "biorad680"
port = "serial:tty"
[assays]
directory = "assays"
default = "il6-elisa"
by_barcode = { "^IL6-" = "il6-elisa" }
[store]
path = "data/journal.db"
[mqtt]
url = "mqtt://broker.example"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assays").mkdir()
    (tmp_path / "assays" / "il6.toml").write_text(il6_assay_text())
    return tmp_path


def mistakes(folder: Path, text: str) -> dict[str, str]:
    path = folder / "r.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as wrong:
        load_config(path)
    assert wrong.value.source == str(path)
    return {mistake.where: mistake.what for mistake in wrong.value.mistakes}


def test_relative_paths_are_relative_to_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder / "runtime"))
    (folder / "r.toml").write_text(RIGHT)
    config = load_config(folder / "r.toml")
    assert config.reader.port == f"serial:{folder / 'tty'}"
    assert config.store.path == folder / "data" / "journal.db"
    assert config.socket == folder / "runtime" / "bench2.sock"
    assert list(config.assay_by_id) == ["il6-elisa"]


@pytest.mark.parametrize(
    "port",
    [
        "serial:/dev/ttyUSB0",
        "serial:by-id/usb-FTDI_1-if00-port0",
        "tcp://host:4001",
        "visa:ASRL1::INSTR",
        "twin:",
    ],
)
def test_every_other_port_stays_as_it_is_written(folder: Path, port: str) -> None:
    (folder / "r.toml").write_text(RIGHT.replace("serial:tty", port))
    assert load_config(folder / "r.toml").reader.port == port


@pytest.mark.parametrize(
    ("before", "after", "where", "what"),
    [
        ('site = "lab1"', 'site = "Lab.1"', "reader.site", "1 to 32 of a-z, 0-9 and -"),
        ('site = "lab1"\n', "", "reader.site", "is missing"),
        ('id = "bench2"', 'id = "bench2"\nid2 = 3', "reader.id2", "unknown key"),
        ('"biorad680"', '"biorad999"', "reader.driver", "installed: biorad"),
        ('"serial:tty"', '"usb:3"', "reader.port", "write serial:"),
        ('default = "il6-elisa"', 'default = "il8"', "assays.default", "there are: il6-elisa"),
        ('"^IL6-"', '"["', "assays.by_barcode.[.[key]", "no regular expression"),
        ('= "il6-elisa" }', '= "il8" }', 'assays.by_barcode."^IL6-"', "no assay 'il8'"),
        ('"assays"', '"nowhere"', "assays.directory", "no assay files"),
        ('"mqtt://broker.example"', '"http://b"', "mqtt.url", "mqtts://HOST"),
        (
            "[assays]",
            "[reader.options]\nchecksum = 'Z'\nspeed = 3\n[assays]",
            "reader.options.checksum",
            "'auto', 'A', 'B', 'C' or 'ignore'",
        ),
    ],
)
def test_a_mistake_has_its_path(
    folder: Path, before: str, after: str, where: str, what: str
) -> None:
    assert before in RIGHT
    found = mistakes(folder, RIGHT.replace(before, after))
    assert where in found, found
    assert what in found[where]
    assert f"{where}:" not in found[where], "the path is told once"


def test_all_mistakes_of_all_files_come_at_once(folder: Path) -> None:
    broken = il6_assay_text().replace("measurement_nm = 450", 'measurement_nm = "450"')
    (folder / "assays" / "il6.toml").write_text(broken.replace("S1 S1 QL", "S1 QL", 1))
    found = mistakes(folder, RIGHT.replace("lab1", "L!").replace("mqtt:", "x:"))
    assert {"reader.site", "mqtt.url", "il6.toml read.measurement_nm"} <= set(found)
    assert any(where.startswith("il6.toml layout.plate row A") for where in found)


def test_a_file_that_is_no_toml_or_is_not_there(folder: Path) -> None:
    assert "no TOML" in mistakes(folder, "[reader\n")[""]
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(folder / "none.toml")


def test_two_files_with_one_assay_id_are_a_mistake(folder: Path) -> None:
    (folder / "assays" / "second.toml").write_text(il6_assay_text())
    assert "stands in another file too" in mistakes(folder, RIGHT)["second.toml"]


def test_a_directory_that_cannot_be_listed_is_a_mistake(folder: Path) -> None:
    found = mistakes(folder, RIGHT.replace('directory = "assays"', f'directory = "{"x" * 300}"'))
    assert found["assays.directory"] == "cannot be read: File name too long"
