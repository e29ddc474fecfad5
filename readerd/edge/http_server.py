"""What listens for the local door: the socket, the server on it, and who is at the other end.

The socket is made and bound here, because uvicorn would make it 0666 and let a second server take
the path over without a word; signals stay the daemon's.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from readerd.edge import peer
from readerd.errors import ConfigError, Mistake

log = logging.getLogger(__name__)


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at `path`, 0660; ConfigError when it cannot be had."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_away(path)
        _bind(listener, path)
        listener.listen(64)
    except OSError as error:
        listener.close()
        mistake = Mistake("http.socket", f"{path}: {error.strerror or error}")
        raise ConfigError("the local door", (mistake,)) from error
    listener.setblocking(False)
    return listener


def _bind(listener: socket.socket, path: Path) -> None:
    before = os.umask(0o117)  # for the socket alone: a folder made under it could not be entered
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)


def _clear_away(path: Path) -> None:
    """Remove what a daemon that died left behind; OSError when it is anything else."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise OSError(errno.EEXIST, "is there and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, "another readerd answers there")
    path.unlink()


class _Protocol(H11Protocol):
    """HTTP that knows the caller: `request.state.peer`, from the connection to every request on it.

    What uvicorn copies into each scope is ASGI's `state`; for a unix socket its `client` is empty.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        caller = peer.peer_of(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, "peer": caller}


def _recorded(app: Starlette) -> ASGIApp:
    """The application, with a log line for every request: whoever asks for more than to look."""

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            who, level = scope["state"].get("peer"), logging.INFO
            if scope["method"] in ("GET", "HEAD"):
                level = logging.DEBUG
            where = f"{scope['method']} {scope['path']!r:.120}"
            log.log(level, "door request=%s %s", where, who or "peer=unknown")
        await app(scope, receive, send)

    return recorded


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (the daemon owns the signals) and without its clock.

    Its own main loop wakes ten times a second to look at a flag; ours waits until it is told.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._told.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self._told.wait()


async def serve(app: Starlette, listener: socket.socket, path: Path | None) -> None:
    """Serve on a bound socket until cancelled; then its path is gone, where it is ours."""
    config = uvicorn.Config(
        _recorded(app),
        http=_Protocol,
        log_config=None,
        ws="none",  # else it would take whatever the machine has installed, at 30 ms a start
        access_log=False,
        lifespan="off",
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    finally:
        server.leave()
        await task
        listener.close()
        if path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
