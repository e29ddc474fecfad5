"""What all BioTek readers share: one-byte commands, ACK, data of a known length, a status.

    exchange = command ACK [argument [ACK]] [data] [status]
    status   = 4 hex digits ETX                  (ELx form, Synergy)
             | RS "0" digit "0" ETX              (312 form, an ELx after power-up)

Problem: data and checksums are raw bytes, so ETX, DLE and ^Z may stand anywhere. Rule: every reply
is parsed by its length; a parser asks for so many bytes and gets exactly these. Rejected: looking
for a terminator (a public client does, and meets a checksum that equals ^Z).

Sources: ELx808 operator's manual, appendix B; captured replies of a public Synergy driver.
"""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply

T = TypeVar("T")

ACK, NAK, DLE, ETX, RS, CTRL_Z = b"\x06", b"\x15", b"\x10", b"\x03", b"\x1e", b"\x1a"
CR, CRLF = b"\r", b"\r\n"
STATUS_BYTES = 5

_ELX_STATUS = re.compile(rb"([0-9A-Fa-f]{4})\x03")
_312_STATUS = re.compile(rb"\x1e0([0-9A-Fa-f])0\x03")


@dataclass(frozen=True, slots=True)
class Status:
    """How it went: four hex digits, or the one error digit of the 312 form."""

    code: str = "0000"

    @property
    def ok(self) -> bool:
        return not self.code.strip("0")

    def to_bytes(self) -> bytes:
        if len(self.code) == 1:
            return RS + b"0" + self.code.encode("ascii") + b"0" + ETX
        return self.code.encode("ascii") + ETX

    @classmethod
    def from_bytes(cls, data: bytes) -> "Status":
        """Either form; GarbledReply for anything else."""
        match = _ELX_STATUS.fullmatch(data) or _312_STATUS.fullmatch(data)
        if match is None:
            raise GarbledReply(f"no status: {data!r}")
        return cls(match[1].decode("ascii").upper())


OK = Status()


@dataclass(frozen=True, slots=True)
class Nak:
    """The instrument did not want this byte, and has cleared what came behind it."""

    def to_bytes(self) -> bytes:
        return NAK


@dataclass(frozen=True, slots=True)
class Ready:
    """The acknowledgement of a command that now wants its argument."""

    def to_bytes(self) -> bytes:
        return ACK


@dataclass(frozen=True, slots=True)
class Nothing:
    """The data of a reply that has none."""

    def to_bytes(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class Started:
    """What is said before the data; alone it is a refusal."""

    status: Status

    def to_bytes(self) -> bytes:
        return ACK + self.status.to_bytes()


@dataclass(frozen=True, slots=True)
class Aborted:
    """The rest of the data was replaced by DLE; `status` is the cause."""

    status: Status

    def to_bytes(self) -> bytes:
        return DLE + self.status.to_bytes()


@dataclass(frozen=True, slots=True)
class Version:
    """Answer to `e`: part number and version of the software inside. 24 characters."""

    part: str
    version: str

    def to_bytes(self) -> bytes:
        return f"{self.part:<7}  Version {self.version:<7}".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Version":
        match = _VERSION.fullmatch(data)
        if match is None:
            raise GarbledReply(f"no part number and version: {data!r}")
        part, version = match[1].decode("ascii"), match[2].decode("ascii")
        return cls(part.rstrip(), version.rstrip())


VERSION_BYTES = 24
_VERSION = re.compile(rb"([!-~][ -~]{6})  Version ([ -~]{7})")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """ACK, data, status."""

    body: T
    status: Status = OK

    def to_bytes(self) -> bytes:
        body: bytes = self.body.to_bytes()  # type: ignore[attr-defined] # every message has it
        return ACK + body + self.status.to_bytes()


# Yields the number of bytes it wants next, gets exactly these, returns the message.
Parser = Generator[int, bytes, T]


class ReplyDecoder(Decoder[T]):
    """Gives a parser the number of bytes that it asks for, until it returns the message.

    `head_bytes` come long before the rest: they begin nothing. What `filling` matches may follow.
    """

    def __init__(
        self,
        parser: Parser[T],
        *,
        head_bytes: int = 0,
        filling: re.Pattern[bytes] | None = None,
    ) -> None:
        self._parser = parser
        self._filling = filling
        self._head_bytes = head_bytes
        self._size = 0
        self._rest = bytearray()
        self._wanted = next(parser)

    @property
    def begun(self) -> bool:
        return self._size > self._head_bytes

    def feed(self, data: bytes) -> T | None:
        self._size += len(data)
        self._rest += data
        while len(self._rest) >= self._wanted:
            taken = bytes(self._rest[: self._wanted])
            del self._rest[: self._wanted]
            try:
                self._wanted = self._parser.send(taken)
            except StopIteration as done:
                return self._finish(done.value)
        return None

    def _finish(self, message: T) -> T:
        filled = self._filling is not None and self._filling.fullmatch(self._rest)
        if self._rest and not filled:
            raise GarbledReply(f"{len(self._rest)} bytes behind the end of the reply")
        return message


def take_status() -> Parser[Status]:
    return Status.from_bytes((yield STATUS_BYTES))


def answer_decoder(size: int, of: Callable[[bytes], T]) -> ReplyDecoder[Answer[T] | Nak]:
    """ACK, so many bytes of data, status; Nak when it is refused."""
    return ReplyDecoder(_parse_answer(size, of))


def done_decoder() -> ReplyDecoder[Answer[Nothing] | Nak]:
    """ACK, status."""
    return answer_decoder(0, lambda _: Nothing())


def version_decoder() -> ReplyDecoder[Answer[Version] | Nak]:
    """`e`."""
    return answer_decoder(VERSION_BYTES, Version.from_bytes)


def ready_decoder() -> ReplyDecoder[Ready | Nak]:
    """A command that wants an argument: ACK alone."""
    return ReplyDecoder(_parse_ready())


def verdict_decoder() -> ReplyDecoder[Answer[Nothing] | Nak]:
    """The status behind an argument; no ACK of its own."""
    return ReplyDecoder(_parse_verdict())


def outcome_decoder(size: int, of: Callable[[bytes], T]) -> ReplyDecoder[Answer[T | Nothing] | Nak]:
    """Data and status behind an argument, or a status alone; no ACK of its own."""
    return ReplyDecoder(_parse_outcome(size, of))


def _parse_answer(size: int, of: Callable[[bytes], T]) -> Parser[Answer[T] | Nak]:
    if not (yield from acknowledged()):
        return Nak()
    body = of((yield size))
    return Answer(body, (yield from take_status()))


def _parse_ready() -> Parser[Ready | Nak]:
    return Ready() if (yield from acknowledged()) else Nak()


def _parse_verdict() -> Parser[Answer[Nothing] | Nak]:
    first = yield 1
    if first == NAK:
        return Nak()
    return Answer(Nothing(), Status.from_bytes(first + (yield STATUS_BYTES - 1)))


def _parse_outcome(size: int, of: Callable[[bytes], T]) -> Parser[Answer[T | Nothing] | Nak]:
    begun = yield 1
    if begun == NAK:
        return Nak()
    begun += yield STATUS_BYTES - 1
    if begun.endswith(ETX):
        return Answer(Nothing(), Status.from_bytes(begun))
    body = of(begun + (yield size - STATUS_BYTES))
    return Answer(body, (yield from take_status()))


def acknowledged() -> Parser[bool]:
    """True for ACK, False for NAK."""
    first = yield 1
    if first not in (ACK, NAK):
        raise GarbledReply(f"{first!r} instead of an acknowledgement")
    return first == ACK


def whole(decoder: ReplyDecoder[T], data: bytes) -> T:
    """The message that these bytes are; GarbledReply when something is missing or left."""
    message = decoder.feed(data)
    if message is None:
        raise GarbledReply("the reply is not whole")
    return message


class Scan(Decoder[T]):
    """Skips everything until the window ends with what cannot be mistaken."""

    def __init__(self, pattern: re.Pattern[bytes], of: Callable[[re.Match[bytes]], T]) -> None:
        self._pattern = pattern
        self._of = of
        self._window = b""
        self._size = 0
        self.skipped = 0  # bytes in front of the match

    @property
    def begun(self) -> bool:
        return False  # what came so far may all belong to something older

    def feed(self, data: bytes) -> T | None:
        self._size += len(data)
        self._window = (self._window + data)[-SCAN_BYTES:]
        match = self._pattern.search(self._window)
        if match is None:
            return None
        self.skipped = self._size - len(match[0])
        return self._of(match)


# The longest answer that is scanned for is 30 bytes.
SCAN_BYTES = 64

_STATUS_TEXT = rb"(?:[0-9A-Fa-f]{4}\x03|\x1e0[0-9A-Fa-f]0\x03)"
_IDENTITY = re.compile(rb"\x06([!-~][ -~]{6}  Version [ -~]{7})" + _STATUS_TEXT + rb"\Z")
_STIRRED = re.compile(rb"(?:\x15|\x10|\x03)\Z")


def identity_scan() -> Scan[Version]:
    """An answer to `e`: nothing else that these readers say holds the word Version."""
    return Scan(_IDENTITY, lambda match: Version.from_bytes(match[1]))


def stirred_scan() -> Scan[bytes]:
    """Any end of any answer. Mistakable: only ever followed by a challenge for the identity."""
    return Scan(_STIRRED, lambda match: match[0])
