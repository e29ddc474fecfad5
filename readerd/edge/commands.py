"""Commands from the broker are dangerous: they move instruments, and anybody may repeat them.

The problem: brokers redeliver, keep what was published as retained, deliver late, and do not say
who speaks. The rule: a command is carried out at most once, soon, and only when it is what it
claims to be. In this order: what cannot be read is refused; a `request_id` that is known gets its
first answer again and starts nothing, also after a restart; retained, unknown, not enabled and
expired commands are refused; `expect` is compared; then the verb is carried out, and its own
refusals are the same as at the local door. What was answered is in the journal before it is sent.

Commands are subscribed to twice on MQTT 5: first without what is retained (retain handling 2), so
that nothing old comes in with the live ones, then once with it, marked, so that whoever left a
retained command there is told and does not wait for ever.

Rejected: answering only with success (a requester that hears nothing repeats), trusting the
broker's message expiry alone (it exists on MQTT 5 only, and the requester may leave it out).
"""

import json
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Protocol

from pydantic import JsonValue, TypeAdapter, ValidationError

from readerd.complaint import in_words
from readerd.edge.broker import Incoming, Outgoing
from readerd.edge.verbs import Doing
from readerd.errors import ErrorCode, RequestError
from readerd.payload import Message, encode
from readerd.payload_commands import ARGS, Answer, Command, Expect, Requester, RequestId
from readerd.run.memory import Told

log = logging.getLogger(__name__)

# docs/reference/commands.md: a command lives at most 30 s, an answer 5 minutes.
COMMAND_LIVES: Final = timedelta(seconds=30)
ANSWER_EXPIRY_S: Final = 300
# A plate map of 384 samples has about 35 kB.
MOST_BYTES: Final = 64 * 1024
# These refusals are in the journal already: the runner wrote them.
_JOURNALLED: Final = ("read", "arm")

_REQUESTER: Final = TypeAdapter[str](Requester)
_REQUEST_ID: Final = TypeAdapter[str](RequestId)


class Remembers(Protocol):
    """The journal's memory of commands."""

    def recall(self, request_id: str) -> Told | None: ...

    def remember(self, request_id: str, at: str, told: Told, run_id: str | None = None) -> None: ...

    def awaiting(self, run_id: str) -> list[str]: ...

    def awaited_runs(self) -> list[str]: ...


class Does(Protocol):
    """What the verbs do; RequestError when they refuse."""

    def do(self, verb: str, command: Command, args: Message) -> Doing: ...

    def expect(self, expect: Expect) -> None: ...

    def ended(self, verb: str, run_id: str) -> Answer | None:
        """The second answer of a verb that waited for a run; None while the run goes on."""
        ...


# A refusal for the journal: code, text, details.
Refuse = Callable[[ErrorCode, str, dict[str, JsonValue]], None]


class Commands:
    """Told of every message on `cmd/#`; answers through `send`."""

    def __init__(
        self,
        verbs: Does,
        memory: Remembers,
        *,
        root_topic: str,
        enabled: Collection[str],
        now: Callable[[], datetime],
        send: Callable[[Outgoing], None],
        takes: Callable[[Outgoing], bool],
        refuse: Refuse,
    ) -> None:
        self._verbs = verbs
        self._memory = memory
        self._root_topic = root_topic
        self._enabled = enabled
        self._now = now
        self._send = send
        self._takes = takes
        self._refuse = refuse

    def enable(self, verbs: Collection[str]) -> None:
        """From now on these, and no others."""
        self._enabled = verbs

    def __call__(self, message: Incoming) -> None:
        """Carry it out or refuse it, and answer; StoreError passes."""
        verb = message.topic.removeprefix(f"{self._root_topic}/cmd/")
        try:
            command = _parse(message.payload)
        except RequestError as refusal:
            self._unreadable(verb, message, refusal)
            return
        known = self._memory.recall(command.request_id)
        told = self._told(message, command.requester)
        if known is not None:
            log.info("command verb=%s request=%s duplicate=true", verb, command.request_id)
            for answer in known.answers:
                self._post(told, answer.model_copy(update={"duplicate": True}))
            return
        try:
            args = self._permit(verb, message, command)
        except RequestError as refusal:
            self._journal(verb, command, refusal)
            self._reject(verb, command.request_id, told, refusal)
            return
        self._carry_out(verb, command, args, told)

    def _permit(self, verb: str, message: Incoming, command: Command) -> Message:
        """The arguments of a command that may be carried out."""
        if message.retained:
            text = "commands must not be retained; take it off the broker and send a new one"
            raise RequestError(ErrorCode.RETAINED_COMMAND, text)
        if verb not in ARGS:
            text = f"no verb {verb!r}; there are: {', '.join(ARGS)}"
            raise RequestError(ErrorCode.UNKNOWN_VERB, text)
        if verb not in self._enabled:
            text = f"{verb} is not enabled here; mqtt.commands in the configuration opens it"
            raise RequestError(ErrorCode.VERB_DISABLED, text)
        self._check_time(command)
        try:
            args = ARGS[verb].model_validate(command.args)
        except ValidationError as error:
            raise _invalid(error, "args.") from None
        if command.expect is not None:
            self._verbs.expect(command.expect)
        return args

    def _check_time(self, command: Command) -> None:
        now = self._now()
        if command.issued_at - now > COMMAND_LIVES:
            ahead_s = (command.issued_at - now).total_seconds()
            text = f"issued {ahead_s:.0f} s in the future of this machine's clock"
            raise RequestError(ErrorCode.CLOCK_UNSYNCHRONISED, text)
        until = min(command.expires_at, command.issued_at + COMMAND_LIVES)
        if now > until:
            late_s = (now - until).total_seconds()
            raise RequestError(ErrorCode.EXPIRED, f"came {late_s:.0f} s after its expiry")

    def _carry_out(self, verb: str, command: Command, args: Message, told: Told) -> None:
        request_id = command.request_id
        try:
            doing = self._verbs.do(verb, command, args)
        except RequestError as refusal:
            if verb not in _JOURNALLED:
                self._journal(verb, command, refusal)
            self._reject(verb, request_id, told, refusal)
            return
        log.info("command verb=%s request=%s requester=%s", verb, request_id, command.requester)
        run = {"run_id": doing.run_id} if doing.run_id else {}
        accepted = self._answer(verb, request_id, "accepted", duplicate=doing.duplicate, data=run)
        if doing.run_id is not None:
            self._tell(request_id, told, accepted, doing.run_id)
            self.run_ended(doing.run_id)  # a repeated key may name a run that is over
            return
        completed = self._answer(verb, request_id, "completed", data=doing.data)
        self._tell(request_id, told, accepted)
        for copy in doing.copies:
            self._send(copy)
        self._tell(request_id, replace(told, answers=(accepted,)), completed)

    def run_ended(self, run_id: str) -> None:
        """Answer whoever waits for this run, if it is over."""
        for request_id in self._memory.awaiting(run_id):
            told = self._memory.recall(request_id)
            if told is None or not told.answers:
                continue
            answer = self._verbs.ended(told.answers[0].verb, run_id)
            if answer is not None:
                self._tell(request_id, told, answer.model_copy(update={"request_id": request_id}))

    def resume(self) -> None:
        """Answer for runs that ended while nobody could say so."""
        for run_id in self._memory.awaited_runs():
            self.run_ended(run_id)

    # -- answers -----------------------------------------------------------------------------

    def _told(self, message: Incoming, requester: str) -> Told:
        """Where the answers go: the response topic if it is one of ours, else the requester's."""
        under = f"{self._root_topic}/rsp/"
        given = message.response_topic or ""
        is_ours = given.startswith(under) and given != under and not set("+#\0") & set(given)
        return Told(
            requester=requester,
            reply_to=given if is_ours else under + requester,
            correlation=message.correlation.hex() if message.correlation is not None else None,
            answers=(),
        )

    def _answer(self, verb: str, request_id: str | None, status: Any, **more: Any) -> Answer:
        return Answer(request_id=request_id, verb=verb, status=status, at=self._now(), **more)

    def _reject(self, verb: str, request_id: str, told: Told, refusal: RequestError) -> None:
        log.warning("command verb=%s request=%s refused=%s", verb, request_id, refusal)
        answer = self._answer(verb, request_id, "rejected", error=refusal.code, text=refusal.text)
        self._tell(request_id, told, answer)

    def _tell(self, request_id: str, told: Told, answer: Answer, run_id: str | None = None) -> None:
        """Remember one more answer, then send it."""
        if not self._takes(self._letter(told, answer)):
            text = "the answer is larger than the broker allows; ask at the local door"
            changes = {"status": "failed", "error": ErrorCode.TOO_LARGE, "text": text, "data": {}}
            answer = answer.model_copy(update=changes)
        told = replace(told, answers=(*told.answers, answer))
        self._memory.remember(request_id, self._now().isoformat(), told, run_id)
        self._post(told, answer)

    def _post(self, told: Told, answer: Answer) -> None:
        self._send(self._letter(told, answer))

    def _letter(self, told: Told, answer: Answer) -> Outgoing:
        return Outgoing(
            topic=told.reply_to,
            payload=encode(answer),
            expiry_s=ANSWER_EXPIRY_S,
            correlation=None if told.correlation is None else bytes.fromhex(told.correlation),
        )

    # -- refusals ----------------------------------------------------------------------------

    def _journal(self, verb: str, command: Command, refusal: RequestError) -> None:
        details: dict[str, JsonValue] = {
            "verb": verb[:64],
            "requester": command.requester,
            "request_id": command.request_id,
        }
        self._refuse(refusal.code, refusal.text, details)

    def _unreadable(self, verb: str, message: Incoming, refusal: RequestError) -> None:
        """Answered when somebody can be named; else journalled, once for each such message."""
        request_id, requester = _who(message.payload)
        told = self._told(message, requester or "")
        if requester is not None or not told.reply_to.endswith("/rsp/"):
            answer = self._answer(
                verb, request_id, "rejected", error=refusal.code, text=refusal.text
            )
            self._post(told, answer)
            return
        digest = sha256(message.topic.encode() + b"\0" + message.payload).hexdigest()
        if self._memory.recall(digest) is None:
            log.warning("command verb=%s unreadable=%s", verb, refusal)
            self._refuse(refusal.code, refusal.text, {"verb": verb[:64]})
            self._memory.remember(digest, self._now().isoformat(), told)


def _parse(payload: bytes) -> Command:
    if len(payload) > MOST_BYTES:
        text = f"{len(payload)} bytes; a command has at most {MOST_BYTES}"
        raise RequestError(ErrorCode.TOO_LARGE, text)
    try:
        return Command.model_validate_json(payload)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError, prefix: str = "") -> RequestError:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    where = f"{prefix}{where}: " if where else ""
    return RequestError(ErrorCode.INVALID_PAYLOAD, f"{where}{in_words(first)}")


def _who(payload: bytes) -> tuple[str | None, str | None]:
    """Request id and requester of a command that is not whole, as far as they can be read."""
    if len(payload) > MOST_BYTES:
        return None, None
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(found, dict):
        return None, None
    return _valid(_REQUEST_ID, found.get("request_id")), _valid(_REQUESTER, found.get("requester"))


def _valid(kind: TypeAdapter[str], value: object) -> str | None:
    try:
        return kind.validate_python(value)
    except ValidationError:
        return None
