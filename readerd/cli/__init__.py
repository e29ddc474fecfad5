"""The `readerd` command: a file per group of verbs.

Rules of the room: every verb has `--help`; errors go to stderr in one line that says what to do;
`--json` where a program may want the answer; exit codes are the contract's. Modules here import
click and the floor only; heavier rooms are imported inside the verbs that need them, so that
`--help` and `status` answer at once. `command` gathers the verbs. Only this room prints.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Imports leave no garbage: looking for it would be a sixth of `status` and of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with the contract's code; errors are one line."""
    # One thread is faster for small matrices, and numpy starts in a third of the time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with importing():
        from readerd.cli.command import run
    run(arguments)
