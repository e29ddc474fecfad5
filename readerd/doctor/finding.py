"""What the doctor says: one line a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and what to do where that is not right."""

    topic: str
    level: Level
    seen: str
    todo: str = ""

    def __str__(self) -> str:
        todo = f"; {self.todo}" if self.todo else ""
        return f"{self.level:5} {self.topic:10} {self.seen}{todo}"


def is_right(findings: Sequence[Finding]) -> bool:
    """Nothing that will hurt."""
    return all(finding.level != "fail" for finding in findings)
