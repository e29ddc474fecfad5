"""The client of the local door: find the daemon's socket, ask it over HTTP. Light, and so fast."""

import json
import os
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from readerd.errors import ErrorCode, InputError, Mistake, NoDaemon, RequestError

# The daemon beats every 15 s on an event stream; twice that is silence.
QUIET_S = 30.0
# The longest event is a plate's progress with its curve, a few kilobytes.
MOST_LINE_BYTES = 1 << 20


def find_socket(reader: str | None) -> Path:
    """The socket of `--reader NAME` (or a path), else READERD_READER, else the only one there."""
    name = reader or os.environ.get("READERD_READER")
    if name and "/" in name:
        return Path(name)
    directories = _runtime_directories()
    pattern = f"{name}.sock" if name else "*.sock"
    found = [path for directory in directories for path in sorted(directory.glob(pattern))]
    if len(found) == 1:
        return found[0]
    if found and name:
        return found[0]
    if found:
        names = ", ".join(path.stem for path in found)
        raise InputError("--reader", Mistake("", f"several readers run here, name one of: {names}"))
    where = ", ".join(map(str, directories))
    who = f"reader {name!r}" if name else "readerd"
    raise NoDaemon(f"no {who} runs here (no socket in {where}); start `readerd run --config FILE`")


def _runtime_directories() -> list[Path]:
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    user = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates = [given, "/run/readerd", f"{user}/readerd" if user else ""]
    return [Path(text) for text in dict.fromkeys(candidates) if text]


class Door:
    """Requests to one daemon; every answer is decoded JSON.

    HTTP/1.0, one request a connection: that needs a socket and nothing else, and a library for it
    would take longer to import than the whole of `readerd status` may last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, target: str, *, within_s: float = QUIET_S) -> Any:
        return self._call("GET", target, b"", within_s)

    def post(self, target: str, body: dict[str, object], *, within_s: float = QUIET_S) -> Any:
        return self._call("POST", target, json.dumps(body).encode(), within_s)

    def events(self) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """What happens from now on; the first item is ("open", {})."""
        try:
            with self._request("GET", "/v1/events", b"", QUIET_S) as answer:
                _status(answer)
                yield "open", {}
                kind = ""
                while line := answer.readline(MOST_LINE_BYTES):
                    if line.startswith(b"event: "):
                        kind = line[7:].decode().strip()
                    elif line.startswith(b"data: "):
                        yield kind, json.loads(line[6:])
        except (OSError, ValueError) as error:
            raise NoDaemon(f"readerd went away: {error}") from None
        raise NoDaemon("readerd went away; `readerd status` tells when it is back")

    def _call(self, method: str, target: str, body: bytes, within_s: float) -> Any:
        try:
            with self._request(method, target, body, within_s) as stream:
                status = _status(stream)
                answer = json.loads(stream.read())
        except TimeoutError:
            raise NoDaemon(f"{self.path}: no answer within {within_s:g} s") from None
        except (OSError, ValueError) as error:
            raise NoDaemon(f"{self.path}: the answer is none of readerd's: {error}") from None
        if status >= 400 and "error" in answer:
            raise _refusal(answer)
        return answer

    @contextmanager
    def _request(
        self, method: str, target: str, body: bytes, within_s: float
    ) -> Iterator[BinaryIO]:
        """The answer's bytes, from the status line on."""
        head = (
            f"{method} {target} HTTP/1.0\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with self._connect() as connection, connection.makefile("rb") as answer:
            connection.settimeout(within_s)
            connection.sendall(head.encode() + body)
            yield answer

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(QUIET_S)
        try:
            connection.connect(str(self.path))
        except OSError as error:
            connection.close()
            do = "start `readerd run --config FILE`"
            if isinstance(error, PermissionError):
                do = "who may open it is in the group readerd-operators"
            said = error.strerror or error
            raise NoDaemon(f"no readerd answers on {self.path} ({said}); {do}") from None
        return connection


def _refusal(answer: dict[str, Any]) -> RequestError:
    """What the daemon refuses; a newer one may know codes that we do not."""
    code, text = answer["error"], answer.get("text", "")
    if code in list(ErrorCode):
        return RequestError(ErrorCode(code), text)
    return RequestError(ErrorCode.INTERNAL, f"{code}: {text}")


def _status(answer: BinaryIO) -> int:
    """The status code; the headers are read and passed over. ValueError when it is no HTTP."""
    version, code, *_ = answer.readline(MOST_LINE_BYTES).split(None, 2) or (b"", b"")
    if not version.startswith(b"HTTP/1."):
        raise ValueError("no HTTP")
    while answer.readline(MOST_LINE_BYTES).strip():
        pass
    return int(code)
