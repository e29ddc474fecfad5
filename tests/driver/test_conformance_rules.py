"""Every house rule, broken on purpose: a rule that nothing can break says nothing."""

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from readerd.driver.conformance.rule import Broken
from readerd.driver.conformance.stage import TwinStage
from readerd.driver.conformance.suite import RULES, Outcome, chosen, run, trials
from readerd.driver.contract import Driver
from readerd.errors import InputError
from readerd_sim import DRIVER
from tests.driver.spoilt import BROKEN_BY, TwoDecimals, spoilt


def outcomes(driver: Driver, name: str) -> list[Outcome]:
    return list(run([TwinStage(driver, 96)], chosen(driver, (name,))))


@pytest.mark.parametrize(
    ("name", "driver"), BROKEN_BY, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BROKEN_BY)]
)
def test_a_spoilt_driver_breaks_the_rule(name: str, driver: Driver) -> None:
    (outcome,) = outcomes(driver, name)
    assert outcome.verdict == "broken"
    assert outcome.text


def test_a_driver_that_opens_a_port_itself_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "readerd_sly"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from readerd.driver.contract import Options\nclass O(Options): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    driver = replace(DRIVER, options=import_module("readerd_sly").O)
    (outcome,) = outcomes(driver, "sees-only-its-floor")
    assert outcome.verdict == "holds"
    for line in (
        "import time",
        "from readerd.run import bench",
        "import asyncio\nasyncio.sleep(1)",
    ):
        (package / "reader.py").write_text(line + "\n")
        (outcome,) = outcomes(driver, "sees-only-its-floor")
        assert outcome.verdict == "broken"
        assert "reader.py" in outcome.text


def test_every_rule_is_broken_by_some_case() -> None:
    seen = {name for name, _ in BROKEN_BY} | {"sees-only-its-floor"}
    assert {rule.name for rule in RULES} == seen


def test_every_rule_says_its_law_in_a_sentence() -> None:
    for rule in RULES:
        assert 20 < len(rule.law) < 120, rule.name
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_authors_page_names_every_rule_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "drivers" / "README.md").read_text("utf-8")
    table = page.partition("## 5. The house rules")[2].partition("In your own test suite")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert named == {rule.name for rule in RULES}


def test_what_a_reader_cannot_do_has_no_rules() -> None:
    names = {trial.rule.name for trial in trials(DRIVER)}
    assert "moves-to-a-state" in names
    assert "sends-the-last-plate-again" not in names


def test_a_rule_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(InputError, match=r"known are .*knows-a-stranger"):
        chosen(DRIVER, ("no-such-rule",))


def test_a_trial_that_breaks_says_what_was_seen() -> None:
    trial = next(t for t in trials(spoilt(TwoDecimals)) if t.rule.name == "reads-what-lies-there")
    with pytest.raises(Broken, match=r"wells differ: .* reads .*, in it is"):
        trial.run()
