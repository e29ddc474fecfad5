"""The verb that makes a reader a service of this machine, and takes it away again."""

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from readerd.cli.options import json_option, named_values, read_text, settings_option
from readerd.errors import InputError, Mistake, ReaderdError

if TYPE_CHECKING:
    from readerd.install.disk import Disk, Step
    from readerd.install.render import Wanted

SIGNS = {
    "write": "+",
    "same": "=",
    "update": "~",
    "overwrite": "~",
    "edited": "!",
    "remove": "-",
    "save": ">",
    "shared": "=",
}
SAYS = {
    "overwrite": "  was edited, is replaced",
    "edited": "  was edited and stays; --overwrite replaces it",
    "save": "  was edited; moved beside the journal",
    "shared": "  another reader needs it",
}


@click.command()
@click.argument("name")
@click.option("--driver", metavar="NAME", help="The instrument; `readerd drivers` lists them.")
@click.option("--port", help="Where it is attached, such as serial:/dev/serial/by-id/….")
@settings_option
@click.option("--site", metavar="NAME", help="First part of the topics.")
@click.option("--broker", metavar="URL", help="mqtt://HOST[:PORT] or mqtts://HOST[:PORT].")
@click.option("--assay", metavar="ID", help="The default assay.")
@click.option("--assays", metavar="DIR", help="Assay files to install; without: the IL-6 example.")
@click.option("--ca-file", metavar="PATH", help="The authority of the broker's certificate.")
@click.option("--username", metavar="NAME", help="Our name at the broker.")
@click.option("--password-file", metavar="PATH", help="A file with the password for it.")
@click.option("--program", metavar="PATH", help="The readerd that the unit starts; without: this.")
@click.option("--root", metavar="DIR", default="/", help="Write below this folder, not into /.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--overwrite", is_flag=True, help="Replace files that were edited, too.")
@click.option("--uninstall", is_flag=True, help="Take away what was written; the journal stays.")
@click.option("--now", is_flag=True, help="Start it (before --uninstall: stop it), too.")
@json_option
def install(
    name: str,
    settings: tuple[str, ...],
    program: str | None,
    root: str,
    dry_run: bool,
    overwrite: bool,
    uninstall: bool,
    now: bool,
    as_json: bool,
    **told: str | None,
) -> None:
    """Make a reader a service of this machine. Unit, socket, udev rule and configuration."""
    from readerd.install import render
    from readerd.install.disk import Disk

    if now and Path(root) != Path("/"):
        raise click.UsageError("--now is for this machine, not for --root")
    disk = Disk(Path(root), render.checked_name(name))
    if uninstall:
        _take_away(disk, dry_run=dry_run, now=now, as_json=as_json)
        return
    wanted = render.of_the_machine(_program(program)) + _of_the_reader(disk, told, settings)
    steps = disk.compare(wanted, overwrite=overwrite)
    if not dry_run:
        disk.install(wanted, steps)
    _tell(steps, dry_run=dry_run, as_json=as_json)
    next_lines = _next(name, steps)
    if now and not dry_run:
        _run(next_lines)
    elif not as_json and any(step.changes for step in steps):
        _say_next(next_lines)


def _program(given: str | None) -> Sequence[str]:
    """The command of this very readerd; InputError when a unit would not see all of it."""
    from readerd.install.render import require_seen

    if given is not None:
        return [given]
    for part in (sys.executable, __file__):
        require_seen(os.path.realpath(part))
    script = Path(sys.executable).with_name("readerd")
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "readerd"]


def _of_the_reader(
    disk: "Disk", told: Mapping[str, str | None], settings: Sequence[str]
) -> "list[Wanted]":
    """The reader's own files; none where they stand already and nobody says anything new."""
    from readerd.install.adapter import adapter
    from readerd.install.render import Answers, configuration, of_the_reader

    if disk.holds(configuration(disk.name)) and not (settings or any(told.values())):
        return []
    assays = _assays(told["assays"])
    answers = _answers(told, assays)
    password = told["password_file"]
    return of_the_reader(
        disk.name,
        Answers(
            site=answers["site"],
            driver=answers["driver"],
            adapter=adapter(disk.name, answers["port"], _links),
            broker=answers["broker"],
            assay=answers["assay"],
            options=named_values(settings),
            ca_file=told["ca_file"] or "",
            username=told["username"] or "",
            password=read_text(Path(password)).rstrip("\r\n") if password else "",
        ),
        assays,
    )


def _answers(told: Mapping[str, str | None], assays: Mapping[str, str]) -> Mapping[str, str]:
    """What must be said: by options, or at the terminal. UsageError names what is missing."""
    from readerd.driver import catalog

    questions = {
        "driver": (f"Instrument ({', '.join(catalog.installed())})", None),
        "port": ("Port", next((f"serial:{path}" for path in _adapters()), None)),
        "site": ("Site", "lab1"),
        "broker": ("Broker", "mqtt://127.0.0.1:1883"),
        "assay": ("Default assay", Path(min(assays)).stem if len(assays) == 1 else None),
    }
    if told["username"] and not told["password_file"]:
        raise click.UsageError("--username needs --password-file")
    found = {key: told[key] for key in questions}
    if missing := [f"--{key}" for key, value in found.items() if not value]:
        if not sys.stdin.isatty():
            raise click.UsageError(f"say {', '.join(missing)}")
        for key, (question, default) in questions.items():
            found[key] = found[key] or click.prompt(question, default=default, err=True)
    return {key: value or "" for key, value in found.items()}


def _assays(folder: str | None) -> Mapping[str, str]:
    from readerd.demo.plate import il6_assay_text

    if folder is None:
        return {"il6-elisa.toml": il6_assay_text()}
    found = {path.name: read_text(path) for path in sorted(Path(folder).glob("*.toml"))}
    if not found:
        raise InputError(folder, Mistake("--assays", "no assay files (*.toml) there"))
    return found


def _adapters() -> list[Path]:
    return sorted(Path("/dev/serial/by-id").glob("*"))


def _links(device: str) -> list[str]:
    """What below /dev/serial leads to this device: by serial number first."""
    from readerd.install.adapter import DEVICES

    there = os.path.realpath(device)
    return [
        f"{kind}/{path.name}"
        for kind in ("by-id", "by-path")
        for path in sorted(Path(DEVICES, kind).glob("*"))
        if os.path.realpath(path) == there
    ]


def _take_away(disk: "Disk", *, dry_run: bool, now: bool, as_json: bool) -> None:
    steps = disk.compare_away()
    units = f"readerd@{disk.name}.socket readerd@{disk.name}.service"
    stop = f"systemctl disable --now {units}"
    if not dry_run:
        if now:
            _run([stop])
        elif _answers_at(disk):
            raise InputError(disk.name, Mistake("", f"it runs; `{stop}` first, or add --now"))
        disk.remove(steps)
    _tell(steps, dry_run=dry_run, as_json=as_json)
    if now and not dry_run:
        _run(["systemctl daemon-reload"])
    elif not as_json:
        _say_next(["systemctl daemon-reload"])
    if not as_json and disk.holds(disk.journal):
        click.echo(f"the journal stays: {disk.journal}")


def _answers_at(disk: "Disk") -> bool:
    """Whether somebody listens at the reader's door."""
    from readerd.edge.door import Door
    from readerd.errors import NoDaemon

    try:
        Door(disk.root / f"run/readerd/{disk.name}.sock").get("/v1/status")
    except NoDaemon:
        return False
    except ReaderdError:
        return True
    return True


def _tell(steps: "Sequence[Step]", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        rows = [{"path": step.path, "action": step.action, "diff": step.diff} for step in steps]
        click.echo(json.dumps({"dry_run": dry_run, "steps": rows}))
        return
    for step in steps:
        click.echo(f"{SIGNS[step.action]} {step.path}{SAYS.get(step.action, '')}")
        for line in step.diff if dry_run else ():
            click.echo(f"    {line}")
    if not any(step.changes for step in steps):
        click.echo("nothing to change")
    elif dry_run:
        click.echo("nothing was changed: --dry-run")


def _next(name: str, steps: "Sequence[Step]") -> list[str]:
    """What makes the machine take notice; the last two lines are systemd's."""
    units = f"readerd@{name}.socket readerd@{name}.service"
    lines = ["systemd-sysusers", "systemd-tmpfiles --create readerd.conf"]
    if any(step.changes and step.path.endswith(".rules") for step in steps):
        lines += ["udevadm control --reload", "udevadm trigger --subsystem-match=tty"]
    lines += ["systemctl daemon-reload", f"systemctl enable --now {units}"]
    if any(step.action in ("update", "overwrite") for step in steps):
        lines.append(f"systemctl restart readerd@{name}.service")
    return lines


def _say_next(lines: Sequence[str]) -> None:
    click.echo("next:")
    for line in lines:
        click.echo(f"  {line}")


def _run(lines: Sequence[str]) -> None:
    """One after the other; InputError with what the first that fails says."""
    import subprocess

    for line in lines:
        try:
            subprocess.run(shlex.split(line), check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise InputError(line, Mistake("", "is no program here")) from None
        except subprocess.CalledProcessError as error:
            said = " ".join((error.stderr or error.stdout or "").split())
            raise InputError(line, Mistake("", f"exit {error.returncode}: {said}")) from None


VERBS = (install,)
