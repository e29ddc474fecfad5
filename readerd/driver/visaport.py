"""Any VISA resource as a port, through pyvisa-py or another backend by name.

The problem. VISA is made for instruments that end their messages; a plate reader's bytes end where
its protocol says. What pyvisa-py 0.8 does with our kind of line was measured: a read that times
out throws away what it had; a socket whose peer has closed is asked again and again at full speed
until the time is up; a connection that was refused opens; a device is not locked; nothing can be
woken.

The rule. One thread does everything with a resource, and asks it only for what is there: no
termination characters, no partial reads. pyvisa-py's resources have a file number; we wait on that,
beside a pipe of our own that wakes us to write or to close. What a socket has is looked at
(`MSG_PEEK`), so its end is seen. A device is locked by us, before pyvisa-py sets its line. Other
backends have no file number: short timeouts, no more than is there, and their own lock.

Rejected: VISA events (pyvisa-py has none); `list_resources` to look for the device (two seconds).
"""

import contextlib
import fcntl
import os
import select
import socket
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from readerd.driver.address import DEFAULT_BACKEND, PortAddress, is_asrl
from readerd.driver.pump import BlockingPort
from readerd.driver.stream import LineSettings
from readerd.errors import LinkLost

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource, SerialInstrument

# Nothing is asked of a resource for longer than this at once.
WAIT_MS = 500
# Nor does the system keep a command waiting for longer.
WRITE_MS = 500
# Without a file number a command waits for the byte that does not come: keep that short.
BLIND_WAIT_MS = 50
OPEN_WITHIN_MS = 5000
WRITE_WITHIN_S = 5.0
MOST_PEEKED_BYTES = 4096
# So many are read in far less than BLIND_WAIT_MS even where a library takes them one by one.
MOST_BLIND_BYTES = 128
PARITIES = {"N": "none", "E": "even", "O": "odd", "M": "mark", "S": "space"}


def open_visa(address: PortAddress, line: LineSettings) -> BlockingPort:
    """Open, lock and set the resource; LinkLost or OSError when it does not open."""
    own = address.backend == DEFAULT_BACKEND
    with contextlib.ExitStack() as undo:
        lock = _lock(address.path) if own else None
        if lock is not None:
            undo.callback(os.close, lock)
        resource = _open(address)
        undo.callback(resource.close)
        if is_asrl(address.path):
            _set_line(resource, line)
        watched = _watched(resource) if own else None
        if isinstance(watched, socket.socket):
            watched.getpeername()  # a connection that was refused has none: OSError
        port = _VisaPort(resource, watched, lock)
        undo.pop_all()
    return port


def _open(address: PortAddress) -> "MessageBasedResource":
    # imported here: 0.2 s, and most daemons have no VISA
    import pyvisa
    from pyvisa.constants import AccessModes
    from pyvisa.resources import MessageBasedResource

    shared = address.backend == DEFAULT_BACKEND  # it has no locks; ours stands before it
    mode = AccessModes.no_lock if shared else AccessModes.exclusive_lock
    try:
        manager = pyvisa.ResourceManager(f"@{address.backend}")
        resource = manager.open_resource(
            address.path, access_mode=mode, open_timeout=OPEN_WITHIN_MS
        )
    except OSError:
        raise
    except Exception as error:  # pyvisa-py raises plain Exception, ValueError, VisaIOError …
        raise LinkLost(f"{address.path}@{address.backend}: {error}") from error
    if not isinstance(resource, MessageBasedResource):
        resource.close()
        raise LinkLost(f"{address.path}: no resource that bytes can be written to")
    return resource


def _lock(resource: str) -> int | None:
    """The device of an ASRL resource on a path, locked as pyserial locks it; None for others."""
    device = resource[len("ASRL") :].partition("::")[0]
    if not is_asrl(resource) or not device.startswith("/"):
        return None
    number = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise LinkLost(f"{device}: another program holds the lock") from None
    return number


def _set_line(resource: Any, line: LineSettings) -> None:
    from pyvisa.constants import ControlFlow, Parity, SerialTermination, StopBits

    resource.baud_rate = line.baud
    resource.data_bits = line.data_bits
    resource.parity = Parity[PARITIES[line.parity]]
    resource.stop_bits = StopBits.two if line.stop_bits == 2 else StopBits.one
    flow = ControlFlow.rts_cts if line.rtscts else ControlFlow.none
    resource.flow_control = flow | (ControlFlow.dtr_dsr if line.dsrdtr else ControlFlow.none)
    resource.end_input = SerialTermination.none


def _watched(resource: "MessageBasedResource") -> Any:
    """What pyvisa-py talks through: a socket or a serial port with a file number; else None."""
    sessions: Any = getattr(resource.visalib, "sessions", {})
    interface = getattr(sessions.get(resource.session), "interface", None)
    return interface if hasattr(interface, "fileno") else None


class _VisaPort:
    """`read` does all the talking with the resource; `write` leaves it a note and waits."""

    def __init__(self, resource: "MessageBasedResource", watched: Any, lock: int | None) -> None:
        self._resource = resource
        self._watched = watched
        self._lock = lock
        self._wait_ms = WAIT_MS if watched is not None else BLIND_WAIT_MS
        self._waiting_ms = 0
        self._wait_at_most(self._wait_ms)
        self._notes: deque[tuple[bytes, Future[None]]] = deque()
        self._noting = threading.Lock()
        self._over = False
        self._wake_up, self._waker = os.pipe()

    def read(self) -> bytes:
        from pyvisa.errors import VisaIOError

        try:
            self._write_notes()
            return self._take_blindly() if self._watched is None else self._take_watched()
        except VisaIOError as error:
            if error.error_code == _timeout_code():
                return b""
            raise OSError(str(error)) from error

    def write(self, data: bytes) -> None:
        done: Future[None] = Future()
        with self._noting:
            if self._over:
                raise OSError("closed")
            self._notes.append((data, done))
        self.wake()
        try:
            done.result(WRITE_WITHIN_S)
        except TimeoutError:
            raise LinkLost("the resource takes no bytes") from None

    def wake(self) -> None:
        os.write(self._waker, b"!")

    def give_up(self) -> None:
        with self._noting:
            self._over = True
            while self._notes:
                self._notes.popleft()[1].set_exception(OSError("closed"))

    def close(self) -> None:
        from pyvisa.errors import VisaIOError

        os.close(self._wake_up)
        os.close(self._waker)
        try:
            self._resource.close()
        except VisaIOError as error:
            raise OSError(str(error)) from error
        finally:
            if self._lock is not None:
                os.close(self._lock)

    def _write_notes(self) -> None:
        while self._notes:
            data, done = self._notes.popleft()
            try:
                self._wait_at_most(WRITE_MS)
                self._resource.write_raw(data)
            except Exception as error:
                done.set_exception(OSError(str(error)))
                raise
            done.set_result(None)
            self._wait_at_most(self._wait_ms)

    def _wait_at_most(self, wait_ms: int) -> None:
        """Only where it changes: pyvisa-py sets a serial line anew each time."""
        if self._waiting_ms != wait_ms:
            self._resource.timeout = self._waiting_ms = wait_ms

    def _take_watched(self) -> bytes:
        """What is there, after a wait for it or for somebody who wakes us."""
        ready, _, _ = select.select([self._watched, self._wake_up], [], [], WAIT_MS / 1000)
        if self._wake_up in ready:
            os.read(self._wake_up, MOST_PEEKED_BYTES)
        if self._watched not in ready:
            return b""
        if isinstance(self._watched, socket.socket):
            there = len(self._watched.recv(MOST_PEEKED_BYTES, socket.MSG_PEEK))
            if there == 0:
                raise OSError("closed by the other side")
            return self._take(there)
        return self._take(self._watched.in_waiting or 1)

    def _take_blindly(self) -> bytes:
        """A serial line tells how much is there; of others one byte is asked."""
        from pyvisa.constants import StatusCode

        there = self._resource.bytes_in_buffer if isinstance(self._resource, _serial()) else 0
        library, session = self._resource.visalib, self._resource.session
        with self._resource.ignore_warning(StatusCode.success_max_count_read):
            return bytes(library.read(session, min(there or 1, MOST_BLIND_BYTES))[0])

    def _take(self, size: int) -> bytes:
        """Of pyvisa-py's session itself: above it a read that times out loses what it had."""
        sessions: Any = getattr(self._resource.visalib, "sessions", {})
        data, status = sessions[self._resource.session].read(size)
        if status < 0 and int(status) != _timeout_code():
            raise OSError(f"VISA says {status!r}")
        return bytes(data)


def _serial() -> "type[SerialInstrument]":
    from pyvisa.resources import SerialInstrument

    return SerialInstrument


def _timeout_code() -> int:
    from pyvisa.constants import StatusCode

    return int(StatusCode.error_timeout)
