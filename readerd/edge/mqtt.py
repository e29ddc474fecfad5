"""The MQTT client: the only home of aiomqtt and paho in the daemon.

The problem: a message counts as delivered when the broker has said yes, and the library hides that
word. `aiomqtt.Client.publish` returns as if all were well when the broker refuses (MQTT 5 reason
code 0x80 and above), waits its whole timeout when the connection is already gone, can swallow the
cancellation of whoever waits (`asyncio.wait_for` did, before Python 3.12), and connecting blocks a
thread that cannot be cancelled.

The rule: one new client per connection, never reused. We open the TCP connection and do the TLS
handshake ourselves on the loop, so both can be cancelled, and cutting our own socket ends a
connection whatever state the library is in. Publishing and subscribing go to the paho client under
aiomqtt, whose callbacks hand the reason codes over: they run on the loop, while paho holds a lock
that its `publish` takes, so they only resolve futures. MQTT 5 is tried first and 3.1.1 only when
the broker says that it does not speak 5. MQTT 5's No Local is not used: a broker may compare client
ids, and our own late will, which we must see, carries ours.

Rejected: a client that reconnects by itself (it re-sends what it remembers, out of our order),
`clean_start = False` (the outbox is the memory; a second one in the broker can only disagree), and
paho's own thread (acknowledgements would come from outside the loop).
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from readerd.edge.broker import BrokerLost, Connect, Connection, Incoming, Outgoing
from readerd.edge.mqtt_settings import MqttSettings

log = logging.getLogger(__name__)

# The contract, section 4: connection.
KEEPALIVE_S: Final = 12
TCP_USER_TIMEOUT_MS: Final = 20_000
WINDOW: Final = 20
# MQTT 5.0, 2.4: the broker does not speak the version that we asked for.
UNSUPPORTED_VERSION: Final = 0x84
# MQTT 5.0, 3.8.3.1: send nothing that was retained before the subscription.
NO_RETAINED: Final = 2
SEND_RETAINED: Final = 0
# Messages from outside that wait for us; more are dropped, a broker must not fill our memory.
INCOMING_LIMIT: Final = 200
CUT_WITHIN_S: Final = 0.5

# What the library calls an error we report ourselves, once.
_library_log = logging.getLogger(f"{__name__}.library")
_library_log.setLevel(logging.CRITICAL)

_PROTOCOLS: Final = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}


def connector(settings: MqttSettings, client_id: str, *, within_s: float = 10.0) -> Connect:
    """`connect` for a publisher: each call opens one new connection with these settings."""
    return partial(_connection, settings, client_id, within_s)


@asynccontextmanager
async def _connection(
    settings: MqttSettings, client_id: str, within_s: float, will: Outgoing
) -> AsyncIterator[Connection]:
    open_as = partial(_open, settings, client_id, within_s, will)
    try:
        link = await open_as("5" if settings.version == "auto" else settings.version)
    except BrokerLost as error:
        if settings.version != "auto" or error.reason != UNSUPPORTED_VERSION:
            raise
        log.debug("mqtt version=5 refused, trying 3.1.1")
        link = await open_as("3.1.1")
    try:
        yield link
    finally:
        await link.cut()


async def _open(
    settings: MqttSettings, client_id: str, within_s: float, will: Outgoing, version: str
) -> "_Link":
    try:
        async with asyncio.timeout(within_s):
            client = _client(settings, client_id, within_s, will, version)
            sock = await _tcp(settings.host, settings.port)
            if settings.tls:
                sock = await _tls(sock, settings)
            link = _Link(client, sock, version)
            await link.enter()
            return link
    except TimeoutError:
        raise BrokerLost(f"no answer from {settings.url} within {within_s:g} s") from None
    except OSError as error:
        raise BrokerLost(f"{settings.url}: {error}") from None


async def _tcp(host: str, port: int) -> socket.socket:
    """A connected socket, from the first address of the host that answers."""
    loop = asyncio.get_running_loop()
    refusal = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
            await loop.sock_connect(sock, address)
        except OSError as error:
            sock.close()
            refusal = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise refusal


async def _tls(sock: socket.socket, settings: MqttSettings) -> ssl.SSLSocket:
    """The handshake, without blocking; the broker's name must stand in its certificate."""
    try:
        context = await asyncio.to_thread(tls_context, settings)
        secured = context.wrap_socket(
            sock, server_hostname=settings.host, do_handshake_on_connect=False
        )
    except BaseException:
        sock.close()
        raise
    loop = asyncio.get_running_loop()
    try:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(secured, loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _ready(secured, loop.add_writer, loop.remove_writer)
            else:
                return secured
    except BaseException:
        secured.close()
        raise


def tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Whom we trust and who we are; OSError when a file cannot be used."""
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


async def _ready(sock: socket.socket, add: Any, remove: Any) -> None:
    happened = asyncio.Event()
    add(sock, happened.set)
    try:
        await happened.wait()
    finally:
        remove(sock)


def read_password(file: str) -> str | None:
    """The password in a file, or in the systemd credential of that name; None without a file."""
    if not file:
        return None
    path = Path(file)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and not path.exists():
        path = Path(credentials) / path.name
    return path.read_text(encoding="utf-8").rstrip("\r\n")


def _client(
    settings: MqttSettings, client_id: str, within_s: float, will: Outgoing, version: str
) -> aiomqtt.Client:
    session: dict[str, Any] = {"clean_session": True}
    if version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        session = {"clean_start": True, "properties": properties}
    return aiomqtt.Client(
        settings.host,
        settings.port,
        username=settings.username or None,
        password=read_password(settings.password_file),
        identifier=client_id,
        protocol=_PROTOCOLS[version],
        will=aiomqtt.Will(will.topic, will.payload, will.qos, will.retain),
        timeout=within_s,
        keepalive=KEEPALIVE_S,
        max_queued_incoming_messages=INCOMING_LIMIT,
        logger=_library_log,
        **session,
    )


@lru_cache(maxsize=16)  # paho takes longer to make them than to send them, and never writes on them
def _publish_properties(
    content_type: str, expiry_s: int | None, correlation: bytes | None
) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = content_type
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if correlation is not None:
        properties.CorrelationData = correlation
    return properties


class _Link:
    """One aiomqtt client on a socket of ours, with the answers that it would hide."""

    def __init__(self, client: aiomqtt.Client, sock: socket.socket, version: str) -> None:
        self.version = version
        self.window = WINDOW
        self._most_bytes: int | None = None
        self._client = client
        self._paho = client._client
        self._sock = sock
        self._lost: asyncio.Future[tuple[str, int | None]] = asyncio.Future()
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._connect_callback: Any = self._paho.on_connect
        self._disconnect_callback: Any = self._paho.on_disconnect
        self._paho.on_connect = self._on_connect
        self._paho.on_disconnect = self._on_disconnect
        self._paho.on_publish = self._on_publish
        self._paho.on_subscribe = self._on_subscribe
        self._paho._create_socket_connection = lambda: sock  # type: ignore[method-assign]

    async def enter(self) -> None:
        """CONNECT to CONNACK; BrokerLost with the broker's reason when it refuses."""
        entering: asyncio.Future[Any] = asyncio.ensure_future(self._client.__aenter__())
        either: tuple[asyncio.Future[Any], ...] = (entering, self._lost)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done():
                raise self._loss()
            entering.result()
            # aiomqtt's own would do it a turn later, when the socket may already be another one.
            self._paho.on_socket_register_write = self._on_wants_to_write
        except BaseException as error:
            entering.cancel()
            await asyncio.wait({entering})
            if not entering.cancelled():
                entering.exception()
            await self.cut()
            if isinstance(error, aiomqtt.MqttError):
                raise BrokerLost(str(error)) from None
            raise

    async def cut(self) -> None:
        """End the connection now, in whatever state it is; a second time does nothing."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        if self._paho.socket() is None:
            self._sock.close()
        else:  # paho sees the end of the stream, closes the socket and says so
            await asyncio.wait({self._lost}, timeout=CUT_WITHIN_S)

    def publish(self, message: Outgoing) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        info = self._paho.publish(
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            self._properties(message),
        )
        if info.rc:
            raise self._loss()
        if message.qos:
            self._answers[info.mid] = answer
        else:
            answer.set_result(0)
        return answer

    def _properties(self, message: Outgoing) -> Properties | None:
        if self.version != "5":
            return None
        return _publish_properties(message.content_type, message.expiry_s, message.correlation)

    def takes(self, message: Outgoing) -> bool:
        return self._most_bytes is None or message.most_bytes() <= self._most_bytes

    def is_congested(self) -> bool:
        return self._paho.want_write()

    def subscribe(self, topic_filter: str, *, retained: bool = False) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.version == "5":
            # As published: who publishes a command retained while we listen is told at once. Both
            # times, because mosquitto 2.0.11 keeps this option of the first subscription.
            options = SubscribeOptions(
                qos=1,
                retainAsPublished=topic_filter.endswith("/#"),
                retainHandling=SEND_RETAINED if retained else NO_RETAINED,
            )
            result, mid = self._paho.subscribe(topic_filter, options=options)
        else:
            result, mid = self._paho.subscribe(topic_filter, qos=1)
        if result or mid is None:
            raise self._loss()
        self._answers[mid] = answer
        return answer

    async def incoming(self) -> AsyncIterator[Incoming]:
        try:
            async for message in self._client.messages:
                properties = message.properties
                yield Incoming(
                    topic=str(message.topic),
                    payload=bytes(message.payload),
                    retained=message.retain,
                    response_topic=getattr(properties, "ResponseTopic", None),
                    correlation=getattr(properties, "CorrelationData", None),
                )
        except aiomqtt.MqttError as error:
            raise self._loss(str(error)) from None

    async def goodbye(self) -> None:
        self._paho.disconnect()
        await asyncio.wait({self._lost}, timeout=CUT_WITHIN_S)

    def _loss(self, text: str = "the connection is gone") -> BrokerLost:
        return BrokerLost(*self._lost.result()) if self._lost.done() else BrokerLost(text)

    # paho's callbacks: on the loop, inside paho's locks. They resolve futures and nothing else.

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self._paho._max_inflight_messages = self.window
        self._most_bytes = getattr(properties, "MaximumPacketSize", None)
        if reason.is_failure and not self._lost.done():
            self._lost.set_result((f"the broker refused: {reason}", _code(reason)))
        self._connect_callback(client, userdata, flags, reason, properties)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any
    ) -> None:
        self._answer(mid, reason)

    def _on_subscribe(
        self, client: Any, userdata: Any, mid: int, reasons: list[Any], properties: Any
    ) -> None:
        self._answer(mid, reasons[0])

    def _answer(self, mid: int, reason: Any) -> None:
        # A broker with Nagle's algorithm holds the next acknowledgement back until this one is
        # acknowledged by TCP, which our kernel may put off for 40 ms; tcp(7), TCP_QUICKACK.
        with suppress(OSError):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        answer = self._answers.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(_code(reason) or 0)

    def _on_wants_to_write(self, client: Any, userdata: Any, sock: Any) -> None:
        asyncio.get_running_loop().add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._paho.loop_write()
        except OSError:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        code = _code(reason) if flags.is_disconnect_packet_from_server else None
        if not self._lost.done():
            self._lost.set_result((f"the connection ended: {reason}", code))
        # aiomqtt would keep an exception that nobody fetches; the reason is ours to tell.
        self._disconnect_callback(client, userdata, flags, 0, properties)


def _code(reason: Any) -> int | None:
    """The number of a reason code, whichever way the library wraps it."""
    value = getattr(reason, "value", reason)
    return value if isinstance(value, int) else None
