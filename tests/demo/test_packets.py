"""The broker's codec: any bytes are a packet or a PacketError, and what is written reads back."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.properties import VariableByteIntegers

from readerd.demo import packets
from readerd.demo.packets import V5, V311, PacketError, Property, Publication, Reason
from readerd.demo.sessions import is_filter, matches

VERSIONS = st.sampled_from([V311, V5])
TOPICS = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1)
PARSERS: list[Callable[[bytes, int], Any]] = [
    lambda data, version: packets.parse_connect(data),
    lambda data, version: packets.parse_publish(data, 0x02, version),
    packets.parse_subscribe,
    packets.parse_unsubscribe,
    packets.parse_disconnect,
    lambda data, version: packets.parse_puback(data),
]


@given(st.binary(max_size=80), VERSIONS, st.sampled_from(PARSERS))
def test_any_bytes_are_a_packet_or_an_error_of_ours(
    data: bytes, version: int, parse: Callable[[bytes, int], Any]
) -> None:
    reasons: list[int] = []
    try:
        parse(data, version)
    except PacketError as error:
        reasons.append(error.reason)
    assert all(reason >= Reason.UNSPECIFIED for reason in reasons)


@given(TOPICS, st.binary(max_size=300), st.integers(0, 1), st.booleans(), st.booleans(), VERSIONS)
def test_a_publication_reads_back(
    topic: str, payload: bytes, qos: int, retain: bool, duplicate: bool, version: int
) -> None:
    packet_id = 570 if qos else 0
    sent = Publication(
        topic=topic,
        payload=payload,
        qos=qos,
        retain=retain,
        duplicate=duplicate,
        packet_id=packet_id,
        properties=((Property.MESSAGE_EXPIRY, 60),) if version == V5 else (),
    )
    data = packets.publish(sent, version)
    length, size = VariableByteIntegers.decode(data[1:])  # type: ignore[no-untyped-call]
    assert len(data) == 1 + size + length
    assert packets.parse_publish(data[1 + size :], data[0] & 0x0F, version) == sent


@given(st.integers(0, 268_435_455))
def test_a_variable_integer_is_paho_s(value: int) -> None:
    theirs = VariableByteIntegers.encode(value)  # type: ignore[no-untyped-call]
    assert packets.variable(value) == theirs


def test_properties_of_every_type_pass_through_as_paho_wrote_them() -> None:
    given = PahoProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    given.PayloadFormatIndicator = 1
    given.MessageExpiryInterval = 70_000
    given.ContentType = "application/json"
    given.ResponseTopic = "rsp/lims"
    given.CorrelationData = b"\x00\xff"
    given.UserProperty = [("a", "1"), ("b", "2")]
    written = given.pack()  # type: ignore[no-untyped-call]
    message = packets.parse_publish(b"\x00\x01a" + written + b"payload", 0, V5)
    assert message.expiry_s == 70_000
    assert message.payload == b"payload"
    again = packets.publish(message, V5)
    assert sorted(again[5 : 5 + len(written)]) == sorted(written)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "wanted"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/bc", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+/+", "/a", True),
        ("+", "/a", False),
        ("#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("+/b/#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_filters(topic_filter: str, topic: str, wanted: bool) -> None:
    """The examples of MQTT 5.0, 4.7.1 and 4.7.2, and their neighbours."""
    assert is_filter(topic_filter)
    assert matches(topic_filter, topic) is wanted


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "a+", "+a", "#a", "a/b+/c"])
def test_what_is_no_filter(text: str) -> None:
    assert not is_filter(text)
