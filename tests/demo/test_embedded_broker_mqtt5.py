"""What only MQTT 5 has: reason codes, properties, expiry, subscription options."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from readerd.demo.broker import ACCEPT, Broker, refuse
from readerd.demo.packets import Reason
from readerd.demo.sessions import Held
from readerd.edge.broker import Outgoing
from tests.edge.delivery import ROOT, to

WITHIN_S = 5.0


@asynccontextmanager
async def connected(broker: Broker, **more: Any) -> AsyncIterator[aiomqtt.Client]:
    arguments = {"protocol": aiomqtt.ProtocolVersion.V5, "timeout": WITHIN_S, **more}
    async with aiomqtt.Client("127.0.0.1", broker.port, **arguments) as client:
        yield client


async def take(client: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(WITHIN_S):
        return await anext(client.messages)


def properties(kind: int, **values: Any) -> Properties:
    made = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def told_of(message: aiomqtt.Message) -> dict[str, Any]:
    assert message.properties is not None
    told: dict[str, Any] = message.properties.json()  # type: ignore[no-untyped-call]
    return told


async def test_what_a_sender_tells_with_a_message_arrives(broker: Broker) -> None:
    told = {
        "ResponseTopic": f"{ROOT}/rsp/lims",
        "CorrelationData": b"\x00\x01\xff",
        "ContentType": "application/cloudevents+json",
        "PayloadFormatIndicator": 1,
        "UserProperty": [("a", "1"), ("a", "2"), ("µ", "λ")],
        "MessageExpiryInterval": 30,
    }
    async with connected(broker) as client:
        await client.subscribe("x", qos=1)
        await client.publish("x", b"", 1, properties=properties(PacketTypes.PUBLISH, **told))
        message = await take(client)
    assert told_of(message) == {**told, "CorrelationData": "0001ff"}


@pytest.mark.parametrize(
    "reason", [Reason.NOT_AUTHORIZED, Reason.QUOTA_EXCEEDED, Reason.UNSPECIFIED]
)
async def test_a_refusal_carries_its_reason(broker: Broker, reason: Reason) -> None:
    broker.on_publish = lambda message: refuse(reason)
    will = Outgoing(topic="w", payload=b"")
    async with to(broker.port)(will) as connection:
        assert await connection.publish(Outgoing(topic="x", payload=b"")) == reason
        broker.on_publish = lambda message: ACCEPT
        code = await connection.publish(Outgoing(topic="x", payload=b""))
        assert code == Reason.NO_MATCHING_SUBSCRIBERS
        await connection.subscribe("x")
        assert await connection.publish(Outgoing(topic="x", payload=b"")) == Reason.SUCCESS


async def test_a_filter_that_is_not_served_is_refused_with_its_reason(broker: Broker) -> None:
    async with connected(broker) as client:
        [reason] = await client.subscribe("$share/group/x", qos=1)
        assert getattr(reason, "value", reason) == Reason.SHARED_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("handling", "heard"), [(0, [b"old", b"old", b"new"]), (1, [b"old", b"new"]), (2, [b"new"])]
)
async def test_retain_handling(broker: Broker, handling: int, heard: list[bytes]) -> None:
    """Always, only for a new subscription, never; each subscribed twice."""
    async with connected(broker) as client:
        await client.publish("x", b"old", qos=1, retain=True)
        options = SubscribeOptions(qos=1, retainHandling=handling)
        await client.subscribe("x", options=options)
        await client.subscribe("x", options=options)
        await client.publish("x", b"new", qos=1)
        assert [(await take(client)).payload for _ in heard] == heard


@pytest.mark.parametrize("as_published", [True, False])
async def test_retain_as_published(broker: Broker, as_published: bool) -> None:
    async with connected(broker) as client:
        await client.subscribe("x", options=SubscribeOptions(retainAsPublished=as_published))
        await client.publish("x", b"1", qos=1, retain=True)
        assert (await take(client)).retain is as_published


async def test_no_local(broker: Broker) -> None:
    async with connected(broker) as client, connected(broker) as other:
        await client.subscribe("x", options=SubscribeOptions(qos=1, noLocal=True))
        await client.publish("x", b"ours", qos=1)
        await other.publish("x", b"theirs", qos=1)
        assert (await take(client)).payload == b"theirs"


async def test_a_message_tells_how_long_it_still_has(broker: Broker) -> None:
    async with connected(broker) as client:
        expiry = properties(PacketTypes.PUBLISH, MessageExpiryInterval=100)
        await client.publish("x", b"old", 1, retain=True, properties=expiry)
        kept = broker.retained["x"]
        assert kept.deadline is not None
        broker.retained["x"] = Held(kept.message, kept.deadline - 40.0)  # 40 s later
        await client.subscribe("x", qos=1)
        assert 59 <= told_of(await take(client))["MessageExpiryInterval"] <= 60
        broker.retained["x"] = Held(kept.message, kept.deadline - 100.0)
        await client.subscribe("x", qos=1)
        await client.publish("x", b"new", 1)
        assert (await take(client)).payload == b"new"


async def test_a_session_ends_when_it_expires(broker: Broker) -> None:
    brief = properties(PacketTypes.CONNECT, SessionExpiryInterval=1)
    async with connected(broker, identifier="lims", clean_start=False, properties=brief):
        pass
    session = broker.sessions["lims"]
    await asyncio.wait(broker._tasks, timeout=WITHIN_S)  # until it has read the goodbye
    timer = broker._expiries["lims"]
    assert 0 < timer.when() - asyncio.get_running_loop().time() <= 1.0
    async with connected(broker, identifier="lims", clean_start=False, properties=brief):
        assert broker.sessions["lims"] is session
        assert timer.cancelled()


async def test_a_client_without_a_name_is_given_one(broker: Broker) -> None:
    async with connected(broker, identifier=""), connected(broker, identifier=""):
        assert broker.connected == {"assigned-1", "assigned-2"}


async def test_a_taken_over_client_is_told_why(broker: Broker) -> None:
    async with connected(broker, identifier="reader") as first:
        async with connected(broker, identifier="reader"):
            with pytest.raises(aiomqtt.MqttError) as caught:
                await take(first)
        assert "taken over" in str(caught.value.__cause__)
