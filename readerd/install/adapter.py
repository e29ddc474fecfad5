"""A serial adapter by what stays of it: the udev rule behind /dev/readerd/NAME."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from readerd.errors import InputError, Mistake

DEVICES = "/dev/serial"
# Numbered in the order in which they were plugged in; every other node has a name that stays.
_NUMBERED = re.compile(r"/dev/tty(USB|ACM)\d+")
# How udev's 60-serial.rules compose the names in by-id and by-path.
_BY_ID = re.compile(
    r"usb-(?P<serial>[A-Za-z0-9#+.:=@_/-]+)-if(?P<interface>[0-9a-f]{2})(-port(?P<port>\d+))?"
)
_BY_PATH = re.compile(r"(?P<path>[A-Za-z0-9#+.:=@_/-]+?)(-port(?P<port>\d+))?")

Links = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Adapter:
    """What the reader's port is called in the configuration; the rule that makes it so, or none."""

    port: str
    rule: str | None = None


def adapter(name: str, port: str, links: Links) -> Adapter:
    """The port under its stable name. InputError when nothing about the device stays.

    `links` says which names below /dev/serial lead to a device, such as `by-id/usb-…-port0`.
    """
    text, mark, settings = port.partition("?")
    if not text.startswith("serial:"):
        return Adapter(port)
    path = text.removeprefix("serial:")
    link = path.removeprefix(f"{DEVICES}/")
    if _NUMBERED.fullmatch(path):
        link = next(iter(links(path)), "")
        if not link:
            what = (
                f"no name below {DEVICES} leads to it: plug the adapter in, or name it by"
                f" serial:{DEVICES}/by-id/…"
            )
            raise InputError(port, Mistake("--port", what))
    if not link.startswith(("by-id/", "by-path/")):
        return Adapter(port)
    return Adapter(f"serial:/dev/readerd/{name}{mark}{settings}", _rule(name, link))


def _rule(name: str, link: str) -> str:
    kind, _, text = link.partition("/")
    found = (_BY_ID if kind == "by-id" else _BY_PATH).fullmatch(text)
    if found is None:
        what = f"{text!r} is no name that udev gives to a serial adapter"
        raise InputError("--port", Mistake("", what))
    if kind == "by-id":
        words = [
            f'ENV{{ID_SERIAL}}=="{found["serial"]}"',
            f'ENV{{ID_USB_INTERFACE_NUM}}=="{found["interface"]}"',
        ]
    else:
        words = [f'ENV{{ID_PATH}}=="{found["path"]}"']
    if found["port"] is not None:
        words.append(f'ENV{{.ID_PORT}}=="{found["port"]}"')
    match = ", ".join(['SUBSYSTEM=="tty"', *words])
    return (
        f"# The adapter of reader {name}, written by `readerd install {name}`:\n"
        f"# {DEVICES}/{link}\n"
        f'{match}, \\\n  SYMLINK+="readerd/{name}", ENV{{ID_MM_DEVICE_IGNORE}}="1"\n'
    )
