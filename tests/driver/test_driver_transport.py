"""One conformance suite over all ports: a real pty, a real TCP socket, a twin in the loop."""

import asyncio
import contextlib
import os
import pty
import termios
import tty
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from readerd.driver.inbox import MOST_UNREAD_BYTES, Inbox
from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.stream import ByteStream, LineSettings
from readerd.driver.transport import PortAddress, open_transport, parse_port
from readerd.driver.virtual import Emission
from readerd.errors import ConfigError, LinkLost

LINE = LineSettings()
# Real time: everything here takes milliseconds; this is only how long a failure may hang.
SOON_S = 5.0


class Echo:
    """An instrument that says everything back, and hangs up when it hears `!`."""

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        return [Emission(after_s=0, data=data, step="ECHO", hang_up=b"!" in data)]


@pytest.fixture(params=["serial", "tcp", "twin"])
async def stream(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ByteStream]:
    async with AsyncExitStack() as stack:
        port = "twin:"
        if request.param == "serial":
            path = str(tmp_path / "echo.pty")
            port = await stack.enter_async_context(serve_pty(Echo(), LINE, path=path, time_scale=0))
        elif request.param == "tcp":
            port = await stack.enter_async_context(serve_tcp(Echo(), LINE, time_scale=0))
        opened = await open_transport(port, LINE, twin=Echo, time_scale=0)
        stack.push_async_callback(opened.close)
        yield opened


async def receive_exactly(stream: ByteStream, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(SOON_S):
        while len(data) < size:
            data += await stream.receive()
    return data


async def test_every_byte_value_passes_both_ways(stream: ByteStream) -> None:
    every = bytes(range(256)).replace(b"!", b"")
    await stream.send(every)
    assert await receive_exactly(stream, len(every)) == every


async def test_order_is_kept_over_many_sends(stream: ByteStream) -> None:
    parts = [b"%05d;" % number for number in range(300)]
    for part in parts:
        await stream.send(part)
    whole = b"".join(parts)
    assert await receive_exactly(stream, len(whole)) == whole


async def test_receive_gives_at_least_one_byte_and_waits_for_it(stream: ByteStream) -> None:
    waiting = asyncio.create_task(stream.receive())
    done, _ = await asyncio.wait({waiting}, timeout=0.02)
    assert not done
    await stream.send(b"x")
    assert await asyncio.wait_for(waiting, SOON_S) == b"x"


async def test_cancelling_receive_loses_nothing(stream: ByteStream) -> None:
    sent = heard = b""
    for number in range(50):  # each is cancelled somewhere between before and after its bytes
        part = b"%03d;" % number
        sent += part
        await stream.send(part)
        waiting = asyncio.create_task(stream.receive())
        for _ in range(number % 7):
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            heard += await waiting
    assert heard + await receive_exactly(stream, len(sent) - len(heard)) == sent


async def test_discard_takes_what_came_and_never_waits(stream: ByteStream) -> None:
    assert stream.discard() == b""
    await stream.send(b"old")
    heard = b""
    async with asyncio.timeout(SOON_S):
        while len(heard) < 3:
            await asyncio.sleep(0)
            heard += stream.discard()
    await stream.send(b"new")
    assert heard + await receive_exactly(stream, 3) == b"oldnew"


async def test_unplug_is_noticed_at_once_after_the_last_bytes(stream: ByteStream) -> None:
    await stream.send(b"last words!")
    reason = await asyncio.wait_for(stream.lost(), SOON_S)
    assert reason
    heard = stream.discard()
    assert b"last words!".startswith(heard)
    for _ in range(2):
        with pytest.raises(LinkLost):
            await stream.receive()
        with pytest.raises(LinkLost):
            await stream.send(b"?")


async def test_unplug_wakes_who_waits_for_bytes(stream: ByteStream) -> None:
    async def until_lost() -> None:
        while True:
            await stream.receive()

    waiting = asyncio.create_task(until_lost())
    await stream.send(b"!")
    with pytest.raises(LinkLost):
        await asyncio.wait_for(waiting, SOON_S)


async def test_close_is_idempotent_and_wakes_who_waits(stream: ByteStream) -> None:
    waiting = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    await stream.close()
    with pytest.raises(LinkLost, match="closed"):
        await asyncio.wait_for(waiting, SOON_S)
    await stream.close()
    assert "closed" in await stream.lost()
    with pytest.raises(LinkLost):
        await stream.send(b"x")


async def test_a_babbling_instrument_that_nobody_hears_fills_no_memory() -> None:
    inbox = Inbox()
    for number in range(40):
        inbox.put(bytes([number]) * (MOST_UNREAD_BYTES // 16))
    kept = await inbox.take()
    assert len(kept) == MOST_UNREAD_BYTES
    assert kept[-1] == 39
    inbox.end("first reason")
    inbox.end("second reason")
    inbox.put(b"too late")
    assert inbox.discard() == b""
    with pytest.raises(LinkLost, match="first reason"):
        await inbox.take()


async def test_serial_is_locked_against_a_second_opener() -> None:
    async with serve_pty(Echo(), LINE, time_scale=0) as port:
        first = await open_transport(port, LINE)
        with pytest.raises(LinkLost, match="lock"):
            await open_transport(port, LINE)
        await first.close()
        second = await open_transport(port, LINE)
        await second.send(b"mine")
        assert await receive_exactly(second, 4) == b"mine"
        await second.close()


async def test_serial_line_settings_reach_the_terminal() -> None:
    async with serve_pty(Echo(), LINE, time_scale=0) as port:
        settings = LineSettings(baud=38400, stop_bits=2)
        stream = await open_transport(port, settings)
        terminal = os.open(port.removeprefix("serial:"), os.O_RDWR | os.O_NOCTTY)
        try:
            flags = termios.tcgetattr(terminal)
        finally:
            os.close(terminal)
        await stream.close()
    assert flags[5] == termios.B38400
    assert flags[2] & termios.CSTOPB


async def test_serial_end_of_the_other_process_is_a_lost_link() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    stream = await open_transport(f"serial:{os.ttyname(slave)}", LINE)
    os.close(slave)
    waiting = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    os.close(master)
    with pytest.raises(LinkLost):
        await asyncio.wait_for(waiting, SOON_S)
    await stream.close()


@pytest.mark.parametrize(
    ("port", "says"),
    [
        ("serial:/nonexistent/tty", "/nonexistent/tty"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
    ],
)
async def test_a_port_that_does_not_open_is_a_lost_link(port: str, says: str) -> None:
    with pytest.raises(LinkLost, match=says):
        await open_transport(port, LINE)


@pytest.mark.parametrize(
    "text",
    ["", "/dev/ttyUSB0", "serial:", "tcp://host", "tcp://host:0", "tcp://host:70000", "twin:x"],
)
async def test_text_that_is_no_port_says_what_is_right(text: str) -> None:
    with pytest.raises(ConfigError, match=r"tcp://host:4001") as caught:
        await open_transport(text, LINE)
    assert caught.value.mistakes[0].where == "reader.port"


async def test_a_twin_port_needs_a_twin() -> None:
    with pytest.raises(ConfigError, match="simulated instrument"):
        await open_transport("twin:", LINE)


def test_port_texts_are_understood() -> None:
    assert parse_port("twin:") == PortAddress("twin")
    assert parse_port("serial:./r.pty") == PortAddress("serial", path="./r.pty")
    assert parse_port("tcp://a.b:4001") == PortAddress("tcp", host="a.b", number=4001)
    assert parse_port("tcp://[::1]:4001") == PortAddress("tcp", host="::1", number=4001)
