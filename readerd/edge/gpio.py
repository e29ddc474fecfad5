"""Lines of a GPIO chip: a button on one, a lamp on others. The home of libgpiod's Python package.

libgpiod asks the kernel for the line (input, bias, both edges, debounced in the kernel); the edges
are then read from its file descriptor as the kernel writes them and parsed here, so that the loop
can watch it and recorded bytes can be replayed. The package is an extra: it is imported when the
first line is opened, and `button_settings` has looked before whether it is there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from readerd.edge.button_settings import GPIO_EXTRA, InputAddress
from readerd.errors import LinkLost

if TYPE_CHECKING:
    import gpiod

# linux/gpio.h: struct gpio_v2_line_event { __u64 timestamp_ns; __u32 id, offset, seqno,
# line_seqno, padding[6]; }
_EVENT: Final = struct.Struct("=QIIII24x")
RISING: Final = 1  # inactive to active, whichever voltage that is
CONSUMER: Final = "readerd"


@dataclass(frozen=True, slots=True)
class EdgeEvent:
    """One change of a line; `at_ns` is the kernel's monotonic time."""

    at_ns: int
    is_down: bool


class Edges:
    """Bytes of the kernel's line events to edges."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[EdgeEvent]:
        data = self._rest + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest = data[whole:]
        return [
            EdgeEvent(at_ns, identifier == RISING)
            for at_ns, identifier, _, _, _ in _EVENT.iter_unpack(data[:whole])
        ]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is ours until `release`."""

    fd: int
    release: Callable[[], None]
    put: Callable[[bool], None]


def open_line(address: InputAddress, debounce_s: float) -> Line:
    """A button's line: to ground and pulled up, or (`?active=high`) to the supply and down."""
    try:
        import gpiod
        from gpiod.line import Bias, Direction, Edge
    except ImportError:
        raise LinkLost(f"{address.text}: install {GPIO_EXTRA}") from None
    is_low = address.active_low is not False
    settings = gpiod.LineSettings(
        direction=Direction.INPUT,
        edge_detection=Edge.BOTH,
        bias=Bias.PULL_UP if is_low else Bias.PULL_DOWN,
        active_low=is_low,
        debounce_period=timedelta(seconds=debounce_s),
    )
    return _request(address, settings)


def open_lamp(address: InputAddress) -> Line:
    """A lamp's line, dark; lit by the high level, or (`?active=low`) by the low one."""
    try:
        import gpiod
        from gpiod.line import Direction
    except ImportError:
        raise LinkLost(f"{address.text}: install {GPIO_EXTRA}") from None
    settings = gpiod.LineSettings(direction=Direction.OUTPUT, active_low=address.active_low is True)
    return _request(address, settings)


def _request(address: InputAddress, settings: gpiod.LineSettings) -> Line:
    import gpiod
    from gpiod.line import Value

    number = address.line
    try:
        request = gpiod.request_lines(address.path, config={number: settings}, consumer=CONSUMER)
    except (OSError, ValueError) as error:
        raise LinkLost(f"{address.text}: {error}") from None

    def put(is_lit: bool) -> None:
        request.set_value(number, Value.ACTIVE if is_lit else Value.INACTIVE)

    return Line(request.fd, request.release, put)
