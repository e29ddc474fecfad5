"""A plate is announced before it is read: a scan or a command arms, the next read takes it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

from readerd.errors import ErrorCode, RequestError
from readerd.run.bench import Bench
from readerd.run.plan import RunRequest
from readerd.run.scribe import Scribe
from readerd.run.store import Store

log = logging.getLogger(__name__)

# docs/how-to/press-and-scan.md: a scan arms, and that expires.
ARMED_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The plate that is announced, and by what (`scanner`, `mqtt` …)."""

    plate: str
    assay: str | None
    source: str


class Arming:
    """At most one announced plate; it lives no longer than the bench's state `armed`."""

    def __init__(
        self,
        bench: Bench,
        scribe: Scribe,
        store: Store,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_stored: Callable[[], None],
    ) -> None:
        self._bench = bench
        self._scribe = scribe
        self._store = store
        self._spawn = spawn
        self._on_stored = on_stored
        self._armed: Armed | None = None
        self._arm_id = ""
        self._timer: asyncio.Task[None] | None = None

    @property
    def arm_id(self) -> str | None:
        """Names this announcement: what is asked for twice under it is one run."""
        return self._arm_id if self.current else None

    @property
    def current(self) -> Armed | None:
        """What the next read takes."""
        return self._armed if self._bench.state == "armed" else None

    def arm(self, armed: Armed) -> None:
        """Announce a plate, checked before; it replaces the one that was announced."""
        self._bench.require_ready()
        self._forget()
        self._armed, self._arm_id = armed, self._scribe.ulid()
        self._bench.arm()
        self._timer = self._spawn(self._expire())
        self._tell("armed", armed, None)

    async def move_carrier(self, *, out: bool) -> None:
        """Scan, open, lay in, press: what is announced stays so while the carrier moves."""
        announced = self.current is not None
        await self._bench.move_carrier(out=out)
        if announced and self._timer is not None and self._bench.state == "ready":
            self._bench.arm()

    def disarm(self, reason: str) -> Armed:
        """Take it back; `not_armed` when nothing is announced."""
        armed = self.current
        if armed is None:
            raise RequestError(ErrorCode.NOT_ARMED, "no plate is armed")
        self._forget()
        self._bench.disarm()
        self._tell("disarmed", armed, reason)
        return armed

    def taken(self, request: RunRequest) -> RunRequest:
        """The request with the announced plate in it; `plate_mismatch` when it names another."""
        armed = self.current
        if armed is None and request.armed_only:
            self._bench.require_ready()
            raise RequestError(ErrorCode.NOT_ARMED, "no plate is armed; scan its barcode first")
        if armed is None:
            return request
        if request.plate is None:
            source = request.barcode_source or armed.source
            request = replace(request, plate=armed.plate, barcode_source=source)
        if request.plate != armed.plate:
            text = f"plate {armed.plate} is armed, not {request.plate}"
            raise RequestError(ErrorCode.PLATE_MISMATCH, text)
        return replace(request, assay=request.assay or armed.assay)

    def _forget(self) -> None:
        self._armed = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _expire(self) -> None:
        await asyncio.sleep(ARMED_S)
        self._timer = None  # it is us: nobody has to end it
        if self.current is not None:
            self.disarm(f"not read within {ARMED_S:g} s")

    def _tell(self, kind: str, armed: Armed, text: str | None) -> None:
        why = f" text={text}" if text else ""
        log.info("%s plate=%s source=%s%s", kind, armed.plate, armed.source, why)
        details = {"assay": armed.assay, "source": armed.source}
        event = self._scribe.event(kind, subject=armed.plate, text=text, details={**details})
        self._store.record(event, self._scribe.at())
        self._on_stored()
