"""Sessions of two plates that lose their power at one commit, each a process of its own.

Each line `N before JOURNAL` on the standard input starts one by forking what is imported already;
the line that comes back is its exit code.

The first press comes twice, the second plate follows. The process dies (no clean-up, no flush) at
the Nth COMMIT of the session: right before it is carried out, or right after. It prints how many
plates the instrument had measured by then.
"""

import os
import sys
from pathlib import Path

import readerd.assay.quantify  # noqa: F401 - so that no session imports it
from tests.run.run_scene import Scene, play, request


def main(journal: Path, number: int, moment: str) -> None:
    seen = 0
    due = False

    def pull_the_plug(statement: str) -> None:
        nonlocal seen, due
        if due:
            die()
        if statement == "COMMIT":
            seen += 1
            if seen == number:
                due = True
                if moment == "before":
                    die()

    async def session(stage: Scene) -> None:
        stage.store.journal.db.set_trace_callback(pull_the_plug)
        stage.runner.submit(request("press-1", "PLT1"))
        stage.runner.submit(request("press-1", "PLT1"))
        await stage.finished()
        stage.runner.submit(request("press-2", "PLT2"))
        await stage.finished()
        if due:
            die()

    play(journal, session)


def die() -> None:
    os._exit(9)


def forked(journal: Path, number: int, moment: str) -> int:
    """The exit code of a child that plays one session."""
    child = os.fork()
    if not child:
        code = 1
        try:
            main(journal, number, moment)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        number, moment, journal = line.rstrip("\n").split(" ", 2)
        print(forked(Path(journal), int(number), moment), flush=True)  # noqa: T201 - to the test
