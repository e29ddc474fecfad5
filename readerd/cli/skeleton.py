"""A driver package to begin with: the simplest driver's own source under another name.

It is copied from what is installed, so it is never older than the contract it keeps.
"""

import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from readerd import __version__
from readerd.driver.catalog import GROUP
from readerd.errors import InputError, Mistake

# The driver that is written to be copied.
TEMPLATE = "sim"
MOST_NAME = 32
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "readerd-{name}"
version = "0.1"
description = "readerd driver {name}"
requires-python = ">=3.11"
dependencies = ["readerd>={version}"]

[project.entry-points."readerd.drivers"]
{name} = "{package}:DRIVER"

[tool.hatch.build]
dev-mode-dirs = ["."]

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""

_README = """\
# readerd-{name}

A driver for readerd. It was written by `readerd new-driver {name}` and still speaks the little
protocol of the simulated reader. Make it yours from the inside out, and run the rules after
each step:

1. `tests/test_codec.py`: bytes from the vendor's manual or from a real instrument, by hand
2. `{package}/codec.py`: until those bytes are understood
3. `{package}/reader.py`: the conversation, and the challenge
4. `{package}/twin.py`: the instrument's side
5. `{package}/__init__.py`: models, formats, range, `proven`

    pip install -e .                # or: uv pip install -e .
    readerd conformance {name}
    python -m pytest
    readerd twin {name} --pty ./{name}
    readerd conformance {name} --port serial:/dev/ttyUSB0
"""

_TEST_HOUSE_RULES = '''\
"""Every house rule of readerd, on this driver's twin."""

from readerd.driver.conformance.pytest import house_rules
from {package} import DRIVER

pytest_generate_tests, test_house_rules = house_rules(DRIVER)
'''

_TEST_CODEC = '''\
"""The witness: bytes typed in by hand, not produced by the codec."""

from {package}.codec import Command, strip
from readerd.plate import Strip, Unread


def test_a_question_as_it_stands_in_the_manual():
    assert Command("READ", (96, 0, 450, 570)).to_bytes() == b"READ 96 0 450 570\\n"


def test_wells_as_the_instrument_sends_them():
    assert strip("450 A1 -0.0050") == Strip(450, {{"A1": -0.005}})
    assert strip("570 H12 OVER") == Strip(570, {{"H12": Unread.SATURATED}})
'''

_DOCSTRING = '''\
"""A microplate reader, driver {name}: still the simulated reader's protocol, to be replaced.

`codec` is the bytes, `reader` the conversation, `twin` the instrument's side.
"""'''


def write_package(name: str, into: Path) -> Path:
    """Write `into/readerd-NAME`; its folder. InputError when the name or the place is no good."""
    if not _NAME.fullmatch(name) or len(name) > MOST_NAME:
        what = f"a driver's name is a-z, 0-9 and single hyphens, at most {MOST_NAME} of them"
        raise InputError(name, Mistake("", what))
    folder = into / f"readerd-{name}"
    if folder.exists():
        raise InputError(str(folder), Mistake("", "it is there already; nothing was written"))
    for path, text in _contents(name).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def _contents(name: str) -> Mapping[str, str]:
    """Every file of the package by its path in it."""
    package = f"readerd_{name.replace('-', '_')}"
    names = {"name": name, "package": package, "version": __version__}
    contents = {
        "pyproject.toml": _PYPROJECT.format(**names),
        "README.md": _README.format(**names),
        "tests/test_house_rules.py": _TEST_HOUSE_RULES.format(**names),
        "tests/test_codec.py": _TEST_CODEC.format(**names),
    }
    for module, text in _template().items():
        contents[f"{package}/{module}"] = _renamed(text, name, package)
    docstring = _DOCSTRING.format(**names)
    init = f"{package}/__init__.py"
    contents[init] = re.sub(r'\A""".*?"""', lambda _: docstring, contents[init], flags=re.DOTALL)
    return contents


def _template() -> Mapping[str, str]:
    """The template driver's modules as they are installed."""
    entry = next(iter(entry_points(group=GROUP, name=TEMPLATE)), None)
    if entry is None:
        raise InputError(TEMPLATE, Mistake("", "the driver to copy is not installed"))
    return {
        file.name: file.read_text("utf-8")
        for file in files(entry.module).iterdir()
        if file.name.endswith(".py")
    }


def _renamed(text: str, name: str, package: str) -> str:
    class_name = "".join(part.capitalize() for part in name.split("-"))
    text = text.replace(f"readerd_{TEMPLATE}", package)
    text = text.replace(f'name="{TEMPLATE}"', f'name="{name}"')
    text = text.replace(f"driver {TEMPLATE}.", f"driver {name}.")
    text = re.sub(rf"\b{TEMPLATE.capitalize()}(?=[A-Z])", class_name, text)
    return re.sub(r"[Ss]imulated ([Rr]eader)", rf"{class_name} \1", text)
