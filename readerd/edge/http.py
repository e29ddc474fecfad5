"""The local door: HTTP on a unix socket (and TCP, where enabled) for the CLI, scripts and curl.

`POST /v1/runs` asks for a read; 202 and the run id mean that the journal has it. Refusals carry the
contract's error code. The socket is made and bound here, because uvicorn would make it 0666 and let
a second server take the path over without a word; signals stay the daemon's.
"""

import asyncio
import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import uvicorn
from pydantic import JsonValue, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from ulid import ULID

from readerd.assay.layout import Binding, PlateMap
from readerd.complaint import in_words
from readerd.edge.bodies import AbortBody, B, CarrierBody, ReadBody, ReasonBody, ReviseBody
from readerd.errors import ConfigError, ErrorCode, Mistake, RequestError, StoreError
from readerd.payload import Operator, Trigger
from readerd.run.audit import verify_file
from readerd.run.feed import Feed
from readerd.run.overview import newest_runs
from readerd.run.plan import RunRequest
from readerd.run.runner import Runner
from readerd.run.store import Store

# 409: the state forbids it now; 404: there is no such thing; 422: it is wrong whenever it comes.
HTTP_STATUS: Final = {
    ErrorCode.BUSY: 409,
    ErrorCode.READER_OFFLINE: 409,
    ErrorCode.READER_FAULT: 409,
    ErrorCode.ALREADY_READ: 409,
    ErrorCode.STATE_MISMATCH: 409,
    ErrorCode.STORE_FULL: 409,
    ErrorCode.RUN_UNKNOWN: 404,
}
MOST_BODY_BYTES: Final = 64 * 1024
# A watcher hears something at least this often, so that a dead one is noticed.
HEARTBEAT_S: Final = 15.0


# What `GET /v1/status` and `/healthz` tell; the daemon composes it.
Status = Callable[[], dict[str, Any]]
# A run's newest result goes out again; its sequence number.
Resend = Callable[[str], int]
OnBroken = Callable[[StoreError], None]


def application(
    runner: Runner,
    store: Store,
    feed: Feed,
    status: Status,
    resend: Resend,
    on_broken: OnBroken,
) -> Starlette:
    """The one application, for every socket; `on_broken` is told when the journal fails."""
    door = _Door(runner, store, feed, status, resend)

    async def broken(request: Request, error: Exception) -> Response:
        if isinstance(error, StoreError):
            on_broken(error)
        return JSONResponse({"error": ErrorCode.INTERNAL, "text": str(error)}, status_code=500)

    return Starlette(
        routes=[
            Route("/v1/runs", door.submit, methods=["POST"]),
            Route("/v1/runs", door.runs),
            Route("/v1/runs/{run_id}", door.run),
            Route("/v1/runs/{run_id}/evidence", door.evidence),
            Route("/v1/runs/{run_id}/revise", door.revise, methods=["POST"]),
            Route("/v1/runs/{run_id}/recover", door.recover, methods=["POST"]),
            Route("/v1/runs/{run_id}/resend", door.resend, methods=["POST"]),
            Route("/v1/outbox", door.outbox),
            Route("/v1/audit", door.audit),
            Route("/v1/abort", door.abort, methods=["POST"]),
            Route("/v1/carrier", door.carrier, methods=["POST"]),
            Route("/v1/status", door.status),
            Route("/v1/events", door.events),
            Route("/healthz", door.healthz),
        ],
        exception_handlers={RequestError: _refusal, StoreError: broken},
    )


async def _refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        raise error
    body = {"error": error.code, "text": error.text}
    return JSONResponse(body, status_code=HTTP_STATUS.get(error.code, 422))


class _Door:
    def __init__(
        self, runner: Runner, store: Store, feed: Feed, status: Status, resend: Resend
    ) -> None:
        self._runner = runner
        self._store = store
        self._feed = feed
        self._status = status
        self._resend = resend

    @contextlib.contextmanager
    def _refusals(self, verb: str, **details: JsonValue) -> Iterator[None]:
        """What is refused here stands in the journal; the runner writes those of a read itself."""
        try:
            yield
        except RequestError as refusal:
            self._runner.refused(refusal, {"verb": verb, "trigger": "http", **details})
            raise

    async def submit(self, request: Request) -> Response:
        with self._refusals("read"):
            body = await _body(request, ReadBody)
        ticket = self._runner.submit(
            RunRequest(
                key=body.key or str(ULID()),
                trigger=Trigger(kind=body.trigger, source="local socket"),
                plate=body.plate_barcode,
                barcode_source="request" if body.plate_barcode else None,
                assay=body.assay,
                operator=Operator(id=body.operator, known_by="request") if body.operator else None,
                reread_reason=body.reread_reason,
                kit_lot=body.kit_lot,
                kit_expires=body.kit_expires,
            )
        )
        answer = {"run_id": ticket.run_id, "duplicate": ticket.duplicate}
        return JSONResponse(answer, status_code=202)

    async def runs(self, request: Request) -> Response:
        asked = request.query_params
        try:
            limit = min(max(int(asked.get("limit", 100)), 1), 1000)
        except ValueError:
            raise RequestError(ErrorCode.INVALID_PAYLOAD, "limit: a whole number") from None
        told = newest_runs(self._store.journal, limit, asked.get("plate"))
        return JSONResponse({"runs": told})

    async def run(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        row = self._store.run(run_id)
        if row is None:
            raise RequestError(ErrorCode.RUN_UNKNOWN, f"no run {run_id!r} in the journal")
        newest = self._store.result(run_id)
        head = json.dumps({"id": row.id, "state": row.state, "plate": row.plate})
        # The result goes out byte for byte as it was published.
        body = head[:-1].encode() + b', "result": ' + (newest.payload if newest else b"null") + b"}"
        return Response(body, media_type="application/json")

    async def evidence(self, request: Request) -> Response:
        """Everything from which `readerd reproduce` computes the run again."""
        found = self._runner.evidence(request.path_params["run_id"])
        return Response(found.model_dump_json(), media_type="application/json")

    async def revise(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        with self._refusals("revise", run_id=run_id[:64]):
            body = await _body(request, ReviseBody)
            revised = self._runner.again.revise(
                run_id, body.reason, plate_map=_plate_map(body), masks=body.masks
            )
        return JSONResponse({"run_id": run_id, **asdict(revised)})

    async def recover(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        with self._refusals("recover", run_id=run_id[:64]):
            body = await _body(request, ReasonBody)
            revision = await self._runner.again.recover(run_id, body.reason)
        return JSONResponse({"run_id": run_id, "revision": revision})

    async def resend(self, request: Request) -> Response:
        run_id = request.path_params["run_id"]
        with self._refusals("resend", run_id=run_id[:64]):
            return JSONResponse({"run_id": run_id, "sequence": self._resend(run_id)})

    async def outbox(self, request: Request) -> Response:
        """What has not reached the LIMS, oldest first."""
        keys = ("sequence", "event_id", "run_id", "state", "stored_at")
        told = [
            {"stream": row.stream_kind, **{key: getattr(row, key) for key in keys}}
            for row in self._store.outbox.unsettled()
        ]
        return JSONResponse({"counts": self._store.outbox.counts(), "messages": told})

    async def audit(self, request: Request) -> Response:
        """The walk along the whole chain, beside the daemon and not in its way."""
        found = await asyncio.to_thread(verify_file, self._store.journal.path)
        return JSONResponse(asdict(found))

    async def abort(self, request: Request) -> Response:
        with self._refusals("abort"):
            body = await _body(request, AbortBody)
            return JSONResponse({"run_id": self._runner.abort(body.run_id, body.reason)})

    async def carrier(self, request: Request) -> Response:
        with self._refusals("carrier"):
            body = await _body(request, CarrierBody)
            await self._runner.bench.move_carrier(out=body.position == "out")
        return JSONResponse({"position": body.position})

    async def status(self, request: Request) -> Response:
        return JSONResponse(self._status())

    async def healthz(self, request: Request) -> Response:
        status = self._status()
        told = {name: status[name] for name in ("ok", "checks")}
        return JSONResponse(told, status_code=200 if status["ok"] else 503)

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        with self._feed.watch() as queue:
            yield ": readerd\n\n"
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        news = await queue.get()
                except TimeoutError:
                    yield ": still here\n\n"
                else:
                    yield f"event: {news.kind}\ndata: {news.message.model_dump_json()}\n\n"


def _plate_map(body: ReviseBody) -> PlateMap | None:
    if body.samples is None:
        return None
    samples = {one.position: Binding(one.sample_id, one.dilution) for one in body.samples}
    if len(samples) < len(body.samples):
        text = "samples: a position stands there twice"
        raise RequestError(ErrorCode.INVALID_PAYLOAD, text)
    return PlateMap(samples=samples, id=body.plate_map_id, source="request")


async def _body(request: Request, model: type[B]) -> B:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY_BYTES:
            raise RequestError(ErrorCode.TOO_LARGE, f"a body of over {MOST_BODY_BYTES} bytes")
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise RequestError(ErrorCode.INVALID_PAYLOAD, f"{where}: {in_words(first)}") from None


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at `path`, 0660; ConfigError when it cannot be had."""
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_away(path)
        listener.bind(str(path))
        listener.listen(64)
    except OSError as error:
        listener.close()
        mistake = Mistake("http.socket", f"{path}: {error.strerror or error}")
        raise ConfigError("the local door", (mistake,)) from error
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


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
        app,
        log_config=None,
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
            path.unlink(missing_ok=True)
