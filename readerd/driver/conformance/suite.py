"""All rules, and how they are run: one after the other, each with its own outcome."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from readerd.driver.conformance import failing, reading, resting, rubbish, telling
from readerd.driver.conformance.rule import Broken, Rule, Stage
from readerd.driver.conformance.stage import TwinStage
from readerd.driver.contract import Driver, Reader
from readerd.driver.link import Link
from readerd.driver.stream import ByteStream
from readerd.errors import InputError, Mistake

RULES: tuple[Rule, ...] = (
    *telling.RULES,
    *reading.RULES,
    *resting.RULES,
    *failing.RULES,
    *rubbish.RULES,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule for one driver and plate format, on twins."""

    driver: Driver
    rule: Rule
    format: int

    def __str__(self) -> str:
        format = f"-{self.format}" if self.rule.every_format else ""
        return f"{self.driver.name}-{self.rule.name}{format}"

    def run(self) -> None:
        """Broken when the rule does not hold."""
        self.rule.check(TwinStage(self.driver, self.format))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule; `text` says what was seen when it is broken."""

    rule: Rule
    format: int
    verdict: Literal["holds", "broken"]
    text: str
    took_s: float


def rules_of(driver: Driver) -> tuple[Rule, ...]:
    """The rules that apply to this driver's reader: no carrier, no law of the carrier."""
    reader = _unplugged(driver)
    return tuple(rule for rule in RULES if rule.applies(reader))


def trials(driver: Driver) -> tuple[Trial, ...]:
    """Everything that is tried on the driver's own twin."""
    return tuple(
        Trial(driver, rule, format)
        for rule in rules_of(driver)
        for format in (driver.formats if rule.every_format else driver.formats[:1])
    )


def chosen(driver: Driver, names: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names, or all; InputError names those that there are."""
    rules = rules_of(driver)
    known = {rule.name for rule in rules}
    for name in names:
        if name not in known:
            raise InputError(f"rule {name}", Mistake("", f"known are {', '.join(sorted(known))}"))
    return tuple(rule for rule in rules if not names or rule.name in names)


def run(stages: Sequence[Stage], rules: Sequence[Rule]) -> Iterator[Outcome]:
    """Try the rules on these stages (one per plate format); rules for one format on the first."""
    for rule in rules:
        for stage in stages if rule.every_format else stages[:1]:
            if stage.is_twin or rule.on_port:
                yield _outcome(rule, stage)


def _outcome(rule: Rule, stage: Stage) -> Outcome:
    began_s = time.monotonic()
    text = ""
    try:
        rule.check(stage)
    except Broken as broken:
        text = str(broken) or "broken"
    except Exception as error:  # the driver's bug, not ours: the other rules are tried all the same
        text = f"{type(error).__name__}: {error}"
    verdict: Literal["holds", "broken"] = "broken" if text else "holds"
    return Outcome(rule, stage.format, verdict, text, time.monotonic() - began_s)


def _unplugged(driver: Driver) -> Reader:
    """A reader on no port: good for asking what it can, not for talking."""
    return driver.open(Link(cast(ByteStream, None)), driver.example_options())
