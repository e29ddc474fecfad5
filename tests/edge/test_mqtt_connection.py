"""One connection to a broker: versions, refusals, peers that are no broker, the window."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from readerd.demo.broker import Broker
from readerd.demo.packets import V5, V311
from readerd.edge.broker import BrokerLost, Outgoing
from readerd.edge.mqtt import read_password
from tests.conftest import free_port
from tests.edge.delivery import ROOT, to

WILL = Outgoing(topic=f"{ROOT}/status", payload=b"offline", retain=True)
# CONNACK packets as bytes (MQTT 5.0, 3.2): reason code, then properties on MQTT 5.
WELCOME_V311 = bytes.fromhex("20 02 00 00")
WELCOME_V5 = bytes.fromhex("20 03 00 00 00")
WELCOME_V5_RECEIVE_MAXIMUM_3 = bytes.fromhex("20 06 00 00 03 21 00 03")
NO_V5_SAID_IN_V5 = bytes.fromhex("20 03 00 84 00")
NO_V5_SAID_IN_V311 = bytes.fromhex("20 02 00 01")
NOT_AUTHORIZED_V5 = bytes.fromhex("20 03 00 87 00")

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[int]:
    """A peer that talks bytes to whoever connects; its port."""
    over: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        over.append(task)
        try:
            await peer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    async with asyncio.timeout(10):
        await asyncio.gather(*over)


def answering(*answers: bytes) -> tuple[Peer, list[int]]:
    """Answers the first packet of each connection in turn, then listens; the versions asked for."""
    asked: list[int] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.readexactly(9)  # 2.1: fixed header (2), name (6), version
        asked.append(hello[8])
        answer = answers[len(asked) - 1]
        writer.write(answer)
        if answer in (WELCOME_V311, WELCOME_V5):
            await reader.read(-1)

    return peer, asked


def opening(port: int, **more: str) -> AbstractAsyncContextManager[object]:
    return to(port, **more)(WILL)


@pytest.mark.parametrize("said", [NO_V5_SAID_IN_V5, NO_V5_SAID_IN_V311])
async def test_3_1_1_is_spoken_when_the_broker_says_that_it_has_no_5(said: bytes) -> None:
    peer, asked = answering(said, WELCOME_V311)
    async with listening(peer) as port, to(port)(WILL) as connection:
        assert connection.version == "3.1.1"
    assert asked == [V5, V311]


async def test_every_connection_tries_5_first(broker: Broker) -> None:
    broker.versions = frozenset({V311})
    async with to(broker.port)(WILL) as connection:
        assert connection.version == "3.1.1"
    broker.versions = frozenset({V311, V5})
    async with to(broker.port)(WILL) as connection:
        assert connection.version == "5"


async def test_another_refusal_is_no_reason_to_try_3_1_1() -> None:
    peer, asked = answering(NOT_AUTHORIZED_V5)
    async with listening(peer) as port:
        with pytest.raises(BrokerLost, match="Not authorized") as caught:
            async with opening(port):
                pass
    assert caught.value.reason == 0x87
    assert asked == [V5]


@pytest.mark.parametrize(("version", "number"), [("5", V5), ("3.1.1", V311)])
async def test_a_version_that_was_asked_for_is_not_left(version: str, number: int) -> None:
    peer, asked = answering(NO_V5_SAID_IN_V311)
    async with listening(peer) as port:
        with pytest.raises(BrokerLost):
            async with opening(port, version=version):
                pass
    assert asked == [number]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closes at once"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2p1\r\n", id="another protocol"),
        pytest.param(b"\x20\x02\x00", id="half a packet"),
        pytest.param(b"\x20\xff\xff\xff\xff\xff", id="an endless length"),
        pytest.param(b"\x20\x03\x00\x99\xff", id="an unknown reason"),
    ],
)
async def test_a_peer_that_is_no_broker_is_left_at_once(answer: bytes) -> None:
    peer, _ = answering(answer)
    began = time.monotonic()
    async with listening(peer) as port:
        with pytest.raises(BrokerLost):
            async with opening(port):
                pass
    assert time.monotonic() - began < 1.0  # the deadline of `to` is 2 s


async def test_a_silent_peer_is_left_at_the_deadline() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with listening(mute) as port:
        with pytest.raises(BrokerLost, match=f"no answer from mqtt://127.0.0.1:{port} within 2 s"):
            async with opening(port):
                pass


async def test_nobody_there_is_said_with_the_url() -> None:
    port = free_port()
    with pytest.raises(BrokerLost, match=f"mqtt://127.0.0.1:{port}.*Connect call failed"):
        async with opening(port):
            pass


async def test_the_window_is_the_broker_s_where_that_is_smaller() -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(WELCOME_V5_RECEIVE_MAXIMUM_3)
        while head := await reader.read(2):
            arrived.put_nowait((await reader.readexactly(head[1]))[2:3] if head[1] else b"bye")

    async with listening(peer) as port, to(port)(WILL) as connection:
        assert connection.window == 3
        for name in "abcdef":
            connection.publish(Outgoing(topic=name, payload=b""))
        connection.publish(Outgoing(topic="z", payload=b"", qos=0))
        async with asyncio.timeout(5):
            assert [await arrived.get() for _ in range(4)] == [b"a", b"b", b"c", b"z"]
        assert not connection.is_congested()


async def test_publishing_on_a_lost_connection_says_so(broker: Broker) -> None:
    async with to(broker.port)(WILL) as connection:
        broker.drop("readerd-lab1-bench2")
        with pytest.raises(BrokerLost, match="ended"):
            async for _ in connection.incoming():
                pass
        with pytest.raises(BrokerLost, match="ended"):
            connection.publish(Outgoing(topic="x", payload=b""))
        with pytest.raises(BrokerLost, match="ended"):
            connection.subscribe("x")
        await connection.goodbye()


async def test_messages_carry_what_an_answer_needs(broker: Broker) -> None:
    async with to(broker.port)(WILL) as connection:
        assert await connection.subscribe(f"{ROOT}/cmd/#") == 1
        await connection.publish(Outgoing(topic=f"{ROOT}/cmd/ping", payload=b"{}"))
        async with asyncio.timeout(5):
            message = await anext(aiter(connection.incoming()))
    assert (message.topic, message.payload, message.retained) == (f"{ROOT}/cmd/ping", b"{}", False)
    assert (message.response_topic, message.correlation) == (None, None)


async def test_what_was_retained_before_is_not_asked_for(broker: Broker) -> None:
    async with to(broker.port)(WILL) as connection:
        await connection.publish(Outgoing(topic=f"{ROOT}/cmd/read", payload=b"old", retain=True))
        await connection.subscribe(f"{ROOT}/cmd/#")
        await connection.publish(Outgoing(topic=f"{ROOT}/cmd/fence", payload=b"new"))
        async with asyncio.timeout(5):
            assert (await anext(aiter(connection.incoming()))).payload == b"new"


def test_a_password_comes_from_its_file_or_from_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench2.password").write_text("correct horse \n")
    assert read_password(str(tmp_path / "bench2.password")) == "correct horse "
    assert read_password("") is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password("/etc/readerd/bench2.password") == "correct horse "
    with pytest.raises(FileNotFoundError):
        read_password("other")
