"""MQTT 3.1.1 and 5 packets, the broker's side of them: bytes to frozen values and back. Pure.

Sources: OASIS MQTT 3.1.1 (2014) and MQTT 5.0 (2019); section numbers below are those of MQTT 5.0.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

V311: Final = 4
V5: Final = 5


class Kind(IntEnum):
    """Packet types (2.1.2) that a QoS 0/1 broker sends or receives."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class Reason(IntEnum):
    """Reason codes (2.4) that the broker uses; 0x80 and above refuse."""

    SUCCESS = 0x00
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    DISCONNECT_WITH_WILL = 0x04
    UNSPECIFIED = 0x80
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_NOT_VALID = 0x85
    NOT_AUTHORIZED = 0x87
    SERVER_SHUTTING_DOWN = 0x8B
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    QOS_NOT_SUPPORTED = 0x9B
    SHARED_NOT_SUPPORTED = 0x9E


class Property(IntEnum):
    """Properties (2.2.2.2) that the broker looks at; all others pass through unread."""

    MESSAGE_EXPIRY = 2
    SUBSCRIPTION_ID = 11
    SESSION_EXPIRY = 17
    ASSIGNED_CLIENT_ID = 18
    WILL_DELAY = 24
    RECEIVE_MAXIMUM = 33
    TOPIC_ALIAS = 35
    MAXIMUM_QOS = 36
    MAXIMUM_PACKET_SIZE = 39
    SUBSCRIPTION_ID_AVAILABLE = 41
    SHARED_AVAILABLE = 42


# Fixed sizes of the property types (2.2.2.2); strings and binary data carry their own length.
_FIXED: Final = {1: 1, 23: 1, 25: 1, 36: 1, 37: 1, 40: 1, 41: 1, 42: 1, 19: 2, 33: 2, 34: 2, 35: 2}
_FIXED_LONG: Final = {2: 4, 17: 4, 24: 4, 39: 4}
_TEXTS: Final = {3: 1, 8: 1, 9: 1, 18: 1, 21: 1, 22: 1, 26: 1, 28: 1, 31: 1, 38: 2}

# What a sender tells with a message and a subscriber hears unchanged (3.3.2.3).
_FORWARDED: Final = frozenset({1, 2, 3, 8, 9, 38})

Properties = tuple[tuple[int, int | bytes], ...]


class PacketError(Exception):
    """Bytes that are not MQTT, or MQTT that this broker does not speak; `reason` says which."""

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One application message."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    packet_id: int = 0
    properties: Properties = ()

    @property
    def expiry_s(self) -> int | None:
        return number(self.properties, Property.MESSAGE_EXPIRY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """What a client asks for when it connects."""

    version: int
    client_id: str
    clean: bool
    keepalive_s: int
    username: str | None
    password: bytes | None
    will: Publication | None
    properties: Properties

    @property
    def session_expiry_s(self) -> int | None:
        """Seconds that the session outlives the connection; None is for ever."""
        if self.version == V311:
            return 0 if self.clean else None
        expiry_s = number(self.properties, Property.SESSION_EXPIRY) or 0
        return None if expiry_s == 0xFFFF_FFFF else expiry_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One topic filter and how to serve it (3.8.3.1)."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


def number(properties: Properties, name: Property) -> int | None:
    """The value of an integer property, None when it is absent."""
    for key, value in properties:
        if key == name and isinstance(value, int):
            return value
    return None


def forwarded(properties: Properties) -> Properties:
    """The properties of a publication that travel on to its subscribers."""
    return tuple(entry for entry in properties if entry[0] in _FORWARDED)


class _Body:
    """A packet's bytes after the fixed header, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise PacketError(Reason.MALFORMED, "a packet ends before its fields do")
        self._at += size
        return piece

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.integer(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise PacketError(Reason.MALFORMED, "a variable byte integer of more than four bytes")

    def binary(self) -> bytes:
        return self.take(self.integer(2))

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise PacketError(Reason.MALFORMED, "a string is not UTF-8") from None
        if "\0" in text:
            raise PacketError(Reason.MALFORMED, "a string holds U+0000")
        return text

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def properties(self, version: int) -> Properties:
        if version != V5:
            return ()
        body = _Body(self.take(self.variable()))
        found: list[tuple[int, int | bytes]] = []
        while body:
            found.append(body.one_property())
        return tuple(found)

    def one_property(self) -> tuple[int, int | bytes]:
        key = self.variable()
        size = _FIXED.get(key) or _FIXED_LONG.get(key)
        if size:
            return key, self.integer(size)
        if key == Property.SUBSCRIPTION_ID:
            return key, self.variable()
        if key in _TEXTS:
            pieces = [self.binary() for _ in range(_TEXTS[key])]
            return key, b"".join(_binary(piece) for piece in pieces)
        raise PacketError(Reason.MALFORMED, f"unknown property {key}")


def _binary(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def variable(value: int) -> bytes:
    """A variable byte integer (1.5.5)."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _properties(version: int, properties: Properties) -> bytes:
    if version != V5:
        return b""
    body = b"".join(_property(key, value) for key, value in properties)
    return variable(len(body)) + body


def _property(key: int, value: int | bytes) -> bytes:
    """A string or binary value stands here as on the wire, with its length in front."""
    if isinstance(value, bytes):
        return bytes([key]) + value
    if key == Property.SUBSCRIPTION_ID:
        return bytes([key]) + variable(value)
    size = _FIXED.get(key) or _FIXED_LONG[key]
    return bytes([key]) + value.to_bytes(size, "big")


def text_property(key: Property, text: str) -> tuple[int, bytes]:
    """A string property as this module keeps it."""
    return int(key), _binary(text.encode())


def _packet(kind: Kind, body: bytes, flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + variable(len(body)) + body


def parse_connect(data: bytes) -> Connect:
    """CONNECT (3.1). PacketError UNSUPPORTED_VERSION for anything but 3.1.1 and 5."""
    body = _Body(data)
    name, version = body.text(), body.integer(1)
    if name != "MQTT" or version not in (V311, V5):
        raise PacketError(Reason.UNSUPPORTED_VERSION, f"protocol {name} {version}")
    flags, keepalive_s = body.integer(1), body.integer(2)
    properties = body.properties(version)
    client_id = body.text()
    will = None
    if flags & 0x04:
        will_properties = body.properties(version)
        topic, payload = body.text(), body.binary()
        will = Publication(
            topic=topic,
            payload=payload,
            qos=flags >> 3 & 0x03,
            retain=bool(flags & 0x20),
            properties=will_properties,
        )
    return Connect(
        version=version,
        client_id=client_id,
        clean=bool(flags & 0x02),
        keepalive_s=keepalive_s,
        username=body.text() if flags & 0x80 else None,
        password=body.binary() if flags & 0x40 else None,
        will=will,
        properties=properties,
    )


def parse_publish(data: bytes, flags: int, version: int) -> Publication:
    """PUBLISH (3.3)."""
    body = _Body(data)
    topic, qos = body.text(), flags >> 1 & 0x03
    if not topic or "+" in topic or "#" in topic:
        raise PacketError(Reason.TOPIC_NAME_INVALID, f"no topic to publish on: {topic!r}")
    if qos > 1:
        raise PacketError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not spoken here")
    packet_id = body.integer(2) if qos else 0
    properties = body.properties(version)
    return Publication(
        topic=topic,
        payload=body.rest(),
        qos=qos,
        retain=bool(flags & 0x01),
        duplicate=bool(flags & 0x08),
        packet_id=packet_id,
        properties=properties,
    )


def parse_subscribe(data: bytes, version: int) -> tuple[int, list[Subscription]]:
    """SUBSCRIBE (3.8): packet id and what is wanted, with QoS as asked."""
    body = _Body(data)
    packet_id = body.integer(2)
    body.properties(version)
    wanted: list[Subscription] = []
    while body:
        topic_filter, options = body.text(), body.integer(1)
        wanted.append(
            Subscription(
                filter=topic_filter,
                qos=options & 0x03,
                no_local=bool(options & 0x04),
                retain_as_published=bool(options & 0x08),
                retain_handling=options >> 4 & 0x03,
            )
        )
    return packet_id, wanted


def parse_unsubscribe(data: bytes, version: int) -> tuple[int, list[str]]:
    """UNSUBSCRIBE (3.10): packet id and topic filters."""
    body = _Body(data)
    packet_id = body.integer(2)
    body.properties(version)
    filters: list[str] = []
    while body:
        filters.append(body.text())
    return packet_id, filters


def parse_puback(data: bytes) -> int:
    """PUBACK (3.4): the packet id."""
    return _Body(data).integer(2)


def parse_disconnect(data: bytes, version: int) -> tuple[int, Properties]:
    """DISCONNECT (3.14): reason code and properties."""
    body = _Body(data)
    reason = body.integer(1) if body else 0
    return reason, body.properties(version) if body else ()


def connack(version: int, reason: int, *, present: bool = False, properties: Properties) -> bytes:
    """CONNACK (3.2); `reason` in the numbers of the version that is spoken."""
    return _packet(Kind.CONNACK, bytes([present, reason]) + _properties(version, properties))


def publish(message: Publication, version: int) -> bytes:
    """PUBLISH (3.3)."""
    topic = _binary(message.topic.encode())
    packet_id = struct.pack("!H", message.packet_id) if message.qos else b""
    flags = message.duplicate << 3 | message.qos << 1 | message.retain
    head = topic + packet_id + _properties(version, message.properties)
    return _packet(Kind.PUBLISH, head + message.payload, flags)


def puback(packet_id: int, version: int, reason: int = 0) -> bytes:
    """PUBACK (3.4); MQTT 3.1.1 has no word for a refusal."""
    tail = bytes([reason]) if version == V5 and reason else b""
    return _packet(Kind.PUBACK, struct.pack("!H", packet_id) + tail)


def suback(packet_id: int, version: int, reasons: list[int]) -> bytes:
    """SUBACK (3.9)."""
    head = struct.pack("!H", packet_id) + _properties(version, ())
    return _packet(Kind.SUBACK, head + bytes(reasons))


def unsuback(packet_id: int, version: int, reasons: list[int]) -> bytes:
    """UNSUBACK (3.11); MQTT 3.1.1 carries no reasons."""
    head = struct.pack("!H", packet_id) + _properties(version, ())
    return _packet(Kind.UNSUBACK, head + (bytes(reasons) if version == V5 else b""))


def pingresp() -> bytes:
    """PINGRESP (3.13)."""
    return _packet(Kind.PINGRESP, b"")


def disconnect(reason: int) -> bytes:
    """DISCONNECT (3.14) as only an MQTT 5 server sends it."""
    return _packet(Kind.DISCONNECT, bytes([reason]))
