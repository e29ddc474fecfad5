"""RFC 2217, the client's side: pure parts under any chunking, and servers that do not agree."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.driver import rfc2217
from readerd.driver.rfc2217 import COM_PORT, DO, DONT, IAC, SB, SE, WILL, WONT, Telnet
from readerd.driver.stream import LineSettings
from readerd.driver.transport import open_transport
from readerd.errors import LinkLost

LINE = LineSettings(baud=9600, data_bits=8, parity="E", stop_bits=2)


def told(what: int, value: bytes) -> bytes:
    return bytes((IAC, SB, COM_PORT, what + 100)) + value + bytes((IAC, SE))


# What a server says that agrees: typed in from RFC 854, 856 and 2217, not made by our client.
ANSWERS = (
    b"\xff\xfd\x00\xff\xfb\x00\xff\xfd\x2c"
    b"\xff\xfa\x2c\x65\x00\x00\x25\x80\xff\xf0"
    b"\xff\xfa\x2c\x66\x08\xff\xf0"
    b"\xff\xfa\x2c\x67\x03\xff\xf0"
    b"\xff\xfa\x2c\x68\x02\xff\xf0"
)


def test_a_server_that_agrees_is_agreed_with_at_its_last_word() -> None:
    telnet = Telnet(LINE)
    assert telnet.greeting() == b"\xff\xfb\x00\xff\xfb\x2c\xff\xfb\x03\xff\xfd\x00\xff\xfd\x03"
    said = b""
    for at in range(len(ANSWERS)):
        assert not telnet.agreed
        heard, more = telnet.feed(ANSWERS[at : at + 1])
        assert heard == b""
        said += more
    assert telnet.agreed
    assert telnet.refused == ""
    for setting in (b"\x01\x00\x00\x25\x80", b"\x02\x08", b"\x03\x03", b"\x04\x02"):
        assert said.count(b"\xff\xfa\x2c" + setting + b"\xff\xf0") == 1


@given(st.binary(max_size=300), st.lists(st.integers(1, 9), max_size=200))
def test_the_instruments_bytes_pass_under_any_chunking(data: bytes, sizes: list[int]) -> None:
    telnet = Telnet(LINE)
    telnet.greeting()
    wire = ANSWERS + data.replace(b"\xff", b"\xff\xff") + b"\xff\xf1" + b"end"
    heard = b""
    for size in (*sizes, len(wire)):
        part, wire = wire[:size], wire[size:]
        heard += telnet.feed(part)[0]
    assert heard == data + b"end"
    assert telnet.agreed


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    telnet = Telnet(LINE)
    telnet.greeting()
    heard, said = telnet.feed(data)
    assert len(heard) <= len(data)
    assert len(said) <= 3 * len(data) + 200


def test_an_endless_subnegotiation_is_refused_and_not_kept() -> None:
    telnet = Telnet(LINE)
    for _ in range(100):
        telnet.feed(b"\xff\xfa\x2c" + b"x" * 100)
    assert "endless" in telnet.refused


def test_a_question_is_answered_once() -> None:
    """RFC 854: a side that answers an answer never ends."""
    telnet = Telnet(LINE)
    telnet.greeting()
    assert telnet.feed(bytes((IAC, DO, 0)))[1] == b""  # our own WILL was the question
    assert telnet.feed(bytes((IAC, WILL, COM_PORT)))[1] == bytes((IAC, DO, COM_PORT))
    assert telnet.feed(bytes((IAC, WILL, COM_PORT)))[1] == b""
    assert telnet.feed(bytes((IAC, WILL, 1)))[1] == bytes((IAC, DONT, 1))  # no echo
    assert telnet.feed(bytes((IAC, DO, 24)))[1] == bytes((IAC, WONT, 24))  # no terminal type
    assert telnet.feed(bytes((IAC, DO, COM_PORT)))[1] != b""
    assert telnet.feed(bytes((IAC, DO, COM_PORT)))[1] == b""


@asynccontextmanager
async def server(answer: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """A server that answers each chunk so; b"" hangs up."""

    served: list[asyncio.Task[object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(cast(asyncio.Task[object], asyncio.current_task()))
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                said = answer(data)
                if not said:
                    break
                writer.write(said)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    number = listening.sockets[0].getsockname()[1]
    try:
        yield f"rfc2217://127.0.0.1:{number}"
    finally:
        listening.close()
        await asyncio.gather(*served)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (bytes((IAC, DONT, COM_PORT)), "no to line settings"),
        (bytes((IAC, DONT, 0)), "no to binary"),
        (bytes((IAC, WONT, 0)), "no to binary"),
        (
            ANSWERS.replace(b"\x25\x80", b"\x96\x00") + told(1, struct.pack("!I", 38400)),
            "baud 38400 instead of 9600",
        ),
        (told(3, b"\x01"), "parity 1 instead of 3"),
    ],
)
async def test_a_server_that_does_not_agree_is_told_in_its_words(answer: bytes, says: str) -> None:
    async with server(lambda data: answer) as port:
        with pytest.raises(LinkLost, match=says):
            await open_transport(port, LINE)


async def test_a_server_that_hangs_up_is_a_lost_link() -> None:
    async with server(lambda data: b"") as port:
        with pytest.raises(LinkLost, match="closed by the other side"):
            await open_transport(port, LINE)


async def test_a_raw_port_is_no_rfc2217_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc2217, "AGREE_WITHIN_S", 0.1)
    for answer in (lambda data: b"ready\r\n", lambda data: data):  # text, and an echo
        async with server(answer) as port:
            with pytest.raises(LinkLost, match="is it an RFC 2217 port"):
                await open_transport(port, LINE)
