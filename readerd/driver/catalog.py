"""Which drivers are installed; loads only the one that is asked for."""

from importlib.metadata import EntryPoint, entry_points

from readerd.driver.contract import Driver
from readerd.errors import ConfigError, Mistake

GROUP = "readerd.drivers"


def installed() -> tuple[str, ...]:
    """Names of all installed drivers, sorted; none is loaded."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def find(name: str) -> Driver:
    """The driver of that name; ConfigError names what is installed, or why it does not load."""
    matches = tuple(entry_points(group=GROUP, name=name))
    if not matches:
        names = ", ".join(installed()) or "none"
        raise _mistake(f"no driver {name!r} is installed; installed: {names}")
    origins = {entry.value for entry in matches}
    if len(origins) > 1:
        raise _mistake(f"{name!r} is claimed by several packages: {', '.join(sorted(origins))}")
    return load(matches[0])


def load(entry: EntryPoint) -> Driver:
    """The Driver value that an entry point names; ConfigError when it is none."""
    try:
        driver = entry.load()
    except (ImportError, AttributeError) as error:
        raise _mistake(f"driver {entry.name!r} ({entry.value}) does not load: {error}") from error
    if not isinstance(driver, Driver):
        raise _mistake(f"driver {entry.name!r} ({entry.value}) is no Driver value")
    return driver


def _mistake(what: str) -> ConfigError:
    return ConfigError("driver", (Mistake("reader.driver", what),))
