"""Which run a log line speaks of: set once where a run's work begins, read by the log's format."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_run_id: ContextVar[str | None] = ContextVar("run_id", default=None)


@contextmanager
def of_run(run_id: str | None) -> Iterator[None]:
    """Every line that is logged inside is of this run, in tasks and threads begun there too."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


def current_run() -> str | None:
    return _run_id.get()
