"""`readerd doctor`: what it finds right and wrong, on real parts."""

import asyncio
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from readerd.cli import main
from readerd.config import load_config
from readerd.daemon import opener, serve, wall_clock
from readerd.demo.plate import il6_assay_text
from readerd.demo.twin import simulated
from readerd.doctor import machine
from readerd.doctor.certificate import ends_at
from readerd.doctor.examine import examine
from readerd.doctor.finding import Finding, is_right
from readerd.driver.serve import serve_pty
from readerd.driver.stream import ByteStream
from readerd.house import House
from readerd.run.store import Store
from tests.conftest import StartMosquitto
from tests.edge.test_mosquitto import authority, issue

RULES = Path(__file__).parents[2] / "systemd" / "mosquitto.acl"
WriteConfig = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteConfig:
    """The configuration of reader lab1/bench2; more lines are `[mqtt]`'s."""

    def config(*mqtt: str, broker: int = 1, port: str = "twin:", secured: bool = False) -> Path:
        (tmp_path / "assays").mkdir(exist_ok=True)
        (tmp_path / "assays" / "il6-elisa.toml").write_text(il6_assay_text(), "utf-8")
        path = tmp_path / "bench2.toml"
        url = f"mqtt{'s' if secured else ''}://127.0.0.1:{broker}"
        lines = [
            '[reader]\nsite = "lab1"\nid = "bench2"\ndriver = "sim"',
            f'port = "{port}"',
            '[assays]\ndirectory = "assays"\ndefault = "il6-elisa"',
            '[store]\npath = "journal.db"\n[http]\nsocket = "bench2.sock"',
            f'[mqtt]\nurl = "{url}"',
            *mqtt,
        ]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path

    return config


async def examined(
    path: Path, *, probe: bool = False, now: Callable[[], datetime] = wall_clock
) -> list[Finding]:
    config = load_config(path)
    open_stream = opener(config, twin=lambda: simulated(config.driver))
    async with asyncio.timeout(30):
        return [found async for found in examine(config, open_stream, probe=probe, now=now)]


def about(findings: list[Finding], topic: str) -> list[tuple[str, str]]:
    return [(one.level, one.seen) for one in findings if one.topic == topic]


async def test_a_bench_that_is_right(
    write: WriteConfig, mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """A twin on a real terminal, mosquitto with the rules that we ship, everything tried."""
    broker = mosquitto(f"acl_file {RULES}")
    path = write('username = "bench2"', broker=broker.port, port="serial:sim.pty")
    config = load_config(path)
    line = config.driver.line(config.options)
    async with serve_pty(
        simulated(config.driver), line, path=str(tmp_path / "sim.pty"), time_scale=0
    ):
        findings = await examined(path, probe=True)
    assert is_right(findings), findings
    assert about(findings, "access")[0][0] == "ok"
    [(_, seen)] = about(findings, "instrument")
    assert seen.startswith("Simulated Reader SIM-0001 answers on serial:")
    assert about(findings, "acl") == [
        ("ok", "may subscribe to cmd/#, receipt/#, status, result, event"),
        ("ok", "may say alarm/doctor, replay/doctor, rsp/doctor"),
        (
            "ok",
            "may say status, info, state, health, last, lamp, result, event, progress;"
            " status, result, event come back",
        ),
    ]


@pytest.mark.parametrize(
    ("version", "seen"),
    [
        ("5", "may not say status (0x87), info (0x87), state (0x87), health (0x87), last (0x87)"),
        ("3.1.1", "says event, result, status, and does not hear it come back"),
    ],
)
async def test_a_name_that_the_rules_do_not_know_is_found_out(
    write: WriteConfig,
    mosquitto: StartMosquitto,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    seen: str,
) -> None:
    monkeypatch.setattr("readerd.doctor.broker.ECHO_WITHIN_S", 0.5)
    broker = mosquitto(f"acl_file {RULES}")
    more = ('username = "stranger"', f'version = "{version}"')
    findings = await examined(write(*more, broker=broker.port), probe=True)
    wrong = [one for one in findings if one.level == "fail"]
    assert wrong
    assert {one.topic for one in wrong} == {"acl"}
    assert f"readerd/v1/lab1/bench2: {seen}" in wrong[-1].seen
    assert wrong[-1].todo.startswith("systemd/mosquitto.acl")


async def test_without_being_asked_it_says_nothing_where_others_listen(
    write: WriteConfig, mosquitto: StartMosquitto
) -> None:
    broker = mosquitto()
    findings = await examined(write(broker=broker.port))
    assert about(findings, "acl")[-1] == ("ok", "may say alarm/doctor, replay/doctor, rsp/doctor")
    [(level, seen)] = about(findings, "delivery")
    assert (level, seen) == ("warn", "no daemon runs; its own topics were not tried")


async def test_a_daemon_that_runs_is_asked_and_not_disturbed(
    write: WriteConfig, mosquitto: StartMosquitto
) -> None:
    """Its port cannot be opened twice: what is known of the instrument, the daemon has said."""
    broker = mosquitto()
    path = write(broker=broker.port)
    config = load_config(path)
    opened: list[str] = []

    async def only_once() -> ByteStream:
        opened.append(config.reader.port)
        return await opener(config, twin=lambda: simulated(config.driver))()

    stop, up = asyncio.Event(), asyncio.Event()
    ready: list[House] = []

    def on_ready(house: House) -> None:
        ready.append(house)
        up.set()

    daemon = asyncio.create_task(serve(config, open_stream=only_once, stop=stop, on_ready=on_ready))
    try:
        async with asyncio.timeout(20):
            await up.wait()
            await ready[0].bench.until_ready()
        looking = examine(config, only_once, probe=True, now=wall_clock)
        findings = [one async for one in looking]
    finally:
        stop.set()
        await daemon
    assert is_right(findings), findings
    assert about(findings, "instrument") == [("ok", "Simulated Reader on twin: is ready")]
    assert about(findings, "delivery") == [("ok", "the daemon delivers; 0 messages wait")]
    rights = about(findings, "acl")
    assert len(rights) == 3
    assert rights[2][1].startswith("--probe left out: a daemon runs")
    assert opened == ["twin:"]


def until(certificate: str) -> datetime:
    return ends_at(Path(certificate).read_text("utf-8"))


async def test_certificates_are_told_before_they_end(
    write: WriteConfig, mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    """The tests' certificates are good for two days."""
    ca = authority(tmp_path / "tls")
    certificate, key = issue(tmp_path / "tls", "broker", alternative="IP:127.0.0.1")
    own, own_key = issue(tmp_path / "tls", "bench2")
    broker = mosquitto(
        f"cafile {ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"
    )
    files = (f'ca_file = "{ca}"', f'cert_file = "{own}"', f'key_file = "{own_key}"')
    findings = await examined(write(*files, broker=broker.port, secured=True))
    ends = until(own)
    assert timedelta(hours=47) < ends - datetime.now(UTC) <= timedelta(days=2)
    assert about(findings, "tls") == [
        ("warn", f"our certificate {own} is good until {ends:%Y-%m-%d}"),
        ("warn", f"the broker's certificate is good until {ends:%Y-%m-%d}"),
    ]
    assert is_right(findings)

    def later() -> datetime:
        return datetime.now(UTC) + timedelta(days=3)

    findings = await examined(write(*files, broker=broker.port, secured=True), now=later)
    assert [level for level, _ in about(findings, "tls")] == ["fail", "fail"]

    stranger = authority(tmp_path / "other")
    path = write(f'ca_file = "{stranger}"', broker=broker.port, secured=True)
    findings = await examined(path)
    [(level, seen)] = about(findings, "tls")
    assert level == "fail"
    assert "is not trusted" in seen
    [(level, _)] = about(findings, "broker")
    assert level == "fail"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as end:
        main(["doctor", *arguments])
    return end.value.code, capsys.readouterr().out


def test_a_wrong_file_is_a_finding_and_the_machine_is_looked_at_all_the_same(
    write: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("nonsense = 1", port="COM3")
    code, out = said(capsys, "--config", str(path), "--json")
    findings = [Finding(**row) for row in json.loads(out)]
    assert code == 1
    assert [seen.partition(": ")[2][:11] for _, seen in about(findings, "config")] == [
        "mqtt.nonsen",
        "reader.port",
    ]
    assert len(about(findings, "clock")) == 1


def test_no_broker_and_a_port_that_is_not_there(
    write: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = said(capsys, "--config", str(write(port="serial:nothing.pty")))
    assert code == 1
    lines = [line for line in out.splitlines() if line.startswith("fail ")]
    assert [line.split()[1] for line in lines] == ["access", "instrument", "broker", "delivery"][:3]
    assert all("; " in line for line in lines), "a failure says what to do"


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "may"),
    [
        (0o660, 0, set(), True),
        (0o660, 7, {20}, True),
        (0o660, 7, {21}, False),
        (0o640, 7, {20}, False),
        (0o666, 7, set(), True),
        (0o606, 7, {20}, False),  # the group is asked before everybody
        (0o600, 5, set(), True),
        (0o066, 5, {20}, False),  # and the owner before the group
    ],
)
def test_who_may_open_a_device(mode: int, uid: int, groups: set[int], may: bool) -> None:
    """Owner 5, group 20."""
    found = os.stat_result((stat.S_IFCHR | mode, 0, 0, 1, 5, 20, 0, 0, 0, 0))
    assert machine.may_open(found, uid, groups) is may


def test_who_talks_to_strange_ports_is_named_unless_a_rule_stops_it(tmp_path: Path) -> None:
    device, proc, rules = Path("/dev/readerd/bench2"), tmp_path / "proc", tmp_path / "rules"
    for pid, name in (("1", "systemd"), ("17", "ModemManager"), ("x", "brltty")):
        (proc / pid).mkdir(parents=True)
        (proc / pid / "comm").write_text(f"{name}\n")
    rules.mkdir()
    found = machine.disturbers(device, proc=proc, rules=rules)
    assert (found.level, found.seen) == ("warn", "ModemManager may talk to the instrument")
    (rules / "65-readerd-bench2.rules").write_text(
        'SUBSYSTEM=="tty", \\\n  SYMLINK+="readerd/bench2", ENV{ID_MM_DEVICE_IGNORE}="1"\n'
    )
    assert machine.disturbers(device, proc=proc, rules=rules).level == "ok"
    assert machine.disturbers(Path("/dev/ttyUSB0"), proc=proc, rules=rules).level == "warn"
    (proc / "18").mkdir()
    (proc / "18" / "comm").write_text("brltty\n")
    assert "brltty" in machine.disturbers(device, proc=proc, rules=rules).seen


def test_the_clock_as_the_kernel_tells_it() -> None:
    assert machine.clock(lambda: 0).level == "ok"
    assert machine.clock(lambda: machine.STA_UNSYNC | 1).level == "warn"
    assert machine.clock(lambda: None).level == "warn"
    assert machine.kernel_clock() is not None


def test_a_journal_that_somebody_touched_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert "will be made" in machine.journal(path).seen
    Store(path, ()).close()
    assert machine.journal(path).level == "ok"
    path.write_bytes(path.read_bytes()[:5000])
    assert machine.journal(path).level == "fail"
    path.write_bytes(b"no journal")
    found = machine.journal(path)
    assert (found.level, found.todo) == ("fail", "put it aside, and a backup in its place")
