"""The listening socket that systemd made for us and keeps over our restarts (sd_listen_fds(3))."""

import os
import socket
from pathlib import Path

from readerd.errors import ConfigError, Mistake

# sd_listen_fds(3): SD_LISTEN_FDS_START.
FIRST_FD = 3


def passed_socket(path: Path, first_fd: int = FIRST_FD) -> socket.socket | None:
    """The passed socket at `path`, or None where none was passed; ConfigError for another one.

    Its path belongs to who made it: it must not be removed when we end.
    """
    count = _passed_to_us()
    if count == 0:
        return None
    if count > 1:
        raise _mistake(f"the socket unit passes {count} sockets; give it one ListenStream=")
    listener = socket.socket(fileno=first_fd)
    listener.set_inheritable(False)
    name = listener.getsockname() if listener.family == socket.AF_UNIX else ""
    if not isinstance(name, str) or not name or Path(name).resolve() != path.resolve():
        listener.close()
        raise _mistake(f"the socket unit listens on {name!r}, the configuration says {path}")
    listener.setblocking(False)
    return listener


def _passed_to_us() -> int:
    """How many; the words are taken out of the environment, no child is meant by them."""
    words = [os.environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES")]
    return int(words[1]) if words[0] == str(os.getpid()) and words[1].isdigit() else 0


def _mistake(what: str) -> ConfigError:
    return ConfigError("the local door", (Mistake("http.socket", what),))
