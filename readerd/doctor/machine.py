"""The machine around a reader: who may open its port, who else talks to it, clock, disk, unit."""

import ctypes
import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

from readerd.doctor.finding import Finding
from readerd.errors import ReaderdError
from readerd.run.audit import verify_file
from readerd.run.journal import ROOM_BYTES

SERVICE_USER = "readerd"
# Programs that open strange serial ports by themselves.
DISTURBERS = {
    "ModemManager": "`readerd install` tells it to leave the adapter alone",
    "brltty": "apt remove brltty",
}
# As many rooms of the store-full alarm: time enough to do something.
LITTLE_ROOM_BYTES = 64 * ROOM_BYTES
# systemd-analyze security: 10 is everything allowed; the shipped unit has less than this.
MOST_EXPOSURE = 2.0
UNIT = Path("/etc/systemd/system/readerd@.service")
RULES = Path("/etc/udev/rules.d")


def acting_user() -> pwd.struct_passwd:
    """For whom the questions are asked: root asks for the service's user, where there is one."""
    me = pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(SERVICE_USER) if me.pw_uid == 0 else me
    except KeyError:
        return me


def access(device: Path, user: pwd.struct_passwd) -> Finding:
    """Whether the user may open the device; a missing one is the port's own finding."""
    try:
        found = device.stat()
    except OSError as error:
        todo = "plug the adapter in; `ls /dev/serial/by-id/` shows what is there"
        return Finding("access", "fail", f"{device}: {error.strerror}", todo)
    if not stat.S_ISCHR(found.st_mode):
        return Finding("access", "fail", f"{device} is no device", "name a serial port")
    groups = set(os.getgrouplist(user.pw_name, user.pw_gid))
    group = _group_name(found.st_gid)
    if may_open(found, user.pw_uid, groups):
        return Finding("access", "ok", f"{user.pw_name} may open {device}")
    todo = f"usermod -aG {group} {user.pw_name}, then log in again"
    return Finding("access", "fail", f"{user.pw_name} may not open {device}", todo)


def may_open(found: os.stat_result, uid: int, groups: Collection[int]) -> bool:
    """For reading and writing, by owner, group or everybody, as the kernel decides."""
    if uid == 0:
        return True
    if uid == found.st_uid:
        bits = found.st_mode >> 6
    elif found.st_gid in groups:
        bits = found.st_mode >> 3
    else:
        bits = found.st_mode
    return bits & 0o6 == 0o6


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def disturbers(device: Path, *, proc: Path = Path("/proc"), rules: Path = RULES) -> Finding:
    """Who else on this machine opens serial ports that it does not know."""
    running = {_word(path) for path in proc.glob("[0-9]*/comm")} & set(DISTURBERS)
    if _ignored(device, rules):
        running.discard("ModemManager")
    if not running:
        return Finding("disturbers", "ok", "neither ModemManager nor brltty is after the port")
    first = min(running)
    names = " and ".join(sorted(running))
    return Finding("disturbers", "warn", f"{names} may talk to the instrument", DISTURBERS[first])


def _ignored(device: Path, rules: Path) -> bool:
    """A rule gives the port its name and tells ModemManager to leave it alone."""
    texts = (path.read_text("utf-8", "replace") for path in rules.glob("*readerd*.rules"))
    name = re.escape(f"readerd/{device.name}")
    wanted = re.compile(rf'^[^#]*SYMLINK\+="{name}".*ID_MM_DEVICE_IGNORE', re.MULTILINE)
    return any(wanted.search(text.replace("\\\n", " ")) for text in texts)


def _word(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:  # it has ended
        return ""


class _Timex(ctypes.Structure):
    """struct timex, adjtimex(2): up to `status`, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


# timex.h
STA_UNSYNC = 0x0040


def kernel_clock() -> int | None:
    """The kernel's status bits, None when it does not tell."""
    asked = _Timex()
    done = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked))
    return None if done < 0 else asked.status


def clock(status: Callable[[], int | None] = kernel_clock) -> Finding:
    """Every result carries times, and an old command is refused by them."""
    bits = status()
    if bits is None:
        return Finding("clock", "warn", "the kernel does not say whether the clock is right")
    if bits & STA_UNSYNC:
        todo = "systemctl enable --now systemd-timesyncd (or chrony)"
        return Finding("clock", "warn", "the clock is not synchronised", todo)
    return Finding("clock", "ok", "the clock is synchronised")


def disk(path: Path) -> Finding:
    """Room beside the journal, or where it will be."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    seen = f"{free / 1e9:.1f} GB free in {folder}"
    if free < ROOM_BYTES:
        return Finding("disk", "fail", seen, "make room: no plate is read before there is")
    if free < LITTLE_ROOM_BYTES:
        return Finding("disk", "warn", seen, "make room, or shorten store.retention_days")
    return Finding("disk", "ok", seen)


def journal(path: Path) -> Finding:
    """The whole chain of the journal, walked; beside a daemon, too."""
    try:
        if not path.exists():
            return Finding("journal", "ok", f"{path} will be made at the first start")
        found = verify_file(path)
    except (ReaderdError, OSError) as error:
        return Finding("journal", "fail", str(error), "put it aside, and a backup in its place")
    if found.broken:
        todo = "keep the file as it is and ask who touched it: `readerd audit verify`"
        return Finding("journal", "fail", f"{path}: {found.broken}", todo)
    return Finding("journal", "ok", f"{path} is whole: {found.lines} lines")


def unit(reader: str, *, file: Path = UNIT) -> Finding:
    """The installed unit and what systemd thinks of it."""
    if not file.exists():
        todo = f"`readerd install {reader}` makes it one"
        return Finding("unit", "ok", "this reader is no service of this machine", todo)
    if shutil.which("systemd-analyze") is None:
        return Finding("unit", "warn", f"{file} is there, and no systemd-analyze to look at it")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    score = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    if score is None:
        return Finding("unit", "warn", f"{file}: {done.stderr.strip() or 'no score'}")
    seen = f"{file.name}: exposure {score[1]} of 10"
    if float(score[1]) > MOST_EXPOSURE:
        todo = (
            f"readerd's own has less than {MOST_EXPOSURE}: `readerd install {reader} --overwrite`"
        )
        return Finding("unit", "warn", seen, todo)
    return Finding("unit", "ok", seen)
