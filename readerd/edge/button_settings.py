"""`[scanner]`, `[button]`, `[lamp]`: what stands beside the reader, and how it is attached."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from readerd.driver.address import parse_port
from readerd.edge.evdev import key_code
from readerd.run.settings import Pattern

Kind = Literal["serial", "evdev", "gpio", "scan", "mqtt"]
# How each kind is written.
FORMS: Final[dict[Kind, str]] = {
    "serial": "serial:PATH",
    "evdev": "evdev:PATH",
    "gpio": "gpio:CHIP/LINE",
    "scan": "scan",
    "mqtt": "mqtt:TOPIC",
}
# The extra of pyproject.toml that brings libgpiod.
GPIO_EXTRA: Final = "readerd[gpio]"
_GPIO: Final = re.compile(r"(?P<chip>/\S*?)/(?P<line>\d{1,4})(?:\?active=(?P<active>low|high))?")
_TOPIC: Final = re.compile(r"[^+#\0/$][^+#\0]*")


@dataclass(frozen=True, slots=True)
class InputAddress:
    """What a source text names: a device, a line of a chip, or a topic."""

    kind: Kind
    text: str  # as it was written: the device's name in keys and in the log
    path: str = ""  # device, chip or topic
    line: int = 0
    active_low: bool | None = None  # None: as is usual for a button, or for a lamp


def parse_input(text: str) -> InputAddress:
    """What a source text names; ValueError says what would be right."""
    kind, _, path = text.partition(":")
    if text == "scan":
        return InputAddress("scan", text)
    if kind == "serial" and path:
        parse_port(text)
        return InputAddress("serial", text, path)
    if kind == "evdev" and path:
        return InputAddress("evdev", text, path)
    if kind == "mqtt" and _TOPIC.fullmatch(path):
        return InputAddress("mqtt", text, path)
    found = _GPIO.fullmatch(path) if kind == "gpio" else None
    if found is None:
        raise ValueError(f"{text!r} is none: write {', '.join(FORMS.values())}")
    active = None if found["active"] is None else found["active"] == "low"
    return InputAddress("gpio", text, found["chip"], int(found["line"]), active)


def _one_of(*kinds: Kind) -> Any:
    """A validator: empty, or an address of one of these kinds whose library is there."""

    def check(text: str) -> str:
        if not text:
            return text
        forms = ", ".join(FORMS[kind] for kind in kinds)
        wrong = f"{text!r} cannot be used here: write {forms}"
        try:
            address = parse_input(text)
        except ValueError as error:
            raise ValueError(str(error) if text.startswith("serial:") else wrong) from None
        if address.kind not in kinds:
            raise ValueError(wrong)
        if address.kind == "gpio" and find_spec("gpiod") is None:
            raise ValueError(f"gpio: needs libgpiod's Python package: install {GPIO_EXTRA}")
        return text

    return AfterValidator(check)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScannerSettings(_Settings):
    """`[scanner]`: a scan announces the plate; badges and command barcodes come the same way."""

    source: Annotated[str, _one_of("serial", "evdev")] = ""
    badge: Pattern = ""  # matched as a whole; its first group, if it has one, is the operator's id
    badge_valid_s: float = Field(default=3600.0, ge=0)  # 0: until the next badge
    reread: dict[str, str] = {}  # command barcode -> the reason why a plate is read again


class ButtonSettings(_Settings):
    """`[button]`: what means "pressed", and what a press without an announced plate is worth."""

    source: Annotated[str, _one_of("gpio", "evdev", "serial", "scan", "mqtt")] = ""
    token: str = Field(default="READ", min_length=1)  # serial, scan: the line that means pressed
    abort: str = "ABORT"  # serial, scan: the line that gives up; empty: none
    only_key: str = ""  # evdev: the one key that counts; empty: any
    unarmed: Literal["refuse", "unidentified"] = "refuse"
    debounce_s: float = Field(default=0.03, ge=0, le=1)
    hold_s: float = Field(default=2.0, gt=0)
    lockout_s: float = Field(default=2.0, ge=0)

    @field_validator("only_key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        key_code(value)
        return value

    @field_validator("abort")
    @classmethod
    def _differs(cls, value: str, info: ValidationInfo) -> str:
        if value and value == info.data.get("token"):
            raise ValueError("the same line cannot read and abort")
        return value


class LampSettings(_Settings):
    """`[lamp]`: one line per colour; `blinking` is amber's line, or the only one there is."""

    amber: Annotated[str, _one_of("gpio")] = ""
    green: Annotated[str, _one_of("gpio")] = ""
    red: Annotated[str, _one_of("gpio")] = ""
    bell: bool = False
    refused_s: float = Field(default=5.0, gt=0)

    def lines(self) -> dict[str, InputAddress]:
        """Colour -> its line."""
        told = {"amber": self.amber, "green": self.green, "red": self.red}
        return {colour: parse_input(text) for colour, text in told.items() if text}


class PanelSettings(_Settings):
    """The three sections together."""

    scanner: ScannerSettings = ScannerSettings()
    button: ButtonSettings = ButtonSettings()
    lamp: LampSettings = LampSettings()

    @property
    def is_empty(self) -> bool:
        """Nothing stands beside this reader."""
        lamp = self.lamp
        return not (self.scanner.source or self.button.source or lamp.lines() or lamp.bell)

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics of others that the button speaks on."""
        source = self.button.source
        return (parse_input(source).path,) if source.startswith("mqtt:") else ()


def clashes(scanner: ScannerSettings, button: ButtonSettings) -> list[tuple[str, str]]:
    """What is right in each section and wrong together: where, and what is right."""
    found: list[tuple[str, str]] = []
    if button.source == "scan" and not scanner.source:
        found.append(("button.source", "scan needs a [scanner] with a source"))
    if button.source and button.source == scanner.source:
        found.append(("button.source", "the scanner has this device: write scan"))
    for code in sorted(scanner.reread.keys() & {button.token, button.abort}):
        found.append((f'scanner.reread."{code}"', "already means something in [button]"))
    return found


def kind_of(source: str) -> Kind:
    """The kind of a checked source."""
    return cast("Kind", source.partition(":")[0])
