"""Every house rule on every installed driver's twin. A new driver is found by itself."""

from readerd.driver import catalog
from readerd.driver.conformance.pytest import house_rules

DRIVERS = [catalog.find(name) for name in catalog.installed()]

pytest_generate_tests, test_house_rules = house_rules(*DRIVERS)
