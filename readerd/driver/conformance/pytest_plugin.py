"""The house rules as tests, one each, in a driver author's own test suite:

    from readerd_acme import DRIVER

    def test_house_rules(house_rule):
        house_rule()

A pytest plugin by entry point. It imports no pytest, so that readerd does not need it either.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Protocol

FIXTURE = "house_rule"


class _Metafunc(Protocol):
    """What pytest hands to `pytest_generate_tests`, as far as it is used here."""

    fixturenames: Sequence[str]
    module: ModuleType

    def parametrize(
        self, argnames: str, argvalues: Sequence[Any], *, ids: Sequence[str]
    ) -> None: ...


def pytest_generate_tests(metafunc: _Metafunc) -> None:
    """One test per rule for every test that asks for `house_rule` beside a DRIVER or DRIVERS."""
    if FIXTURE not in metafunc.fixturenames:
        return
    from readerd.driver.conformance.suite import trials

    module = metafunc.module
    drivers = getattr(module, "DRIVERS", None) or [module.DRIVER]
    found = [trial for driver in drivers for trial in trials(driver)]
    checks: list[Callable[[], None]] = [trial.run for trial in found]
    metafunc.parametrize(FIXTURE, checks, ids=[str(trial) for trial in found])
