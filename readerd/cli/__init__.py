"""The `readerd` command: a file per group of verbs.

Rules of the room: every verb has `--help`; errors go to stderr in one line that says what to do;
`--json` where a program may want the answer; exit codes are the contract's. Modules here import
click and the floor only; heavier rooms are imported inside the verbs that need them, so that
`--help` and `status` answer at once. Only this room prints.
"""

import sys

import click

from readerd import __version__
from readerd.cli import ask, serve, simulate
from readerd.errors import (
    ConfigError,
    InputError,
    InstrumentError,
    NoDaemon,
    ReaderdError,
    RequestError,
)

# contract.md §1.
EXIT_VERDICT, EXIT_USAGE, EXIT_REFUSED, EXIT_INSTRUMENT, EXIT_NO_DAEMON, EXIT_CONFIG = (
    1,
    2,
    3,
    4,
    5,
    78,
)
EXIT_CODES: tuple[tuple[type[ReaderdError], int], ...] = (
    (ConfigError, EXIT_CONFIG),
    (InputError, EXIT_USAGE),
    (RequestError, EXIT_REFUSED),
    (InstrumentError, EXIT_INSTRUMENT),
    (NoDaemon, EXIT_NO_DAEMON),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="readerd")
def readerd() -> None:
    """The open bridge from a microplate reader to a laboratory's information system."""


for group in (serve, ask, simulate):
    for verb in group.VERBS:
        readerd.add_command(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with the contract's code; errors are one line."""
    try:
        readerd.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except ReaderdError as error:
        click.echo(f"readerd: {error}", err=True)
        sys.exit(next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))
