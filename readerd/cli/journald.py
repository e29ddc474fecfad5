"""systemd's journal takes a line's priority from its first characters: sd-daemon(3), `<4>`."""

import os
from typing import Final

# syslog(3).
CRITICAL: Final = 2
ERROR: Final = 3
WARNING: Final = 4
INFO: Final = 6
DEBUG: Final = 7


def is_journal(descriptor: int = 2) -> bool:
    """Whether what is written there goes to the journal: systemd.exec(5), $JOURNAL_STREAM."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def marked(text: str, priority: int) -> str:
    """The text for stderr; in the journal every line of it has the priority."""
    if not is_journal():
        return text
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())
