"""What the manuals leave open about a Model 680 and a Model 550, under `[reader.options]`."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from readerd.driver.contract import LineSettings, Options
from readerd.plate import ReadRequest
from readerd_biorad.codec import DEVICE, Filters

# A dual plate is 1300 bytes, 1.4 s at 9600 baud; the rest is for adapters and device servers.
TRANSFER_S = 5.0
# AQ, ID, FSTATUS, MR and RL around one plate.
SHORT_REPLIES = 5
# 680 manual, p. 50: speed 1 fast, 2 normal; mixing speed L, M, H.
SPEEDS = {"fast": "1", "normal": "2"}
SHAKE_SPEEDS = {"low": "L", "medium": "M", "high": "H"}

ErrorNumber = Annotated[str, StringConstraints(pattern=r"^\d{4}$")]


class FamilyOptions(Options):
    """What is open about every model."""

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

    counters: bool = True
    """Ask for the maintenance counters before each plate."""

    rtscts: bool = False
    """Hardware handshake on RTS and CTS; the manual names none."""

    dsrdtr: bool = False
    """Hardware handshake on DSR and DTR; the manual names none."""

    error_texts: Mapping[ErrorNumber, str] = {}
    """Texts for the instrument's error numbers; the manual's table is not at hand."""


class Model680Options(FamilyOptions):
    """`[reader.options]` of driver biorad680."""

    speed: Literal["fast", "normal"] = "normal"
    """The reading mode; the manual gives no times for either."""

    shake_speed: Literal["low", "medium", "high"] = "low"
    """The mixing speed, where a read asks for shaking."""

    @property
    def device(self) -> str:
        return DEVICE

    @property
    def filters(self) -> Filters | None:
        """None: the instrument tells."""
        return None

    def plate_settings(self, shake_s: int) -> tuple[str, ...]:
        """RPLATE's arguments in front of the filter positions."""
        return (SPEEDS[self.speed], str(shake_s), SHAKE_SPEEDS[self.shake_speed])


class Model550Options(FamilyOptions):
    """`[reader.options]` of driver biorad550."""

    filters_nm: tuple[Annotated[int, Field(ge=0, le=1000)], ...] = Field(min_length=1, max_length=4)
    """The wavelengths in nm of the filters at positions 1 to 4, as printed on them, 0 where none
    is: [405, 450, 490, 570]. This reader has no command that tells them."""

    device_name: Literal["EIA.READER", "EIA. READER"] = "EIA.READER"
    """The word before each command: the manual prints a blank in it, the 680's has none."""

    @property
    def device(self) -> str:
        return self.device_name

    @property
    def filters(self) -> Filters | None:
        return Filters(tuple(nm or None for nm in self.filters_nm))

    def plate_settings(self, shake_s: int) -> tuple[str, ...]:
        """RPLATE's arguments in front of the filter positions: the mixing time alone."""
        return (str(shake_s),)


ModelOptions = Model680Options | Model550Options


def line(options: FamilyOptions) -> LineSettings:
    """9600 8N1, as the manuals fix it."""
    return LineSettings(baud=9600, rtscts=options.rtscts, dsrdtr=options.dsrdtr)


def measurement_s(request: ReadRequest, options: FamilyOptions) -> float:
    """From RPLATE to its last byte: the instrument is silent while it shakes and reads."""
    return options.read_timeout_s + request.shake_s + TRANSFER_S


def estimate_s(request: ReadRequest, options: FamilyOptions) -> float:
    """The longest a whole `read` takes, with every reply at its limit."""
    again_s = (options.transfers - 1) * (options.reply_timeout_s + TRANSFER_S)
    return measurement_s(request, options) + again_s + SHORT_REPLIES * options.reply_timeout_s
