"""The door that systemd holds: taken over, answered through, left standing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from readerd.edge.passed import passed_socket
from readerd.errors import ConfigError


def listening(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen(1)
    return door


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As systemd tells a process of one socket."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    return monkeypatch


def test_the_passed_socket_is_taken_and_the_words_go_no_further(
    told: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "bench2.sock"
    with listening(path) as made:
        fd = os.dup(made.fileno())
        os.set_inheritable(fd, True)
        passed = passed_socket(path, first_fd=fd)
        assert passed is not None
        with passed:
            assert not passed.getblocking()
            assert not passed.get_inheritable()
            assert "LISTEN_FDS" not in os.environ
    assert path.exists()


def test_nothing_was_passed_or_not_to_us(told: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told.setenv("LISTEN_PID", "1")
    assert passed_socket(tmp_path / "x.sock", first_fd=-1) is None
    told.delenv("LISTEN_PID", raising=False)
    assert passed_socket(tmp_path / "x.sock", first_fd=-1) is None


def test_another_path_than_the_configured_is_a_mistake_that_names_both(
    told: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        listening(tmp_path / "unit.sock") as made,
        pytest.raises(ConfigError, match=r"unit\.sock.*configured\.sock"),
    ):
        passed_socket(tmp_path / "configured.sock", first_fd=os.dup(made.fileno()))


def test_a_daemon_that_stops_leaves_the_passed_socket_where_it_is(tmp_path: Path) -> None:
    """One reader's whole daemon on a socket that this test keeps: status, SIGTERM, still there."""
    (tmp_path / "reader.toml").write_text(
        '[reader]\nsite = "lab1"\nid = "bench2"\ndriver = "sim"\nport = "twin:"\n'
        f'[assays]\ndirectory = "{Path(__file__).parents[2] / "systemd" / "assays"}"\n'
        'default = "il6-elisa"\n[store]\npath = "journal.db"\n'
        '[mqtt]\nurl = "mqtt://127.0.0.1:1"\n[http]\nsocket = "door.sock"\n'
    )
    door = tmp_path / "door.sock"
    with listening(door) as made:
        program = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
            "os.execv(sys.executable, [sys.executable, '-m', 'readerd', 'run',"
            " '--config', 'reader.toml'])"
        )
        daemon = subprocess.Popen(
            [sys.executable, "-c", program, str(made.fileno())],
            cwd=tmp_path,
            pass_fds=(made.fileno(),),
            stderr=subprocess.DEVNULL,
        )
        try:
            # The connection waits in the queue of the socket until the daemon is there.
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(door))
                client.sendall(b"GET /v1/status HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert client.recv(64).startswith(b"HTTP/1.1 200")
        finally:
            daemon.terminate()
            assert daemon.wait(20) == 0
        assert door.is_socket()
