"""A serial line behind a device server that takes line settings (RFC 2217), on asyncio.

The problem. A raw TCP port says nothing of the line: baud and parity live in the server's own
configuration. RFC 2217 is Telnet with an option for them: commands are marked by the byte 255, the
data's own 255 comes doubled, and both sides must agree on binary transmission first.

The rule. `Telnet` is pure: bytes in; data for us and bytes to send out. A port is open when the
server has agreed to all of it and has repeated our line settings to us: a server that sets another
baud rate is refused with what it said, because all that would come is rubbish.

Rejected: pyserial's client, which this library otherwise has. It waits in a thread of its own that
nobody can wake, passes the bytes one by one, polls while it negotiates and sleeps when it closes.
"""

import asyncio
import re
import struct

from readerd.driver.address import PortAddress
from readerd.driver.stream import ByteStream, LineSettings
from readerd.driver.tcp import TcpStream, open_tcp
from readerd.errors import LinkLost

# RFC 854: commands. RFC 856, 858, 2217: options.
IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44
# RFC 2217, section 3: what we ask for; the server's answer has the number + 100.
SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL = 1, 2, 3, 4, 5
SET_LINESTATE_MASK, SET_MODEMSTATE_MASK = 10, 11
ANSWER = 100
PARITIES = {"N": 1, "O": 2, "E": 3, "M": 4, "S": 5}
NO_HANDSHAKE, RTSCTS, DSRDTR, DTR_ON, RTS_ON = 1, 3, 19, 8, 11
NAMES = {
    SET_BAUDRATE: "baud",
    SET_DATASIZE: "data bits",
    SET_PARITY: "parity",
    SET_STOPSIZE: "stop bits",
}
# Both directions binary, and the line settings: without these the bytes are not the instrument's.
OURS, THEIRS = (BINARY, COM_PORT), (BINARY,)
# A local server agrees in milliseconds; one that does not know the option never does.
AGREE_WITHIN_S = 5.0
# The longest subnegotiation of RFC 2217 is a signature of some text.
MOST_ASIDE_BYTES = 1024

_MARK = bytes([IAC])
_ASIDE = re.compile(rb"\xff\xfa((?:[^\xff]|\xff\xff)*)\xff\xf0", re.DOTALL)


class Telnet:
    """The client's side of RFC 2217: no I/O, no clock, bounded."""

    def __init__(self, line: LineSettings) -> None:
        self._rest = b""
        self._line = line
        self._asked: set[tuple[int, int]] = set()
        self._granted: set[tuple[int, int]] = set()
        self._wanted = dict(_wanted(line))
        self._answered: dict[int, bytes] = {}
        self.refused = ""  # why it will never be agreed

    def greeting(self) -> bytes:
        """What a client opens with."""
        ours = [(WILL, option) for option in (*OURS, SUPPRESS_GO_AHEAD)]
        theirs = [(DO, option) for option in (*THEIRS, SUPPRESS_GO_AHEAD)]
        self._asked = {*ours, *theirs}
        return b"".join(bytes((IAC, *pair)) for pair in (*ours, *theirs))

    @property
    def agreed(self) -> bool:
        """Binary in both directions, and the server has repeated every line setting."""
        binary = {(DO, BINARY), (WILL, BINARY)} <= self._granted
        return binary and self._answered == self._wanted

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The instrument's bytes in this chunk, and what the server must be told."""
        self._rest += data
        heard, said = bytearray(), bytearray()
        while True:
            plain, mark, behind = self._rest.partition(_MARK)
            heard += plain
            self._rest = mark + behind
            length = self._command_length()
            if length == 0:
                return bytes(heard), bytes(said)
            command, self._rest = self._rest[:length], self._rest[length:]
            if command[1] == IAC:
                heard.append(IAC)
            else:
                said += self._obey(command)

    def _command_length(self) -> int:
        """Bytes of the command at the front; 0 while it is not whole."""
        if len(self._rest) < 2:
            return 0
        if self._rest[1] in (WILL, WONT, DO, DONT):
            return 3 if len(self._rest) >= 3 else 0
        if self._rest[1] != SB:
            return 2
        aside = _ASIDE.match(self._rest)
        if aside is None and len(self._rest) > MOST_ASIDE_BYTES:
            self.refused = "an endless subnegotiation"
            self._rest = b""
        return 0 if aside is None else aside.end()

    def _obey(self, command: bytes) -> bytes:
        if command[1] == SB:
            self._note(command[2:-2].replace(b"\xff\xff", b"\xff"))
            return b""
        return self._negotiate(command[1], command[2]) if len(command) == 3 else b""

    def _negotiate(self, verb: int, option: int) -> bytes:
        """Agree to what we know, refuse the rest, and answer nothing that answers us (RFC 854)."""
        if verb in (WONT, DONT):
            if option in (OURS if verb == DONT else THEIRS):
                what = "line settings" if option == COM_PORT else "binary transmission"
                self.refused = f"no to {what}"
            return b""
        if option not in (*OURS, SUPPRESS_GO_AHEAD):
            return bytes((IAC, DONT if verb == WILL else WONT, option))
        said = b""
        question = (DO if verb == WILL else WILL, option)
        if question not in self._asked:
            self._asked.add(question)
            said = bytes((IAC, *question))
        if (verb, option) == (DO, COM_PORT) and (verb, option) not in self._granted:
            said += self._settings()
        self._granted.add((verb, option))
        return said

    def _settings(self) -> bytes:
        """All of them at once: masks first, so that nothing is told that nobody asked for."""
        controls = [_handshake(self._line)]
        controls += [] if self._line.dsrdtr else [DTR_ON]
        controls += [] if self._line.rtscts else [RTS_ON]
        asides = [(SET_LINESTATE_MASK, b"\x00"), (SET_MODEMSTATE_MASK, b"\x00")]
        asides += [*self._wanted.items(), *((SET_CONTROL, bytes([value])) for value in controls)]
        return b"".join(_aside(what, value) for what, value in asides)

    def _note(self, aside: bytes) -> None:
        if len(aside) < 2 or aside[0] != COM_PORT:
            return
        what, value = aside[1] - ANSWER, aside[2:]
        if what in self._wanted:
            self._answered[what] = value
            if value != self._wanted[what]:
                ours = int.from_bytes(self._wanted[what])
                self.refused = f"{NAMES[what]} {int.from_bytes(value)} instead of {ours}"


def _wanted(line: LineSettings) -> list[tuple[int, bytes]]:
    return [
        (SET_BAUDRATE, struct.pack("!I", line.baud)),
        (SET_DATASIZE, bytes([line.data_bits])),
        (SET_PARITY, bytes([PARITIES[line.parity]])),
        (SET_STOPSIZE, bytes([line.stop_bits])),
    ]


def _handshake(line: LineSettings) -> int:
    return RTSCTS if line.rtscts else DSRDTR if line.dsrdtr else NO_HANDSHAKE


def _aside(what: int, value: bytes) -> bytes:
    doubled = value.replace(b"\xff", b"\xff\xff")
    return bytes((IAC, SB, COM_PORT, what)) + doubled + bytes((IAC, SE))


async def open_rfc2217(address: PortAddress, line: LineSettings) -> ByteStream:
    """Connect and agree; LinkLost says what the server would not do."""
    name = f"rfc2217://{address.host}:{address.number}"
    telnet = Telnet(line)
    changed = asyncio.Event()

    def hear(data: bytes) -> tuple[bytes, bytes]:
        changed.set()
        return telnet.feed(data)

    stream = await open_tcp(name, address.host, address.number, hear=hear)
    try:
        stream.write(telnet.greeting())
        await _agree(name, telnet, stream, changed)
    except BaseException:
        await stream.close()
        raise
    stream.discard()
    return _Rfc2217Stream(stream)


async def _agree(name: str, telnet: Telnet, stream: TcpStream, changed: asyncio.Event) -> None:
    lost = asyncio.create_task(stream.lost())
    lost.add_done_callback(lambda _: changed.set())
    try:
        async with asyncio.timeout(AGREE_WITHIN_S):
            while not telnet.agreed:
                if lost.done():
                    raise LinkLost(lost.result())
                if telnet.refused:
                    raise LinkLost(f"{name}: the server says {telnet.refused}")
                changed.clear()
                await changed.wait()
    except TimeoutError:
        text = f"{name}: no agreement within {AGREE_WITHIN_S:g} s; is it an RFC 2217 port?"
        raise LinkLost(text) from None
    finally:
        lost.cancel()


class _Rfc2217Stream:
    """The connection, with the marks put back into what we send."""

    def __init__(self, stream: TcpStream) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        return await self._stream.receive()

    def discard(self) -> bytes:
        return self._stream.discard()

    async def send(self, data: bytes) -> None:
        await self._stream.send(data.replace(_MARK, _MARK * 2))

    async def lost(self) -> str:
        return await self._stream.lost()

    async def close(self) -> None:
        await self._stream.close()
