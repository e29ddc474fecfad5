"""The local door: HTTP on a unix socket (and TCP, where enabled) for the CLI, scripts and curl.

`POST /v1/runs` asks for a read; 202 and the run id mean that the journal has it. Refusals carry the
contract's error code. What listens, and who is at the other end, is `http_server`'s business.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

from pydantic import JsonValue, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from ulid import ULID

from readerd.assay.layout import Binding, PlateMap
from readerd.complaint import in_words
from readerd.edge import peer
from readerd.edge.bodies import AbortBody, B, CarrierBody, ReadBody, ReasonBody, ReviseBody
from readerd.errors import (
    ErrorCode,
    InstrumentError,
    RequestError,
    StoreError,
)
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
# A run's newest result goes out again, because somebody asked for it; its sequence number.
Resend = Callable[[str, str], int]
# The page of `GET /metrics` and its media type.
Metrics = Callable[[], Awaitable[tuple[bytes, str]]]
OnBroken = Callable[[StoreError], None]


def application(
    runner: Runner,
    store: Store,
    feed: Feed,
    status: Status,
    resend: Resend,
    metrics: Metrics,
    on_broken: OnBroken,
) -> Starlette:
    """The one application, for every socket; `on_broken` is told when the journal fails."""
    door = _Door(runner, store, feed, status, resend, metrics)

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
            Route("/metrics", door.metrics),
        ],
        exception_handlers={RequestError: _refusal, InstrumentError: _fault, StoreError: broken},
    )


async def _refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        raise error
    body = {"error": error.code, "text": error.text}
    return JSONResponse(body, status_code=HTTP_STATUS.get(error.code, 422))


async def _fault(request: Request, error: Exception) -> Response:
    body = {"error": ErrorCode.READER_FAULT, "text": str(error)}
    return JSONResponse(body, status_code=HTTP_STATUS[ErrorCode.READER_FAULT])


class _Door:
    def __init__(
        self,
        runner: Runner,
        store: Store,
        feed: Feed,
        status: Status,
        resend: Resend,
        metrics: Metrics,
    ) -> None:
        self._runner = runner
        self._store = store
        self._feed = feed
        self._status = status
        self._resend = resend
        self._metrics = metrics

    @contextlib.contextmanager
    def _refusals(self, verb: str, **details: JsonValue) -> Iterator[None]:
        """What is refused here stands in the journal; the runner writes those of a read itself."""
        try:
            yield
        except RequestError as refusal:
            self._runner.refused(refusal, {"verb": verb, "trigger": "http", **details})
            raise

    async def submit(self, request: Request) -> Response:
        by = await _asked_by(request)
        with self._refusals("read", by=by):
            body = await _body(request, ReadBody)
        ticket = self._runner.submit(
            RunRequest(
                key=body.key or str(ULID()),
                trigger=Trigger(kind=body.trigger, source=by),
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
        run_id, by = request.path_params["run_id"], await _asked_by(request)
        with self._refusals("revise", by=by, run_id=run_id[:64]):
            body = await _body(request, ReviseBody)
            revised = self._runner.again.revise(
                run_id, body.reason, by=by, plate_map=_plate_map(body), masks=body.masks
            )
        return JSONResponse({"run_id": run_id, **asdict(revised)})

    async def recover(self, request: Request) -> Response:
        run_id, by = request.path_params["run_id"], await _asked_by(request)
        with self._refusals("recover", by=by, run_id=run_id[:64]):
            body = await _body(request, ReasonBody)
            revision = await self._runner.again.recover(run_id, body.reason, by=by)
        return JSONResponse({"run_id": run_id, "revision": revision})

    async def resend(self, request: Request) -> Response:
        run_id, by = request.path_params["run_id"], await _asked_by(request)
        with self._refusals("resend", by=by, run_id=run_id[:64]):
            return JSONResponse({"run_id": run_id, "sequence": self._resend(run_id, by)})

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
        by = await _asked_by(request)
        with self._refusals("abort", by=by):
            body = await _body(request, AbortBody)
            return JSONResponse({"run_id": self._runner.abort(body.run_id, body.reason, by=by)})

    async def carrier(self, request: Request) -> Response:
        by = await _asked_by(request)
        with self._refusals("carrier", by=by):
            body = await _body(request, CarrierBody)
            await self._runner.arming.move_carrier(out=body.position == "out")
        self._runner.tell("carrier", details={"position": body.position, "by": by})
        return JSONResponse({"position": body.position})

    async def status(self, request: Request) -> Response:
        return JSONResponse(self._status())

    async def healthz(self, request: Request) -> Response:
        status = self._status()
        told = {name: status[name] for name in ("ok", "checks")}
        return JSONResponse(told, status_code=200 if status["ok"] else 503)

    async def metrics(self, request: Request) -> Response:
        page, media_type = await self._metrics()
        return Response(page, media_type=media_type)

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
                    if news.kind == "end":
                        return
                    yield f"event: {news.kind}\ndata: {news.message.model_dump_json()}\n\n"


async def _asked_by(request: Request) -> str:
    """Who asks, for the journal: the caller's user as the kernel says it, else its address."""
    found: peer.Peer | None = getattr(request.state, "peer", None)
    if found is not None:
        return f"local socket {await peer.in_words(found)}"
    return f"tcp {request.client.host}" if request.client else "local socket"


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
