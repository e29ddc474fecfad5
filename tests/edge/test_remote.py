"""What wireless buttons publish, as their makers document it and as they were seen."""

import json

import pytest

from readerd.edge.remote import meaning

SHELLY = {"component": "input:0", "id": 0, "ts": 1631266595.43}


def notified(*events: str) -> str:
    """A frame of a later Shelly on its topic `events/rpc`."""
    told = [{**SHELLY, "event": event} for event in events]
    params = {"ts": 1631266595.44, "events": told}
    return json.dumps(
        {"src": "shellyplusi4-a8032ab1", "dst": "x", "method": "NotifyEvent", "params": params}
    )


@pytest.mark.parametrize(
    "payload",
    [
        '{"action":"single","battery":100,"linkquality":94,"voltage":3025}',
        '{"action":"1_single"}',
        '{"action":"button_1_press"}',
        '{"action":"on","last_seen":"2026-03-04T09:15:42+01:00"}',
        '{"event":"S","event_cnt":57}',
        notified("btn_down", "single_push"),
        json.dumps({**SHELLY, "event": "single_push"}),
        "ON",
        "PRESS",
        " press\n",
        '"single"',
        '{"event_type":"press"}',
    ],
)
def test_a_press(payload: str) -> None:
    found = meaning(payload.encode())
    assert found is not None
    assert found[0] == "press"


@pytest.mark.parametrize(
    "payload",
    [
        '{"action":"hold"}',
        '{"action":"1_long"}',
        '{"action":"button_1_long_press"}',
        '{"event":"L","event_cnt":58}',
        notified("long_push"),
        "LONG",
    ],
)
def test_a_long_press_aborts(payload: str) -> None:
    found = meaning(payload.encode())
    assert found is not None
    assert found[0] == "abort"


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "OFF",
        "off",
        "0",
        "offline",
        '{"action":""}',
        '{"action":"release"}',
        '{"action":"hold_release"}',
        '{"action":"long_release"}',
        '{"action":"double"}',
        '{"action":"button_2_double_press"}',
        '{"action":null,"battery":100}',
        '{"battery":100}',
        '{"event":"SS","event_cnt":59}',
        '{"event":"","event_cnt":60}',
        notified("btn_down"),
        notified("double_push"),
        notified("btn_up", "triple_push"),
        '{"method":"NotifyStatus","params":{"ts":1.0,"input:0":{"id":0,"state":true}}}',
        '{"method":"NotifyEvent","params":[]}',
        '{"action":["single"]}',
        "[" * 100_000,
        "{" * 2000,
        '{"action":"single"',
        '{"action":"single","more":"' + "x" * 5000 + '"}',
        "single \ud83d".encode("utf-8", "surrogatepass").decode("latin1"),
    ],
)
def test_everything_else_means_nothing(payload: str) -> None:
    assert meaning(payload.encode("latin1")) is None


def test_the_devices_own_mark_is_kept() -> None:
    assert meaning(b'{"event":"S","event_cnt":57}') == ("press", "event_cnt=57")
    assert meaning(notified("single_push").encode()) == ("press", "ts=1631266595.43")
    assert meaning(b'{"action":"single"}') == ("press", "")
