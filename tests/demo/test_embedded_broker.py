"""The embedded broker seen by real clients: paho through aiomqtt, and the mosquitto programs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from readerd.demo.broker import ACCEPT, SWALLOW, UNACKNOWLEDGED, Broker, refuse
from readerd.demo.packets import Reason

WITHIN_S = 5.0
Connect = Callable[..., AbstractAsyncContextManager[aiomqtt.Client]]
BOTH = (aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5)


def session_expiry(expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = expiry_s
    return properties


def lasting(version: aiomqtt.ProtocolVersion, *, lasting: bool) -> dict[str, Any]:
    """Client arguments for a session that outlives its connection, or one that does not."""
    if version == aiomqtt.ProtocolVersion.V311:
        return {"clean_session": not lasting}
    return {"clean_start": not lasting, "properties": session_expiry(600 if lasting else 0)}


@pytest.fixture(params=BOTH, ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> aiomqtt.ProtocolVersion:
    chosen: aiomqtt.ProtocolVersion = request.param
    return chosen


@pytest.fixture
def connect(broker: Broker, version: aiomqtt.ProtocolVersion) -> Connect:
    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncIterator[aiomqtt.Client]:
        chosen = {"protocol": version, "timeout": WITHIN_S, **arguments}
        async with aiomqtt.Client("127.0.0.1", broker.port, **chosen) as client:
            yield client

    return opened


async def take(client: aiomqtt.Client, count: int = 1) -> list[aiomqtt.Message]:
    """The next messages, within a bound."""
    found: list[aiomqtt.Message] = []
    async with asyncio.timeout(WITHIN_S):
        async for message in client.messages:
            found.append(message)
            if len(found) == count:
                break
    return found


async def quiet(client: aiomqtt.Client) -> bool:
    """Whether nothing is on its way: a message that we send ourselves arrives first."""
    await client.subscribe("fence", qos=1)
    await client.publish("fence", b"", qos=1)
    [message] = await take(client)
    return str(message.topic) == "fence"


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_message_arrives_as_it_was_sent(connect: Connect, qos: int) -> None:
    async with connect() as client:
        await client.subscribe("lab1/+/result", qos=qos)
        await client.publish("lab1/bench2/result", b"\x00plate\xff" * 5000, qos=qos)
        [message] = await take(client)
    assert str(message.topic) == "lab1/bench2/result"
    assert message.payload == b"\x00plate\xff" * 5000
    assert message.qos == qos
    assert not message.retain


async def test_messages_of_one_publisher_keep_their_order(connect: Connect) -> None:
    async with connect() as sender, connect() as listener:
        await listener.subscribe("n", qos=1)
        for number in range(300):
            await sender.publish("n", str(number), qos=1)
        messages = await take(listener, 300)
    assert [int(message.payload) for message in messages] == list(range(300))


async def test_retained_is_heard_by_later_subscribers_until_emptied(connect: Connect) -> None:
    async with connect() as sender:
        await sender.publish("state", b"ready", qos=1, retain=True)
        await sender.publish("state", b"reading", qos=1, retain=True)
        async with connect() as listener:
            await listener.subscribe("state", qos=1)
            [message] = await take(listener)
            assert (message.payload, message.retain) == (b"reading", True)
        await sender.publish("state", b"", qos=1, retain=True)
        async with connect() as listener:
            await listener.subscribe("state", qos=1)
            assert await quiet(listener)


async def test_a_lasting_session_keeps_what_came_while_it_was_away(
    connect: Connect, version: aiomqtt.ProtocolVersion
) -> None:
    away = {"identifier": "lims", **lasting(version, lasting=True)}
    async with connect(**away) as listener:
        await listener.subscribe("result", qos=1)
    async with connect() as sender:
        for number in range(3):
            await sender.publish("result", str(number), qos=1)
    async with connect(**away) as listener:
        assert [message.payload for message in await take(listener, 3)] == [b"0", b"1", b"2"]
    fresh = {"identifier": "lims", **lasting(version, lasting=False)}
    async with connect(**fresh) as listener:
        assert await quiet(listener)


async def test_the_will_speaks_when_the_connection_is_cut(broker: Broker, connect: Connect) -> None:
    will = aiomqtt.Will("status", b"offline", qos=1, retain=True)
    async with connect() as listener:
        await listener.subscribe("status", qos=1)

        async def be_cut() -> None:
            async with connect(identifier="reader", will=will) as reader:
                broker.drop("reader")
                await take(reader)

        with pytest.raises(aiomqtt.MqttError):
            await be_cut()
        [message] = await take(listener)
        assert message.payload == b"offline"
    assert broker.retained["status"].message.payload == b"offline"


async def test_the_will_is_silent_after_a_clean_goodbye(connect: Connect) -> None:
    will = aiomqtt.Will("status", b"offline", qos=1)
    async with connect() as listener:
        await listener.subscribe("status", qos=1)
        async with connect(will=will):
            pass
        assert await quiet(listener)


async def test_the_same_client_id_takes_over(connect: Connect, broker: Broker) -> None:
    will = aiomqtt.Will("status", b"offline", qos=1)
    async with connect() as listener:
        await listener.subscribe("status", qos=1)
        async with connect(identifier="reader", will=will) as first:
            async with connect(identifier="reader") as second:
                with pytest.raises(aiomqtt.MqttError):
                    await take(first)
                assert await quiet(second)
            with pytest.raises(aiomqtt.MqttError):
                await first.publish("x", b"", qos=1)
        [message] = await take(listener)
        assert message.payload == b"offline"


async def test_a_refused_publication_goes_nowhere(broker: Broker, connect: Connect) -> None:
    broker.on_publish = lambda message: refuse() if message.topic == "no" else ACCEPT
    async with connect() as client:
        await client.subscribe("no", qos=1)
        await client.publish("no", b"1", qos=1)  # aiomqtt hides the reason code
        assert await quiet(client)


async def test_a_swallowed_publication_is_never_answered(broker: Broker, connect: Connect) -> None:
    broker.on_publish = lambda message: SWALLOW if message.topic == "no" else ACCEPT
    async with connect() as client:
        await client.subscribe("no", qos=1)
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await client.publish("no", b"1", qos=1, timeout=0.05)
        assert await quiet(client)


async def test_an_unacknowledged_publication_goes_out_all_the_same(
    broker: Broker, connect: Connect
) -> None:
    broker.on_publish = lambda message: UNACKNOWLEDGED
    async with connect() as client, connect() as listener:
        await listener.subscribe("yes", qos=1)
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await client.publish("yes", b"1", qos=1, timeout=0.05)
        assert [message.payload for message in await take(listener)] == [b"1"]


async def test_a_refused_subscription_hears_nothing(broker: Broker, connect: Connect) -> None:
    broker.on_subscribe = lambda name: Reason.NOT_AUTHORIZED if name == "no" else Reason.SUCCESS
    async with connect() as client:
        [reason] = await client.subscribe("no", qos=1)
        assert getattr(reason, "value", reason) >= Reason.UNSPECIFIED
        await client.publish("no", b"1", qos=1)
        assert await quiet(client)


async def test_unsubscribed_is_silent(connect: Connect) -> None:
    async with connect() as client:
        await client.subscribe("a/#", qos=1)
        await client.publish("a/b", b"1", qos=1)
        await take(client)
        await client.unsubscribe("a/#")
        await client.publish("a/b", b"2", qos=1)
        assert await quiet(client)


async def test_overlapping_filters_deliver_once_at_the_higher_qos(connect: Connect) -> None:
    async with connect() as client:
        await client.subscribe([("a/#", 0), ("a/b", 1), ("+/b", 0)])
        await client.publish("a/b", b"1", qos=1)
        assert [message.qos for message in await take(client)] == [1]
        assert await quiet(client)


async def test_a_killed_broker_forgets_and_comes_back_on_its_port(
    broker: Broker, connect: Connect, version: aiomqtt.ProtocolVersion
) -> None:
    """No will, no session, nothing retained: as after SIGKILL. Twice in a row."""
    will = aiomqtt.Will("will", b"offline", qos=1, retain=True)
    for name in ("lims", "other"):
        port = broker.port
        away = {"identifier": name, **lasting(version, lasting=True)}
        async with connect(will=will, **away) as client:
            await client.subscribe("result", qos=1)
            await client.publish("state", b"ready", qos=1, retain=True)
            await broker.kill()
            with pytest.raises(aiomqtt.MqttError):
                await take(client)
        await broker.start()
        assert broker.port == port
        assert not broker.connected
        async with connect() as sender:
            await sender.publish("result", b"1", qos=1)
        async with connect(**away) as client:
            assert await quiet(client)
            await client.subscribe("#", qos=1)
            assert await quiet(client)


async def test_silence_beyond_the_keepalive_ends_the_connection(broker: Broker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    # CONNECT, MQTT 5, clean start, keepalive 1 s, client id "x"
    writer.write(bytes.fromhex("10 0e 0004 4d515454 05 02 0001 00 0001 78"))
    async with asyncio.timeout(WITHIN_S):
        answers = await reader.read(-1)  # CONNACK, and after 1.5 s DISCONNECT 0x8d
    writer.close()
    assert answers.endswith(bytes.fromhex("e0 01 8d"))


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param("474554202f20485454502f312e310d0a", id="HTTP"),
        pytest.param("1000", id="an empty CONNECT"),
        pytest.param("30 05 0001 61 6869", id="PUBLISH before CONNECT"),
        pytest.param("10 0e 0004 4d515454 05 02 0001 00 0001 78 ffffffffff", id="endless length"),
        pytest.param("10 0e 0004 4d515454 05 02 0001 00 0001 78 34 06 0001 61 0001 00", id="QoS 2"),
        pytest.param("10 0e 0004 4d515454 05 02 0001 00 0001 78 30 05 0001 23 0061", id="topic #"),
        pytest.param("10 0e 0004 4d515454 05 02 0001 00 0001 78 f0 00", id="AUTH"),
    ],
)
async def test_rubbish_ends_its_own_connection_only(
    broker: Broker, connect: Connect, rubbish: str
) -> None:
    async with connect() as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        writer.write(bytes.fromhex(rubbish))
        async with asyncio.timeout(WITHIN_S):
            await reader.read(-1)
        writer.close()
        assert await quiet(client)
