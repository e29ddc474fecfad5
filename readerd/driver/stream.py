"""What every port is to the link above it: a stream of bytes, and the settings of its line."""

from dataclasses import dataclass
from typing import Protocol


class ByteStream(Protocol):
    """Bytes to and from an instrument; no framing, no deadlines, nothing lost on cancellation."""

    async def receive(self) -> bytes:
        """One or more bytes, as they come; LinkLost at the end. Cancel-safe."""
        ...

    def discard(self) -> bytes:
        """Bytes that came and were not received; they are gone from the stream. Never waits."""
        ...

    async def send(self, data: bytes) -> None:
        """Hand all bytes to the line; LinkLost when there is none."""
        ...

    async def lost(self) -> str:
        """Wait until the port is gone; the answer is why."""
        ...

    async def close(self) -> None:
        """Give the port back; idempotent. `receive` and `send` then raise LinkLost."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """How a serial line is set; the seconds that a byte takes on the wire follow from it."""

    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: int = 1
    rtscts: bool = False
    dsrdtr: bool = False

    @property
    def seconds_per_byte(self) -> float:
        bits = 1 + self.data_bits + self.stop_bits + (self.parity != "N")
        return bits / self.baud
