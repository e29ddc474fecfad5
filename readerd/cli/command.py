"""The `readerd` command: its verbs, and the exit code of each kind of error."""

import errno
import os
import sys

import click

from readerd import __version__
from readerd.cli import ask, author, doctor, gather, install, keep, science, serve, settle, simulate
from readerd.cli.journald import ERROR, marked
from readerd.errors import (
    ConfigError,
    InputError,
    InstrumentError,
    NoDaemon,
    ReaderdError,
    RequestError,
    StoreError,
)

# docs/reference/command-line.md; 74 is EX_IOERR of sysexits(3): no writing, of journal or answer.
EXIT_USAGE = 2
EXIT_UNREAD = 141
EXIT_UNWRITTEN = 74
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
EXIT_CODES: tuple[tuple[type[ReaderdError], int], ...] = (
    (InputError, EXIT_USAGE),
    (RequestError, 3),
    (InstrumentError, 4),
    (NoDaemon, 5),
    (StoreError, EXIT_UNWRITTEN),
    (ConfigError, 78),
)

# Which verb is for what; the list above it is in the order of the alphabet.
BY_PURPOSE = """\b
To see it work          demo
To connect a reader     drivers, check, run, install, doctor
To read plates          read, status, runs, show, abort, carrier
To look again           revise, recover, export, reproduce
To deliver and keep     outbox, resend, audit, backup, collect, schema
Without a daemon        fit, quantify, twin
To write a driver       new-driver, conformance
In the shell            completion
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=BY_PURPOSE,
)
@click.version_option(__version__, prog_name="readerd")
def readerd() -> None:
    """The open bridge from a microplate reader to a laboratory's information system."""


for group in (ask, author, doctor, gather, install, keep, science, serve, settle, simulate):
    for verb in group.VERBS:
        readerd.add_command(verb)


def run(arguments: list[str] | None) -> None:
    """Run the command and exit with the contract's code; errors are one line."""
    written_to = sys.stdout
    try:
        readerd.main(arguments, prog_name="readerd", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        verb = context.command_path if context else "readerd"
        said = " ".join(error.format_message().split()).rstrip(".")
        click.echo(f"{verb}: {said}; see `{verb} --help`", err=True)
        sys.exit(EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except SystemExit as ended:
        # Where nobody reads any more, click puts another stdout in the closed one's place and ends
        # with 1. Here 1 means a failed verdict.
        sys.exit(ended.code if sys.stdout is written_to else EXIT_UNREAD)
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            raise
        # what could not be written would be tried again at the end, and fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), written_to.fileno())
        click.echo(f"readerd: the answer cannot be written: {error.strerror}", err=True)
        sys.exit(EXIT_UNWRITTEN)
    except ReaderdError as error:
        click.echo(marked(f"readerd: {error}", ERROR), err=True)
        sys.exit(next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))
