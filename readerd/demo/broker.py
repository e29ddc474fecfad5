"""A small MQTT broker in this process: 3.1.1 and 5, QoS 0 and 1, for the show and for the tests.

The problem: the show must run where no broker is installed, and tests must see a broker misbehave
in ways that a good one never shows: refuse a topic, swallow an acknowledgement, die and forget. The
rule: everything a client may notice is real (a socket, the packets, sessions, wills, retained
messages, expiry, take-over, keepalive); what is missing is refused with its reason code: QoS 2,
shared subscriptions, subscription identifiers, topic aliases, a will delay (taken as zero).
Rejected: a broker from a package (none that we tried spoke MQTT 5 and kept its session messages).
Every answer to one packet is written before the next is read, so acknowledgements keep their order.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from readerd.demo import packets
from readerd.demo.packets import V5, V311, Connect, Kind, PacketError, Property, Publication, Reason
from readerd.demo.sessions import Held, Session, hold, is_filter, matches

log = logging.getLogger(__name__)

# MQTT 5.0, 2.1.4: the largest packet there can be is 256 MB; nobody here needs more than this.
PACKET_LIMIT: Final = 4 * 1024 * 1024
# QoS 0 is dropped for a subscriber with this much unsent.
UNSENT_LIMIT: Final = 1024 * 1024
CONNECT_WITHIN_S: Final = 10.0
# MQTT 3.1.1 has its own numbers for a refused connection (MQTT 3.1.1, table 3.1).
_CONNACK_V311: Final = {
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_NOT_VALID: 2,
    Reason.NOT_AUTHORIZED: 5,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a publication: is it passed on, and which reason code answers it, if any."""

    route: bool
    answer: int | None


ACCEPT: Final = Verdict(route=True, answer=Reason.SUCCESS)
SWALLOW: Final = Verdict(route=False, answer=None)
UNACKNOWLEDGED: Final = Verdict(route=True, answer=None)


def refuse(reason: int = Reason.NOT_AUTHORIZED) -> Verdict:
    """Not passed on; MQTT 5 hears why, MQTT 3.1.1 hears an acknowledgement, as from mosquitto."""
    return Verdict(route=False, answer=reason)


PublishHook = Callable[[Publication], Verdict]
SubscribeHook = Callable[[str], int]


def _accept_publish(_: Publication) -> Verdict:
    return ACCEPT


def _accept_subscribe(_: str) -> int:
    return Reason.SUCCESS


class _Wire:
    """One connection, from accept to close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.version = V311
        self.receive_maximum = 0xFFFF
        self.will: Publication | None = None
        self.session: Session | None = None

    def write(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    def has_room(self) -> bool:
        return self.writer.transport.get_write_buffer_size() < UNSENT_LIMIT

    async def packet(self, *, only: Kind | None = None) -> tuple[int, bytes]:
        """First byte and body of the next packet; PacketError at once when it is not `only`."""
        first = (await self.reader.readexactly(1))[0]
        if only is not None and first >> 4 != only:
            raise PacketError(Reason.PROTOCOL_ERROR, f"the first packet is not {only.name}")
        size = 0
        for shift in (0, 7, 14, 21):
            byte = (await self.reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise PacketError(Reason.MALFORMED, "a remaining length of more than four bytes")
        if size > PACKET_LIMIT:
            raise PacketError(Reason.PACKET_TOO_LARGE, f"a packet of {size} bytes")
        return first, await self.reader.readexactly(size)

    def bye(self, reason: int) -> None:
        """Close, telling an MQTT 5 client why."""
        if self.version == V5:
            self.write(packets.disconnect(reason))
        self.writer.close()


class Broker:
    """`async with Broker() as broker:` listens on `broker.port`; 0 takes a free one.

    `on_publish` and `on_subscribe` may be replaced at any time: they are the fault hooks.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        versions: Iterable[int] = (V311, V5),
        on_publish: PublishHook = _accept_publish,
        on_subscribe: SubscribeHook = _accept_subscribe,
    ) -> None:
        self.host = host
        self.port = port
        self.versions = frozenset(versions)
        self.on_publish = on_publish
        self.on_subscribe = on_subscribe
        self.retained: dict[str, Held] = {}
        self.sessions: dict[str, Session] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._assigned = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Listen; after `kill` on the same port again."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Die as by SIGKILL: every connection gone, no will sent, everything forgotten."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for timer in self._expiries.values():
            timer.cancel()
        self.sessions.clear()
        self.retained.clear()
        self._expiries.clear()

    @property
    def connected(self) -> frozenset[str]:
        """Client ids that are connected now."""
        return frozenset(name for name, session in self.sessions.items() if session.outlet)

    def drop(self, client_id: str) -> None:
        """Cut one client's connection without a word; its will is sent."""
        outlet = self.sessions[client_id].outlet
        if isinstance(outlet, _Wire):
            outlet.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        wire = _Wire(reader, writer)
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await self._converse(wire)
        except PacketError as error:
            log.debug("refused reason=%#x text=%s", error.reason, error)
            wire.bye(error.reason)
        except TimeoutError:
            wire.bye(Reason.KEEP_ALIVE_TIMEOUT)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
            return
        finally:
            writer.close()
        self._leave(wire)

    async def _converse(self, wire: _Wire) -> None:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            _, body = await wire.packet(only=Kind.CONNECT)
        connect = self._admit(wire, body)
        if connect is None:
            return
        # MQTT 5.0, 3.1.2.10: silence of one and a half times the keepalive ends the connection.
        silence_s = connect.keepalive_s * 1.5 or None
        while True:
            async with asyncio.timeout(silence_s):
                first, body = await wire.packet()
            if first >> 4 == Kind.DISCONNECT:
                self._disconnect(wire, body)
                return
            self._answer(wire, first, body)
            await wire.writer.drain()

    def _admit(self, wire: _Wire, body: bytes) -> Connect | None:
        """CONNECT: the session that it resumes or begins; None when it was refused."""
        try:
            connect = packets.parse_connect(body)
            wire.version = connect.version
            if connect.version not in self.versions:
                raise PacketError(Reason.UNSUPPORTED_VERSION, "a version switched off")
            if not connect.client_id and connect.version == V311 and not connect.clean:
                raise PacketError(Reason.CLIENT_ID_NOT_VALID, "a lasting session needs a name")
        except PacketError as error:
            self._refuse_connect(wire, error.reason)
            return None
        wire.will = connect.will
        wire.receive_maximum = (
            packets.number(connect.properties, Property.RECEIVE_MAXIMUM) or wire.receive_maximum
        )
        self._attach(wire, connect)
        return connect

    def _refuse_connect(self, wire: _Wire, reason: Reason) -> None:
        # MQTT 5.0, 4.13: a server without MQTT 5 answers in the words of the version it has.
        version = wire.version if wire.version in self.versions else V311
        number = reason if version == V5 else _CONNACK_V311.get(reason, 3)
        wire.write(packets.connack(version, number, properties=()))

    def _attach(self, wire: _Wire, connect: Connect) -> None:
        client_id = connect.client_id or self._new_client_id()
        old = self.sessions.get(client_id)
        if old is not None and isinstance(old.outlet, _Wire):
            taken = old.outlet
            taken.bye(Reason.SESSION_TAKEN_OVER)
            self._leave(taken)
        timer = self._expiries.pop(client_id, None)
        if timer is not None:
            timer.cancel()
        kept = None if connect.clean else self.sessions.get(client_id)
        session = kept or Session(client_id)
        session.expiry_s = connect.session_expiry_s
        self.sessions[client_id] = session
        wire.session = session
        wire.write(self._welcome(connect, client_id, present=kept is not None))
        session.resume(wire, self._now())

    def _welcome(self, connect: Connect, client_id: str, *, present: bool) -> bytes:
        properties: list[tuple[int, int | bytes]] = [
            (Property.MAXIMUM_QOS, 1),
            (Property.MAXIMUM_PACKET_SIZE, PACKET_LIMIT),
            (Property.SUBSCRIPTION_ID_AVAILABLE, 0),
            (Property.SHARED_AVAILABLE, 0),
        ]
        if not connect.client_id:
            properties.append(packets.text_property(Property.ASSIGNED_CLIENT_ID, client_id))
        return packets.connack(connect.version, 0, present=present, properties=tuple(properties))

    def _new_client_id(self) -> str:
        self._assigned += 1
        return f"assigned-{self._assigned}"

    def _answer(self, wire: _Wire, first: int, body: bytes) -> None:
        match first >> 4:
            case Kind.PUBLISH:
                self._publish(wire, packets.parse_publish(body, first & 0x0F, wire.version))
            case Kind.PUBACK:
                _session(wire).acknowledge(packets.parse_puback(body), self._now())
            case Kind.SUBSCRIBE:
                self._subscribe(wire, body)
            case Kind.UNSUBSCRIBE:
                self._unsubscribe(wire, body)
            case Kind.PINGREQ:
                wire.write(packets.pingresp())
            case unknown:
                raise PacketError(Reason.PROTOCOL_ERROR, f"packet type {unknown} here")

    def _publish(self, wire: _Wire, message: Publication) -> None:
        if packets.number(message.properties, Property.TOPIC_ALIAS) is not None:
            raise PacketError(Reason.PROTOCOL_ERROR, "topic aliases were not offered")
        verdict = self.on_publish(message)
        heard = self._route(message, _session(wire).client_id) if verdict.route else True
        if message.qos and verdict.answer is not None:
            answer = verdict.answer
            if answer == Reason.SUCCESS and not heard:
                answer = Reason.NO_MATCHING_SUBSCRIBERS
            wire.write(packets.puback(message.packet_id, wire.version, answer))

    def _route(self, message: Publication, publisher: str) -> bool:
        """Retain and pass on; whether anybody wants it."""
        now = self._now()
        held = hold(message, now)
        if message.retain and message.payload:
            self.retained[message.topic] = held
        elif message.retain:
            self.retained.pop(message.topic, None)
        heard = False
        for session in list(self.sessions.values()):
            wanted = session.match(message.topic, publisher)
            if wanted is not None:
                heard = True
                retain = message.retain and wanted.retain_as_published
                session.offer(held, wanted.qos, retain=retain, now=now)
        return heard

    def _subscribe(self, wire: _Wire, body: bytes) -> None:
        packet_id, wanted = packets.parse_subscribe(body, wire.version)
        session = _session(wire)
        reasons: list[int] = []
        fresh: list[packets.Subscription] = []
        for entry in wanted:
            reason = self._judge_filter(entry.filter)
            if reason < Reason.UNSPECIFIED:
                entry = replace(entry, qos=min(entry.qos, 1))
                reason = entry.qos
                is_new = entry.filter not in session.subscriptions
                session.subscriptions[entry.filter] = entry
                if entry.retain_handling == 0 or (entry.retain_handling == 1 and is_new):
                    fresh.append(entry)
            reasons.append(reason if wire.version == V5 else min(reason, Reason.UNSPECIFIED))
        wire.write(packets.suback(packet_id, wire.version, reasons))
        for entry in fresh:
            for topic, held in list(self.retained.items()):
                if matches(entry.filter, topic):
                    session.offer(held, entry.qos, retain=True, now=self._now())

    def _judge_filter(self, topic_filter: str) -> int:
        if topic_filter.startswith("$share/"):
            return Reason.SHARED_NOT_SUPPORTED
        if not is_filter(topic_filter):
            return Reason.TOPIC_FILTER_INVALID
        return self.on_subscribe(topic_filter)

    def _unsubscribe(self, wire: _Wire, body: bytes) -> None:
        packet_id, filters = packets.parse_unsubscribe(body, wire.version)
        subscriptions = _session(wire).subscriptions
        reasons = [
            Reason.SUCCESS if subscriptions.pop(one, None) else Reason.NO_SUBSCRIPTION_EXISTED
            for one in filters
        ]
        wire.write(packets.unsuback(packet_id, wire.version, [int(one) for one in reasons]))

    def _disconnect(self, wire: _Wire, body: bytes) -> None:
        reason, properties = packets.parse_disconnect(body, wire.version)
        if reason == Reason.SUCCESS:
            wire.will = None
        expiry_s = packets.number(properties, Property.SESSION_EXPIRY)
        if expiry_s is not None:
            _session(wire).expiry_s = None if expiry_s == 0xFFFF_FFFF else expiry_s

    def _leave(self, wire: _Wire) -> None:
        """A connection is over: detach its session, send its will. A second call does nothing."""
        session, wire.session = wire.session, None
        if session is None:
            return
        session.outlet = None
        if session.expiry_s == 0:
            self._forget(session)
        elif session.expiry_s is not None:
            loop = asyncio.get_running_loop()
            self._expiries[session.client_id] = loop.call_later(
                session.expiry_s, self._forget, session
            )
        if wire.will is not None:
            self._route(wire.will, session.client_id)

    def _forget(self, session: Session) -> None:
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        self._expiries.pop(session.client_id, None)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _session(wire: _Wire) -> Session:
    if wire.session is None:  # taken over between two packets
        raise PacketError(Reason.SESSION_TAKEN_OVER, "this connection was taken over")
    return wire.session
