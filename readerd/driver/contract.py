"""What a driver is: three cancellable verbs, one frozen value that says everything else.

A `Reader` waits only inside `Link`; it never repeats a measurement, reconnects, logs or reads a
clock. Asking again for the *transfer* of the same plate is part of its conversation. Each verb
enters and leaves the instrument's remote mode by itself, so the front panel is free in between.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from readerd.driver.codec import Decoder
from readerd.driver.link import Link
from readerd.driver.stream import LineSettings
from readerd.driver.virtual import Twin, TwinSetup
from readerd.plate import Identity, Reading, ReadRequest, Strip

__all__ = [
    "Carrier",
    "Driver",
    "LineSettings",
    "OnStrip",
    "Options",
    "Reader",
    "Resender",
]

OnStrip = Callable[[Strip], None]

# identify and park: an abandoned read may have to end, and three challenges be waited for.
REST_TIMES, REST_S = 2.0, 60.0


class Options(BaseModel):
    """Base of a driver's typed options: what `[reader.options]` may hold.

    The string under each option is its documentation: `readerd drivers` shows it
    (`option_text`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reader(Protocol):
    """One instrument behind one link."""

    async def identify(self) -> Identity:
        """Who are you, which wavelengths are fitted."""
        ...

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One plate, exactly as reported. `on_strip` gets hints while the instrument talks.

        RequestError before anything is sent when the instrument cannot do it.
        """
        ...

    async def park(self) -> None:
        """Rest, from any state; idempotent; afterwards `identify` answers and the link is clean."""
        ...


@runtime_checkable
class Carrier(Protocol):
    """An instrument that moves its plate; both verbs move to a state, they never toggle."""

    async def present(self) -> None: ...

    async def admit(self) -> None: ...


@runtime_checkable
class Resender(Protocol):
    """An instrument that can send its last plate again: a transfer, not a measurement."""

    async def resend(self) -> Reading: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """One instrument family, as a value. A package exports it as `DRIVER`."""

    name: str
    summary: str
    models: tuple[str, ...]
    formats: tuple[int, ...]
    photometric_range: tuple[float, float]  # optical densities; beyond it a value is SATURATED
    wavelengths: str  # in words: fitted filters or a monochromator, and its range where it is known
    options: type[Options]
    line: Callable[[Any], LineSettings]  # from options
    open: Callable[[Link, Any], Reader]  # link, options
    twin: Callable[[TwinSetup], Twin]
    estimate_s: Callable[[ReadRequest, Any], float]  # the longest an honest read takes
    proven: tuple[str, ...] = ()  # transcripts or clients behind it; empty = warn at every start
    # From options: how long `identify` waits for a self-test at power-on before it gives up.
    start_up_s: Callable[[Any], float] = lambda options: 0.0
    # What no default can be right for and the instrument does not tell; these values fit the twin.
    example: Mapping[str, Any] = field(default_factory=dict)
    # Every decoder of the codec by name, made afresh: conformance and bench feed them rubbish.
    decoders: Mapping[str, Callable[[], Decoder[object]]] = field(default_factory=dict)

    def rest_s(self, read_bound_s: float, options: Options) -> float:
        """The longest that identify and park may take when a read may have this long."""
        return REST_TIMES * read_bound_s + REST_S + self.start_up_s(options)

    def example_options(self) -> Options:
        """Options that fit the twin: its defaults, and `example` where there is no default."""
        return self.options(**self.example)
