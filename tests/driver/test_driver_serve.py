"""Twins served to other programs: clients come and go, lines are unplugged, links tidied up."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from readerd.driver.serve import serve_pty, serve_tcp
from readerd.driver.stream import ByteStream, LineSettings
from readerd.driver.transport import open_transport
from readerd.driver.virtual import Emission, parse_fault, with_faults
from readerd.errors import InputError, LinkLost

LINE = LineSettings()
SOON_S = 5.0


class Counts:
    """Answers every byte with how many it has heard in its life, in a thousand characters."""

    def __init__(self) -> None:
        self.heard = 0

    def receive(self, data: bytes, now_s: float) -> Sequence[Emission]:
        self.heard += len(data)
        return [Emission(after_s=0, data=b"%1000d" % self.heard, step="N")]


async def ask(stream: ByteStream) -> int:
    await stream.send(b"?")
    return int(await receive(stream, 1000))


async def receive(stream: ByteStream, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(SOON_S):
        while len(data) < size:
            data += await stream.receive()
    return data


async def receive_until_lost(stream: ByteStream) -> bytes:
    data = b""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                data += await stream.receive()
            except LinkLost:
                return data


@pytest.mark.parametrize("kind", ["pty", "tcp"])
async def test_the_instrument_outlives_its_clients(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "counts.pty")
    served = (
        serve_pty(Counts(), LINE, path=path, time_scale=0)
        if kind == "pty"
        else serve_tcp(Counts(), LINE, time_scale=0)
    )
    async with served as port:
        for number in (1, 2, 3):
            stream = await open_transport(port, LINE)
            assert await ask(stream) == number
            await stream.close()


@pytest.mark.parametrize("kind", ["pty", "tcp"])
async def test_an_unplugged_line_ends_after_its_last_byte_and_comes_back(
    kind: str, tmp_path: Path
) -> None:
    twin = with_faults(Counts(), [parse_fault("unplug@N#1-2:600")])
    path = str(tmp_path / "counts.pty")
    served = (
        serve_pty(twin, LINE, path=path, time_scale=0.01)
        if kind == "pty"
        else serve_tcp(twin, LINE, time_scale=0.01)
    )
    async with served as port:
        for _ in range(2):
            stream = await open_transport(port, LINE)
            await stream.send(b"?")
            heard = await receive_until_lost(stream)
            # a terminal that hangs up may take its last bytes along; none is ever too many
            assert len(heard) <= 600
            assert heard.strip() == b""
            await stream.close()
        stream = await open_transport(port, LINE)
        assert await ask(stream) == 3
        await stream.close()


async def test_the_link_to_the_terminal_is_made_followed_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "r680.pty"
    path.symlink_to("/dev/pts/no-such-terminal")  # left over from a twin that was killed
    async with serve_pty(Counts(), LINE, path=str(path), time_scale=0) as port:
        assert port == f"serial:{path}"
        assert os.readlink(path).startswith("/dev/")
        stream = await open_transport(port, LINE)
        assert await ask(stream) == 1
        await stream.close()
    assert not path.is_symlink()
    assert os.listdir(tmp_path) == []


async def test_a_link_that_is_somebody_elses_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "r680.pty"
    async with serve_pty(Counts(), LINE, path=str(path)):
        async with serve_pty(Counts(), LINE, path=str(path)):
            second = os.readlink(path)
            assert second != ""
        assert not path.is_symlink()


async def test_a_file_in_the_way_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(InputError, match="in the way"):
        async with serve_pty(Counts(), LINE, path=str(path)):
            raise AssertionError
    assert path.read_text() == "data"


async def test_without_a_path_the_port_is_the_terminal_itself() -> None:
    async with serve_pty(Counts(), LINE, time_scale=0) as port:
        assert port.startswith("serial:/dev/")
        stream = await open_transport(port, LINE)
        assert await ask(stream) == 1
        await stream.close()


async def test_the_end_of_the_server_is_a_lost_link(tmp_path: Path) -> None:
    for served in (
        serve_pty(Counts(), LINE, time_scale=0),
        serve_tcp(Counts(), LINE, time_scale=0),
    ):
        async with served as port:
            stream = await open_transport(port, LINE)
            assert await ask(stream) == 1
        assert await asyncio.wait_for(stream.lost(), SOON_S)
        await stream.close()


async def test_a_second_client_is_turned_away_and_the_first_goes_on() -> None:
    async with serve_tcp(Counts(), LINE, time_scale=0) as port:
        first = await open_transport(port, LINE)
        assert await ask(first) == 1
        second = await open_transport(port, LINE)
        assert await asyncio.wait_for(second.lost(), SOON_S)
        assert await ask(first) == 2
        await second.close()
        await first.close()


async def test_a_taken_tcp_port_is_one_clear_line() -> None:
    async with serve_tcp(Counts(), LINE) as port:
        number = int(port.rpartition(":")[2])
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{number}: .*in use"):
            async with serve_tcp(Counts(), LINE, port=number):
                raise AssertionError


@pytest.mark.parametrize("kind", ["pty", "tcp"])
async def test_bytes_are_paced_in_real_time(kind: str) -> None:
    scale = 0.2  # a thousand bytes at 9600 baud are 1.04 s
    served = serve_pty if kind == "pty" else serve_tcp
    async with served(Counts(), LINE, time_scale=scale) as port:
        stream = await open_transport(port, LINE)
        began_s = asyncio.get_running_loop().time()
        await ask(stream)
        took_s = asyncio.get_running_loop().time() - began_s
        await stream.close()
    assert scale * 1001 * LINE.seconds_per_byte <= took_s < scale * 1001 * LINE.seconds_per_byte + 1
