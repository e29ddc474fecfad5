"""The broker: can it be reached, until when is it trusted, may this reader say what it must say.

A broker may accept every connection and every subscription and still pass nothing on, so the last
question is asked with messages. On topics whose last part is ours to choose (`rsp/doctor`) one is
published always. The reader's own topics have listeners; there a marked message goes out only when
it is asked for (`probe`), never retained; its echo is waited for where a reader may hear itself.
MQTT 3.1.1 acknowledges what it throws away: there only an echo proves anything.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ulid import ULID

from readerd.doctor.certificate import der_ends_at, ends_at
from readerd.doctor.finding import Finding
from readerd.edge.broker import REFUSED_FROM, BrokerLost, Connection, Outgoing, answered
from readerd.edge.mqtt import connector, tls_context
from readerd.edge.mqtt_settings import MqttSettings

BROKER_WITHIN_S: Final = 10.0
EXPIRY_WARNING: Final = timedelta(days=30)
ECHO_WITHIN_S: Final = 3.0
# docs/reference/messages.md: what a reader says, what it hears.
SPOKEN: Final = (
    *("status", "info", "state", "health", "last", "lamp"),
    *("result", "event", "progress"),
)
DIRECTED: Final = ("alarm/doctor", "replay/doctor", "rsp/doctor")
HEARD: Final = ("cmd/#", "receipt/#", "status", "result", "event")
ECHOED: Final = ("status", "result", "event")
OURSELVES: Final = ("127.0.0.1", "::1", "localhost")
PROBE_TYPE: Final = "org.readerd.probe.v1"
ACL: Final = "systemd/mosquitto.acl shows the rules that a reader needs"


async def certificates(settings: MqttSettings, now: datetime) -> AsyncIterator[Finding]:
    """Until when the broker's certificate and our own are good; nothing without TLS."""
    if not settings.tls and settings.host in OURSELVES:
        yield Finding("tls", "ok", f"{settings.url}: the broker is on this machine")
        return
    if not settings.tls:
        yield Finding("tls", "warn", f"{settings.url}: everybody on the way can read and forge")
        return
    if settings.cert_file:
        yield _own(Path(settings.cert_file), now)
    try:
        async with asyncio.timeout(BROKER_WITHIN_S):
            context = await asyncio.to_thread(tls_context, settings)
            _, writer = await asyncio.open_connection(settings.host, settings.port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        text = f"the broker's certificate is not trusted: {error.verify_message}"
        yield Finding("tls", "fail", text, "mqtt.ca_file names the authority, mqtt.url the host")
        return
    except (OSError, TimeoutError) as error:
        yield Finding("tls", "fail", f"{settings.url}: {error or 'no answer'}", "see broker")
        return
    secured = writer.get_extra_info("ssl_object")
    certificate = secured.getpeercert(binary_form=True)
    writer.transport.abort()
    yield _expiry("the broker's certificate", der_ends_at(certificate or b""), now)


def _own(path: Path, now: datetime) -> Finding:
    try:
        return _expiry(f"our certificate {path}", ends_at(path.read_text("utf-8")), now)
    except (OSError, ValueError) as error:
        return Finding("tls", "fail", f"mqtt.cert_file {path}: {error}", "name a PEM file")


def _expiry(what: str, ends: datetime, now: datetime) -> Finding:
    left = ends - now
    seen = f"{what} is good until {ends:%Y-%m-%d}"
    if left <= timedelta(0):
        return Finding("tls", "fail", seen, "it has expired: have it renewed")
    if left < EXPIRY_WARNING:
        return Finding("tls", "warn", seen, f"have it renewed: {left.days} days are left")
    return Finding("tls", "ok", seen)


async def rights(
    settings: MqttSettings,
    root_topic: str,
    *,
    probe: bool,
    tell_time: Callable[[], datetime],
) -> AsyncIterator[Finding]:
    """Connect under a name of our own beside the daemon's; then what may be heard and said."""
    client_id = f"{root_topic.removeprefix('readerd/v1/').replace('/', '-')}-doctor"
    will = Outgoing(topic=f"{root_topic}/rsp/doctor", payload=b"")
    try:
        connect = connector(settings, f"readerd-{client_id}", within_s=BROKER_WITHIN_S)
        async with connect(will) as connection:
            seen = f"{settings.url} answers, MQTT {connection.version}"
            yield Finding("broker", "ok", seen)
            trial = _Trial(connection, root_topic, tell_time)
            yield await trial.subscriptions()
            yield await trial.directed()
            if probe:
                yield await trial.own_topics()
            await connection.goodbye()
    except (BrokerLost, OSError, UnicodeDecodeError) as error:
        todo = "look at mqtt.url, mqtt.username and the broker's log"
        yield Finding("broker", "fail", str(error), todo)


class _Trial:
    """One connection's questions about its rights."""

    def __init__(
        self, connection: Connection, root_topic: str, tell_time: Callable[[], datetime]
    ) -> None:
        self._connection = connection
        self._root_topic = root_topic
        self._tell_time = tell_time

    async def subscriptions(self) -> Finding:
        refused = []
        for name in HEARD:
            answer = self._connection.subscribe(f"{self._root_topic}/{name}")
            reason = await answered(answer, BROKER_WITHIN_S, name)
            refused += [f"{name} ({reason:#04x})"] if reason >= REFUSED_FROM else []
        if refused:
            return self._no(f"may not hear {', '.join(refused)}")
        return Finding("acl", "ok", f"may subscribe to {', '.join(HEARD)}")

    async def directed(self) -> Finding:
        if self._connection.version != "5":
            seen = "MQTT 3.1.1 does not say what it refuses"
            return Finding("acl", "warn", seen, "--probe waits for an echo where there is one")
        refused = [line for name in DIRECTED if (line := await self._refusal(name, b""))]
        if refused:
            return self._no(f"may not say {', '.join(refused)}")
        return Finding("acl", "ok", f"may say {', '.join(DIRECTED)}")

    async def own_topics(self) -> Finding:
        """A marked message on each; those that come back are proven whatever the version."""
        body = {
            "specversion": "1.0",
            "type": PROBE_TYPE,
            "id": str(ULID()),
            "source": "urn:readerd:doctor",
            "time": self._tell_time().isoformat(),
        }
        payload = json.dumps(body).encode()
        echoes = asyncio.create_task(self._echoes(payload))
        refused = [line for name in SPOKEN if (line := await self._refusal(name, payload))]
        expected = set(ECHOED) - {line.split()[0] for line in refused}
        if not expected:
            echoes.cancel()
        missing = sorted(expected - await echoes) if expected else []
        if refused:
            return self._no(f"may not say {', '.join(refused)}")
        if missing:
            return self._no(f"says {', '.join(missing)}, and does not hear it come back")
        if self._connection.version != "5":
            return Finding(
                "acl", "ok", f"{', '.join(ECHOED)} come back; the others cannot be known"
            )
        return Finding("acl", "ok", f"may say {', '.join(SPOKEN)}; {', '.join(ECHOED)} come back")

    async def _refusal(self, name: str, payload: bytes) -> str:
        topic = f"{self._root_topic}/{name}"
        answer = self._connection.publish(Outgoing(topic=topic, payload=payload, expiry_s=5))
        reason = await answered(answer, BROKER_WITHIN_S, name)
        return f"{name} ({reason:#04x})" if reason >= REFUSED_FROM else ""

    async def _echoes(self, payload: bytes) -> set[str]:
        """On which topics the probe came back, within its bound."""
        heard: set[str] = set()
        try:
            async with asyncio.timeout(ECHO_WITHIN_S):
                async for message in self._connection.incoming():
                    if message.payload == payload:
                        heard.add(message.topic.removeprefix(f"{self._root_topic}/"))
                    if heard >= set(ECHOED):
                        break
        except TimeoutError:
            pass
        return heard

    def _no(self, seen: str) -> Finding:
        return Finding("acl", "fail", f"{self._root_topic}: {seen}", ACL)
