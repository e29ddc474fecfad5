"""What a subscriber finds when it comes: who we are, what the bench does, whether all is well.

`info` says who we are, `state` what the bench does, `health` whether it is well (with the last
sequence of each stream, so that a gap is seen), `last` the newest result, `alarm/…` what a person
must know. `status`, who is connected, is the publisher's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime

from readerd.payload import (
    AlarmMessage,
    HealthMessage,
    InfoMessage,
    LastMessage,
    ResultEnvelope,
    StateMessage,
    encode,
)
from readerd.run.bench import Bench
from readerd.run.report import Bridge
from readerd.run.runner import Runner
from readerd.run.store import Store


class Presence:
    """Current bytes of every retained topic of one bridge."""

    def __init__(
        self,
        *,
        bridge: Bridge,
        bench: Bench,
        runner: Runner,
        store: Store,
        assays: Sequence[str],
        now: Callable[[], datetime],
    ) -> None:
        self._bridge = bridge
        self._bench = bench
        self._runner = runner
        self._store = store
        self.assays = list(assays)
        self._now = now
        self._last: LastMessage | None = None

    def retained(self) -> dict[str, bytes]:
        """Topic below the root -> payload: info, state, health and, once there is one, last."""
        messages = {
            "info": encode(self.info()),
            "state": encode(self.state()),
            "health": encode(self.health()),
        }
        if (last := self.last()) is not None:
            messages["last"] = encode(last)
        return messages

    def info(self) -> InfoMessage:
        driver, identity = self._bench.driver, self._bench.identity
        return InfoMessage(
            software="readerd",
            version=self._bridge.version,
            site=self._bridge.site,
            reader=self._bridge.reader,
            driver=driver.name,
            instrument=None if identity is None else asdict(identity),
            assays=self.assays,
            formats=list(driver.formats),
            photometric_range=driver.photometric_range,
            proven=list(driver.proven),
            streams=self._store.outbox.streams(),
        )

    def state(self) -> StateMessage:
        bench, armed = self._bench, self._runner.arming.current
        return StateMessage(
            state=bench.state,
            rev=bench.rev,
            run_id=self._runner.current_run if bench.state == "reading" else None,
            since=bench.since,
            reason=bench.reason,
            plate_barcode=armed.plate if armed else None,
        )

    def health(self) -> HealthMessage:
        """Well means: a plate can be read. Whether results arrive is told by `outbox`."""
        state, full = self._bench.state, self._store.journal.lacks_room()
        return HealthMessage(
            ok=state in ("ready", "armed", "reading") and full is None,
            checks={"reader": state, "store": full or "ok"},
            outbox=self._store.outbox.counts(),
            last_sequence=self._store.outbox.last_sequence(),
            at=self._now(),
        )

    def last(self) -> LastMessage | None:
        newest = self._store.outbox.last_sequence()["result"]
        if self._last is None or self._last.sequence != newest:
            found = self._store.newest_result()
            self._last = None if found is None else _pointer(found)
        return self._last

    def alarm(self, code: str, text: str | None) -> bytes:
        """A standing condition; empty bytes, which take it off the broker, when it is over."""
        if text is None:
            return b""
        return encode(AlarmMessage(code=code, text=text, since=self._now()))


def _pointer(payload: bytes) -> LastMessage:
    envelope = ResultEnvelope.model_validate_json(payload)
    return LastMessage(
        id=envelope.id,
        sequence=envelope.sequence,
        run_id=envelope.data.run.id,
        plate_barcode=envelope.data.plate.barcode,
        verdict=envelope.data.verdict,
        acquisition=envelope.data.acquisition,
    )
