"""What no source tells about a SpectraMax, as settings under `[reader.options]`."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from readerd.driver.contract import LineSettings, Options
from readerd.plate import FORMATS, ReadRequest
from readerd_spectramax.codec import DOORS, Prompts

# 9600 baud 8N1 without handshake [P][E]; the arguments of the command that changes it are unknown.
LINE = LineSettings(baud=9600)
# 0.1234 and a TAB are 7; how many digits an instrument sends is unknown.
MOST_CELL_BYTES = 12
# A plate's transfer may begin this late, and adapters and device servers add to it.
TRANSFER_S = 5.0
# From STATUS to ERROR around one plate, with every setting of either model.
SHORT_REPLIES = 24
# Answers that may be asked for again with a challenge: STATUS before, two settings, ERROR.
CHALLENGES = 4
# A challenge waits for three answers of its own and then for three that are owed.
CHALLENGE_ANSWERS = 6
# And then it lets answers pass that were held up: more of them than anybody has asked for.
HELD_UP_S = 10.0

CommandName = Annotated[str, StringConstraints(pattern=r"^[A-Z_]{1,16}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[!-=?-~]{1,32}$")]
Words = Annotated[str, StringConstraints(pattern=r"^[!-=?-~]([ -=?-~]{0,30}[!-=?-~])?$")]


class Geometry(BaseModel):
    """Where the wells are: centre of A1 from the plate's top left corner, and the pitch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    x_mm: float = Field(gt=0, le=130)
    y_mm: float = Field(gt=0, le=130)
    pitch_mm: float = Field(gt=0, le=20)


class SpectraMaxOptions(Options):
    """`[reader.options]` of drivers spectramax384plus and spectramaxm5."""

    read_timeout_s: float = Field(default=600.0, gt=0, le=7200)
    """The longest an honest read takes, without shaking; the public client waits as long."""

    start_up_timeout_s: float = Field(default=300.0, gt=0, le=3600)
    """How long the air calibration at power-on may take until the instrument is idle."""

    drawer_timeout_s: float = Field(default=60.0, gt=0, le=600)
    """The longest the drawer moves; the public client waits as long for any command."""

    reply_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """The longest a short command takes."""

    gap_timeout_s: float = Field(default=2.0, gt=0, le=60)
    """The longest silence inside an answer, and behind a prompt that should not be the last."""

    poll_s: float = Field(default=0.5, gt=0, le=10)
    """The pause between two questions for the status."""

    open_drawer: Literal["close", "refuse"] = "close"
    """An open drawer when a read is asked for: close it, or fail. Whether READ closes it by itself
    is unknown."""

    cancel: bool = False
    """Stop an abandoned measurement with CANCEL. Its effect is undocumented, so that by default
    `park` waits for the measurement's end."""

    calibrate: Literal["ON", "ONCE", "OFF"] = "ONCE"
    """Air calibration before a plate; the public client's default."""

    speed_read: bool = False
    """Speed read (SPEED ON): faster, with what loss of precision no source tells."""

    carriage: Literal["normal", "slow"] = "normal"
    """The carriage's speed: CSPEED 8 or 1."""

    settling: bool = True
    """M5: set the carriage's settling time before each plate (NVRAM CARCOL 100), as the public
    client does."""

    error_log: bool = True
    """Ask for the instrument's error log after each plate; its lines become warnings."""

    shortest_nm: int = Field(default=1, ge=1, le=9999)
    """Where the monochromator begins. No stored source tells: by default the instrument judges."""

    longest_nm: int = Field(default=9999, ge=1, le=9999)
    """Where the monochromator ends; see shortest_nm."""

    most_wavelengths: int = Field(default=6, ge=1, le=12)
    """Wavelengths in one read; six is usual."""

    prompts: Mapping[CommandName, Prompts] = {}
    """How many prompts end the answer to a command, where a model differs from the known two."""

    idle_words: tuple[Words, ...] = Field(default=("IDLE",), min_length=1)
    """Words of the status that mean at rest."""

    door_words: tuple[Word, Word] = DOORS
    """Words of the status for an open and for a closed drawer."""

    end_of_line: Literal["CR", "LF", "CRLF"] = "CR"
    """Both public clients are understood: one sends CR, the other LF."""

    # [P]: its Corning plate.
    plate_96: Geometry = Geometry(x_mm=14.300, y_mm=11.280, pitch_mm=9.0)
    """Where the wells of a 96-well plate are; by default those of the public client's plate."""

    # ANSI SLAS 4-2004 (well positions).
    plate_384: Geometry = Geometry(x_mm=12.125, y_mm=8.990, pitch_mm=4.5)
    """Where the wells of a 384-well plate are; by default those of the standard (no source shows a
    384-well read)."""

    def geometry(self, format: int) -> Geometry:
        return {96: self.plate_96, 384: self.plate_384}[format]


def line(options: SpectraMaxOptions) -> LineSettings:
    """9600 8N1, no handshake."""
    return LINE


def measurement_s(request: ReadRequest, options: SpectraMaxOptions) -> float:
    """From READ until the status says idle."""
    return options.read_timeout_s + request.shake_s


def transfer_s(request: ReadRequest) -> float:
    """From TRANSFER to its last prompt, at the line's speed."""
    cells = FORMATS[request.format].size * len(request.wavelengths_nm)
    return TRANSFER_S + cells * MOST_CELL_BYTES * LINE.seconds_per_byte


def start_up_s(options: SpectraMaxOptions) -> float:
    """The air calibration at power-on, which `identify` waits for."""
    return options.start_up_timeout_s


def estimate_s(request: ReadRequest, options: SpectraMaxOptions) -> float:
    """The longest a whole `read` takes, with every answer at its limit."""
    short_s = SHORT_REPLIES * options.reply_timeout_s
    challenges_s = CHALLENGES * (CHALLENGE_ANSWERS * options.reply_timeout_s + HELD_UP_S)
    drawer_s = 2 * options.drawer_timeout_s
    plate_s = measurement_s(request, options) + transfer_s(request)
    return plate_s + drawer_s + short_s + challenges_s
