"""Bytes as the kernel hands them over: keys of an input device, edges of a GPIO line."""

import struct

from readerd.edge.evdev import EV_KEY, EV_SYN, PLAIN, SHIFTED

ENTER, LEFT_SHIFT = 28, 42
_PLAIN = {sign: code for code, sign in reversed([*PLAIN.items()])}
_SHIFTED = {sign: code for code, sign in reversed([*SHIFTED.items()])}


def key(code: int, value: int, at_us: int = 1_700_000_000_000_000) -> bytes:
    """One key event with its report (linux/input.h)."""
    seconds, micros = divmod(at_us, 1_000_000)
    event = struct.pack("@llHHi", seconds, micros, EV_KEY, code, value)
    return event + struct.pack("@llHHi", seconds, micros, EV_SYN, 0, 0)


def typed(line: str, *, end: int = ENTER) -> bytes:
    """A line as a scanner types it: shift held for each sign that needs it."""
    events = b""
    for sign in line:
        if sign in _PLAIN:
            events += key(_PLAIN[sign], 1) + key(_PLAIN[sign], 0)
        else:
            code = _SHIFTED[sign]
            events += key(LEFT_SHIFT, 1) + key(code, 1) + key(code, 0) + key(LEFT_SHIFT, 0)
    return events + key(end, 1) + key(end, 0)


def line_edge(at_ns: int, number: int, *, is_down: bool, offset: int = 17) -> bytes:
    """One `gpio_v2_line_event` (linux/gpio.h); RISING is active."""
    return struct.pack("=QIIII24x", at_ns, 1 if is_down else 2, offset, number, number)
