"""`readerd install` below a root of its own: what it writes, leaves alone and takes away."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from readerd.cli import main
from readerd.config import load_config
from readerd.errors import InputError
from readerd.install.adapter import adapter
from readerd.install.render import filled, service

BY_ID = "serial:/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
PROGRAM = "/opt/readerd/bin/readerd"
ANSWERS = (
    "--driver", "sim", "--port", BY_ID, "--site", "lab1", "--broker", "mqtt://broker.example",
    "--assay", "il6-elisa",
)  # fmt: skip


class Machine:
    """A root file system, and what is said about it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys

    def install(self, name: str, *more: str, code: int = 0) -> str:
        ended: int | str | None = 0
        try:
            # Not this very program: the tests may run from a place that no service sees.
            main(["install", name, "--root", str(self.root), "--program", PROGRAM, *more])
        except SystemExit as end:
            ended = end.code
        said = self._capsys.readouterr()
        assert ended == code, said.err
        return said.out + said.err

    def files(self) -> dict[str, str]:
        return {
            f"/{path.relative_to(self.root)}": path.read_text()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def everything(self) -> set[Path]:
        return set(self.root.rglob("*"))

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    root = tmp_path / "root"
    for folder in ("etc/systemd/system", "etc/udev/rules.d", "etc/sysusers.d", "var/lib", "run"):
        (root / folder).mkdir(parents=True)
    return Machine(root, capsys)


def test_what_it_writes_is_a_reader_that_check_finds_right(machine: Machine) -> None:
    said = machine.install("bench1", *ANSWERS)
    assert set(machine.files()) == {
        "/etc/systemd/system/readerd@.service",
        "/etc/systemd/system/readerd@.socket",
        "/etc/sysusers.d/readerd.conf",
        "/etc/tmpfiles.d/readerd.conf",
        "/etc/udev/rules.d/65-readerd-bench1.rules",
        "/etc/readerd/bench1.toml",
        "/etc/readerd/bench1.installed",
        "/etc/readerd/assays/il6-elisa.toml",
    }
    config = load_config(machine.at("/etc/readerd/bench1.toml"))
    assert (config.reader.site, config.reader.id) == ("lab1", "bench1")
    assert config.reader.port == "serial:/dev/readerd/bench1"
    assert str(config.store.path) == "/var/lib/readerd/bench1/journal.db"
    assert str(config.socket) == "/run/readerd/bench1.sock"
    rule = machine.files()["/etc/udev/rules.d/65-readerd-bench1.rules"]
    assert 'ENV{ID_SERIAL}=="FTDI_FT232R_USB_UART_A50285BI"' in rule
    assert 'SYMLINK+="readerd/bench1"' in rule
    assert 'ENV{ID_MM_DEVICE_IGNORE}="1"' in rule
    assert said.rstrip().endswith(
        "systemctl daemon-reload\n"
        "  systemctl enable --now readerd@bench1.socket readerd@bench1.service"
    )


def test_a_second_run_changes_nothing_and_says_so(machine: Machine) -> None:
    machine.install("bench1", *ANSWERS)
    before = {path: path.stat().st_mtime_ns for path in machine.everything()}
    for again in ((), ANSWERS):
        said = machine.install("bench1", *again)
        assert said.splitlines()[-1] == "nothing to change"
        assert {path: path.stat().st_mtime_ns for path in machine.everything()} == before


def test_a_dry_run_shows_every_line_and_writes_none(machine: Machine) -> None:
    before = machine.everything()
    said = machine.install("bench1", *ANSWERS, "--dry-run")
    assert machine.everything() == before
    assert "+ /etc/readerd/bench1.toml" in said
    assert '    +driver = "sim"' in said
    machine.install("bench1", *ANSWERS)
    files = machine.files()
    said = machine.install("bench1", *ANSWERS, "--broker", "mqtt://other", "--dry-run")
    assert machine.files() == files
    assert "~ /etc/readerd/bench1.toml" in said
    changed = [
        line.strip()[:6] for line in said.splitlines() if line.startswith(("    +", "    -"))
    ]
    assert changed == ["-url =", "+url ="]


def test_an_edited_file_stays_unless_it_is_said(machine: Machine) -> None:
    machine.install("bench1", *ANSWERS)
    config = machine.at("/etc/readerd/bench1.toml")
    config.write_text(config.read_text().replace("# require_operator = false", ""))
    edited = config.read_text()
    said = machine.install("bench1", *ANSWERS)
    assert "! /etc/readerd/bench1.toml  was edited and stays" in said
    assert config.read_text() == edited
    machine.install("bench1", *ANSWERS, "--overwrite")
    assert "# require_operator = false" in config.read_text()


def test_uninstall_leaves_the_journal_and_nothing_else(machine: Machine) -> None:
    before = machine.everything()
    machine.install("bench1", *ANSWERS)
    journal = machine.at("/var/lib/readerd/bench1/journal.db")
    journal.parent.mkdir(parents=True)
    journal.write_text("rows")
    wants = machine.at("/etc/systemd/system/multi-user.target.wants/readerd@bench1.service")
    wants.parent.mkdir()
    wants.symlink_to("/etc/systemd/system/readerd@.service")
    shown = machine.install("bench1", "--uninstall", "--dry-run")
    assert wants.is_symlink()
    said = machine.install("bench1", "--uninstall")
    assert [line for line in shown.splitlines() if line.startswith("- ")] == [
        line for line in said.splitlines() if line.startswith("- ")
    ]
    wants.parent.rmdir()
    assert (
        machine.everything() - before
        == {journal, *journal.parents} - set(machine.root.parents) - {machine.root} - before
    )
    assert "the journal stays: /var/lib/readerd/bench1" in said
    said = machine.install("bench1", "--uninstall", code=2)
    assert "has not installed it here; installed: none" in said


def test_what_was_edited_is_kept_beside_the_journal(machine: Machine) -> None:
    machine.install("bench1", *ANSWERS)
    machine.at("/etc/readerd/bench1.toml").write_text("# mine\n")
    said = machine.install("bench1", "--uninstall")
    assert "> /etc/readerd/bench1.toml  was edited; moved beside the journal" in said
    assert machine.files() == {"/var/lib/readerd/bench1/bench1.toml": "# mine\n"}


def test_the_last_of_two_readers_takes_what_they_share(machine: Machine) -> None:
    before = machine.everything()
    machine.install("bench1", *ANSWERS)
    # The program moved: the shared unit is another one now, and still ours for both.
    machine.install("bench2", *ANSWERS[:2], "--port", "twin:", *ANSWERS[4:], "--program", "/opt/r")
    machine.install("bench1", "--uninstall")
    left = set(machine.files())
    assert {"/etc/systemd/system/readerd@.service", "/etc/readerd/assays/il6-elisa.toml"} <= left
    assert not any("bench1" in path for path in left)
    machine.install("bench2", "--uninstall")
    assert machine.everything() == before


def test_a_password_is_seen_by_nobody(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame \n")  # a blank at its end is the password's
    more = ("--username", "bench1", "--password-file", str(tmp_path / "secret"))
    assert "sesame" not in machine.install("bench1", *ANSWERS, *more, "--dry-run")
    machine.install("bench1", *ANSWERS, *more)
    password = machine.at("/etc/readerd/bench1.password")
    assert (password.read_text(), password.stat().st_mode & 0o777) == ("open sesame \n", 0o600)
    listed = json.loads(machine.files()["/etc/readerd/bench1.installed"])
    assert listed["files"]["/etc/readerd/bench1.password"] == "-"
    settings = load_config(machine.at("/etc/readerd/bench1.toml")).mqtt
    assert (settings.username, Path(settings.password_file).name) == ("bench1", "mqtt-password")
    machine.install("bench1", "--uninstall")
    assert not password.exists()


def test_at_a_terminal_it_asks_for_what_it_was_not_told(machine: Machine) -> None:
    master, slave = pty.openpty()
    try:
        asked = subprocess.Popen(
            (
                sys.executable,
                "-m",
                "readerd",
                "install",
                "bench1",
                "--root",
                str(machine.root),
                "--program",
                PROGRAM,
                "--port",
                "twin:",
            ),
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(master, b"sim\n\nmqtt://broker.example\n\n")  # an empty line takes the default
        out, questions = asked.communicate(timeout=30)
    finally:
        os.close(master)
        os.close(slave)
    assert asked.returncode == 0, questions
    assert "+ /etc/readerd/bench1.toml" in out
    for question in ("Instrument (", "Site [lab1]: ", "Broker [", "Default assay [il6-elisa]: "):
        assert question in questions
    config = load_config(machine.at("/etc/readerd/bench1.toml"))
    assert (config.reader.driver, config.reader.site) == ("sim", "lab1")
    assert config.mqtt.url == "mqtt://broker.example"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("Bench 1",), 2, "a reader's name is a-z, 0-9 and hyphens"),
        (("bench1",), 2, "say --driver, --port, --site, --broker, --assay"),
        (("bench1", *ANSWERS, "--now"), 2, "--now is for this machine"),
        (("bench1", *ANSWERS, "--program", "/home/me/readerd"), 2, "does not see /home/"),
        (("bench1", *ANSWERS, "--site", "Lab 1"), 78, "/etc/readerd/bench1.toml: reader.site"),
        (("bench1", *ANSWERS, "--assay", "none"), 78, "there are: il6-elisa"),
        (("bench1", *ANSWERS, "--port", "serial:/dev/ttyUSB97"), 2, "serial:/dev/serial/by-id/"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    machine: Machine, arguments: tuple[str, ...], code: int, says: str
) -> None:
    before = machine.everything()
    assert says in machine.install(*arguments, code=code)
    assert machine.everything() == before


@pytest.mark.parametrize(
    ("link", "match"),
    [
        (
            "by-id/usb-Prolific_Technology_Inc._USB-Serial_Controller-if00-port0",
            'ENV{ID_SERIAL}=="Prolific_Technology_Inc._USB-Serial_Controller",'
            ' ENV{ID_USB_INTERFACE_NUM}=="00", ENV{.ID_PORT}=="0"',
        ),
        (
            "by-id/usb-Arduino__www.arduino.cc__0043_7543932-if01",
            'ENV{ID_SERIAL}=="Arduino__www.arduino.cc__0043_7543932",'
            ' ENV{ID_USB_INTERFACE_NUM}=="01"',
        ),
        (
            "by-path/pci-0000:00:14.0-usb-0:2:1.0-port0",
            'ENV{ID_PATH}=="pci-0000:00:14.0-usb-0:2:1.0", ENV{.ID_PORT}=="0"',
        ),
    ],
)
def test_an_adapter_is_known_by_what_udev_made_of_it(link: str, match: str) -> None:
    """The names are as 60-serial.rules composes them."""
    named = adapter("b", f"serial:/dev/serial/{link}?baud=1200", lambda device: [])
    assert named.port == "serial:/dev/readerd/b?baud=1200"
    assert named.rule is not None
    assert f'SUBSYSTEM=="tty", {match}, \\\n' in named.rule
    found = adapter("b", "serial:/dev/ttyUSB3", lambda device: [link])
    assert found.rule == named.rule


def test_what_has_a_name_that_stays_needs_no_rule() -> None:
    for port in ("serial:/dev/ttyS0", "serial:/dev/readerd/b", "tcp://host:4001", "twin:"):
        assert adapter("b", port, lambda device: []).rule is None
    with pytest.raises(InputError, match="no name that udev gives"):
        adapter("b", 'serial:/dev/serial/by-id/x", RUN+="/bin/sh', lambda device: [])


def test_words_of_a_program_are_systemds() -> None:
    line = next(
        line
        for line in service(["/opt/my readers/100%/readerd", "-m"]).splitlines()
        if line.startswith("ExecStart=")
    )
    assert line == (
        'ExecStart="/opt/my readers/100%%/readerd" -m run --config /etc/readerd/%i.toml'
    )


def test_an_example_without_a_line_for_an_answer_is_a_bug() -> None:
    with pytest.raises(ValueError, match=r"no line for a\.c"):
        filled("[a]\nb = 1\n", {"a.b": "2", "a.c": "3"})


def test_what_a_driver_must_be_told_is_asked_for_and_written(machine: Machine) -> None:
    answers = ("--port", "tcp://10.0.3.17:4001", *ANSWERS[4:], "--driver", "biorad550")
    said = machine.install("bench1", *answers, code=78)
    assert "reader.options.filters_nm: is missing" in said
    told = ("--option", "filters_nm=[405, 450, 0, 570]", "--option", "checksum=A")
    machine.install("bench1", *answers, *told)
    config = load_config(machine.at("/etc/readerd/bench1.toml"))
    assert config.options.model_dump(include={"filters_nm", "checksum"}) == {
        "filters_nm": (405, 450, 0, 570),
        "checksum": "A",
    }
