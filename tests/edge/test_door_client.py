"""The local door's client against daemons that are slow, newer than it, or somebody else's."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from readerd.edge.door import Door
from readerd.errors import ErrorCode, NoDaemon, RequestError


@contextmanager
def answering(path: Path, answer: bytes | None) -> Iterator[Door]:
    """A daemon with one answer, or one that takes the question and says nothing."""
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(4096)
                if answer is None:
                    over.wait()
                else:
                    caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Door(path)
        finally:
            over.set()
            thread.join()


def test_silence_is_told_as_silence(tmp_path: Path) -> None:
    with (
        answering(tmp_path / "d.sock", None) as door,
        pytest.raises(NoDaemon, match=r"d\.sock: no answer within 0\.2 s$"),
    ):
        door.get("/v1/audit", within_s=0.2)


def test_a_refusal_of_a_newer_daemon_is_a_refusal(tmp_path: Path) -> None:
    answer = b'HTTP/1.0 409 Conflict\r\n\r\n{"error": "lid_open", "text": "close the lid"}'
    with (
        answering(tmp_path / "d.sock", answer) as door,
        pytest.raises(RequestError, match="lid_open: close the lid") as caught,
    ):
        door.post("/v1/carrier", {})
    assert caught.value.code == ErrorCode.INTERNAL
