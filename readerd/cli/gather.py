"""Verbs of the LIMS side: collect; and what the messages look like: schema."""

from pathlib import Path
from typing import Literal

import click

FILE = click.Path(path_type=Path)


@click.command()
@click.option("--url", required=True, help="The broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT].")
@click.option("--to", "target", required=True, metavar="DIR|sqlite:PATH",
              help="Where the messages go.")  # fmt: skip
@click.option("--consumer", default="lims", show_default=True,
              help="Our name: in receipts, replays and the broker's session.")  # fmt: skip
@click.option("--receipts/--no-receipts", default=True, show_default=True,
              help="Tell each reader that its result is stored.")  # fmt: skip
@click.option("--replay/--no-replay", default=True, show_default=True,
              help="Ask for what is missing.")  # fmt: skip
@click.option("--mqtt", "version", type=click.Choice(["5", "3.1.1"]), default="5",
              show_default=True, help="The protocol's version.")  # fmt: skip
@click.option("--username", default="", help="Our name at the broker.")
@click.option("--password-file", default="", help="A file with the password.")
@click.option("--ca-file", default="", help="The authority of the broker's certificate.")
@click.option("--cert-file", default="", help="Our certificate.")
@click.option("--key-file", default="", help="Its key.")
def collect(
    url: str,
    target: str,
    consumer: str,
    receipts: bool,
    replay: bool,
    version: Literal["5", "3.1.1"],
    username: str,
    password_file: str,
    ca_file: str,
    cert_file: str,
    key_file: str,
) -> None:
    """The LIMS side: receive, keep once, find gaps, send receipts."""
    from readerd.collect.settings import CollectSettings

    settings = CollectSettings(
        url=url,
        consumer=consumer,
        receipts=receipts,
        replay=replay,
        version=version,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
    )
    from readerd.collect.program import main

    main(settings, target, lambda line: click.echo(line, err=True))


@click.group()
def schema() -> None:
    """What the messages look like, for programs."""


@schema.command()
@click.argument("directory", type=FILE)
def export(directory: Path) -> None:
    """Write a JSON Schema for each message, and the AsyncAPI document, into DIRECTORY."""
    import json

    from readerd.cli.options import write_text
    from readerd.cli.schemas import asyncapi, json_schemas

    documents = {**json_schemas(), "asyncapi.json": asyncapi()}
    for name, document in documents.items():
        write_text(directory / name, json.dumps(document, indent=2) + "\n")
    click.echo(f"{directory}: {len(documents)} files")


VERBS = (collect, schema)
