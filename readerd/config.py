"""One TOML file becomes frozen settings; every mistake is reported at once, with its path.

The settings of each room are the room's own; this file composes them. Relative paths in the file
are relative to the file. The assay files are part of the configuration and checked with it.
"""

import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from readerd.assay.definition import Assay, load_assay
from readerd.complaint import in_words
from readerd.driver import catalog
from readerd.driver.contract import Driver, Options
from readerd.driver.transport import parse_port
from readerd.edge.button_settings import (
    ButtonSettings,
    LampSettings,
    PanelSettings,
    ScannerSettings,
    clashes,
)
from readerd.edge.http_settings import HttpSettings, runtime_directory
from readerd.edge.mqtt_settings import MqttSettings
from readerd.errors import ConfigError, Mistake
from readerd.run.settings import AssaysSettings, PlatesSettings, ReaderSettings, StoreSettings

T = TypeVar("T")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reader: ReaderSettings
    assays: AssaysSettings
    plates: PlatesSettings = PlatesSettings()
    store: StoreSettings
    mqtt: MqttSettings
    http: HttpSettings = HttpSettings()
    scanner: ScannerSettings = ScannerSettings()
    button: ButtonSettings = ButtonSettings()
    lamp: LampSettings = LampSettings()


class Config(BaseModel):
    """Everything that a daemon is told at its start."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    reader: ReaderSettings
    assays: AssaysSettings
    plates: PlatesSettings
    store: StoreSettings
    mqtt: MqttSettings
    socket: Path
    driver: Driver
    options: Options
    assay_by_id: dict[str, Assay]
    panel: PanelSettings = PanelSettings()
    sha256: str


def load_config(path: Path) -> Config:
    """The settings in a file, or ConfigError with all mistakes of it and of its assay files."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), (Mistake("", f"cannot be read: {error.strerror}"),)) from None
    try:
        document = tomllib.loads(raw.decode())
    except ValueError as error:
        raise ConfigError(str(path), (Mistake("", f"is no TOML: {error}"),)) from None
    mistakes: list[Mistake] = []
    _absolute_paths(document, path.parent)
    file = _collect(mistakes, lambda: _File.model_validate(document))
    reader = document.get("reader")
    table = reader if isinstance(reader, dict) else {}
    driver, options = _driver(table, mistakes)
    _check_port(table, mistakes)
    if file is not None:
        mistakes.extend(Mistake(*one) for one in clashes(file.scanner, file.button))
    assays = _assays(document.get("assays"), mistakes)
    if mistakes or file is None or driver is None or options is None:
        raise ConfigError(str(path), tuple(mistakes))
    return Config(
        reader=file.reader,
        assays=file.assays,
        plates=file.plates,
        store=file.store,
        mqtt=file.mqtt,
        socket=file.http.socket or runtime_directory() / f"{file.reader.id}.sock",
        driver=driver,
        options=options,
        assay_by_id=assays,
        panel=PanelSettings(scanner=file.scanner, button=file.button, lamp=file.lamp),
        sha256=sha256(raw).hexdigest(),
    )


# Where the file names other files; what is relative there is relative to the file.
_PATHS = (
    ("assays", "directory"),
    ("store", "path"),
    ("http", "socket"),
    ("mqtt", "password_file"),
    ("mqtt", "ca_file"),
    ("mqtt", "cert_file"),
    ("mqtt", "key_file"),
)


def _absolute_paths(document: dict[str, Any], base: Path) -> None:
    for section, key in _PATHS:
        table = document.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = str(base.absolute() / table[key])
    for section, key in (("reader", "port"), ("scanner", "source"), ("button", "source")):
        table = document.get(section)
        if isinstance(table, dict) and isinstance(text := table.get(key), str):
            table[key] = _absolute_device(text, base)


def _absolute_device(text: str, base: Path) -> str:
    kind, _, device = text.partition(":")
    if kind not in ("serial", "evdev") or not device or device.startswith(("by-id/", "by-path/")):
        return text
    return f"{kind}:{base.absolute() / device}"


def _collect(mistakes: list[Mistake], validate: Callable[[], T], under: str = "") -> T | None:
    try:
        return validate()
    except ValidationError as error:
        mistakes.extend(mistake_of(dict(item), under) for item in error.errors())
        return None


def mistake_of(error: dict[str, Any], under: str = "") -> Mistake:
    """A pydantic complaint as one line for people."""
    where = ".".join([*([under] if under else []), *map(str, error["loc"])])
    given = error.get("input")
    seen = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
    if error["type"] == "extra_forbidden":
        seen = ""
    return Mistake(where, in_words(error) + seen)


def _driver(
    reader: dict[str, Any], mistakes: list[Mistake]
) -> tuple[Driver | None, Options | None]:
    name = reader.get("driver")
    if not isinstance(name, str):
        return None, None
    try:
        driver = catalog.find(name)
    except ConfigError as error:
        mistakes.extend(error.mistakes)
        return None, None
    options = reader.get("options", {})
    return driver, _collect(
        mistakes, lambda: driver.options.model_validate(options), "reader.options"
    )


def _check_port(reader: dict[str, Any], mistakes: list[Mistake]) -> None:
    if isinstance(port := reader.get("port"), str):
        try:
            parse_port(port)
        except ValueError as error:
            mistakes.append(Mistake("reader.port", str(error)))


def _assays(table: object, mistakes: list[Mistake]) -> dict[str, Assay]:
    found: dict[str, Assay] = {}
    if not isinstance(table, dict) or not isinstance(table.get("directory"), str):
        return found
    directory = Path(table["directory"])
    try:
        files = sorted(directory.glob("*.toml"))
    except OSError as error:
        text = f"cannot be read: {error.strerror}"
        mistakes.append(Mistake("assays.directory", text))
        return found
    if not files:
        mistakes.append(Mistake("assays.directory", f"no assay files (*.toml) in {directory}"))
        return found
    for path in files:
        try:
            assay = load_assay(path.read_text(encoding="utf-8-sig"), path.name)
        except ConfigError as error:
            mistakes.extend(_in_file(path.name, mistake) for mistake in error.mistakes)
            continue
        except (OSError, UnicodeDecodeError) as error:
            mistakes.append(Mistake(path.name, f"cannot be read: {error}"))
            continue
        if assay.id in found:
            mistakes.append(Mistake(path.name, f"assay id {assay.id!r} stands in another file too"))
        found[assay.id] = assay
    if len(found) == len(files):  # else the one that is named may be the broken one
        mistakes.extend(_unknown_assays(table, found))
    return found


def _in_file(name: str, mistake: Mistake) -> Mistake:
    return Mistake(f"{name} {mistake.where}".strip(), mistake.what)


def _unknown_assays(table: dict[str, Any], found: dict[str, Assay]) -> list[Mistake]:
    by_barcode = table.get("by_barcode", {})
    named = {"assays.default": table.get("default")}
    if isinstance(by_barcode, dict):
        named |= {f'assays.by_barcode."{key}"': value for key, value in by_barcode.items()}
    known = ", ".join(sorted(found)) or "none"
    return [
        Mistake(where, f"no assay {name!r} in the directory; there are: {known}")
        for where, name in named.items()
        if isinstance(name, str) and name not in found
    ]
