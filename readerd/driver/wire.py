"""The simulated line between a twin and whoever listens: speed, order, time scale.

Every byte takes the time that the baud rate gives it, times `time_scale` (1 = real, 0 = none).
Bytes arrive in pieces as from a USB adapter; the last byte of an answer is never early or late.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from readerd.driver.stream import LineSettings
from readerd.driver.virtual import Emission, Twin

# A USB adapter hands over what it has at least this often (FTDI's latency timer, its default).
LATENCY_S = 0.016
# More than any answer; a client that never reads must not fill the memory.
MOST_QUEUED_PIECES = 1 << 18
# Longer than anything that an instrument does between two commands.
UNPACED_STEP_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Piece:
    at_s: float
    data: bytes
    hang_up: bool


class Wire:
    """Runs one twin in the loop, for one listener at a time; without one, bytes are lost."""

    def __init__(
        self,
        twin: Twin,
        line: LineSettings,
        *,
        time_scale: float = 1.0,
        least_piece: int = 1,  # bytes that arrive together, where the line's speed has fewer
        deliver: Callable[[bytes], None] | None = None,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._twin = twin
        self._byte_s = line.seconds_per_byte * time_scale
        self._time_scale = time_scale
        self._least_piece = least_piece
        self._deliver = deliver
        self._hang_up = hang_up
        self._powered_up_s = self._loop.time()
        self._skipped_s = 0.0
        self._free_at_s = 0.0
        self._queue: deque[_Piece] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, deliver: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        """From now on this listener: `deliver` gets bytes, `hang_up` is called once at the end."""
        self._deliver, self._hang_up = deliver, hang_up

    def detach(self) -> None:
        """Nobody listens any more; the instrument talks on."""
        self._deliver = self._hang_up = None

    def unplug(self) -> None:
        """The listener's end is gone now; the instrument talks on."""
        hang_up = self._hang_up
        self.detach()
        if hang_up is not None:
            hang_up()

    def receive(self, data: bytes) -> None:
        """Bytes from the client: let the twin answer in its own time."""
        now_s = self._loop.time()
        arrived_s = now_s + len(data) * self._byte_s
        for emission in self._twin.receive(data, self._instrument_s()):
            if emission.replaces:
                self._queue.clear()
                self._free_at_s = 0.0
            self._schedule(emission, max(arrived_s, self._free_at_s))
        self._arm()

    def stop(self) -> None:
        """Nothing more is delivered until the next `receive`."""
        self._queue.clear()
        self._free_at_s = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _instrument_s(self) -> float:
        """Seconds since power-up on the instrument's own clock, which keeps pace with its line.

        Without pacing, whatever it was busy with is over when the next bytes come.
        """
        elapsed_s = self._loop.time() - self._powered_up_s
        if self._time_scale > 0:
            return elapsed_s / self._time_scale
        self._skipped_s += UNPACED_STEP_S
        return elapsed_s + self._skipped_s

    def _schedule(self, emission: Emission, from_s: float) -> None:
        begin_s = from_s + emission.after_s * self._time_scale
        end_s = begin_s + len(emission.data) * self._byte_s
        size = emission.piece or self._usual_piece(emission.data)
        for start in range(0, len(emission.data), size):
            stop = min(start + size, len(emission.data))
            if len(self._queue) < MOST_QUEUED_PIECES:
                at_s = end_s if stop == len(emission.data) else begin_s + stop * self._byte_s
                self._queue.append(_Piece(at_s, emission.data[start:stop], False))
        if emission.hang_up:
            self._queue.append(_Piece(end_s, b"", True))
        self._free_at_s = end_s

    def _usual_piece(self, data: bytes) -> int:
        if self._byte_s == 0:
            return max(1, len(data))
        return max(self._least_piece, int(LATENCY_S / self._byte_s))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0].at_s, self._run)

    def _run(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        while self._queue and self._queue[0].at_s <= now_s:
            piece = self._queue.popleft()
            if piece.hang_up:
                self.stop()
                if self._hang_up is not None:
                    self._hang_up()
                return
            if self._deliver is not None:
                self._deliver(piece.data)
        self._arm()
