"""What a rule is: a name, a law in one sentence, and the function that tries it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from readerd.driver.conformance.subject import Subject
from readerd.driver.contract import Driver, Reader
from readerd.driver.virtual import Fault, Twin

T = TypeVar("T")


class Broken(AssertionError):
    """The rule does not hold; the text says what was seen."""


class Stage(Protocol):
    """Where conversations take place: fresh twins in virtual time, or one port in real time."""

    @property
    def driver(self) -> Driver: ...

    @property
    def format(self) -> int: ...

    @property
    def is_twin(self) -> bool: ...

    def run(
        self,
        talk: Callable[[Subject], Awaitable[T]],
        *,
        faults: Sequence[Fault] = (),
        stranger: Twin | None = None,
    ) -> T:
        """One conversation from plugging in to unplugging, in a loop of its own.

        `faults` and `stranger` (another instrument than the driver's) are for twins alone.
        """
        ...


def always(reader: Reader) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`check` raises Broken. `on_port` tells whether a real instrument can be asked."""

    name: str
    check: Callable[[Stage], None]
    told: str = ""  # the law, where it is not the docstring of `check`
    on_port: bool = False
    every_format: bool = False
    applies: Callable[[Reader], bool] = always

    @property
    def law(self) -> str:
        """The rule in its own words."""
        return " ".join((self.told or self.check.__doc__ or "").split())


def require(holds: bool, otherwise: str) -> None:
    """Broken with this text when it does not hold."""
    if not holds:
        raise Broken(otherwise)
