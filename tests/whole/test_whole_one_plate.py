"""One plate, end to end: the issue's three terminals, and what goes wrong on the way."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.whole.whole_bench import Bench, Program, Start, readerd, write_plate

StartMosquitto = Callable[..., Any]
MakeBench = Callable[..., Bench]


def subscriber(client: str, port: int, topic: str, count: int) -> subprocess.Popen[str]:
    """mosquitto_sub, which nobody here wrote, until it has seen `count` messages."""
    return subprocess.Popen(
        [client, "-p", str(port), "-t", topic, "-q", "1", "-C", str(count), "-W", "40", "-v"],
        stdout=subprocess.PIPE,
        text=True,
    )


def ready(bench: Bench, daemon: Program) -> None:
    """The daemon is up and has identified its reader."""
    daemon.until("reader=ready")


@pytest.mark.parametrize("kind", ["pty", "tcp"])
def test_three_terminals(
    kind: str,
    tmp_path: Path,
    start: Start,
    bench: MakeBench,
    mosquitto: StartMosquitto,
    mosquitto_clients: tuple[str, str],
) -> None:
    cells = write_plate(tmp_path / "some.csv")
    where = ("--pty", "r680.pty") if kind == "pty" else ("--tcp", "0")
    twin = start("twin", "biorad680", *where, "--plate", "some.csv", "--time-scale", "0")
    port = twin.until(":")
    broker = mosquitto()
    reader = bench(port="serial:./r680.pty" if kind == "pty" else port, broker=broker.port)
    listener = subscriber(mosquitto_clients[1], broker.port, "readerd/v1/+/+/result", 1)
    daemon = start("run", "--config", "bench2.toml")
    ready(reader, daemon)

    code, envelope = reader.read("PLT1")

    heard, _ = listener.communicate(timeout=40)
    topic, _, payload = heard.strip().partition(" ")
    assert topic == "readerd/v1/lab1/bench2/result"
    assert json.loads(payload) == envelope
    # This plate is a ramp, no ELISA: acquired, but no curve.
    assert (code, envelope["data"]["curve"]) == (1, "rejected")
    wells = envelope["data"]["wells"]
    for nm, column in ((450, "a_measurement"), (570, "a_reference")):
        expected = [None if cell == "OVER" else float(cell) for cell in cells[nm]]
        assert wells[column] == expected
    assert wells["flags"][11] == ["SATURATED"]
    assert wells["corrected"][11] is None
    assert wells["corrected"][12] == -0.005 - 0.041
    assert daemon.end() == 0
    assert twin.end() == 0


def test_a_missing_filter_is_refused_naming_the_fitted_ones(
    tmp_path: Path, start: Start, bench: MakeBench, mosquitto: StartMosquitto
) -> None:
    twin = start(
        "twin", "biorad680", "--pty", "r680.pty", "--time-scale", "0", "--fault",
        "missing-filter:570",
    )  # fmt: skip
    twin.until(":")
    broker = mosquitto()
    reader = bench(port="serial:./r680.pty", broker=broker.port)
    daemon = start("run", "--config", "bench2.toml")
    ready(reader, daemon)
    refused = reader.ask("read", "--plate", "PLT1", "--wait")
    assert refused.returncode == 3
    assert refused.stderr.startswith("readerd: wavelength_unavailable: ")
    assert "405, 450, 490" in refused.stderr
    assert refused.stderr.count("\n") == 1
    daemon.end()

    assay = (reader.directory / "assays" / "il6.toml").read_text()
    other = assay.replace("reference_alternatives_nm = []", "reference_alternatives_nm = [630]")
    assert other != assay
    reader = bench(port="serial:./r680.pty", broker=broker.port, assay=other)
    daemon = start("run", "--config", "bench2.toml")
    ready(reader, daemon)
    code, envelope = reader.read("PLT1")
    assert code == 0
    assert "REFERENCE_ALTERNATIVE" in envelope["data"]["flags"]
    read = envelope["data"]["read"]
    assert (read["reference_nm"], read["requested_reference_nm"]) == (630, 570)
    assert read["correction"] == "a450-a630"


def test_unplugged_in_mid_read_and_back(
    tmp_path: Path,
    start: Start,
    bench: MakeBench,
    mosquitto: StartMosquitto,
    mosquitto_clients: tuple[str, str],
) -> None:
    arguments = ("twin", "biorad680", "--pty", "r680.pty", "--time-scale")
    twin = start(*arguments, "1")
    twin.until(":")
    broker = mosquitto()
    reader = bench(port="serial:./r680.pty", broker=broker.port)
    listener = subscriber(mosquitto_clients[1], broker.port, "readerd/v1/+/+/result", 1)
    daemon = start("run", "--config", "bench2.toml")
    ready(reader, daemon)

    accepted = reader.ask("read", "--plate", "PLT1", "--json")
    run_id = json.loads(accepted.stdout)["run_id"]
    daemon.until("state=reading")
    busy = reader.ask("read", "--plate", "PLT2")
    assert (busy.returncode, "busy" in busy.stderr) == (3, True)
    twin.end(signal.SIGKILL)

    heard, _ = listener.communicate(timeout=40)
    published = json.loads(heard.partition(" ")[2])["data"]
    assert published["run"]["id"] == run_id
    assert (published["acquisition"], published["wells"]) == ("failed", None)
    assert published["failure"]["code"] == "link_lost"
    shown = reader.ask("show", run_id)
    assert shown.returncode == 4

    twin = start(*arguments, "0")
    twin.until(":")
    daemon.until("reader=ready")
    code, envelope = reader.read("PLT1")
    assert (code, envelope["data"]["acquisition"]) == (0, "complete")
    assert envelope["data"]["run"]["attempt"] == 2
    assert daemon.end() == 0


def test_wrong_configuration_lists_every_mistake_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "assays").mkdir()
    (tmp_path / "assays" / "il6.toml").write_text("[assay]\nid = 'il6-elisa'\n")
    (tmp_path / "wrong.toml").write_text(
        """
[reader]
site = "Lab 1"
id = "bench2"
driver = "biorad999"
port = "usb:3"
colour = "red"
[assays]
directory = "assays"
default = "il6"
[mqtt]
url = "http://broker"
[plates]
barcode = "["
"""
    )
    wrong = readerd("run", "--config", "wrong.toml", cwd=tmp_path)
    assert wrong.returncode == 78
    assert "Traceback" not in wrong.stderr
    for where in (
        "reader.site:", "reader.driver:", "reader.port:", "reader.colour: unknown key",
        "store: is missing", "mqtt.url:", "plates.barcode:", "il6.toml layout",
    ):  # fmt: skip
        assert where in wrong.stderr, wrong.stderr


def test_no_daemon_is_exit_5_and_one_line(tmp_path: Path) -> None:
    nobody = readerd("status", "--reader", str(tmp_path / "none.sock"), cwd=tmp_path)
    assert nobody.returncode == 5
    assert nobody.stderr.count("\n") == 1
