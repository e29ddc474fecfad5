"""Run a command under the rules of a unit, without systemd: the same kernel filters, set by hand.

`python -m tests.systemd.sandboxed UNIT COMMAND …` reads SystemCallFilter=, SystemCallErrorNumber=,
MemoryDenyWriteExecute= and RestrictAddressFamilies= from the unit, loads what systemd would load
(seccomp-util.c), and becomes the command. libseccomp comes with systemd.
"""

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# seccomp.h
LIBRARY = "libseccomp.so.2"
ALLOW = 0x7FFF0000
EQUAL, MASKED_EQUAL = 4, 7
# mman.h, shm.h
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
# socket.h of Linux 6: AF_MAX is 46.
FAMILIES = range(46)

Sets = Mapping[str, frozenset[str]]


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Filter:
    """One seccomp filter, from its default action to its loading."""

    def __init__(self, otherwise: int) -> None:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
        library.seccomp_init.restype = ctypes.c_void_p
        self._library = library
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(otherwise)))

    def rule(self, action: int, name: str, *conditions: tuple[int, int, int, int]) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # __NR_SCMP_ERROR: libseccomp does not know it, nor would systemd use it
            return
        compared = (Comparison * len(conditions))(*(Comparison(*one) for one in conditions))
        done = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(conditions), compared
        )
        if done:
            raise OSError(-done, f"seccomp rule {name}")

    def load(self) -> None:
        done = self._library.seccomp_load(self._context)
        if done:
            raise OSError(-done, "seccomp_load")


def refuse(number: int) -> int:
    """SCMP_ACT_ERRNO"""
    return 0x00050000 | number


def settings(unit: Path) -> dict[str, list[str]]:
    """The assignments of a unit, each with all its values in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def known_sets() -> Sets:
    """systemd's own names for groups of system calls, opened up."""
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True
    ).stdout
    direct: dict[str, set[str]] = {}
    name = ""
    for line in said.splitlines():
        if line.startswith("@"):
            name = line.strip()
            direct[name] = set()
        elif name and line.startswith("    ") and not line.strip().startswith("#"):
            direct[name].add(line.strip())
        else:
            name = name if line.startswith("    ") else ""

    def opened(name: str) -> frozenset[str]:
        if not name.startswith("@"):
            return frozenset({name})
        return frozenset().union(*(opened(one) for one in direct[name]))

    return {name: opened(name) for name in direct}


def allowed(filters: Sequence[str], sets: Sets) -> set[str]:
    """The system calls that SystemCallFilter= lines leave, the first of them an allow list."""
    found: set[str] = set()
    for line in filters:
        calls = set[str]().union(*(sets.get(word, {word}) for word in line.strip("~").split()))
        found = found - calls if line.startswith("~") else found | calls
    return found


def only_calls(names: Iterable[str], number: int) -> None:
    chosen = Filter(refuse(number))
    for name in names:
        chosen.rule(ALLOW, name)
    chosen.load()


def no_writable_code() -> None:
    """As MemoryDenyWriteExecute= does it."""
    chosen = Filter(ALLOW)
    both = PROT_WRITE | PROT_EXEC
    no = refuse(errno.EPERM)
    chosen.rule(no, "mmap", (2, MASKED_EQUAL, both, both))
    chosen.rule(no, "mprotect", (2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
    chosen.rule(no, "pkey_mprotect", (2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
    chosen.rule(no, "shmat", (2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
    chosen.load()


def only_families(names: Iterable[str]) -> None:
    chosen = Filter(ALLOW)
    kept = {getattr(socket, name).value for name in names}
    for family in set(FAMILIES) - kept:
        chosen.rule(refuse(errno.EAFNOSUPPORT), "socket", (0, EQUAL, family, 0))
    chosen.load()


def close(unit: Path) -> None:
    """Load all of it into this process; what it becomes inherits it."""
    found = settings(unit)
    calls = allowed(found["SystemCallFilter"], known_sets())
    number = getattr(errno, found["SystemCallErrorNumber"][-1])
    only_families(found["RestrictAddressFamilies"][-1].split())
    if found["MemoryDenyWriteExecute"][-1] == "yes":
        no_writable_code()
    only_calls(calls, number)


if __name__ == "__main__":
    close(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
