"""The client of the local door: find the daemon's socket, ask it over HTTP. Light, and so fast."""

import http.client
import json
import os
import socket
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from readerd.errors import ErrorCode, InputError, Mistake, NoDaemon, RequestError

# The daemon beats every 15 s on an event stream; twice that is silence.
QUIET_S = 30.0


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
    """Requests to one daemon; every answer is decoded JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, target: str) -> Any:
        return self._call("GET", target, None)

    def post(self, target: str, body: dict[str, object]) -> Any:
        return self._call("POST", target, json.dumps(body).encode())

    def events(self) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """What happens from now on; the first item is ("open", {})."""
        with closing(self._connect(QUIET_S)) as connection:
            try:
                connection.request("GET", "/v1/events")
                response = connection.getresponse()
                yield "open", {}
                kind = ""
                while line := response.readline(1 << 20):
                    if line.startswith(b"event: "):
                        kind = line[7:].decode().strip()
                    elif line.startswith(b"data: "):
                        yield kind, json.loads(line[6:])
            except (OSError, http.client.HTTPException) as error:
                raise NoDaemon(f"readerd went away: {error}") from None
        raise NoDaemon("readerd went away; `readerd status` tells when it is back")

    def _call(self, method: str, target: str, body: bytes | None) -> Any:
        with closing(self._connect(QUIET_S)) as connection:
            try:
                connection.request(method, target, body)
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise NoDaemon(f"{self.path}: the answer is none of readerd's: {error}") from None
        if response.status >= 400 and "error" in answer:
            raise RequestError(ErrorCode(answer["error"]), answer["text"])
        return answer

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(timeout_s)
        try:
            stream.connect(str(self.path))
        except OSError as error:
            stream.close()
            raise NoDaemon(
                f"no readerd answers on {self.path} ({error.strerror});"
                " start `readerd run --config FILE`"
            ) from None
        connection = http.client.HTTPConnection("localhost", timeout=timeout_s)
        connection.sock = stream
        return connection
