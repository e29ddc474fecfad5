"""`[mqtt]`: what is taken, and what each mistake is told."""

from typing import Any

import pytest
from pydantic import ValidationError

from readerd.edge.mqtt_settings import MqttSettings


def mistakes(**given: Any) -> dict[str, str]:
    """Where and what, of every mistake."""
    with pytest.raises(ValidationError) as caught:
        MqttSettings(**{"url": "mqtts://broker.example", **given})
    return {".".join(map(str, one["loc"])): one["msg"] for one in caught.value.errors()}


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://127.0.0.1", "127.0.0.1", 1883, False),
        ("mqtts://broker.example", "broker.example", 8883, True),
        ("mqtt://broker.example:21883/", "broker.example", 21883, False),
        ("mqtts://[2001:db8::1]:8884", "2001:db8::1", 8884, True),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, tls: bool) -> None:
    settings = MqttSettings(url=url)
    assert (settings.host, settings.port, settings.tls) == (host, port, tls)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://broker.example", "must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"),
        ("broker.example:1883", "must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"),
        ("", "must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"),
        ("mqtt://", "names no host"),
        ("mqtt://user:secret@broker.example", "go into username and password_file"),
        ("mqtt://broker.example/readerd", "ends after the port"),
        ("mqtt://broker.example?x=1", "ends after the port"),
        ("mqtt://broker.example:0", "the port must be 1 to 65535"),
        ("mqtt://broker.example:65536", "the port must be 1 to 65535"),
        ("mqtt://broker.example:mqtt", "the port must be 1 to 65535"),
    ],
)
def test_an_address_that_is_none_is_told(url: str, told: str) -> None:
    assert told in mistakes(url=url)["url"]


def test_a_password_in_the_address_is_not_repeated() -> None:
    assert "secret" not in mistakes(url="mqtt://user:secret@broker.example")["url"]


def test_what_belongs_together_comes_together() -> None:
    assert mistakes(password_file="p") == {
        "password_file": "Value error, a password needs a username"
    }
    together = "Value error, cert_file and key_file come together"
    assert mistakes(cert_file="c") == {"key_file": together}
    assert mistakes(key_file="k") == {"key_file": together}
    assert mistakes(url="mqtt://b", ca_file="a") == {
        "ca_file": "Value error, certificates are for mqtts://"
    }
    MqttSettings(url="mqtts://b", ca_file="a", cert_file="c", key_file="k")
    MqttSettings(url="mqtts://b", username="u", password_file="p")


def test_every_mistake_is_told_at_once() -> None:
    assert set(mistakes(url="x", version="4", commands=["reboot"], retain=True)) == {
        "url",
        "version",
        "commands.0",
        "retain",
    }


def test_consumers_are_topic_segments() -> None:
    assert MqttSettings(url="mqtt://b", required_receipts=("lims",)).required_receipts == ("lims",)
    assert "required_receipts.0" in mistakes(required_receipts=["LIMS/1"])


def test_only_harmless_commands_are_open_by_default() -> None:
    opened = set(MqttSettings(url="mqtt://b").commands)
    assert opened.isdisjoint({"read", "abort", "arm", "disarm", "platemap"})
