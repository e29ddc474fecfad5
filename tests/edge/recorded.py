"""Bytes as the kernel hands them over: keys of an input device, edges of a GPIO line."""

import struct

from readerd.edge.evdev import EV_KEY, EV_SYN, PLAIN, SHIFTED

ENTER, LEFT_SHIFT = 28, 42
_PLAIN = {sign: code for code, sign in reversed([*PLAIN.items()])}
_SHIFTED = {sign: code for code, sign in reversed([*SHIFTED.items()])}


AT_US = 1_700_000_000_000_000


def key(code: int, value: int, at_us: int = AT_US) -> bytes:
    """One key event with its report (linux/input.h)."""
    seconds, micros = divmod(at_us, 1_000_000)
    event = struct.pack("@llHHi", seconds, micros, EV_KEY, code, value)
    return event + struct.pack("@llHHi", seconds, micros, EV_SYN, 0, 0)


def typed(line: str, *, end: int = ENTER, at_us: int = AT_US) -> bytes:
    """A line as a scanner types it: shift held for each sign that needs it."""
    moves: list[tuple[int, int]] = []
    for sign in line:
        if sign in _PLAIN:
            moves += [(_PLAIN[sign], 1), (_PLAIN[sign], 0)]
        else:
            code = _SHIFTED[sign]
            moves += [(LEFT_SHIFT, 1), (code, 1), (code, 0), (LEFT_SHIFT, 0)]
    return b"".join(key(*move, at_us) for move in [*moves, (end, 1), (end, 0)])


def line_edge(at_ns: int, number: int, *, is_down: bool, offset: int = 17) -> bytes:
    """One `gpio_v2_line_event` (linux/gpio.h); RISING is active."""
    return struct.pack("=QIIII24x", at_ns, 1 if is_down else 2, offset, number, number)
