"""The house rules as tests, one each, in a driver author's own test suite. Three lines:

    from readerd.driver.conformance.pytest import house_rules
    from readerd_acme import DRIVER

    pytest_generate_tests, test_house_rules = house_rules(DRIVER)

The hook is pytest's own; readerd imports no pytest. Rejected: a plugin by entry point. Wherever
readerd is installed every test run would load it, and pytest would rewrite all of our modules.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from readerd.driver.conformance.suite import Trial, trials
from readerd.driver.contract import Driver


class Metafunc(Protocol):
    """What pytest hands to `pytest_generate_tests`, as far as it is used here."""

    fixturenames: Sequence[str]

    def parametrize(
        self, argnames: str, argvalues: Sequence[Any], *, ids: Sequence[str]
    ) -> None: ...


def house_rules(
    *drivers: Driver,
) -> tuple[Callable[[Metafunc], None], Callable[[Trial], None]]:
    """A hook and a test, for a test module to keep under pytest's names: a test per rule."""
    found = [trial for driver in drivers for trial in trials(driver)]

    def pytest_generate_tests(metafunc: Metafunc) -> None:
        if "house_rule" in metafunc.fixturenames:
            metafunc.parametrize("house_rule", found, ids=[str(trial) for trial in found])

    def test_house_rules(house_rule: Trial) -> None:
        house_rule.run()

    return pytest_generate_tests, test_house_rules
