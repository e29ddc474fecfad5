"""The text that names a port, understood.

    serial:/dev/ttyUSB0            a device; serial:by-id/NAME is one below /dev/serial
    tcp://HOST:PORT                a serial device server in raw mode
    rfc2217://HOST:PORT            one whose line settings we set
    visa:RESOURCE                  any VISA resource through pyvisa-py; visa:RESOURCE@BACKEND
    twin:                          the driver's simulated instrument, in this process

Where we set the line (`serial`, `rfc2217`, `visa` with ASRL) the port may overrule the driver's
settings: `serial:/dev/ttyUSB0?baud=19200&parity=E&data_bits=7&stop_bits=2&rtscts=yes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from readerd.driver.stream import LineSettings

DEVICES = "/dev/serial"
DEFAULT_BACKEND = "py"

EXAMPLES = (
    "serial:/dev/ttyUSB0, tcp://host:4001, rfc2217://host:4001, visa:ASRL/dev/ttyUSB0::INSTR"
    " or twin:"
)
_TCP = re.compile(
    r"(?P<kind>tcp|rfc2217)://"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:/\[\]\s]+)):(?P<port>\d{1,5})/?"
)
_VISA = re.compile(r"visa:(?P<resource>[^\s@]\S*?)(?:@(?P<backend>[A-Za-z]\w*))?")

_YES_NO = {"yes": True, "no": False}
_SETTINGS: dict[str, dict[str, Any]] = {
    "data_bits": {"7": 7, "8": 8},
    "parity": {sign: sign for sign in "NEOMS"},
    "stop_bits": {"1": 1, "2": 2},
    "rtscts": _YES_NO,
    "dsrdtr": _YES_NO,
}


Kind = Literal["serial", "tcp", "rfc2217", "visa", "twin"]
# How each kind is written.
FORMS: Mapping[Kind, str] = {
    "serial": "serial:PATH",
    "tcp": "tcp://HOST:PORT",
    "rfc2217": "rfc2217://HOST:PORT",
    "visa": "visa:RESOURCE",
    "twin": "twin:",
}


@dataclass(frozen=True, slots=True)
class PortAddress:
    """What a port text names. `settings` overrule the driver's own line settings."""

    kind: Kind
    path: str = ""  # a device, or a VISA resource
    host: str = ""
    number: int = 0
    backend: str = ""
    settings: tuple[tuple[str, Any], ...] = ()

    def line(self, line: LineSettings) -> LineSettings:
        """The driver's settings as this port has them."""
        return replace(line, **dict(self.settings))


def parse_port(text: str) -> PortAddress:
    """What a port text names; ValueError says what would be right."""
    if text == "twin:":
        return PortAddress("twin")
    name, mark, query = text.partition("?")
    address = _address(name)
    if address is None:
        raise ValueError(f"{text!r} is no port: write {EXAMPLES}")
    if not mark:
        return address
    if address.kind == "tcp" or (address.kind == "visa" and not is_asrl(address.path)):
        raise ValueError(f"{text!r}: the line is set at the device server, not here")
    return replace(address, settings=tuple(_setting(text, part) for part in query.split("&")))


def is_asrl(resource: str) -> bool:
    return resource.upper().startswith("ASRL")


def _address(name: str) -> PortAddress | None:
    if name.startswith("serial:") and name != "serial:":
        path = name.removeprefix("serial:")
        below = path.startswith(("by-id/", "by-path/"))
        return PortAddress("serial", path=f"{DEVICES}/{path}" if below else path)
    tcp = _TCP.fullmatch(name)
    if tcp is not None and 1 <= int(tcp["port"]) <= 65535:
        kind: Literal["tcp", "rfc2217"] = "tcp" if tcp["kind"] == "tcp" else "rfc2217"
        return PortAddress(kind, host=tcp["v6"] or tcp["host"], number=int(tcp["port"]))
    visa = _VISA.fullmatch(name)
    if visa is not None:
        backend = visa["backend"] or DEFAULT_BACKEND
        return PortAddress("visa", path=visa["resource"], backend=backend)
    return None


def _setting(text: str, part: str) -> tuple[str, Any]:
    name, _, value = part.partition("=")
    if name == "baud" and re.fullmatch(r"[1-9]\d{1,6}", value):
        return name, int(value)
    known = _SETTINGS.get(name, {})
    if value in known:
        return name, known[value]
    names = ", ".join(("baud", *_SETTINGS))
    right = f"one of {', '.join(known)}" if known else f"a line setting ({names})"
    raise ValueError(f"{text!r}: {part!r} is not {right}")
