"""The dirty rule, deadlines and the challenge, in virtual time over the real twin port."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from readerd.driver.codec import Decoder
from readerd.driver.link import CHALLENGES, DirtyLink, Link
from readerd.driver.stream import LineSettings
from readerd.driver.transport import TwinStream
from readerd.driver.virtual import Emission
from readerd.driver.wire import Wire
from readerd.errors import GarbledReply, LinkLost, NoReply
from tests.cancelled_at import cancelled_at
from tests.virtual_clock import run_virtual

LINE = LineSettings()


class Line(Decoder[bytes]):
    """A reply of digits that ends with `.`; blanks in front of it are filling."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def begun(self) -> bool:
        return bool(self._data)

    def feed(self, data: bytes) -> bytes | None:
        self._data = (self._data + data).lstrip(b" ")
        if not re.fullmatch(rb"\d*\.?", self._data):
            raise GarbledReply("not digits and a full stop")
        return self._data if self._data.endswith(b".") else None


class Name(Decoder[bytes]):
    """Skips all but `<name>`."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def begun(self) -> bool:
        return False

    def feed(self, data: bytes) -> bytes | None:
        self._data += data
        found = re.search(rb"<\w+>\Z", self._data)
        return found[0] if found else None


@dataclass
class Desk:
    """An instrument with one entry per command letter: delay, answer. `?` is the identity query."""

    answers: dict[bytes, tuple[float, bytes]] = field(default_factory=dict)
    deaf_until_s: float = 0.0
    heard: list[bytes] = field(default_factory=list)

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        self.heard.append(data)
        if now_s < self.deaf_until_s:
            return []
        delay_s, answer = {b"?": (0.01, b"<desk>"), **self.answers}.get(data, (0.0, b""))
        return [Emission(after_s=delay_s, data=answer, step=data.decode())]


async def challenge(link: Link) -> bytes:
    return await link.challenge(b"?", Name, answer_s=2.0, phase="challenge")


def virtual(
    desk: Desk,
    talk: Callable[[Link], Awaitable[None]],
    time_scale: float = 1.0,
    line: LineSettings = LINE,
) -> None:
    async def main() -> None:
        link = Link(TwinStream(Wire(desk, line, time_scale=time_scale)))
        try:
            await talk(link)
        finally:
            await link.close()

    run_virtual(main())


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_a_link_is_born_dirty_and_refuses_to_ask() -> None:
    desk = Desk({b"a": (0.1, b"1.")})

    async def talk(link: Link) -> None:
        assert link.dirty
        with pytest.raises(DirtyLink):
            await link.ask(b"a", Line(), within_s=1, phase="a")
        assert desk.heard == []
        assert await challenge(link) == b"<desk>"
        assert not link.dirty
        assert await link.ask(b"a", Line(), within_s=1, phase="a") == b"1."
        assert not link.dirty

    virtual(desk, talk)


def test_silence_is_no_reply_exactly_at_the_deadline_and_leaves_dirt() -> None:
    async def talk(link: Link) -> None:
        await challenge(link)
        began_s = now_s()
        with pytest.raises(NoReply, match=r"^weigh: no answer$") as caught:
            await link.ask(b"x", Line(), within_s=7.5, phase="weigh")
        assert now_s() - began_s == pytest.approx(7.5)
        assert (caught.value.phase, caught.value.tail) == ("weigh", b"")
        assert link.dirty
        with pytest.raises(DirtyLink):
            await link.ask(b"x", Line(), within_s=7.5, phase="weigh")

    virtual(Desk(), talk)


def test_an_answer_that_breaks_off_is_noticed_after_the_gap() -> None:
    async def talk(link: Link) -> None:
        await challenge(link)
        began_s = now_s()
        with pytest.raises(NoReply, match="broke off") as caught:
            await link.ask(b"a", Line(), within_s=60, gap_s=2, phase="a")
        assert now_s() - began_s == pytest.approx(10 + 2, abs=0.1)
        assert caught.value.tail == b"123"
        assert link.dirty

    virtual(Desk({b"a": (10, b"123")}), talk)


def test_filling_in_front_of_a_reply_does_not_start_the_gap() -> None:
    class Slow:
        def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
            if data == b"?":
                return [Emission(after_s=0, data=b"<desk>", step="?")]
            filling = Emission(after_s=0, data=b" ", step="filling")
            return [filling, Emission(after_s=30, data=b"1.", step="answer")]

    async def main() -> None:
        link = Link(TwinStream(Wire(Slow(), LINE)))
        await challenge(link)
        assert await link.ask(b"a", Line(), within_s=60, gap_s=2, phase="a") == b"1."

    run_virtual(main())


def test_bytes_that_are_not_the_protocol_leave_dirt_and_are_shown() -> None:
    async def talk(link: Link) -> None:
        await challenge(link)
        with pytest.raises(GarbledReply, match="not digits") as caught:
            await link.ask(b"a", Line(), within_s=1, phase="a")
        assert (caught.value.phase, caught.value.tail) == ("a", b"1!2.")
        assert link.dirty

    virtual(Desk({b"a": (0, b"1!2.")}), talk, time_scale=0)


def test_a_lost_link_carries_the_phase() -> None:
    class Cut:
        def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
            return [Emission(after_s=1, data=b"<d", step="?", hang_up=True)]

    async def main() -> None:
        link = Link(TwinStream(Wire(Cut(), LINE)))
        with pytest.raises(LinkLost, match="hello: ") as caught:
            await link.challenge(b"?", Name, answer_s=2, phase="hello")
        assert caught.value.tail == b"<d"
        assert await link.lost()

    run_virtual(main())


def test_unsolicited_bytes_are_recorded_and_not_taken_for_the_answer() -> None:
    class Chatty:
        def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
            if data == b"?":
                first = Emission(after_s=0, data=b"<desk>", step="?")
                return [first, Emission(after_s=5, data=b"666.", step="unasked")]
            return [Emission(after_s=0, data=b"1.", step="a")]

    async def main() -> None:
        link = Link(TwinStream(Wire(Chatty(), LINE)))
        await challenge(link)
        await asyncio.sleep(10)
        assert await link.ask(b"a", Line(), within_s=1, phase="a") == b"1."
        assert link.transcript.received == b"<desk>666.1."

    run_virtual(main())


def test_a_late_answer_is_never_taken_for_the_next_one() -> None:
    desk = Desk({b"read": (50, b"111."), b"next": (0.1, b"222.")})

    async def talk(link: Link) -> None:
        await challenge(link)
        with pytest.raises(NoReply):
            await link.ask(b"read", Line(), within_s=30, phase="read")
        with pytest.raises(NoReply):  # three times two seconds, and the reading still runs
            await challenge(link)
        assert link.dirty
        await asyncio.sleep(10)
        await challenge(link)
        assert await link.ask(b"next", Line(), within_s=1, phase="next") == b"222."
        assert b"111." in link.transcript.received

    virtual(desk, talk)


def test_a_challenge_waits_as_long_as_the_abandoned_command_may_take() -> None:
    desk = Desk({b"read": (50, b"111.")})

    async def talk(link: Link) -> None:
        await challenge(link)
        reading = asyncio.create_task(link.ask(b"read", Line(), within_s=100, phase="read"))
        await asyncio.sleep(20)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert link.remaining_s() == pytest.approx(80)
        began_s = now_s()
        await challenge(link)
        assert now_s() - began_s == pytest.approx(30, abs=0.1)
        assert desk.heard.count(b"?") == 2  # asked once, not again and again
        assert link.remaining_s() == 0

    virtual(desk, talk)


def test_a_challenge_of_a_dead_instrument_is_bounded_and_asks_a_few_times() -> None:
    desk = Desk(deaf_until_s=float("inf"))

    async def talk(link: Link) -> None:
        with pytest.raises(NoReply, match="challenge: no answer"):
            await challenge(link)
        assert now_s() == pytest.approx(2.0 * CHALLENGES)
        assert desk.heard == [b"?"] * CHALLENGES
        assert link.dirty

    virtual(desk, talk)


def test_a_challenge_that_was_dropped_is_asked_again() -> None:
    desk = Desk(deaf_until_s=3.0)

    async def talk(link: Link) -> None:
        assert await challenge(link) == b"<desk>"
        assert desk.heard == [b"?"] * 3
        assert not link.dirty

    virtual(desk, talk)


def test_answers_to_earlier_challenges_do_not_stay_in_the_line() -> None:
    class Buffering:
        """Busy for 5 s; what came meanwhile is answered afterwards, one after the other."""

        def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
            answer = b"<desk>" if data == b"?" else b"1."
            return [Emission(after_s=5 if now_s == 0 else 0.5, data=answer, step="?")]

    async def main() -> None:
        link = Link(TwinStream(Wire(Buffering(), LINE)))
        await challenge(link)
        assert link.transcript.received == b"<desk>" * 3
        assert await link.ask(b"a", Line(), within_s=5, phase="a") == b"1."

    run_virtual(main())


def test_cancelling_at_every_await_leaves_dirt_and_loses_nothing() -> None:
    at = 0
    cancelled = True
    while cancelled:
        at += 1
        desk = Desk({b"a": (1, b"1" * 40 + b"."), b"b": (0.1, b"2.")})

        async def talk(link: Link, at: int = at) -> None:
            nonlocal cancelled
            await challenge(link)
            answer = b"1" * 40 + b"."

            async def conversation() -> None:
                assert await link.ask(b"a", Line(), within_s=9, gap_s=3, phase="a") == answer

            cancelled = await cancelled_at(at, conversation)
            assert link.dirty == cancelled
            if cancelled:
                with pytest.raises(DirtyLink):
                    await link.ask(b"b", Line(), within_s=9, phase="b")
                await challenge(link)
            assert await link.ask(b"b", Line(), within_s=9, phase="b") == b"2."
            came = link.transcript.received.replace(b"<desk>", b"")
            assert came == (answer if b"a" in link.transcript.sent else b"") + b"2."

        virtual(desk, talk)
    assert at > 3


def test_cancelling_a_challenge_at_every_await_leaves_dirt() -> None:
    at = 0
    cancelled = True
    while cancelled:
        at += 1

        async def talk(link: Link, at: int = at) -> None:
            nonlocal cancelled
            cancelled = await cancelled_at(at, lambda: challenge(link))
            assert link.dirty == cancelled
            await challenge(link)
            assert await link.ask(b"b", Line(), within_s=9, phase="b") == b"2."

        virtual(Desk({b"b": (0.1, b"2.")}, deaf_until_s=2.5), talk)
    assert at > 4


def test_two_conversations_at_once_are_a_bug() -> None:
    async def talk(link: Link) -> None:
        await challenge(link)
        first = asyncio.create_task(link.ask(b"a", Line(), within_s=9, phase="a"))
        await asyncio.sleep(0.1)
        with pytest.raises(DirtyLink):
            await link.ask(b"a", Line(), within_s=9, phase="a")
        with pytest.raises(DirtyLink):
            await challenge(link)
        assert await first == b"1."
        assert not link.dirty

    virtual(Desk({b"a": (1, b"1.")}), talk)


def test_a_decoder_may_answer_in_parts() -> None:
    class Parts(Decoder[bytes]):
        def __init__(self) -> None:
            self._data = b""

        @property
        def begun(self) -> bool:
            return bool(self._data)

        def feed(self, data: bytes) -> bytes | None:
            self._data += data
            part, stop, rest = self._data.partition(b".")
            if not stop:
                return None
            self._data = rest
            return part

    async def talk(link: Link) -> None:
        await challenge(link)
        parts = Parts()
        assert await link.ask(b"a", parts, within_s=9, phase="acknowledged") == b"ok"
        assert await link.ask(b"", parts, within_s=9, phase="data") == b"12"
        assert await link.ask(b"", parts, within_s=9, phase="more") == b"3"

    for time_scale in (0.0, 1.0):
        virtual(Desk({b"a": (1, b"ok.12.3.")}), talk, time_scale)


def test_every_byte_and_its_time_are_in_the_transcript() -> None:
    async def talk(link: Link) -> None:
        await challenge(link)
        await link.ask(b"a", Line(), within_s=9, phase="a")
        seen = [(e.offset_s, e.direction, e.data) for e in link.transcript.entries]
        assert seen == [
            (0.0, ">", b"?"),
            (0.01, "<", b"<desk>"),
            (0.01, ">", b"a"),
            (3.01, "<", b"1."),
        ]

    virtual(Desk({b"a": (3, b"1.")}), talk, line=LineSettings(baud=10**9))
