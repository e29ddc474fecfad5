"""What the manual leaves open about a Model 680, as settings under `[reader.options]`."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from readerd.driver.contract import LineSettings, Options
from readerd.plate import ReadRequest

# A dual plate is 1300 bytes, 1.4 s at 9600 baud; the rest is for adapters and device servers.
TRANSFER_S = 5.0
# AQ, ID, FSTATUS, MR and RL around one plate.
SHORT_REPLIES = 5

ErrorNumber = Annotated[str, StringConstraints(pattern=r"^\d{4}$")]


class Model680Options(Options):
    """`[reader.options]` of driver biorad680."""

    checksum: Literal["auto", "A", "B", "C", "ignore"] = "auto"
    """Which reading of the checksum must hold: A rows with line ends modulo 256, B without line
    ends, C like A not reduced, auto any of them (the result notes which), ignore none."""

    read_timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """The longest an honest read takes, without shaking; the manual does not tell."""

    reply_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """The longest a short command takes."""

    gap_timeout_s: float = Field(default=2.0, gt=0, le=60)
    """The longest silence inside a plate's transfer."""

    transfers: int = Field(default=3, ge=1, le=10)
    """How often one plate may be transmitted until its checksum is right."""

    speed: Literal["fast", "normal"] = "normal"
    """The reading mode; the manual gives no times for either."""

    shake_speed: Literal["low", "medium", "high"] = "low"
    """The mixing speed, where a read asks for shaking."""

    counters: bool = True
    """Ask for the maintenance counters before each plate."""

    rtscts: bool = False
    """Hardware handshake on RTS and CTS; the manual names none."""

    dsrdtr: bool = False
    """Hardware handshake on DSR and DTR; the manual names none."""

    error_texts: Mapping[ErrorNumber, str] = {}
    """Texts for the instrument's error numbers; the manual's table is not at hand."""


def line(options: Model680Options) -> LineSettings:
    """9600 8N1, as the manual fixes it."""
    return LineSettings(baud=9600, rtscts=options.rtscts, dsrdtr=options.dsrdtr)


def measurement_s(request: ReadRequest, options: Model680Options) -> float:
    """From RPLATE to its last byte: the instrument is silent while it shakes and reads."""
    return options.read_timeout_s + request.shake_s + TRANSFER_S


def estimate_s(request: ReadRequest, options: Model680Options) -> float:
    """The longest a whole `read` takes, with every reply at its limit."""
    again_s = (options.transfers - 1) * (options.reply_timeout_s + TRANSFER_S)
    return measurement_s(request, options) + again_s + SHORT_REPLIES * options.reply_timeout_s
