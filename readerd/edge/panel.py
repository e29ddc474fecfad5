"""Scanner, button and lamp of one reader, tied together: a scan announces, a press reads.

Everything goes through `Runner.arm` and `Runner.submit`, which journal what they refuse. What is
made here is the key that makes one physical press one run. Where the kernel stamps events (evdev,
gpio) it is device, boot and time: the same event seen again, also after a restart, is the same run.
Elsewhere it is the announcement's id: one scan is good for one run, however often the button says
so. A remote button (MQTT) reads nothing but an announced plate, whatever `unarmed` says.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pydantic import JsonValue
from ulid import ULID

from readerd.edge.broker import Incoming
from readerd.edge.button import Act, Button, Kind
from readerd.edge.button_settings import PanelSettings, kind_of, parse_input
from readerd.edge.evdev import Keys, Typed, key_code
from readerd.edge.gpio import Edges, open_lamp
from readerd.edge.inputs import OpenInput, keep_reading
from readerd.edge.lamp import Bell, Lamp, LampLines, Signal
from readerd.edge.publisher import Publisher
from readerd.edge.remote import meaning
from readerd.edge.scanner import Codes, Lines, Scanned
from readerd.errors import RequestError
from readerd.payload import LampMessage, Operator, RunEnded, Trigger, encode
from readerd.run.arming import ARMED_S, Armed
from readerd.run.feed import News
from readerd.run.plan import RunRequest
from readerd.run.runner import Runner

log = logging.getLogger(__name__)

LAMP_TOPIC: Final = "lamp"
SCANNER_LOST: Final = "scanner-lost"
BUTTON_LOST: Final = "button-lost"
# random(4): names one start of the machine, from which the kernel counts its monotonic time.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class _Said:
    """Something that was scanned and holds for a while; `until_s` None: until the next."""

    text: str
    until_s: float | None
    plate: str | None = None  # the announced one that it was said of; None: of any


class Panel:
    """One scanner, one button, any lamps."""

    def __init__(
        self,
        settings: PanelSettings,
        runner: Runner,
        *,
        lamps: Sequence[Lamp],
        lines: LampLines,
        open_input: OpenInput,
        on_alarm: Callable[[str, str | None], None],
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._lines = lines
        self._open_input = open_input
        self._on_alarm = on_alarm
        self._loop = asyncio.get_running_loop()
        self.signal = Signal(runner, lamps, refused_s=settings.lamp.refused_s)
        scanner, button = settings.scanner, settings.button
        self._button = Button(
            debounce_s=button.debounce_s,
            hold_s=button.hold_s,
            lockout_s=button.lockout_s,
            is_reading=lambda: runner.current_run is not None,
        )
        self._codes = Codes(
            press=button.token if button.source == "scan" else "",
            abort=button.abort,
            badge=scanner.badge,
            reasons=scanner.reread,
        )
        self._operator: _Said | None = None
        self._reason: _Said | None = None
        self._stirred = asyncio.Event()

    async def run(self) -> None:
        """Listen to what stands beside the reader until cancelled. StoreError passes."""
        scanner, button = self._settings.scanner, self._settings.button
        self.signal.look()
        async with asyncio.TaskGroup() as group:
            if scanner.source:
                take = self._scanner_bytes()
                group.create_task(self._listen(scanner.source, SCANNER_LOST, take))
            if kind_of(button.source) in ("serial", "evdev", "gpio"):
                take = self._button_bytes()
                group.create_task(self._listen(button.source, BUTTON_LOST, take))
            group.create_task(self._keep_time())
            group.create_task(self._lines.run())

    def heard(self, news: News) -> None:
        """The feed: runs begin and end, plates are announced, by whomever."""
        if isinstance(news.message, RunEnded):
            self._button.lock(self._loop.time())
            self._stirred.set()
            self.signal.run_ended(news.message)
        elif news.kind == "state":
            self.signal.look()

    def remote(self, message: Incoming) -> None:
        """A message on the button's topic; what was kept there for us is no press."""
        found = meaning(message.payload)
        if message.retained or found is None:
            log.debug("button topic=%s ignored retained=%s", message.topic, message.retained)
            return
        kind, mark = found
        if mark and not self._runner.store.memory.is_new_press(message.topic, mark):
            log.info("button topic=%s repeated=%s", message.topic, mark)
            return
        if kind == Kind.ABORT:
            self._abort("asked for at the button")
        else:
            self._do(self._button.click(self._loop.time()))

    # -- what comes in -----------------------------------------------------------------------

    async def _listen(self, source: str, alarm: str, take: Callable[[bytes], None]) -> None:
        address, debounce_s = parse_input(source), self._settings.button.debounce_s

        def on_link(reason: str | None) -> None:
            self._on_alarm(alarm, reason)
            if reason is not None and alarm == BUTTON_LOST:
                self._button.let_go(self._loop.time())

        await keep_reading(
            lambda: self._open_input(address, debounce_s), take, name=source, on_link=on_link
        )

    def _scanner_bytes(self) -> Callable[[bytes], None]:
        typed, lines = Typed(), Lines()
        is_typed = kind_of(self._settings.scanner.source) == "evdev"

        def take(data: bytes) -> None:
            whole = typed.feed(data) if is_typed else lines.feed(data, self._loop.time())
            for line in whole:
                self._scanned(self._codes.meaning(line))

        return take

    def _button_bytes(self) -> Callable[[bytes], None]:
        button = self._settings.button
        name = f"{button.source}@{_boot_id()}"
        if kind_of(button.source) == "serial":
            return self._tokens()
        if kind_of(button.source) == "gpio":
            edges = Edges()

            def take_edges(data: bytes) -> None:
                for edge in edges.feed(data):
                    self._edge(edge.is_down, f"{name}:{edge.at_ns}ns")

            return take_edges
        keys = Keys(key_code(button.only_key))

        def take_keys(data: bytes) -> None:
            for key in keys.feed(data):
                self._edge(key.is_down, f"{name}:{key.at_us}us")

        return take_keys

    def _tokens(self) -> Callable[[bytes], None]:
        lines, button = Lines(), self._settings.button

        def take(data: bytes) -> None:
            for line in lines.feed(data, self._loop.time()):
                if line == button.token:
                    self._do(self._button.click(self._loop.time()))
                elif line == button.abort:
                    self._abort("asked for at the button")
                else:
                    log.debug("button ignored=%.64r", line)

        return take

    def _edge(self, is_down: bool, stamp: str) -> None:
        self._do(self._button.edge(self._loop.time(), is_down=is_down, stamp=stamp))

    async def _keep_time(self) -> None:
        """What the button does when nothing more happens: a hold, a contact that settles."""
        while True:
            self._stirred.clear()
            wake_at_s = self._button.wake_at_s
            try:
                async with asyncio.timeout_at(wake_at_s):
                    await self._stirred.wait()
            except TimeoutError:  # timers may be early by the clock's resolution
                self._do(self._button.tick(max(self._loop.time(), wake_at_s or 0.0)))

    # -- what it means -----------------------------------------------------------------------

    def _scanned(self, scanned: Scanned) -> None:
        log.info("scan kind=%s", scanned.kind)
        if scanned.kind == "plate":
            self._arm(scanned.text)
        elif scanned.kind == "badge":
            valid_s = self._settings.scanner.badge_valid_s
            self._operator = _Said(scanned.text, self._loop.time() + valid_s if valid_s else None)
        elif scanned.kind == "reason":
            armed = self._runner.arming.current
            until_s, plate = self._loop.time() + ARMED_S, armed.plate if armed else None
            self._reason = _Said(scanned.text, until_s, plate)
        elif scanned.kind == "abort":
            self._abort("asked for at the scanner")
        else:
            self._do(self._button.click(self._loop.time()))

    def _arm(self, plate: str) -> None:
        try:
            self._runner.arm(Armed(plate=plate, assay=None, source="scanner"))
        except RequestError as refusal:
            self.signal.refused(refusal, plate)
        else:
            self.signal.accepted()

    def _do(self, acts: Sequence[Act]) -> None:
        self._stirred.set()
        for act in acts:
            if act.kind == Kind.ABORT:
                self._abort("the button was held")
            else:
                self._press(act.stamp)

    def _press(self, stamp: str | None) -> None:
        """Ask for a read; while a plate is read this is refused as `busy`, and journalled so."""
        arming = self._runner.arming
        armed = arming.current
        request = self._request(stamp or self._key(arming.arm_id))
        try:
            ticket = self._runner.submit(request)
        except RequestError as refusal:
            self.signal.refused(refusal, armed.plate if armed else None)
            return
        if ticket.duplicate:
            log.info("button key=%s run=%s duplicate=true", request.key, ticket.run_id)
            return
        self._reason = None
        self._button.lock(self._loop.time())
        self.signal.accepted()

    def _key(self, arm_id: str | None) -> str:
        return f"{self._settings.button.source}@{arm_id or ULID()}"

    def _request(self, key: str) -> RunRequest:
        button = self._settings.button
        kind = kind_of(button.source)
        operator = self._valid(self._operator)
        return RunRequest(
            key=key,
            trigger=Trigger(kind="button", source=kind),
            operator=Operator(id=operator, known_by="badge") if operator else None,
            reread_reason=self._valid(self._reason),
            armed_only=kind == "mqtt" or button.unarmed == "refuse",
        )

    def _valid(self, said: _Said | None) -> str | None:
        if said is None or (said.until_s is not None and self._loop.time() >= said.until_s):
            return None
        armed = self._runner.arming.current
        return said.text if said.plate in (None, armed.plate if armed else None) else None

    def _abort(self, reason: str) -> None:
        """Give up the run under way; without one, the plate that is announced."""
        if self._runner.current_run is None and self._runner.arming.current is not None:
            self._runner.arming.disarm(reason)
            return
        try:
            self._runner.abort(None, reason)
        except RequestError as refusal:
            details: dict[str, JsonValue] = {"verb": "abort", "trigger": "button"}
            self._runner.refused(refusal, details)
            self.signal.refused(refusal, None)


class Shows(Protocol):
    """Where a panel tells what everyone may know."""

    @property
    def publisher(self) -> Publisher: ...

    def on_alarm(self, code: str, text: str | None) -> None: ...


class _OnBroker:
    """The lamp as a retained message: who comes later sees it too."""

    def __init__(self, edge: Callable[[], Shows]) -> None:
        self._edge = edge

    def show(self, message: LampMessage) -> None:
        self._edge().publisher.publish_retained(LAMP_TOPIC, encode(message))


def furnish(
    settings: PanelSettings, runner: Runner, open_input: OpenInput, edge: Callable[[], Shows]
) -> Panel:
    """The panel of a reader with its lamps; where nothing stands beside the reader, none is lit."""
    lines = LampLines(settings.lamp.lines(), open_lamp)
    lamps: list[Lamp] = [_OnBroker(edge), lines]
    if settings.lamp.bell:
        lamps.append(Bell(sys.stderr))
    return Panel(
        settings,
        runner,
        lamps=() if settings.is_empty else lamps,
        lines=lines,
        open_input=open_input,
        on_alarm=lambda code, text: edge().on_alarm(code, text),
    )


def _boot_id() -> str:
    """This start of the machine; in a sandbox that hides it (`ProcSubset=pid`), ours."""
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return str(ULID())
