"""The only place of the room that waits: one question, one answer, one deadline.

The problem. A reading that was abandoned at its deadline may still answer, long after everybody
has stopped listening. On a protocol whose frames do not name their command, that late answer is
taken for the answer to the next question: yesterday's plate under today's barcode.

The rule. From the moment a command leaves until its reply is whole the link is *dirty*. A timeout,
a cancellation or bytes that are not the protocol leave it dirty, and `ask` on a dirty link refuses.
Only `challenge` makes it clean again: a query whose answer cannot be mistaken; everything before
that answer is thrown away. An instrument answers in order, so behind that answer nothing old can
come. A link is *born* dirty: the process before us may have died in mid-read.

How long. A challenge waits as long as the abandoned command was allowed to take (the link remembers
its deadline) plus the time of one short answer, and asks a few times more, because an instrument
that is busy may also drop what it is sent. Every query may be answered in the end, so the link
counts the answers it is owed and takes those too before it calls itself clean. The command that
was abandoned counts as well when it was itself the challenge's last query: its late answer looks
like the answer to the challenge, whose own would then be left over.

Rejected: waiting for quiet (the late answer comes after the silence); flushing the input (it has
not arrived yet); closing and opening the port (the instrument does not notice).
"""

import asyncio
from collections.abc import Callable
from typing import NoReturn, TypeVar

from readerd.driver.codec import Decoder
from readerd.driver.stream import ByteStream
from readerd.driver.transcript import Entry, Transcript
from readerd.errors import GarbledReply, LinkLost, NoReply

__all__ = ["DirtyLink", "Entry", "Link", "Transcript"]

T = TypeVar("T")

# An instrument that ignores three identity queries in a row is not there.
CHALLENGES = 3


class DirtyLink(RuntimeError):
    """A question on a link that still owes an answer: a bug of the caller, not of the wire."""


class Link:
    """One conversation with one instrument over one stream. One `ask` at a time."""

    def __init__(self, stream: ByteStream, *, transcript: Transcript | None = None) -> None:
        self._stream = stream
        self.transcript = Transcript() if transcript is None else transcript
        self._dirty = True
        self._busy = False
        self._owed_until_s = 0.0
        self._owed_answers = 0
        self._abandoned = b""

    @property
    def dirty(self) -> bool:
        """True from a command's departure to its whole reply; at birth; after any failure."""
        return self._dirty

    def remaining_s(self) -> float:
        """How much longer the command that was abandoned may honestly take; 0 when none was."""
        if not self._dirty:
            return 0.0
        return max(0.0, self._owed_until_s - asyncio.get_running_loop().time())

    async def ask(
        self,
        command: bytes,
        decoder: Decoder[T],
        *,
        within_s: float,
        gap_s: float | None = None,
        phase: str,
    ) -> T:
        """Send the command, return the decoded reply; on any other way out the link stays dirty.

        `within_s` bounds everything, `gap_s` the silence inside a reply that has begun. NoReply,
        GarbledReply and LinkLost carry the phase and the last bytes. An empty command asks a
        decoder that answers in parts for its next part. DirtyLink when an answer is still owed.
        """
        if self._dirty:
            raise DirtyLink(f"{phase}: the link owes an answer; challenge it first (park does)")
        now_s = asyncio.get_running_loop().time()
        if command:
            self.transcript.record(now_s, "<", self._stream.discard())
        self._dirty = True
        self._owed_until_s = now_s + within_s
        self._abandoned = command
        reply = await self._exchange(command, decoder, self._owed_until_s, gap_s, phase)
        self._dirty = False
        return reply

    async def challenge(
        self, command: bytes, decoder: Callable[[], Decoder[T]], *, answer_s: float, phase: str
    ) -> T:
        """Make the link clean: ask until the unmistakable answer comes, discard what precedes it.

        `decoder` makes decoders that skip everything but that answer. Bounded by `remaining_s()` +
        `CHALLENGES` x `answer_s`, plus the wait for answers to earlier challenges. NoReply when it
        does not come; the link then stays dirty.
        """
        loop = asyncio.get_running_loop()
        if self._busy:
            raise DirtyLink(f"{phase}: somebody else is talking on this link")
        patience_s = self.remaining_s() + answer_s
        if self._dirty and self._abandoned and command.endswith(self._abandoned):
            self._owed_answers += 1
        self._dirty = True
        self._abandoned = b""
        for attempt in range(1, CHALLENGES + 1):
            self._owed_answers += 1
            deadline_s = loop.time() + patience_s
            try:
                answer = await self._exchange(command, decoder(), deadline_s, None, phase)
                break
            except NoReply:
                if attempt == CHALLENGES:
                    raise
            patience_s = answer_s
        self._owed_answers -= 1
        await self._collect_owed(decoder, answer_s, phase)
        self._dirty = False
        return answer

    async def pause(self, for_s: float) -> bool:
        """Let time pass between two questions; True when bytes came that nobody asked for.

        They are thrown away, as the next question would do.
        """
        await asyncio.sleep(for_s)
        stray = self._stream.discard()
        self.transcript.record(asyncio.get_running_loop().time(), "<", stray)
        return bool(stray)

    async def lost(self) -> str:
        """Wait until the port is gone; the answer is why."""
        return await self._stream.lost()

    async def close(self) -> None:
        """Give the port back; idempotent."""
        self._dirty = True
        await self._stream.close()

    async def _collect_owed(
        self, decoder: Callable[[], Decoder[object]], answer_s: float, phase: str
    ) -> None:
        """Answers to earlier challenges follow at once, or were never coming."""
        loop = asyncio.get_running_loop()
        while self._owed_answers:
            try:
                await self._exchange(b"", decoder(), loop.time() + answer_s, None, phase)
            except NoReply:
                self._owed_answers = 0
            else:
                self._owed_answers -= 1

    async def _exchange(
        self,
        command: bytes,
        decoder: Decoder[T],
        deadline_s: float,
        gap_s: float | None,
        phase: str,
    ) -> T:
        if self._busy:
            raise DirtyLink(f"{phase}: somebody else is talking on this link")
        self._busy = True
        try:
            return await self._talk(command, decoder, deadline_s, gap_s)
        except (NoReply, GarbledReply, LinkLost) as error:
            self._complain(error, phase)
        finally:
            self._busy = False

    async def _talk(
        self, command: bytes, decoder: Decoder[T], deadline_s: float, gap_s: float | None
    ) -> T:
        if not command:
            reply = decoder.feed(b"")
            if reply is not None:
                return reply
        loop = asyncio.get_running_loop()
        taken = False
        try:
            async with asyncio.timeout_at(deadline_s) as patience:
                if command:
                    self.transcript.record(loop.time(), ">", command)
                    await self._stream.send(command)
                taken = True
                while True:
                    data = await self._stream.receive()
                    now_s = loop.time()
                    self.transcript.record(now_s, "<", data)
                    reply = decoder.feed(data)
                    if reply is not None:
                        return reply
                    if now_s >= deadline_s:
                        raise NoReply("the reply was not whole at the deadline")
                    if gap_s is not None and decoder.begun:
                        patience.reschedule(min(deadline_s, now_s + gap_s))
        except TimeoutError:
            if not taken:
                raise NoReply("the line did not take the command") from None
            raise NoReply("the answer broke off" if decoder.begun else "no answer") from None

    def _complain(self, error: NoReply | GarbledReply | LinkLost, phase: str) -> NoReturn:
        raise type(error)(error.text, phase=phase, tail=self.transcript.tail()) from error
