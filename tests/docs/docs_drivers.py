"""`docs/reference/drivers.md`, drawn from the installed drivers.

After a new driver or option: `python -m tests.docs.docs_drivers`. A test compares page and drivers,
so that a new instrument still costs one folder, one line and one command.
"""

import inspect
import re
import sys

from readerd.driver import catalog
from readerd.driver.contract import Driver
from readerd.driver.option_text import option_texts
from tests.docs.docs_pages import ROOT
from tests.docs.docs_words import default_of

PAGE = "docs/reference/drivers.md"
_HEAD = """\
# Drivers

What `[reader.options]` may hold for each driver, what stands behind the driver, and the faults of
its twin. Drawn by `python -m tests.docs.docs_drivers` from what `readerd drivers` prints; do not
edit it by hand. How faults are written: [faults of the twin](faults.md).
"""
_UNPROVEN = "nothing yet; the daemon warns at every start"


def page() -> str:
    return "\n".join([_HEAD, *(_chapter(catalog.find(name)) for name in catalog.installed())])


def _chapter(driver: Driver) -> str:
    low, high = driver.photometric_range
    formats = ", ".join(map(str, driver.formats))
    texts = option_texts(driver.options)
    rows = [
        f"| `{name}` | {default_of(field)} | {_cell(texts[name])} |"
        for name, field in driver.options.model_fields.items()
    ]
    return "\n".join(
        [
            f"## {driver.name}\n",
            f"{driver.summary}.\n",
            f"- models: {', '.join(driver.models)}",
            f"- formats: {formats} wells; {low:g} to {high:g} OD",
            f"- wavelengths: {driver.wavelengths}",
            f"- proven by: {'; '.join(driver.proven) or _UNPROVEN}\n",
            "| option | default | meaning |",
            "|---|---|---|",
            *rows,
            f"\nIts twin. {_faults(driver)}\n",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _faults(driver: Driver) -> str:
    """What the twin's module says of its steps and faults: its docstring after the first line."""
    package = driver.options.__module__.partition(".")[0]
    twins = [name for name in sorted(sys.modules) if re.fullmatch(rf"{package}\.\w*twin", name)]
    module = driver.twin.__module__ if driver.twin.__module__ in twins else twins[0]
    paragraphs = (inspect.getdoc(sys.modules[module]) or "").split("\n\n")
    told = [text for text in paragraphs if re.search(r"\bfaults\b|\bSteps\b", text)]
    return " ".join(" ".join(told).split())


if __name__ == "__main__":
    (ROOT / PAGE).write_text(page(), "utf-8")
