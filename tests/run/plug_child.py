"""A session of two plates that loses its power at one commit: `plug_child.py JOURNAL N before`.

The first press comes twice, the second plate follows. The process dies (no clean-up, no flush) at
the Nth COMMIT of the session: right before it is carried out, or right after. It prints how many
plates the instrument had measured by then.
"""

import os
import sys
from pathlib import Path

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


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
