"""One conformance suite over all ports, each with its real parts (`ports.py`)."""

import asyncio
import contextlib
import os
import pty
import subprocess
import sys
import termios
import time
import tty
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from readerd.driver import visaport
from readerd.driver.inbox import MOST_UNREAD_BYTES, Inbox
from readerd.driver.serve import serve_pty
from readerd.driver.stream import ByteStream, LineSettings
from readerd.driver.transport import PortAddress, open_transport, parse_port
from readerd.driver.virtual import Emission
from readerd.errors import ConfigError, LinkLost
from tests.driver.ports import KINDS, plugged

LINE = LineSettings()
# Real time: everything here takes milliseconds; this is only how long a failure may hang.
SOON_S = 5.0


class Echo:
    """An instrument that says everything back, and hangs up when it hears `!`."""

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        return [Emission(after_s=0, data=data, step="ECHO", hang_up=b"!" in data)]


@pytest.fixture(params=KINDS)
async def stream(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ByteStream]:
    async with plugged(request.param, Echo(), LINE, tmp_path) as port:
        opened = await open_transport(port, LINE, twin=Echo, time_scale=0)
        yield opened
        await opened.close()


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


async def test_a_plate_of_384_wells_passes_in_one_piece(stream: ByteStream) -> None:
    whole = b"".join(b"%05d," % number for number in range(4000)).replace(b"!", b"")
    await stream.send(whole)
    assert await receive_exactly(stream, len(whole)) == whole


async def test_nothing_burns_the_processor_while_nobody_talks(stream: ByteStream) -> None:
    waiting = asyncio.create_task(stream.receive())
    before_s = time.process_time()
    await asyncio.wait({waiting}, timeout=0.5)
    spent_s = time.process_time() - before_s
    waiting.cancel()
    assert spent_s < 0.1


async def test_a_visa_read_that_times_out_in_its_middle_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visaport, "WAIT_MS", 2)  # pyvisa-py takes longer for so many bytes
    async with plugged("visa-asrl", Echo(), LINE, tmp_path) as port:
        stream = await open_transport(port, LINE)
        for number in range(5):
            whole = b"".join(b"%d%04d," % (number, at) for at in range(250))
            await stream.send(whole)
            assert await receive_exactly(stream, len(whole)) == whole
        await stream.close()


LOCKED = ("serial:{}", "visa:ASRL{}::INSTR")


@pytest.mark.parametrize("second", LOCKED)
@pytest.mark.parametrize("first", LOCKED)
async def test_a_device_is_locked_against_a_second_opener(first: str, second: str) -> None:
    async with serve_pty(Echo(), LINE, time_scale=0) as port:
        path = port.removeprefix("serial:")
        holder = await open_transport(first.format(path), LineSettings(baud=38400))
        with pytest.raises(LinkLost, match="lock"):
            await open_transport(second.format(path), LINE)
        await holder.send(b"mine")
        assert await receive_exactly(holder, 4) == b"mine"
        assert flags(path)[5] == termios.B38400
        await holder.close()
        heir = await open_transport(second.format(path), LINE)
        await heir.send(b"now mine")
        assert await receive_exactly(heir, 8) == b"now mine"
        await heir.close()


def flags(path: str) -> list[Any]:
    """The terminal's settings: [2] are its control flags, [5] its speed."""
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        return termios.tcgetattr(terminal)
    finally:
        os.close(terminal)


@pytest.mark.parametrize("kind", ["serial", "rfc2217", "visa-asrl", "visa-elsewhere"])
async def test_line_settings_reach_the_terminal(kind: str, tmp_path: Path) -> None:
    async with plugged(kind, Echo(), LINE, tmp_path) as port:
        stream = await open_transport(port, LineSettings(baud=38400, stop_bits=2))
        seen = flags(str(tmp_path / "line.pty"))
        await stream.close()
        assert seen[5] == termios.B38400
        assert seen[2] & termios.CSTOPB
        stream = await open_transport(f"{port}?baud=19200&stop_bits=1", LineSettings(stop_bits=2))
        seen = flags(str(tmp_path / "line.pty"))
        await stream.close()
        assert seen[5] == termios.B19200
        assert not seen[2] & termios.CSTOPB


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
        ("rfc2217://127.0.0.1:1", "rfc2217://127.0.0.1:1"),
        ("visa:ASRL/nonexistent/tty::INSTR", "/nonexistent/tty"),
        ("visa:ASRL/nonexistent/tty::INSTR@elsewhere", "/nonexistent/tty"),
        ("visa:TCPIP::127.0.0.1::1::SOCKET", "TCPIP::127.0.0.1::1::SOCKET"),
        ("visa:ASRL/dev/null::INSTR@nowhere", "@nowhere"),
        ("visa:RUBBISH::INSTR", "RUBBISH::INSTR"),
    ],
)
async def test_a_port_that_does_not_open_is_a_lost_link(port: str, says: str) -> None:
    with pytest.raises(LinkLost, match=says):
        await open_transport(port, LINE)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/dev/ttyUSB0",
            "serial:",
            "tcp://host",
            "tcp://host:0",
            "tcp://host:70000",
            "twin:x",
        ),
        *("rfc2217://host", "visa:", "visa:@py", "visa: ASRL1"),
    ],
)
async def test_text_that_is_no_port_says_what_is_right(text: str) -> None:
    with pytest.raises(ConfigError, match=r"tcp://host:4001") as caught:
        await open_transport(text, LINE)
    assert caught.value.mistakes[0].where == "reader.port"


async def test_a_twin_port_needs_a_twin() -> None:
    with pytest.raises(ConfigError, match="simulated instrument"):
        await open_transport("twin:", LINE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("serial:/dev/ttyS0?speed=9600", "a line setting .baud, data_bits, parity"),
        ("serial:/dev/ttyS0?baud=", "a line setting"),
        ("serial:/dev/ttyS0?parity=X", "one of N, E, O, M, S"),
        ("serial:/dev/ttyS0?baud=9600&", "'' is not a line setting"),
        ("tcp://host:4001?baud=9600", "set at the device server"),
        ("visa:TCPIP::host::4001::SOCKET?baud=9600", "set at the device server"),
    ],
)
def test_a_line_setting_that_cannot_be_says_what_is_right(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_port(text)


def test_port_texts_are_understood() -> None:
    assert parse_port("twin:") == PortAddress("twin")
    assert parse_port("serial:./r.pty") == PortAddress("serial", path="./r.pty")
    by_id = parse_port("serial:by-id/usb-FTDI_A1-if00")
    assert by_id == PortAddress("serial", path="/dev/serial/by-id/usb-FTDI_A1-if00")
    assert parse_port("tcp://a.b:4001") == PortAddress("tcp", host="a.b", number=4001)
    assert parse_port("tcp://[::1]:4001") == PortAddress("tcp", host="::1", number=4001)
    assert parse_port("rfc2217://[::1]:4001") == PortAddress("rfc2217", host="::1", number=4001)
    resource = "TCPIP::10.0.0.7::4001::SOCKET"
    assert parse_port(f"visa:{resource}") == PortAddress("visa", path=resource, backend="py")
    assert parse_port("visa:ASRL3::INSTR@ivi") == PortAddress(
        "visa", path="ASRL3::INSTR", backend="ivi"
    )
    asked = parse_port("serial:COM3?baud=4800&parity=E&data_bits=7&stop_bits=2&rtscts=yes")
    assert asked.line(LINE) == LineSettings(
        baud=4800, parity="E", data_bits=7, stop_bits=2, rtscts=True
    )


def test_a_library_is_imported_when_its_first_port_opens() -> None:
    code = (
        "import sys, readerd.daemon, readerd.driver.transport;"
        "sys.exit(bool({'serial', 'pyvisa', 'pyvisa_py'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
