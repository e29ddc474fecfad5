"""Molecular Devices SpectraMax: commands, prompt-framed replies, status and error log.

No vendor document is at hand. Evidence: [P] PyLabRobot's classes, used on M5 and 384 Plus hardware;
[E] a second public client of a hardware user (eizemazal/spectramax); [I] inferred from both.

command = "!" name *( SP arg ) EOL         [P] ends with CR, [E] with LF; a bare "!" is a ping
reply   = "OK" [ TAB text ] CRLF ">" [ body ">" ]     whether a body follows depends on the command
refusal = [ "OK" [ TAB ] CRLF ">" ] "FAIL" TAB SP code CRLF ">"

The prompt is the only terminator. Replies do not name their command, and most are a bare OK, so a
late one can be taken for the next: see `StatusScan`. Line ends in front of a reply are filling, and
so is a prompt with nothing in front of it (the second of an answer that was taken to have one).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply

T = TypeVar("T")

PROMPT = b">"
ENDS = {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n"}
# Doors as [E] saw them in answers to STATUS: open, closed.
DOORS = ("OPEN", "CLOSED")
# Any command of ours is under 40 characters, any acknowledgement far less than this.
MOST_LINE_BYTES = 160
# 384 wells at six wavelengths with ten characters a cell are 24 kB.
MOST_REPLY_BYTES = 1 << 16

Prompts = Literal[1, 2]

_TEXT = re.compile(rb"[\t\n\r -~]*")
_OK = re.compile(r"OK(?:[\t ](?P<note>.*))?")
_FAIL = re.compile(r"FAIL\b[\t ]*(?P<code>.*)")


@dataclass(frozen=True, slots=True)
class Command:
    """One command without its exclamation mark; the empty name is the ping."""

    name: str = ""
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((f"!{self.name}", *self.args))

    def to_bytes(self, end: bytes = ENDS["CR"]) -> bytes:
        return str(self).encode("ascii") + end

    @classmethod
    def from_bytes(cls, line: bytes) -> "Command":
        """A line with its end (CR, LF or both); GarbledReply when it is no command."""
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if text == line or not re.fullmatch(rb"![ -~]*", text):
            raise GarbledReply(f"no command: {line[:40]!r}")
        name, *args = text[1:].decode("ascii").split(" ")
        return cls(name, tuple(args))


@dataclass(frozen=True, slots=True)
class Reply:
    """An accepted command: the text behind OK (None without TAB) and the body between prompts."""

    note: str | None = ""
    body: str | None = None

    def to_bytes(self) -> bytes:
        ack = "OK" if self.note is None else f"OK\t{self.note}"
        body = "" if self.body is None else f"{self.body}>"
        return f"{ack}\r\n>{body}".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Reply":
        return accepted(whole(reply_decoder(2 if data.count(PROMPT) > 1 else 1), data))


@dataclass(frozen=True, slots=True)
class Refusal:
    """FAIL and a code (digits, unless it was damaged), behind an OK where a body was to come."""

    code: str
    acknowledged: bool = False

    def to_bytes(self) -> bytes:
        ack = "OK\t\r\n>" if self.acknowledged else ""
        return f"{ack}FAIL\t {self.code}\r\n>".encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Refusal":
        message = whole(reply_decoder(2 if data.count(PROMPT) > 1 else 1), data)
        if not isinstance(message, Refusal):
            raise GarbledReply("accepted, not refused")
        return message


@dataclass(frozen=True, slots=True)
class Status:
    """Answer to STATUS: the door's word and what the instrument is doing."""

    door: str
    state: str

    def to_bytes(self, note: str | None = "") -> bytes:
        """As [E] shows it: a line each, a blank line, no line end behind the last prompt."""
        return Reply(note, f"\r\n{self.door}\r\n{self.state}\r\n\r\n").to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Status":
        return accepted(whole(status_decoder(), data))


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the instrument's error log: code, its own text, how often."""

    code: str
    text: str
    count: int

    def __str__(self) -> str:
        return f"{self.code} {self.text} ({self.count})"


@dataclass(frozen=True, slots=True)
class ErrorLog:
    """Answer to ERROR: lines `code text(count)`."""

    entries: tuple[LogEntry, ...] = ()

    def to_bytes(self, note: str | None = "") -> bytes:
        lines = (f"{entry.code} {entry.text}({entry.count})\r\n" for entry in self.entries)
        return Reply(note, "\r\n" + "".join(lines)).to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ErrorLog":
        return accepted(whole(log_decoder(), data))


class ReplyDecoder(Decoder[T | Refusal]):
    """Collects one or two prompts and parses what stood in front of them.

    `on_line` hears every complete line of the body as it comes; a hint.
    """

    def __init__(
        self,
        prompts: Prompts,
        parse: Callable[[Reply], T],
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self._prompts = prompts
        self._parse = parse
        self._on_line = on_line
        self._ack: Reply | None = None
        self._current = bytearray()
        self._told = 0
        self._size = 0

    @property
    def begun(self) -> bool:
        return self._ack is not None or bool(self._current.strip())

    @property
    def acknowledged(self) -> Reply | None:
        """The acknowledgement, when it came with its prompt and nothing came behind it."""
        return None if self._current.strip() else self._ack

    def feed(self, data: bytes) -> T | Refusal | None:
        self._size += len(data)
        if self._size > MOST_REPLY_BYTES:
            raise GarbledReply(f"more than {MOST_REPLY_BYTES} bytes in one reply")
        if not _TEXT.fullmatch(data):
            raise GarbledReply("bytes that are no text")
        *closed, rest = data.split(PROMPT)
        for number, piece in enumerate(closed, 1):
            self._current += piece
            self._tell_lines()
            message = self._close()
            if message is not None:
                if any(behind.strip() for behind in (*closed[number:], rest)):
                    raise GarbledReply("bytes behind the end of the reply")
                return message
        self._current += rest
        self._tell_lines()
        self._check_beginning()
        return None

    def _close(self) -> T | Refusal | None:
        """A prompt has come: what stands in front of it is an acknowledgement or the body."""
        text = self._current.decode("ascii")
        self._current.clear()
        self._told = 0
        line = text.strip()
        refused = _FAIL.fullmatch(line)
        if refused is not None:
            return Refusal(refused["code"].strip(), acknowledged=self._ack is not None)
        if self._ack is not None:
            return self._parse(Reply(self._ack.note, text))
        if not line:
            return None
        accepted = _OK.fullmatch(text.strip("\r\n"))
        if accepted is None:
            raise GarbledReply(f"neither OK nor FAIL: {line[:40]!r}")
        self._ack = Reply(accepted["note"])
        return self._parse(self._ack) if self._prompts == 1 else None

    def _tell_lines(self) -> None:
        if self._on_line is None or self._ack is None:
            return
        while (end := self._current.find(b"\n", self._told)) >= 0:
            self._on_line(self._current[self._told : end].decode("ascii").strip("\r"))
            self._told = end + 1

    def _check_beginning(self) -> None:
        if self._ack is not None:
            return
        seen = bytes(self._current.lstrip()[:4])
        if not any(word.startswith(seen[: len(word)]) for word in (b"OK", b"FAIL")):
            raise GarbledReply("the reply begins with neither OK nor FAIL")
        if len(self._current) > MOST_LINE_BYTES:
            raise GarbledReply(f"no prompt in {MOST_LINE_BYTES} bytes")


def reply_decoder(prompts: Prompts = 1) -> ReplyDecoder[Reply]:
    """Any command, its body as it was sent."""
    return ReplyDecoder(prompts, lambda reply: reply)


def status_decoder(doors: tuple[str, str] = DOORS) -> ReplyDecoder[Status]:
    """STATUS. An answer to something else is GarbledReply."""
    return ReplyDecoder(2, lambda reply: _status(reply, doors))


def setting_decoder(prompts: Prompts = 1, doors: tuple[str, str] = DOORS) -> ReplyDecoder[Reply]:
    """A setting: OK, and whatever stands in front of a second prompt but a status."""
    return ReplyDecoder(prompts, lambda reply: _no_status(reply, doors))


def log_decoder(doors: tuple[str, str] = DOORS) -> ReplyDecoder[ErrorLog]:
    """ERROR. Lines that do not begin with a number are not entries."""
    return ReplyDecoder(2, lambda reply: _log(_no_status(reply, doors)))


def _status(reply: Reply, doors: tuple[str, str]) -> Status:
    words = (reply.body or "").split()
    if len(words) < 2 or words[0] not in doors:
        raise GarbledReply(f"no status: {(reply.body or '')[:40]!r}")
    return Status(words[0], " ".join(words[1:]))


def _no_status(reply: Reply, doors: tuple[str, str]) -> Reply:
    """Polling makes a status the likeliest late answer: it is nobody else's."""
    if (reply.body or "").lstrip().startswith(doors):
        raise GarbledReply("a status where something else was asked for")
    return reply


_ENTRY = re.compile(r"\s*(?P<code>\d{1,5})\s+(?P<text>.*\S)\s*\((?P<count>\d{1,9})\)\s*")


def _log(reply: Reply) -> ErrorLog:
    lines = [line for line in (reply.body or "").splitlines() if line[:1].isdigit()]
    entries = []
    for line in lines:
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise GarbledReply(f"no line of an error log: {line[:40]!r}")
        entries.append(LogEntry(match["code"], match["text"], int(match["count"])))
    return ErrorLog(tuple(entries))


def whole(decoder: Decoder[T], data: bytes) -> T:
    """The message that these bytes are; GarbledReply when something is missing or left."""
    message = decoder.feed(data)
    if message is None:
        raise GarbledReply("the reply is not whole")
    return message


def accepted(message: T | Refusal) -> T:
    """The message; GarbledReply for a refusal."""
    if isinstance(message, Refusal):
        raise GarbledReply(f"refused with {message.code}")
    return message


class StatusScan(Decoder[Status]):
    """Skips everything until an answer to STATUS, which cannot be mistaken for anything else.

    It is the only reply whose body begins with a door's word: acknowledgements have no body, a
    plate begins with a number, the error log with a number or nothing.
    """

    def __init__(self, doors: tuple[str, str] = DOORS) -> None:
        self._window = b""
        words = "|".join(re.escape(door) for door in doors).encode("ascii")
        self._answer = re.compile(
            rb"OK(?:[\t ][^>\r\n]*)?\s*>\s*(" + words + rb")\s+([^>\s][^>]*?)\s*>\s*\Z"
        )

    @property
    def begun(self) -> bool:
        return False  # what came so far may all belong to something older

    def feed(self, data: bytes) -> Status | None:
        # Longer than any answer to STATUS with its filling.
        self._window = (self._window + data)[-MOST_LINE_BYTES:]
        match = self._answer.search(self._window)
        if match is None or not _TEXT.fullmatch(match[0]):
            return None
        door, *state = (part.decode("ascii") for part in (match[1], *match[2].split()))
        return Status(door, " ".join(state))
