"""Nothing is left out in silence.

A test that skips (no mosquitto here, no browser) is named again in its own section at the end of
the run. With CI=true there is no leaving out: every skip is a failure with its reason.
"""

import os
from collections.abc import Generator

import pytest

NO_LEAVING_OUT = os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # An expected failure is reported as skipped too, but it did run.
    if NO_LEAVING_OUT and report.skipped and not hasattr(report, "wasxfail"):
        refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if NO_LEAVING_OUT and report.skipped:
        refuse(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.getreports("skipped")
    if not left_out:
        return
    terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
    for report in left_out:
        terminalreporter.line(f"{report.nodeid}: {reason(report)}", red=True)
    terminalreporter.line(f"{len(left_out)} not run; `CI=true make test` would fail.", red=True)


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turns a skip into a failure that carries the skip's reason."""
    report.longrepr = f"left out, and CI=true allows no leaving out: {reason(report)}"
    report.outcome = "failed"


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why the test was skipped, in its own words."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)
