"""How the LIMS side gets in: certificates, passwords, mistakes of its caller, signals."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from readerd.cli import main
from tests.collect.test_collect_collector import ROOT, Reader, collecting, quick, result
from tests.conftest import Mosquitto, StartMosquitto
from tests.edge.test_mosquitto import authority, issue, password_file
from tests.whole.whole_bench import Start, start

__all__ = ["start"]


@pytest.fixture
def guarded(mosquitto: StartMosquitto, tmp_path: Path) -> Mosquitto:
    """mosquitto that speaks TLS, and only to clients with a certificate of its authority."""
    ca = authority(tmp_path / "tls")
    certificate, key = issue(tmp_path / "tls", "broker", alternative="IP:127.0.0.1")
    return mosquitto(
        f"cafile {ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true"
    )


@asynccontextmanager
async def reading(port: int, tls: Path | None = None, **more: Any) -> AsyncIterator[Reader]:
    """The daemon's side; with the certificate `lims` of this folder, where there is one."""
    if tls is not None:
        more["tls_context"] = ssl.create_default_context(cafile=str(tls / "ca.pem"))
        more["tls_context"].load_cert_chain(tls / "lims.pem", tls / "lims.key")
    async with aiomqtt.Client("127.0.0.1", port, **more) as client:
        await client.subscribe(f"{ROOT}/receipt/+", qos=1)
        yield Reader(client)


def over_tls(port: int, folder: Path, **more: Any) -> dict[str, str]:
    ca = str(folder / "ca.pem")
    return {"url": f"mqtts://127.0.0.1:{port}", "ca_file": ca, **more}


def test_a_client_certificate_opens_and_sigterm_is_a_clean_end(
    guarded: Mosquitto, tmp_path: Path, start: Start
) -> None:
    """The program as a service runs it."""
    certificate, key = issue(tmp_path / "tls", "lims")
    options = over_tls(guarded.port, tmp_path / "tls", cert_file=certificate, key_file=key)
    spelt = [
        text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", value)
    ]
    for number, stop in ((1, signal.SIGTERM), (2, signal.SIGINT)):
        program = start("collect", "--to", "kept", *spelt)
        program.until("connected to")

        async def publish(number: int) -> None:
            async with reading(guarded.port, tmp_path / "tls") as reader:
                await reader.publish("result", result(number))
                [(_, receipt)] = await reader.hear(1)
                assert receipt["outcome"] == "stored"

        asyncio.run(publish(number))
        assert program.end(stop) == 0
        assert "stopped: 1 stored, 0 duplicates" in "".join(program.heard)
        assert len(list(tmp_path.glob("kept/lab1/b1/result/*.json"))) == number


async def test_without_a_certificate_nobody_gets_in_and_it_is_told(
    guarded: Mosquitto, tmp_path: Path
) -> None:
    options: dict[str, Any] = over_tls(guarded.port, tmp_path / "tls")
    settings = replace(quick(guarded.port), within_s=0.5, **options)
    async with collecting(settings, str(tmp_path / "kept"), wait=False) as lims:
        await lims.says("did not welcome us within 0.5 s; it may want our certificate")
        assert not lims.collector.connected.is_set()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_password_comes_from_its_file_and_may_be_put_right(
    mosquitto: StartMosquitto, tmp_path: Path, version: Any
) -> None:
    users = password_file(tmp_path, lims="right", b1="b1")
    broker = mosquitto("allow_anonymous false", f"password_file {users}")
    ours = tmp_path / "lims.password"
    ours.write_text("wrong\n")
    settings = quick(broker.port, version=version, username="lims", password_file=str(ours))
    async with collecting(settings, str(tmp_path / "kept"), wait=False) as lims:
        await lims.says("broker lost: [code:135] Not authorized; trying again")
        ours.write_text("right\n")
        await lims.says("connected to")
        async with reading(broker.port, username="b1", password="b1") as reader:
            await reader.publish("result", result(1))
            [(_, receipt)] = await reader.hear(1)
            assert receipt["outcome"] == "stored"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--url", "http://h"], "--url http://h: write mqtt://HOST[:PORT]"),
        (["--url", "mqtt://"], "write mqtt://HOST[:PORT]"),
        (["--url", "mqtt://[::1"], "write mqtt://HOST[:PORT]"),
        (["--url", "mqtt://u:p@h"], "the user goes into --username"),
        (["--url", "mqtt://h:0"], "the port must be 1 to 65535"),
        (["--url", "mqtt://h", "--consumer", "The LIMS"], "1 to 32 of a-z, 0-9 and -"),
        (["--url", "mqtt://h", "--password-file", "x"], "a password needs a --username"),
        (["--url", "mqtt://h", "--username", "u", "--password-file", "none"], "No such file"),
        (["--url", "mqtt://h", "--username", "u", "--password-file", "bytes"], "UTF-8 text"),
        (["--url", "mqtt://h", "--ca-file", "none"], "certificates are for mqtts://"),
        (["--url", "mqtts://h", "--ca-file", "none"], "--ca-file none: cannot be read: No such"),
        (["--url", "mqtts://h", "--ca-file", "bytes"], "must be certificates in PEM"),
        (["--url", "mqtts://h", "--key-file", "bytes"], "a key needs its --cert-file"),
        (["--url", "mqtts://h", "--cert-file", "bytes"], "with the key that fits it"),
        (["--url", "mqtt://h", "--to", "bytes"], "bytes: cannot be used: File exists"),
        (["--url", "mqtt://h", "--to", "sqlite:bytes"], "sqlite:bytes: cannot be used: file is"),
        (["--to", "kept"], "Missing option '--url'"),
    ],
)
def test_a_mistake_of_the_caller_is_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bytes").write_bytes(b"\xff\xfe no certificate, no text, no database " * 50)
    target = [] if "--to" in arguments else ["--to", "kept"]
    with pytest.raises(SystemExit) as ended:
        main(["collect", *arguments, *target])
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1), said
    assert says in said
    assert not Path("kept").exists()
