"""What each command does, in the words of the run room; RequestError when it cannot be done."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, cast

from pydantic import JsonValue

from readerd.assay.layout import Binding, PlateMap
from readerd.edge.broker import Outgoing
from readerd.edge.drain import CONTENT_TYPE
from readerd.errors import ErrorCode, RequestError
from readerd.payload import InfoMessage, Message, Operator, StateMessage, Trigger
from readerd.payload_commands import (
    AbortArgs,
    Answer,
    ArmArgs,
    Command,
    Expect,
    GetArgs,
    PlateMapArgs,
    ReadArgs,
    ReplayArgs,
    ResendArgs,
)
from readerd.run.arming import Armed
from readerd.run.memory import StoredMap
from readerd.run.plan import RunRequest, check_map
from readerd.run.rows import StreamKind
from readerd.run.runner import Runner

# docs/reference/commands.md: a replayed copy lives 1 h on the broker.
REPLAY_EXPIRY_S: Final = 3600
# Copies in one replay; `next` in the answer says where to go on.
MOST_COPIES: Final = 200
FINAL: Final = ("done", "failed", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """A command that was begun. With `run_id` its second answer comes when that run ends."""

    data: dict[str, JsonValue] = field(default_factory=dict)
    run_id: str | None = None
    duplicate: bool = False
    copies: Sequence[Outgoing] = ()


class Shows(Protocol):
    """What a subscriber sees of us."""

    def info(self) -> InfoMessage: ...

    def state(self) -> StateMessage: ...


class Verbs:
    """The verbs of one reader."""

    def __init__(
        self,
        runner: Runner,
        presence: Shows,
        *,
        root_topic: str,
        now: Callable[[], datetime],
        offer_again: Callable[[], None],
        room: Callable[[], int],
    ) -> None:
        self._runner = runner
        self._store = runner.store
        self._presence = presence
        self._root_topic = root_topic
        self._now = now
        self._offer_again = offer_again
        self._room = room
        self._verbs: dict[str, Callable[[Command, Any], Doing]] = {
            "ping": self._ping,
            "info": self._info,
            "arm": self._arm,
            "disarm": self._disarm,
            "platemap": self._platemap,
            "read": self._read,
            "abort": self._abort,
            "replay": self._replay,
            "resend": self._resend,
            "get": self._get,
        }

    def do(self, verb: str, command: Command, args: Message) -> Doing:
        """Begin it, at once and without waiting."""
        return self._verbs[verb](command, args)

    def expect(self, expect: Expect) -> None:
        """`state_mismatch` unless the bench is as the requester believes."""
        state = self._presence.state()
        if expect.rev not in (None, state.rev):
            text = f"rev is {state.rev}, not {expect.rev}"
            raise RequestError(ErrorCode.STATE_MISMATCH, text)
        if expect.state is not None and state.state not in expect.state:
            text = f"state is {state.state}, not {' or '.join(expect.state) or 'any'}"
            raise RequestError(ErrorCode.STATE_MISMATCH, text)

    def ended(self, verb: str, run_id: str) -> Answer | None:
        """The second answer of `read` and `abort`; None while the run goes on."""
        run = self._store.run(run_id)
        if run is None or run.state not in FINAL:
            return None
        data: dict[str, JsonValue] = {"run_id": run_id, "state": run.state}
        newest = self._store.result(run_id)
        if newest is not None:
            envelope = json.loads(newest.payload)
            data |= {"event_id": envelope["id"], "sequence": envelope["sequence"]}
            data["verdict"] = envelope["data"]["verdict"]
        answer = Answer(request_id=None, verb=verb, status="completed", at=self._now(), data=data)
        if verb == "abort" or run.state == "done":
            return answer
        failure = run.failure or {}
        code = failure.get("code")
        said = next((one for one in ErrorCode if one == code), None)
        offline = code in ("link_lost", "no_reply")
        usual = ErrorCode.READER_OFFLINE if offline else ErrorCode.READER_FAULT
        changes = {
            "status": "failed",
            "error": said or usual,
            "text": failure.get("text"),
            "data": {**data, "failure": code},
        }
        return answer.model_copy(update=changes)

    # -- the verbs ---------------------------------------------------------------------------

    def _ping(self, command: Command, args: Message) -> Doing:
        state = self._presence.state()
        return Doing(data={"state": state.state, "rev": state.rev})

    def _info(self, command: Command, args: Message) -> Doing:
        return Doing(data=self._presence.info().model_dump(mode="json"))

    def _arm(self, command: Command, args: ArmArgs) -> Doing:
        self._runner.arm(Armed(plate=args.plate_barcode, assay=args.assay, source="mqtt"))
        return Doing(data={"plate_barcode": args.plate_barcode, "rev": self._runner.bench.rev})

    def _disarm(self, command: Command, args: Message) -> Doing:
        armed = self._runner.arming.disarm(f"asked for by {command.requester}")
        return Doing(data={"plate_barcode": armed.plate, "rev": self._runner.bench.rev})

    def _platemap(self, command: Command, args: PlateMapArgs) -> Doing:
        rules, plate = self._runner.rules, args.container_id
        rules.check_barcode(plate)
        request = RunRequest(key="", trigger=Trigger(kind="mqtt"), plate=plate)
        samples = {one.position: Binding(one.sample_id, one.dilution) for one in args.samples}
        if len(samples) < len(args.samples):
            text = "args.samples: a position stands there twice"
            raise RequestError(ErrorCode.INVALID_PAYLOAD, text)
        plate_map = PlateMap(samples=samples, id=command.request_id, source="lims")
        check_map(plate_map, args.layout, rules.assay_for(request, args.assay))
        stored = StoredMap(plate_map=plate_map, assay=args.assay, wells=args.layout)
        self._runner.bind_map(plate, stored, command.requester)
        late = cast("list[JsonValue]", self._store.began_before(plate))
        return Doing(data={"samples": len(samples), "read_before": late})

    def _read(self, command: Command, args: ReadArgs) -> Doing:
        operator = Operator(id=args.operator, known_by="request") if args.operator else None
        request = RunRequest(
            key=command.request_id,
            trigger=Trigger(kind="mqtt", source=command.requester),
            plate=args.plate_barcode,
            barcode_source="request",
            assay=args.assay,
            operator=operator,
            reread_reason=args.reread_reason,
            kit_lot=args.kit_lot,
            kit_expires=args.kit_expires,
        )
        ticket = self._runner.submit(request)
        return Doing(run_id=ticket.run_id, duplicate=ticket.duplicate)

    def _abort(self, command: Command, args: AbortArgs) -> Doing:
        by = f"mqtt {command.requester}"
        run_id = self._runner.abort(args.run_id, f"asked for by {command.requester}", by=by)
        return Doing(run_id=run_id)

    def _replay(self, command: Command, args: ReplayArgs) -> Doing:
        kind = self._stream(args.stream)
        most = min(args.most or MOST_COPIES, MOST_COPIES)
        if self._room() < most + 2:
            raise RequestError(ErrorCode.BUSY, "another replay is under way; ask again later")
        rows = self._store.outbox.between(kind, args.first, args.last, most)
        newest = self._store.outbox.last_sequence()[kind]
        last = min(args.last, newest)
        reached = rows[-1].sequence if rows else last
        copies = [
            Outgoing(
                topic=f"{self._root_topic}/replay/{command.requester}",
                payload=row.payload,
                content_type=CONTENT_TYPE,
                expiry_s=REPLAY_EXPIRY_S,
            )
            for row in rows
        ]
        data: dict[str, JsonValue] = {
            "sent": len(rows),
            "forgotten": max(0, reached - args.first + 1) - len(rows),
            "next": reached + 1 if len(rows) == most and reached < last else None,
            "last_sequence": newest,
        }
        return Doing(data=data, copies=copies)

    def _stream(self, name: str) -> StreamKind:
        for kind, stream in self._store.outbox.streams().items():
            if name in (kind, stream):
                return cast("StreamKind", kind)
        raise RequestError(ErrorCode.INVALID_PAYLOAD, f"args.stream: no stream {name!r} here")

    def _resend(self, command: Command, args: ResendArgs) -> Doing:
        sequence = self.resend(args.run_id, f"mqtt {command.requester}")
        return Doing(data={"run_id": args.run_id, "sequence": sequence})

    def resend(self, run_id: str, by: str) -> int:
        """The newest result of a run goes out again; its sequence number."""
        sequence = self._store.outbox.offer_again(run_id)
        if not sequence:
            text = f"no result of a run {run_id!r} in the journal"
            raise RequestError(ErrorCode.RUN_UNKNOWN, text)
        self._runner.tell("resent", run_id=run_id, details={"sequence": sequence, "by": by})
        self._offer_again()
        return sequence

    def _get(self, command: Command, args: GetArgs) -> Doing:
        run, newest = self._store.run(args.run_id), self._store.result(args.run_id)
        if run is None or (args.what == "result" and newest is None):
            text = f"no {args.what} of a run {args.run_id!r} in the journal"
            raise RequestError(ErrorCode.RUN_UNKNOWN, text)
        found: Any = {
            "id": run.id,
            "state": run.state,
            "plate": run.plate,
            "attempt": run.attempt,
            "accepted_at": run.accepted_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "failure": run.failure,
        }
        if args.what == "result" and newest is not None:
            found = json.loads(newest.payload)
        elif args.what == "evidence":
            found = self._runner.evidence(args.run_id).model_dump(mode="json")
        return Doing(data={"run_id": args.run_id, args.what: found})
