"""The embedded broker talks to mosquitto's own programs, on both versions of the protocol."""

import asyncio
from asyncio.subprocess import PIPE

import pytest

from readerd.demo.broker import Broker, refuse

WITHIN_S = 10.0


async def run(program: str, broker: Broker, *arguments: str) -> tuple[int, str]:
    """Exit code and everything said."""
    process = await asyncio.create_subprocess_exec(
        program, "-h", "127.0.0.1", "-p", str(broker.port), *arguments, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


@pytest.mark.parametrize("version", ["mqttv311", "5"])
@pytest.mark.parametrize("qos", ["0", "1"])
async def test_pub_and_sub(
    broker: Broker, mosquitto_clients: tuple[str, str], version: str, qos: str
) -> None:
    publish, subscribe = mosquitto_clients
    common = ("-V", version, "-q", qos)
    code, said = await run(publish, broker, *common, "-t", "a/b", "-m", "kept", "-r")
    assert (code, said) == (0, "")
    code, said = await run(subscribe, broker, *common, "-t", "a/#", "-v", "-C", "1", "-W", "5")
    assert (code, said) == (0, "a/b kept\n")


async def test_sub_shows_the_properties_that_pub_gave(
    broker: Broker, mosquitto_clients: tuple[str, str]
) -> None:
    publish, subscribe = mosquitto_clients
    given = ["-D", "publish", "content-type", "application/json"]
    given += ["-D", "publish", "user-property", "from", "bench2"]
    await run(publish, broker, "-V", "5", "-t", "a", "-m", "x", "-r", "-q", "1", *given)
    form = ("-F", "%C %P %p")
    code, said = await run(subscribe, broker, "-V", "5", "-t", "a", "-C", "1", "-W", "5", *form)
    assert (code, said) == (0, "application/json from:bench2 x\n")


async def test_pub_is_told_of_a_refusal(broker: Broker, mosquitto_clients: tuple[str, str]) -> None:
    broker.on_publish = lambda message: refuse()
    _, said = await run(mosquitto_clients[0], broker, "-V", "5", "-t", "a", "-m", "x", "-q", "1")
    assert "Not authorized" in said


async def test_sub_gets_what_was_queued_for_its_session(
    broker: Broker, mosquitto_clients: tuple[str, str]
) -> None:
    publish, subscribe = mosquitto_clients
    lasting = ("-i", "lims", "-c", "-q", "1", "-V", "mqttv311", "-t", "a")
    await run(subscribe, broker, *lasting, "-E")
    for text in ("1", "2", "3"):
        await run(publish, broker, "-q", "1", "-t", "a", "-m", text)
    code, said = await run(subscribe, broker, *lasting, "-C", "3", "-W", "5")
    assert (code, said) == (0, "1\n2\n3\n")
