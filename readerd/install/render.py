"""The files of one reader, from answers: the shipped ones with this installation's words."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from readerd.config import load_config
from readerd.errors import ConfigError, InputError, Mistake
from readerd.install.adapter import Adapter

ETC: Final = "/etc/readerd"
UNITS: Final = "/etc/systemd/system"
_NAME = re.compile(r"[a-z0-9-]{1,32}")
# The unit sees none of them: ProtectHome=, PrivateTmp=.
_UNSEEN: Final = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What only a person knows; `password` goes into a file that nobody but systemd reads."""

    site: str
    driver: str
    adapter: Adapter
    broker: str
    assay: str
    options: Mapping[str, object] = field(default_factory=dict)
    ca_file: str = ""
    username: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file as it should be; the text of a secret one is shown and recorded nowhere."""

    path: str
    text: str
    mode: int = 0o644
    secret: bool = False


def checked_name(name: str) -> str:
    """The same name; InputError when it can be no reader's."""
    if not _NAME.fullmatch(name):
        what = "a reader's name is a-z, 0-9 and hyphens, at most 32 of them"
        raise InputError(name, Mistake("", what))
    return name


def configuration(name: str) -> str:
    return f"{ETC}/{name}.toml"


def rule_file(name: str) -> str:
    return f"/etc/udev/rules.d/65-readerd-{name}.rules"


def of_the_machine(program: Sequence[str]) -> list[Wanted]:
    """What all readers of a machine share. InputError for a program that no unit can start."""
    return [
        Wanted(f"{UNITS}/readerd@.service", service(program)),
        Wanted(f"{UNITS}/readerd@.socket", shipped("readerd@.socket")),
        Wanted("/etc/sysusers.d/readerd.conf", shipped("sysusers.conf")),
        Wanted("/etc/tmpfiles.d/readerd.conf", shipped("tmpfiles.conf")),
    ]


def of_the_reader(name: str, answers: Answers, assays: Mapping[str, str]) -> list[Wanted]:
    """The reader's own files. ConfigError with all mistakes that `readerd check` would find."""
    text = reader_toml(name, answers)
    _check(name, text, assays)
    wanted = [Wanted(f"{ETC}/assays/{file}", assays[file]) for file in sorted(assays)]
    wanted.append(Wanted(configuration(name), text))
    if answers.adapter.rule:
        wanted.append(Wanted(rule_file(name), answers.adapter.rule))
    if answers.password:
        secret = f"{answers.password}\n"
        wanted.append(Wanted(f"{ETC}/{name}.password", secret, mode=0o600, secret=True))
    return wanted


def service(program: Sequence[str]) -> str:
    """The shipped unit with this program in ExecStart=."""
    if not program[0].startswith("/"):
        raise InputError(program[0], Mistake("--program", "write the whole path"))
    require_seen(program[0])
    words = " ".join(map(_quoted, program))
    text, count = re.subn(
        r"^ExecStart=\S+", lambda _: f"ExecStart={words}", shipped("readerd@.service"), flags=re.M
    )
    if count != 1:
        raise ValueError("the shipped unit has no ExecStart")
    return text


def require_seen(path: str) -> None:
    """InputError for a path that the unit does not see."""
    if place := next((place for place in _UNSEEN if path.startswith(place)), None):
        what = f"a service does not see {place}; install readerd below /opt, or say --program PATH"
        raise InputError(path, Mistake("", what))


def _quoted(word: str) -> str:
    """A word of a command line as systemd reads it: systemd.service(5), COMMAND LINES."""
    word = word.replace("%", "%%").replace("$", "$$")
    return json.dumps(word) if re.search(r"[\s\"'\\;]", word) else word


def reader_toml(name: str, answers: Answers) -> str:
    """The shipped example with the answers in it; its comments stay."""
    password = answers.username and "mqtt-password"
    values: Mapping[str, object] = {
        "reader.site": answers.site,
        "reader.id": name,
        "reader.driver": answers.driver,
        "reader.port": answers.adapter.port,
        "reader.options": answers.options,
        "assays.default": answers.assay,
        "store.path": f"/var/lib/readerd/{name}/journal.db",
        "mqtt.url": answers.broker,
        "mqtt.ca_file": answers.ca_file,
        "mqtt.username": answers.username,
        "mqtt.password_file": password,
        "http.socket": f"/run/readerd/{name}.sock",
    }
    return filled(shipped("bench2.toml").replace("bench2", name), values)


def filled(example: str, values: Mapping[str, object]) -> str:
    """An example with values in its lines, `section.key` each; an empty value changes nothing."""
    lines, section, left = [], "", {key for key, value in values.items() if value}
    for line in example.splitlines():
        heading = re.fullmatch(r"\[([a-z_.]+)\](?: +#.*)?", line)
        section = heading[1] if heading else section
        key = re.match(r"(?:# )?([a-z_]+) = ", line)
        name = f"{section}.{key[1]}" if key else ""
        if name in left:
            left.remove(name)
            line = _line(line, name.rpartition(".")[2], values[name])
        lines.append(line)
    if left:
        raise ValueError(f"the example has no line for {', '.join(sorted(left))}")
    return "\n".join(lines) + "\n"


def _line(line: str, key: str, value: object) -> str:
    """The line with another value, its comment in the column where it was."""
    _, mark, comment = line.removeprefix("# ").partition("  # ")
    new = f"{key} = {_toml(value)}"
    column = len(line) - len(comment) - len("# ") if mark else 0
    return f"{new.ljust(max(column - 1, 0))} # {comment.strip()}" if mark else new


def _toml(value: object) -> str:
    """Text, numbers and lists are as in JSON; of what stands by name the sign is another."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {_toml(one)}' for name, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


def _check(name: str, text: str, assays: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="readerd-") as folder:
        place = Path(folder)
        (place / "assays").mkdir()
        for file, assay in assays.items():
            (place / "assays" / file).write_text(assay, encoding="utf-8")
        (place / "reader.toml").write_text(text, encoding="utf-8")
        try:
            load_config(place / "reader.toml")
        except ConfigError as error:
            mistakes = tuple(
                Mistake(one.where, one.what.replace(f"{place}/", "")) for one in error.mistakes
            )
            raise ConfigError(configuration(name), mistakes) from None


def shipped(file: str) -> str:
    """A shipped original."""
    return files("readerd.install").joinpath("shipped", file).read_text(encoding="utf-8")
