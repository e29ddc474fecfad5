"""How the daemon's log looks: one form for people and files, one for the journal.

The journal knows the time itself, and takes the priority from the line. A text of many lines, such
as a traceback, is many entries there, so each line says where it belongs; and what comes from
outside, a barcode with a line break in it, cannot begin a line of its own.
"""

import logging

from readerd.cli import journald
from readerd.run.log_run import current_run

_PRIORITIES = (
    (logging.CRITICAL, journald.CRITICAL),
    (logging.ERROR, journald.ERROR),
    (logging.WARNING, journald.WARNING),
    (logging.INFO, journald.INFO),
)


class Lines(logging.Formatter):
    """`TIME LEVEL NAME run=ID text`, or `<PRIORITY>NAME run=ID text`; on every line."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__("%(message)s")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        run_id = current_run()
        words = [record.name, *([f"run={run_id}"] if run_id else [])]
        if not self._journal:
            words = [self.formatTime(record), record.levelname, *words]
        head = " ".join(words)
        if self._journal:
            head = f"<{_priority(record.levelno)}>{head}"
        lines = super().format(record).splitlines() or [""]
        return "\n".join(f"{head} {line}" for line in lines)


def _priority(level: int) -> int:
    return next((syslog for least, syslog in _PRIORITIES if level >= least), journald.DEBUG)


def to_stderr(level: int) -> None:
    """Everything from this level on goes to stderr, as whoever reads there wants it."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(journal=journald.is_journal()))
    logging.basicConfig(level=level, handlers=[handler])
