"""What the embedded broker keeps for a client: windows, queues, expiry, redelivery; no network."""

from dataclasses import dataclass, field

from readerd.demo import packets
from readerd.demo.packets import V5, Property, Publication
from readerd.demo.sessions import QUEUE_LIMIT, WINDOW, Session, hold


@dataclass
class Line:
    """An outlet that keeps what is written."""

    version: int = V5
    receive_maximum: int = 0xFFFF
    room: bool = True
    sent: list[Publication] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        size = 2 if data[1] < 0x80 else 3
        self.sent.append(packets.parse_publish(data[size:], data[0] & 0x0F, self.version))

    def has_room(self) -> bool:
        return self.room

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.sent]


def offer(session: Session, *names: str, qos: int = 1, now: float = 0.0, **more: object) -> None:
    expiry_s = more.get("expiry_s")
    properties = ((int(Property.MESSAGE_EXPIRY), expiry_s),) if isinstance(expiry_s, int) else ()
    for name in names:
        message = Publication(topic="x", payload=name.encode(), qos=qos, properties=properties)
        session.offer(hold(message, now), qos, retain=False, now=now)


def test_the_window_is_the_smaller_one_and_moves_with_each_acknowledgement() -> None:
    line = Line(receive_maximum=2)
    session = Session("lims", outlet=line)
    offer(session, "a", "b", "c", "d")
    assert line.payloads() == [b"a", b"b"]
    session.acknowledge(line.sent[0].packet_id, 0.0)
    assert line.payloads() == [b"a", b"b", b"c"]
    session.acknowledge(999, 0.0)  # nobody's
    assert line.payloads() == [b"a", b"b", b"c"]


def test_packet_ids_go_round_and_pass_over_those_in_flight() -> None:
    line = Line()
    session = Session("lims", outlet=line, last_packet_id=0xFFFE)
    offer(session, "a", "b")
    assert [message.packet_id for message in line.sent] == [0xFFFF, 1]
    session.last_packet_id = 0xFFFE
    offer(session, "c")
    assert line.sent[-1].packet_id == 2


def test_a_reconnect_repeats_what_was_not_acknowledged_then_sends_the_queue() -> None:
    first, second = Line(receive_maximum=2), Line()
    session = Session("lims", outlet=first)
    offer(session, "a", "b", "c")
    session.outlet = None
    offer(session, "d")
    session.resume(second, 0.0)
    assert second.payloads() == [b"a", b"b", b"c", b"d"]
    assert [message.duplicate for message in second.sent] == [True, True, False, False]
    assert second.sent[0].packet_id == first.sent[0].packet_id


def test_a_full_queue_drops_the_newest() -> None:
    session = Session("lims")
    offer(session, *map(str, range(QUEUE_LIMIT + 10)))
    line = Line()
    session.resume(line, 0.0)
    for message in line.sent:  # grows while we acknowledge
        session.acknowledge(message.packet_id, 0.0)
    assert line.payloads() == [str(number).encode() for number in range(QUEUE_LIMIT)]
    assert WINDOW < QUEUE_LIMIT


def test_what_expires_is_not_sent_and_the_rest_says_how_long_it_has() -> None:
    session = Session("lims", outlet=Line(receive_maximum=1))
    offer(session, "in flight", now=0.0, expiry_s=10)
    offer(session, "short", now=0.0, expiry_s=5)
    offer(session, "long", now=0.0, expiry_s=100)
    session.outlet = None
    line = Line()
    session.resume(line, 10.0)
    assert line.payloads() == [b"long"]
    assert line.sent[0].expiry_s == 90


def test_qos_0_is_for_those_who_are_there_and_keep_up() -> None:
    session = Session("lims")
    offer(session, "a", qos=0)
    line = Line(room=False)
    session.resume(line, 0.0)
    offer(session, "b", qos=0)
    line.room = True
    offer(session, "c", qos=0)
    assert line.payloads() == [b"c"]
