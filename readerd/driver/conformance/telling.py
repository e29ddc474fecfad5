"""What a driver says about itself: rules that need no instrument."""

import ast
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from readerd.driver.conformance.rule import Rule, Stage, require
from readerd.driver.contract import Options
from readerd.driver.option_text import option_texts
from readerd.driver.stream import LineSettings
from readerd.plate import FORMATS, ReadRequest

# All of ours that a driver may see.
FLOOR = ("readerd.driver", "readerd.plate", "readerd.csvfile", "readerd.errors")
# A driver opens no port, starts no thread, reads no clock, logs nothing.
CLOSED = frozenset(
    {"logging", "multiprocessing", "os", "select", "serial", "pyvisa", "socket", "subprocess"}
    | {"threading", "time"}
)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def describes_itself(stage: Stage) -> None:
    """DRIVER has a name, a one-line summary, models, wavelengths, formats and a range."""
    driver = stage.driver
    require(bool(_NAME.fullmatch(driver.name)), f"the name {driver.name!r} is not [a-z0-9-]")
    require(bool(driver.summary) and "\n" not in driver.summary, "the summary is not one line")
    require(all(driver.models) and bool(driver.models), "no model is named")
    require(bool(driver.wavelengths), "nothing is said about wavelengths")
    require(set(driver.formats) <= set(FORMATS) and bool(driver.formats), "formats are 96 and 384")
    low, high = driver.photometric_range
    require(math.isfinite(low) and math.isfinite(high), "the photometric range is not finite")
    require(low < 0 < high, f"the photometric range {low:g} to {high:g} has no room around zero")


def documents_its_options(stage: Stage) -> None:
    """Every option has a default, or a value in `example`, and a sentence; others are refused."""
    options, example = stage.driver.options, stage.driver.example
    require(issubclass(options, Options), "the options are not a subclass of contract.Options")
    texts = option_texts(options)
    for name, field in options.model_fields.items():
        told = not field.is_required() or name in example
        require(told, f"option {name} has no default, and no value in DRIVER.example")
        require(bool(texts[name]), f"option {name} has no text under it")
    try:
        options.model_validate({**example, "no_such_option": 1})
    except ValidationError:
        pass
    else:
        require(False, "an option that does not exist is taken")
    line = stage.driver.line(stage.driver.example_options())
    require(isinstance(line, LineSettings), f"line gives {type(line).__name__}, not LineSettings")


def estimates_finitely(stage: Stage) -> None:
    """The estimate of a read is finite, above zero, and not smaller when it shakes."""
    driver, options = stage.driver, stage.driver.example_options()
    still, shaken = (
        driver.estimate_s(
            ReadRequest(wavelengths_nm=(450, 570), format=stage.format, shake_s=shake_s), options
        )
        for shake_s in (0, 60)
    )
    require(math.isfinite(still) and still > 0, f"the estimate is {still} s")
    require(shaken >= still, f"60 s of shaking add {shaken - still:g} s to the estimate")


def sees_only_its_floor(stage: Stage) -> None:
    """The package imports readerd.driver, plate, csvfile and errors of ours; no clock, no port."""
    package = stage.driver.options.__module__.partition(".")[0]
    folder = Path(str(sys.modules[package].__file__)).parent
    for file in sorted(folder.rglob("*.py")):
        for name in _imported(file):
            top = name.partition(".")[0]
            require(top not in CLOSED, f"{file.name} imports {name}")
            ours = top == "readerd" and name != "readerd"
            floor = any(name == allowed or name.startswith(f"{allowed}.") for allowed in FLOOR)
            require(not ours or floor, f"{file.name} imports {name}")
            require(name != "asyncio.sleep", f"{file.name} sleeps; only Link waits")


def _imported(file: Path) -> Iterator[str]:
    """Names of imported modules, and of what is taken from them; `asyncio.sleep` when it is."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "readerd":
                yield from (f"readerd.{alias.name}" for alias in node.names)
            yield node.module
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "asyncio.sleep":
            yield "asyncio.sleep"


RULES = (
    Rule(name="describes-itself", check=describes_itself, on_port=True),
    Rule(name="documents-its-options", check=documents_its_options, on_port=True),
    Rule(name="estimates-finitely", check=estimates_finitely, on_port=True, every_format=True),
    Rule(name="sees-only-its-floor", check=sees_only_its_floor, on_port=True),
)
