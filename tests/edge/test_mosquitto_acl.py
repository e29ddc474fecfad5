"""The access rules that we ship, on a real mosquitto with client certificates."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest

from readerd.edge.broker import REFUSED_FROM, BrokerLost, Outgoing
from readerd.edge.mqtt import connector
from readerd.edge.mqtt_settings import MqttSettings
from tests.conftest import Mosquitto, StartMosquitto
from tests.edge.delivery import ROOT, Alarms, Journal, Links, Running
from tests.edge.test_mosquitto import WILL, authority, issue

RULES = Path(__file__).parents[2] / "systemd" / "mosquitto.acl"
As = Callable[[str], MqttSettings]


@pytest.fixture
def guarded(mosquitto: StartMosquitto, tmp_path: Path) -> Mosquitto:
    """mosquitto as the head of the shipped file says."""
    ca = authority(tmp_path / "tls")
    certificate, key = issue(tmp_path / "tls", "broker", alternative="IP:127.0.0.1")
    return mosquitto(
        f"cafile {ca}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        f"acl_file {RULES}",
    )


@pytest.fixture
def as_user(guarded: Mosquitto, tmp_path: Path) -> As:
    """Settings of a client whose certificate has this CN."""

    def named(name: str) -> MqttSettings:
        certificate, key = issue(tmp_path / "tls", name)
        return MqttSettings(
            url=f"mqtts://127.0.0.1:{guarded.port}",
            ca_file=str(tmp_path / "tls" / "ca.pem"),
            cert_file=certificate,
            key_file=key,
        )

    return named


async def test_a_client_without_a_certificate_is_refused(
    guarded: Mosquitto, tmp_path: Path
) -> None:
    url, ca = f"mqtts://127.0.0.1:{guarded.port}", str(tmp_path / "tls" / "ca.pem")
    with pytest.raises(BrokerLost):
        async with connector(MqttSettings(url=url, ca_file=ca), "bench2", within_s=5.0)(WILL):
            pass


async def test_the_readers_own_certificate_may_do_all_that_a_daemon_does(
    as_user: As, journal: Journal, publishing: Running, alarms: Alarms, links: Links
) -> None:
    journal.result("r1")
    inbox = {"cmd/#": lambda message: None, "receipt/#": lambda message: None}
    for count, version in enumerate(("5", "3.1.1"), start=1):
        settings = as_user("bench2").model_copy(update={"version": version})
        connect = connector(settings, "readerd-lab1-bench2", within_s=5.0)
        async with publishing(connect, inbox=inbox) as publisher:
            publisher.publish_retained("state", b"ready")
            journal.note(f"n{count}")
            publisher.wake()
            await journal.settled()
        await links.times(count)
        assert "publish-refused" not in alarms.raised
        assert "subscribe-refused" not in alarms.raised


async def test_a_wrong_name_can_neither_say_nor_close_anything(
    as_user: As, journal: Journal, publishing: Running, alarms: Alarms
) -> None:
    journal.result("r1")
    async with publishing(connector(as_user("stranger"), "readerd-lab1-bench2", within_s=5.0)):
        await alarms.until(lambda: "publish-refused" in alarms.standing)
    assert len(journal.store.outbox.pending(99)) == 3
    assert journal.closed == []


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("lims", "bench2/cmd/read", True),
        ("lims", "bench3/cmd/read", True),
        ("lims", "bench2/receipt/lims", True),
        ("lims", "bench2/receipt/other", False),
        ("lims", "bench2/result", False),
        ("station-bench2", "bench2/cmd/read", True),
        ("station-bench2", "bench3/cmd/read", False),
        ("station-bench2", "bench2/cmd/platemap", False),
        ("bench3", "bench2/cmd/read", False),
        ("bench3", "bench2/result", False),
        ("bench3", "bench2/status", False),
        ("bench3", "bench3/cmd/read", False),
        ("stranger", "bench2/cmd/read", False),
    ],
)
async def test_who_may_say_what(as_user: As, user: str, topic: str, allowed: bool) -> None:
    connect = connector(as_user(user), user, within_s=5.0)
    will = Outgoing(topic=f"will/{user}", payload=b"")
    async with asyncio.timeout(10), connect(will) as connection:
        message = Outgoing(topic=f"readerd/v1/lab1/{topic}", payload=b"{}")
        assert (await connection.publish(message) < REFUSED_FROM) is allowed
        await connection.goodbye()


async def test_a_command_that_the_rules_refuse_never_reaches_the_other_reader(
    guarded: Mosquitto, as_user: As
) -> None:
    """bench2 listens to its commands: the station of another reader is not heard, the LIMS is."""

    def tls(settings: MqttSettings) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.load_cert_chain(settings.cert_file, settings.key_file)
        return context

    def client(name: str) -> aiomqtt.Client:
        context = tls(as_user(name))
        return aiomqtt.Client(
            "127.0.0.1", guarded.port, tls_context=context, protocol=aiomqtt.ProtocolVersion.V311
        )

    async with (
        asyncio.timeout(10),
        client("bench2") as reader,
        client("bench3") as other,
        client("lims") as lims,
    ):
        await reader.subscribe(f"{ROOT}/cmd/#", qos=1)
        await other.publish(
            f"{ROOT}/cmd/read", b"forged", qos=1
        )  # 3.1.1: acknowledged all the same
        await lims.publish(f"{ROOT}/cmd/read", b"meant", qos=1)
        message = await anext(aiter(reader.messages))
        assert message.payload == b"meant"
