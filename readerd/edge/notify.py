"""What systemd wants to hear of us: sd_notify(3), one datagram a message."""

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

# A service manager that is being replaced may leave its socket full for a moment.
SEND_WITHIN_S = 1.0


def notify(*assignments: str) -> None:
    """Tell systemd, where it asked to be told; one that cannot be told is logged and left."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
            datagram.settimeout(SEND_WITHIN_S)
            datagram.sendto("\n".join(assignments).encode(), name)
    except OSError as error:
        log.warning("notify=unheard socket=%s reason=%s", address, error)


def status(text: str) -> str:
    """The line that `systemctl status` shows; a line break would begin another assignment."""
    return f"STATUS={' '.join(text.split())}"


def reloading() -> tuple[str, str]:
    """A reload begins (Type=notify-reload); READY=1 ends it."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Within which time systemd wants to hear WATCHDOG=1; None when it does not, or not from us."""
    given = environment.get("WATCHDOG_USEC", "")
    if not given.isdecimal() or int(given) == 0:
        return None
    meant = environment.get("WATCHDOG_PID", "")
    return int(given) / 1e6 if meant in ("", str(pid)) else None
