"""What may stand beside a reader, and what a mistake in it is called."""

import sys
from pathlib import Path

import pytest

from readerd.config import load_config
from readerd.edge.button_settings import InputAddress, parse_input
from readerd.errors import ConfigError
from tests.edge.panel_scene import configured


def mistakes(folder: Path, text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as wrong:
        load_config(configured(folder, text))
    return {mistake.where: mistake.what for mistake in wrong.value.mistakes}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("serial:/dev/ttyUSB0", ("serial", "/dev/ttyUSB0")),
        ("serial:/dev/ttyUSB0?baud=19200", ("serial", "/dev/ttyUSB0?baud=19200")),
        ("evdev:/dev/input/event3", ("evdev", "/dev/input/event3")),
        ("gpio:/dev/gpiochip0/17", ("gpio", "/dev/gpiochip0", 17, None)),
        ("gpio:/dev/gpiochip0/17?active=high", ("gpio", "/dev/gpiochip0", 17, False)),
        ("gpio:/dev/gpiochip0/17?active=low", ("gpio", "/dev/gpiochip0", 17, True)),
        ("mqtt:shellies/button1/input_event/0", ("mqtt", "shellies/button1/input_event/0")),
    ],
)
def test_each_kind_is_understood(text: str, address: tuple[str, ...]) -> None:
    kind, *rest = address
    assert parse_input(text) == InputAddress(kind, text, *rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ('[scanner]\nsource = "scan"\n', "scanner.source", "write serial:PATH, evdev:PATH"),
        ('[scanner]\nsource = "mqtt:x"\n', "scanner.source", "write serial:PATH, evdev:PATH"),
        ('[scanner]\nsource = "serial:x?baud=fast"\n', "scanner.source", "'baud=fast' is not"),
        ('[button]\nsource = "gpio:17"\n', "button.source", "gpio:CHIP/LINE"),
        ('[button]\nsource = "gpio:/dev/gpiochip0/17?active=up"\n', "button.source", "write gpio:"),
        ('[button]\nsource = "mqtt:a/+/b"\n', "button.source", "mqtt:TOPIC"),
        ('[button]\nsource = "tcp://h:1"\n', "button.source", "write gpio:CHIP/LINE, evdev:PATH"),
        ('[button]\nonly_key = "NOKEY"\n', "button.only_key", "ENTER"),
        ('[button]\ntoken = "GO"\nabort = "GO"\n', "button.abort", "cannot read and abort"),
        ("[button]\nhold_s = 0\n", "button.hold_s", "must be more than 0"),
        ('[lamp]\ngreen = "serial:x"\n', "lamp.green", "write gpio:CHIP/LINE"),
        ('[lamp]\nblue = ""\n', "lamp.blue", "unknown key"),
        ('[scanner]\nbadge = "["\n', "scanner.badge", "no regular expression"),
        ('[button]\nsource = "scan"\n', "button.source", "needs a [scanner]"),
    ],
)
def test_a_mistake_has_its_path(tmp_path: Path, text: str, where: str, what: str) -> None:
    found = mistakes(tmp_path, text)
    assert list(found) == [where], found
    assert what in found[where]


def test_sections_that_are_right_alone_and_wrong_together(tmp_path: Path) -> None:
    same = '[scanner]\nsource = "serial:x"\nreread = { READ = "why" }\n'
    found = mistakes(tmp_path, same + '[button]\nsource = "serial:x"\n')
    assert found == {
        "button.source": "the scanner has this device: write scan",
        'scanner.reread."READ"': "already means something in [button]",
    }


def test_devices_are_relative_to_the_file(tmp_path: Path) -> None:
    text = '[scanner]\nsource = "serial:scanner"\n[button]\nsource = "evdev:foot"\n'
    panel = load_config(configured(tmp_path, text)).panel
    assert panel.scanner.source == f"serial:{tmp_path}/scanner"
    assert panel.button.source == f"evdev:{tmp_path}/foot"


def test_a_line_of_a_chip_needs_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[button]\nsource = "gpio:/dev/gpiochip0/17"\n[lamp]\nred = "gpio:/dev/gpiochip0/18"\n'
    assert load_config(configured(tmp_path, text)).panel.topics == ()
    monkeypatch.setitem(sys.modules, "gpiod", None)
    found = mistakes(tmp_path, text)
    assert set(found) == {"button.source", "lamp.red"}
    assert "install readerd[gpio]" in found["button.source"]
