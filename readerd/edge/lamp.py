"""What the lamp at the bench shows: the newest that a person with gloves must know.

In this order, the first that holds:

| light | state | when |
|---|---|---|
| blinking | reading | a plate is read |
| red | refused | the bench's own scan or press was refused, for `refused_s` |
| amber | armed | a plate is announced |
| red | needs_human | the instrument wants a person |
| red | failed | the last run delivered no plate, or a consumer refuses its result |
| blinking | delivering | its result has not arrived where it must |
| green | done | the required receipts are in; without any, the broker has acknowledged |
| dark | idle | otherwise |

How the last run ended stands until the next plate is announced or read. What others ask for and are
refused (a script, the LIMS) is no business of the lamp.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol, TextIO

from readerd.edge.button_settings import InputAddress
from readerd.errors import LinkLost, RequestError
from readerd.payload import LampMessage, RunEnded
from readerd.run.log_run import of_run
from readerd.run.outage import Outage
from readerd.run.runner import Runner

log = logging.getLogger(__name__)

# Slow enough to be seen from the door, fast enough to be no steady light.
BLINK_S: Final = 0.5
DARK: Final = LampMessage(light="dark", state="idle")


class Lamp(Protocol):
    """Something that shows; it must not raise or wait."""

    def show(self, message: LampMessage) -> None: ...


class Signal:
    """Decides what is shown and tells every lamp, each change once."""

    def __init__(self, runner: Runner, lamps: Sequence[Lamp], *, refused_s: float) -> None:
        self._runner = runner
        self._lamps = lamps
        self._refused_s = refused_s
        self._refusal: LampMessage | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last: RunEnded | None = None
        self._shown: LampMessage | None = None

    def look(self) -> None:
        """Something may have changed."""
        if not self._lamps:
            return
        if self._runner.current_run is not None or self._runner.arming.current is not None:
            self._last = None
        message = self._message()
        if message == self._shown:
            return
        self._shown = message
        plate = f" plate={message.plate_barcode}" if message.plate_barcode else ""
        code = f" code={message.code}" if message.code else ""
        with of_run(message.run_id):
            log.info("lamp light=%s state=%s%s%s", message.light, message.state, plate, code)
        for lamp in self._lamps:
            lamp.show(message)

    def run_ended(self, ended: RunEnded) -> None:
        """This is the run whose outcome is shown now."""
        self._last = ended
        self.look()

    def accepted(self) -> None:
        """A scan or a press was accepted: what was before is over."""
        self._end_refusal()
        self.look()

    def refused(self, refusal: RequestError, plate: str | None) -> None:
        """A scan or a press at the bench was refused."""
        self._end_refusal()
        self._refusal = LampMessage(
            light="red",
            state="refused",
            plate_barcode=plate,
            code=refusal.code,
            text=refusal.text,
        )
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._refused_s, self._forget_refusal)
        self.look()

    def _end_refusal(self) -> None:
        self._refusal = None
        if self._timer is not None:
            self._timer.cancel()

    def _forget_refusal(self) -> None:
        self._end_refusal()
        self.look()

    def _message(self) -> LampMessage:
        runner, armed = self._runner, self._runner.arming.current
        if (run_id := runner.current_run) is not None:
            return self._of_run("blinking", "reading", run_id)
        if self._refusal is not None:
            return self._refusal
        if armed is not None:
            return LampMessage(light="amber", state="armed", plate_barcode=armed.plate)
        if runner.bench.state == "needs_human":
            text = runner.bench.reason
            return LampMessage(light="red", state="needs_human", code="reader_fault", text=text)
        return DARK if self._last is None else self._outcome(self._last)

    def _outcome(self, ended: RunEnded) -> LampMessage:
        if ended.state != "done":
            run = self._runner.store.run(ended.run_id)
            failure = (run.failure if run else None) or {}
            message = self._of_run("red", "failed", ended.run_id)
            told = {"code": failure.get("code"), "text": failure.get("text")}
            return message.model_copy(update=told)
        delivery = self._runner.store.outbox.delivery(ended.run_id)
        if delivery == "refused":
            message = self._of_run("red", "failed", ended.run_id)
            return message.model_copy(update={"text": "a consumer refuses the result"})
        if delivery == "settled":
            return self._of_run("green", "done", ended.run_id)
        return self._of_run("blinking", "delivering", ended.run_id)

    def _of_run(self, light: str, state: str, run_id: str) -> LampMessage:
        run = self._runner.store.run(run_id)
        plate = run.plate if run else None
        return LampMessage.model_validate(
            {"light": light, "state": state, "plate_barcode": plate, "run_id": run_id}
        )


class Bell:
    """The terminal's bell: once when a plate is announced or arrived, twice when it went wrong."""

    _RINGS: Final[Mapping[str, int]] = {"armed": 1, "done": 1, "refused": 2, "failed": 2}

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def show(self, message: LampMessage) -> None:
        with suppress(OSError):  # the terminal was closed, and the daemon goes on
            self._terminal.write("\a" * self._RINGS.get(message.state, 0))
            self._terminal.flush()


class Wired(Protocol):
    """A line that lights something."""

    @property
    def put(self) -> Callable[[bool], None]: ...

    @property
    def release(self) -> Callable[[], None]: ...


class LampLines:
    """Lamps on lines of a chip; one that cannot be had is tried again with the next change."""

    def __init__(
        self, lines: Mapping[str, InputAddress], open_lamp: Callable[[InputAddress], Wired]
    ) -> None:
        self._addresses = lines
        self._open_lamp = open_lamp
        self._lines: dict[str, Wired] = {}
        self._light = "dark"
        self._changed = asyncio.Event()
        self._outage = Outage(log)

    def show(self, message: LampMessage) -> None:
        self._light = message.light
        self._changed.set()

    async def run(self) -> None:
        """Light and blink until cancelled; then all are dark and given back."""
        is_lit = False
        try:
            while True:
                self._changed.clear()
                is_lit = self._light == "blinking" and not is_lit
                self._put(self._lit(is_lit))
                pause_s = BLINK_S if self._light == "blinking" else None
                try:
                    async with asyncio.timeout(pause_s):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            self._put("")
            for line in self._lines.values():
                line.release()

    def _lit(self, is_lit: bool) -> str:
        """The colour whose line is on now; where there is no amber, any lamp can blink."""
        if self._light != "blinking":
            return self._light
        colour = "amber" if "amber" in self._addresses else next(iter(self._addresses), "")
        return colour if is_lit else ""

    def _put(self, colour: str) -> None:
        for name, address in self._addresses.items():
            try:
                line = self._lines.get(name) or self._open(name, address)
                line.put(name == colour)
            except (LinkLost, OSError) as error:
                if (gone := self._lines.pop(name, None)) is not None:
                    gone.release()
                self._outage.lost(f"lamp={address.text} reason={error}")

    def _open(self, name: str, address: InputAddress) -> Wired:
        self._lines[name] = self._open_lamp(address)
        self._outage.back(f"lamp={address.text} link=up")
        return self._lines[name]
