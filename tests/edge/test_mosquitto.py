"""The publisher against a real mosquitto: its access rules, its death, its silence, its TLS."""

import asyncio
import shutil
import signal
import subprocess
from pathlib import Path

import aiomqtt
import pytest

from readerd.edge import mqtt
from readerd.edge.broker import BrokerLost, Outgoing
from readerd.edge.mqtt import connector
from readerd.edge.mqtt_settings import MqttSettings
from readerd.edge.timing import Timing
from tests.conftest import Mosquitto, StartMosquitto
from tests.edge.delivery import (
    ROOT,
    Alarms,
    Journal,
    Links,
    LogLines,
    Running,
    to,
    witnessing,
)

WILL = Outgoing(topic=f"{ROOT}/status", payload=b"offline", retain=True)


@pytest.mark.parametrize("version", ["5", "3.1.1", "auto"])
async def test_rows_and_retained_arrive(
    mosquitto: StartMosquitto, journal: Journal, publishing: Running, version: str
) -> None:
    broker = mosquitto()
    stored = [journal.note(f"n{number}") for number in range(100)]
    async with (
        witnessing(broker.port) as lims,
        publishing(to(broker.port, version=version)) as publisher,
    ):
        publisher.publish_retained("state", b"ready")
        assert await lims.hear("event", 100) == stored
        assert ("state", b"ready") in lims.heard
        await journal.settled()


async def test_a_broker_killed_twice_forgets_and_is_told_everything_again(
    mosquitto: StartMosquitto, journal: Journal, publishing: Running, links: Links
) -> None:
    broker = mosquitto()
    async with publishing(to(broker.port)) as publisher:
        publisher.publish_retained("state", b"ready")
        await links.times(1)
        for time_around in (1, 2):
            broker.end(signal.SIGKILL)
            await links.times(time_around, connected=False)
            stored = [journal.note(f"{time_around}-{number}") for number in range(30)]
            broker.start()
            async with witnessing(broker.port) as lims:
                await links.times(time_around + 1)
                await journal.settled()
                assert journal.closed[-30:] == sorted(journal.closed)[-30:]
                assert len(set(journal.closed)) == 30 * time_around
                publisher.publish_retained("health", f"{time_around}".encode())
                await lims.hear("health")
                offered = [payload for topic, payload in lims.heard if topic == "event"]
                # the witness may have come later than the first rows; it heard the rest in order
                assert offered == stored[len(stored) - len(offered) :]
                assert b"ready" in [payload for topic, payload in lims.heard if topic == "state"]


async def test_a_topic_that_the_access_rules_forbid_is_noticed_kept_and_delivered_later(
    mosquitto: StartMosquitto,
    journal: Journal,
    publishing: Running,
    alarms: Alarms,
    tmp_path: Path,
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite {ROOT}/#\ntopic deny {ROOT}/result\n")
    broker = mosquitto(f"acl_file {rules}")
    results = [journal.result(f"r{number}") for number in range(3)]
    async with publishing(to(broker.port)):
        await alarms.until(lambda: "publish-refused" in alarms.standing)
        assert "result (0x87)" in alarms.standing["publish-refused"]
        await journal.until(lambda: len(journal.closed) == 6)
        assert [row.payload for row in journal.store.outbox.pending(9)] == results
        async with witnessing(broker.port) as lims:
            rules.write_text(f"topic readwrite {ROOT}/#\n")
            broker.send(signal.SIGHUP)
            assert await lims.hear("result", 3) == results
        await journal.settled()
        assert "publish-refused" not in alarms.standing


async def test_a_broker_that_stops_answering_is_noticed_by_the_missing_acknowledgement(
    mosquitto: StartMosquitto, journal: Journal, publishing: Running, links: Links
) -> None:
    """SIGSTOP: the connection stands, nobody is there. Twice in a row."""
    broker = mosquitto()
    async with publishing(to(broker.port)) as publisher:
        for time_around in (1, 2):
            await links.times(time_around)
            broker.send(signal.SIGSTOP)
            stored = journal.note(f"n{time_around}")
            publisher.wake()
            await links.times(time_around, connected=False)
            assert [row.payload for row in journal.store.outbox.pending(9)] == [stored]
            broker.send(signal.SIGCONT)
            await journal.settled()


async def test_an_idle_half_open_connection_is_noticed_within_two_keepalives(
    mosquitto: StartMosquitto,
    journal: Journal,
    publishing: Running,
    links: Links,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGSTOP while nobody says anything; at the defaults, with a second to look, under 30 s."""
    assert 2 * mqtt.KEEPALIVE_S + 2 < 30
    assert Timing().acknowledge_within_s + 2 < 30
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 1)
    broker = mosquitto()
    journal.note("the last word")
    async with publishing(to(broker.port)):
        await journal.settled()
        await links.times(1)
        began_s = asyncio.get_running_loop().time()
        broker.send(signal.SIGSTOP)
        await links.times(1, connected=False)
        broker.send(signal.SIGCONT)
        assert asyncio.get_running_loop().time() - began_s < 2 * mqtt.KEEPALIVE_S + 2
        await links.times(2)


def password_file(tmp_path: Path, **passwords: str) -> Path:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not installed")
    file = tmp_path / "passwd"
    file.touch(0o600)
    for user, password in passwords.items():
        subprocess.run([program, "-b", file, user, password], check=True, capture_output=True)
    return file


async def test_a_wrong_password_is_told_and_the_right_one_is_taken_from_its_file(
    mosquitto: StartMosquitto, publishing: Running, tmp_path: Path, log_lines: LogLines
) -> None:
    users = password_file(tmp_path, bench2="right")
    broker = mosquitto("allow_anonymous false", f"password_file {users}")
    ours = tmp_path / "bench2.password"
    ours.write_text("wrong\n")
    async with publishing(to(broker.port, username="bench2", password_file=str(ours))):
        assert "Not authorized" in (await log_lines("link=lost")).getMessage()
        ours.unlink()
        assert "bench2.password" in (await log_lines("No such file")).getMessage()
        ours.write_text("right\n")
        await log_lines("link=up")


def issue(directory: Path, name: str, *, alternative: str = "") -> tuple[str, str]:
    """A certificate and key signed by the test authority in this directory."""
    openssl(directory, f"req -newkey ec:{CURVE} -nodes -keyout {name}.key -out {name}.csr", name)
    (directory / f"{name}.ext").write_text(alternative and f"subjectAltName={alternative}\n")
    openssl(
        directory,
        f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
        f" -extfile {name}.ext -out {name}.pem",
    )
    return str(directory / f"{name}.pem"), str(directory / f"{name}.key")


CURVE = "curve.pem"


def openssl(directory: Path, arguments: str, name: str = "") -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    subject = ["-subj", f"/CN={name}"] if name else []
    subprocess.run(
        [program, *arguments.split(), *subject], cwd=directory, check=True, capture_output=True
    )


def authority(directory: Path) -> str:
    directory.mkdir()
    openssl(directory, f"ecparam -name prime256v1 -out {CURVE}")
    openssl(
        directory, f"req -x509 -newkey ec:{CURVE} -nodes -days 2 -keyout ca.key -out ca.pem", "ca"
    )
    return str(directory / "ca.pem")


@pytest.fixture
def tls_broker(mosquitto: StartMosquitto, tmp_path: Path) -> Mosquitto:
    """mosquitto that speaks only to clients with a certificate of the authority in `tls`."""
    ca = authority(tmp_path / "tls")
    certificate, key = issue(tmp_path / "tls", "broker", alternative="IP:127.0.0.1")
    return mosquitto(
        f"cafile {ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"
    )


async def test_tls_with_a_client_certificate(
    tls_broker: Mosquitto, journal: Journal, publishing: Running, tmp_path: Path
) -> None:
    certificate, key = issue(tmp_path / "tls", "bench2")
    settings = MqttSettings(
        url=f"mqtts://127.0.0.1:{tls_broker.port}",
        ca_file=str(tmp_path / "tls" / "ca.pem"),
        cert_file=certificate,
        key_file=key,
    )
    journal.note("n")
    async with publishing(connector(settings, "bench2", within_s=5.0)) as publisher:
        await journal.settled()
        assert publisher.connected
        journal.note("n" * 200_000)  # more than one TLS record
        publisher.wake()
        await journal.settled()


async def test_tls_without_a_client_certificate_or_with_the_wrong_authority_is_refused(
    tls_broker: Mosquitto, tmp_path: Path
) -> None:
    other = authority(tmp_path / "other")
    url = f"mqtts://127.0.0.1:{tls_broker.port}"
    ca = str(tmp_path / "tls" / "ca.pem")
    for settings, text in (
        (MqttSettings(url=url, ca_file=other), "certificate verify failed"),
        (MqttSettings(url=url, ca_file=str(tmp_path / "missing.pem")), "No such file"),
        (MqttSettings(url=url, ca_file=ca), "the connection ended"),
        (MqttSettings(url=url.replace("mqtts", "mqtt")), "the connection ended"),
    ):
        with pytest.raises(BrokerLost, match=text):
            async with connector(settings, "bench2", within_s=5.0)(WILL):
                pass


async def test_a_name_that_is_not_in_the_certificate_is_refused(
    mosquitto: StartMosquitto, tmp_path: Path
) -> None:
    ca = authority(tmp_path / "tls")
    certificate, key = issue(tmp_path / "tls", "broker", alternative="DNS:elsewhere.example")
    broker = mosquitto(f"certfile {certificate}", f"keyfile {key}")
    settings = MqttSettings(url=f"mqtts://127.0.0.1:{broker.port}", ca_file=ca)
    with pytest.raises(BrokerLost, match="not valid for '127\\.0\\.0\\.1'"):
        async with connector(settings, "bench2", within_s=5.0)(WILL):
            pass


async def test_the_will_speaks_when_the_connection_is_left_without_goodbye(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto()
    async with witnessing(broker.port) as lims:
        with pytest.raises(aiomqtt.MqttError):
            async with to(broker.port)(WILL):
                raise aiomqtt.MqttError
        assert await lims.hear("status") == [b"offline"]
        async with to(broker.port)(WILL) as connection:
            await connection.goodbye()
        await lims.client.publish(f"{ROOT}/fence", b"", qos=1)
        await lims.hear("fence")
        assert [topic for topic, _ in lims.heard] == ["status", "fence"]
        async with asyncio.timeout(5), to(broker.port)(WILL) as connection:
            assert await connection.publish(Outgoing(topic=f"{ROOT}/x", payload=b"")) < 0x80
            await connection.goodbye()
