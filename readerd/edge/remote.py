"""What wireless buttons say on MQTT: Zigbee2MQTT, Shelly, ESPHome, or anything as plain.

| who | payload | means |
|---|---|---|
| Zigbee2MQTT | `{"action": "single"}`, `{"action": "button_1_hold"}` | press, abort |
| Shelly, first generation | `{"event": "S", "event_cnt": 57}`, `{"event": "L", …}` | press, abort |
| Shelly, later | `{"method": "NotifyEvent", "params": {"events": [{"component": "input:0", \
"event": "single_push", "ts": 1.0}]}}` | press |
| ESPHome | `ON` `OFF`, `PRESS`, `{"event_type": "single"}` | press, nothing |

Doubles, triples, releases and everything unknown mean nothing: a button that we misunderstand must
not read a plate.
"""

import json
import re
from typing import Any, Final

from readerd.edge.button import Kind

# A button's message has about 200 bytes.
MOST_BYTES: Final = 4096
_PRESS: Final = frozenset({"single", "press", "pressed", "push", "click", "on", "s"})
_ABORT: Final = frozenset({"long", "hold", "l"})
_NEITHER: Final = frozenset(
    {"release", "released", "double", "triple", "quadruple", "many", "up", "down", "off", "btn"}
)
_FIELDS: Final = ("action", "event", "event_type")
_MARKS: Final = ("event_cnt", "ts")


def meaning(payload: bytes) -> tuple[Kind, str] | None:
    """What was done, and the mark that the device gives this one press (empty: none)."""
    if len(payload) > MOST_BYTES:
        return None
    try:
        text = payload.decode()
        found = json.loads(text) if text.lstrip()[:1] in ("{", '"') else text
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        return _said(found)
    kind = _kind(found) if isinstance(found, str) else None
    return None if kind is None else (kind, "")


def _said(found: dict[str, Any]) -> tuple[Kind, str] | None:
    params = found.get("params")
    events = params.get("events") if isinstance(params, dict) else None
    if found.get("method") == "NotifyEvent" and isinstance(events, list):
        told = [_said(event) for event in events if isinstance(event, dict)]
        return next((one for one in told if one is not None), None)
    said = next((found[name] for name in _FIELDS if isinstance(found.get(name), str)), "")
    kind = _kind(said)
    mark = next((f"{name}={found[name]}" for name in _MARKS if found.get(name) is not None), "")
    return None if kind is None else (kind, mark)


def _kind(text: str) -> Kind | None:
    """By its words: `button_1_long_press` is long before it is a press."""
    words = set(re.split(r"[^a-z]+", text.strip().lower()))
    if words & _NEITHER:
        return None
    if words & _ABORT:
        return Kind.ABORT
    return Kind.PRESS if words & _PRESS else None
