"""Whatever comes: an answer or Garbage, never another exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.collect.message import Answer, Garbage, Health, Info, Item, Status, understand

ROOT = "readerd/v1/lab1/bench2"
ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "01JNF6ZX9M2E7A4R8T1Y5W3Q6P",
    "source": "urn:readerd:lab1:bench2",
    "type": "org.readerd.result.v1",
    "stream": "01HZZ0K3Q8J5M7N2P4R6S8T0V1",
    "sequence": 7,
    "data": {"what": "a newer reader says"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
SEGMENTS = ("result", "event", "info", "health", "status", "replay/lims", "rsp/lims", "alarm/x")


def envelope(**more: Any) -> bytes:
    return json.dumps({**ENVELOPE, **more}).encode()


@pytest.mark.parametrize("topic", ["result", "replay/lims"])
def test_a_result_is_kept_whatever_its_data_says(topic: str) -> None:
    understood = understand(f"{ROOT}/{topic}", envelope())
    assert understood is not None
    assert isinstance(understood[1], Item)
    assert understood[1].payload == envelope()
    assert understood[1].name == "lab1/bench2 result 7"


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("event", {}),
        ("result", {"source": "urn:readerd:lab1:bench3"}),
        ("result", {"id": "../../etc/passwd"}),
        ("result", {"id": "01JNF6ZX9M2E7A4R8T1Y5W3Q6P\n"}),
        ("result", {"stream": ""}),
        ("result", {"sequence": 0}),
        ("result", {"sequence": "7"}),
        ("result", {"sequence": 2**63}),
        ("result", {"type": "org.readerd.result.v2"}),
    ],
)
def test_what_breaks_the_envelope_is_garbage(topic: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Garbage) as told:
        understand(f"{ROOT}/{topic}", envelope(**changes))
    assert "\n" not in str(told.value)


def test_the_other_messages() -> None:
    heard = [
        understand(f"{ROOT}/{topic}", json.dumps(body).encode())
        for topic, body in (
            ("info", {"streams": {"result": ENVELOPE["stream"]}, "more": 1}),
            ("health", {"last_sequence": {"result": 0, "event": 9}, "ok": True}),
            ("status", {"status": "offline", "session": 3, "since": None}),
            ("rsp/lims", {"status": "accepted"}),
        )
    ]
    assert [type(said[1]) for said in heard if said] == [Info, Health, Status, Answer]
    assert understand(f"{ROOT}/progress", b"{}") is None
    assert understand("elsewhere/result", envelope()) is None


@given(st.sampled_from(SEGMENTS), st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_rubbish_is_garbage_or_nothing(segment: str, payload: bytes) -> None:
    try:
        understood = understand(f"{ROOT}/{segment}", payload)
    except Garbage:
        return
    assert understood is None or isinstance(understood[1], Info | Health | Status | Answer | Item)


@given(st.sampled_from(sorted(ENVELOPE)), JSON)
def test_an_envelope_with_one_strange_field(field: str, value: Any) -> None:
    try:
        understood = understand(f"{ROOT}/result", envelope(**{field: value}))
    except Garbage:
        return
    assert understood is not None
