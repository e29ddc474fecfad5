"""One connection to the broker, with a session that outlives it: the MQTT library's only home here.

Two things the library does not do by itself. It acknowledges a message on arrival; we do it when
the message is durable, so that a broker which remembers redelivers what a crash took from us. And
it hides that a broker refuses a publish; a refused receipt must be seen, else a reader waits for
ever for one that we believe to have sent.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from readerd.collect.settings import CollectSettings
from readerd.errors import ReaderdError

# The contract, section 4: keepalive.
KEEPALIVE_S: Final = 12
# Unacknowledged messages that the broker may send us: what bounds our memory on MQTT 5.
RECEIVE_MAXIMUM: Final = 200
# MQTT 5.0, 2.4: reason codes from here on refuse.
REFUSED_FROM: Final = 0x80

_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL)


class LinkLost(ReaderdError):
    """No connection, or no longer; the text says why."""


class Link(Protocol):
    """From the broker's welcome to the connection's end. Every verb may raise LinkLost."""

    async def subscribe(self) -> list[str]:
        """Ask for everything; the filters that the broker refuses."""
        ...

    def incoming(self) -> AsyncIterator[aiomqtt.Message]:
        """What arrives, until LinkLost."""
        ...

    def acknowledge(self, message: aiomqtt.Message) -> None:
        """Tell the broker that we have it; nothing more than QoS 1 is ever asked for."""
        ...

    async def publish(self, topic: str, payload: bytes, expiry_s: int | None = None) -> None:
        """QoS 1, not retained, until the broker has acknowledged it."""
        ...


# Opens a connection on the session that the broker keeps for us, and tells of refused publishes.
Connect = Callable[[CollectSettings, Callable[[str], None]], AbstractAsyncContextManager[Link]]


class _Link:
    def __init__(
        self, client: aiomqtt.Client, settings: CollectSettings, on_refused: Callable[[str], None]
    ) -> None:
        self._client = client
        self._settings = settings
        self._on_refused = on_refused
        self._topics: dict[int, str] = {}
        self._publish_callback: Any = client._client.on_publish
        client._client.on_publish = self._on_publish
        client._client.manual_ack_set(True)

    async def subscribe(self) -> list[str]:
        filters = self._settings.topics
        is_5 = self._settings.version == "5"
        asked: Any = [(name, SubscribeOptions(qos=1) if is_5 else 1) for name in filters]
        try:
            codes = await self._client.subscribe(asked)
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from None
        values = [getattr(code, "value", code) for code in codes]
        return [name for name, value in zip(filters, values, strict=True) if value >= REFUSED_FROM]

    async def incoming(self) -> AsyncIterator[aiomqtt.Message]:
        try:
            async for message in self._client.messages:
                yield message
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from None

    def acknowledge(self, message: aiomqtt.Message) -> None:
        if message.qos:
            self._client._client.ack(message.mid, message.qos)

    async def publish(self, topic: str, payload: bytes, expiry_s: int | None = None) -> None:
        properties = None
        if self._settings.version == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = "application/json"
            if expiry_s is not None:
                properties.MessageExpiryInterval = expiry_s
        try:
            await self._client.publish(topic, payload, qos=1, properties=properties)
        except aiomqtt.MqttError as error:
            raise LinkLost(str(error)) from None

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, more: Any) -> None:
        value = getattr(reason, "value", reason)
        if isinstance(value, int) and value >= REFUSED_FROM:
            asyncio.get_running_loop().call_soon(self._on_refused, str(reason))
        self._publish_callback(client, userdata, mid, reason, more)


@asynccontextmanager
async def connection(
    settings: CollectSettings, on_refused: Callable[[str], None]
) -> AsyncIterator[Link]:
    """A new client on the session that the broker keeps for us; LinkLost when there is none."""
    welcomed = False
    try:
        client = _client(settings)
        async with client:
            welcomed = True
            yield _Link(client, settings, on_refused)
    except aiomqtt.MqttError as error:
        silent = not welcomed and "timed out" in str(error)
        raise LinkLost(_no_welcome(settings) if silent else str(error)) from None
    except OSError as error:
        raise LinkLost(f"{settings.url}: {error}") from None


def _no_welcome(settings: CollectSettings) -> str:
    """TLS 1.3 brokers end a connection without our certificate only after the handshake."""
    wanted = settings.url.startswith("mqtts:") and not settings.cert_file
    hint = "; it may want our certificate (--cert-file)" if wanted else ""
    return f"{settings.url} did not welcome us within {settings.within_s:g} s{hint}"


def _client(settings: CollectSettings) -> aiomqtt.Client:
    session: dict[str, Any] = {"clean_session": False}
    if settings.version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.session_s
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        session = {"clean_start": False, "properties": properties}
    is_5 = settings.version == "5"
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.username or None,
        password=settings.password(),
        identifier=settings.client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if is_5 else aiomqtt.ProtocolVersion.V311,
        timeout=settings.within_s,
        keepalive=KEEPALIVE_S,
        tls_context=settings.tls(),
        logger=_library_log,
        **session,
    )
