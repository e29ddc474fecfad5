"""Drivers by entry point: found by name, loaded alone, and a clear word when there is none."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from readerd.driver import catalog
from readerd.driver.contract import Driver
from readerd.errors import ConfigError


def test_every_installed_driver_loads_under_its_own_name() -> None:
    assert "biorad680" in catalog.installed()
    for name in catalog.installed():
        driver = catalog.find(name)
        assert isinstance(driver, Driver)
        assert driver.name == name


def test_an_unknown_driver_names_what_is_installed() -> None:
    with pytest.raises(
        ConfigError, match=r"no driver 'bio-rad' is installed; .*biorad680"
    ) as caught:
        catalog.find("bio-rad")
    assert caught.value.mistakes[0].where == "reader.driver"


def test_listing_loads_no_driver() -> None:
    code = (
        "import sys; from readerd.driver import catalog; catalog.installed();"
        "sys.exit(any(name.startswith('readerd_') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("readerd_nowhere:DRIVER", "does not load"),
        ("readerd_biorad:NOTHING", "does not load"),
        ("readerd.plate:FORMATS", "is no Driver value"),
    ],
)
def test_a_broken_entry_point_says_what_is_wrong_with_it(value: str, says: str) -> None:
    entry = EntryPoint(name="broken", value=value, group=catalog.GROUP)
    with pytest.raises(ConfigError, match=says):
        catalog.load(entry)
