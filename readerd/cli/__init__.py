"""The `readerd` command: a file per group of verbs.

Rules of the room: every verb has `--help`; errors go to stderr in one line that says what to do;
`--json` where a program may want the answer; exit codes are the contract's. Modules here import
click and the floor only; heavier rooms are imported inside the verbs that need them, so that
`--help` and `status` answer at once. `command` gathers the verbs. Only this room prints.
"""

import gc


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with the contract's code; errors are one line."""
    gc.disable()  # imports leave no garbage; looking for it would be a sixth of `status`
    from readerd.cli.command import run

    gc.freeze()
    gc.enable()
    run(arguments)
