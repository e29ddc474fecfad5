"""What is not known about a Synergy H1 or Cytation, and what only the user knows."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from readerd.driver.contract import LineSettings, Options
from readerd.plate import FORMATS, ReadRequest
from readerd_biotek.synergy_codec import Geometry

# What is said around the data of one plate at most: e, C, & and its argument, y and its argument;
# per wavelength D, its argument and O.
SHORT_REPLIES, SHORT_REPLIES_PER_WAVELENGTH = 6, 3
SPARE_S = 5.0

PartNumber = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,7}$")]


class SynergyOptions(Options):
    """`[reader.options]` of driver synergyh1."""

    model: Literal["Synergy H1", "Cytation 1", "Cytation 5"] = "Synergy H1"
    """Which one stands there: their answers do not tell."""

    parts: tuple[PartNumber, ...] = ()
    """How the part number of the software inside must begin; () takes any but an ELx808's.
    1650200 was seen."""

    baud: Literal[9600, 38461] = 9600
    """9600; some answer at 38461 only."""

    rtscts: bool = True
    """The public driver switches it on; whether it is needed is not known."""

    read_timeout_s: float = Field(default=180.0, gt=0, le=3600)
    """The longest one wavelength takes; 53 s were seen for a full plate."""

    gap_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """The longest silence between two bytes of data: the reader may measure in between."""

    reply_timeout_s: float = Field(default=3.0, gt=0, le=60)
    """The longest a short command takes."""

    tray_timeout_s: float = Field(default=20.0, gt=0, le=120)
    """The longest the tray takes to its place, and an abort."""

    admit_first: bool = True
    """Take the tray in before each read, as the public driver's users do."""

    slow_tray: bool = False
    """Move the tray slowly, for full wells."""

    checksum: Literal["verify", "ignore"] = "verify"
    """Whether a plate with a wrong checksum is refused."""

    stars: Literal["SATURATED", "UNREADABLE"] = "SATURATED"
    """What ******* in a cell means: over range or not measured, the instrument does not tell."""

    plate_height_mm: float = Field(default=14.2, gt=0, le=99.99)
    """Without lid, for the clearance inside the reader."""

    read_before_abort: bool = False
    """Let an abandoned read run to its end instead of halting the reader (x)."""


def line(options: SynergyOptions) -> LineSettings:
    """8N2 with RTS/CTS, as the public driver sets it."""
    return LineSettings(baud=options.baud, stop_bits=2, rtscts=options.rtscts)


# ANSI SLAS 1-2004 and 4-2004: outer size, centre of A1, distance of wells; hundredths of a mm.
_WIDTH, _LENGTH = 8548, 12776
_A1_YX_PITCH = {96: (1124, 1438, 900), 384: (899, 1213, 450)}


def geometry(format: int, options: SynergyOptions) -> Geometry:
    """A plate of standard size and the height that the options give it."""
    plate = FORMATS[format]
    first_y, first_x, pitch = _A1_YX_PITCH[format]
    last_y, last_x = first_y + (plate.rows - 1) * pitch, first_x + (plate.columns - 1) * pitch
    height = round(options.plate_height_mm * 100)
    size = (_WIDTH, _LENGTH, height)
    return Geometry(plate.rows, plate.columns, first_y, last_y, first_x, last_x, *size)


def transfer_s(format: int, options: SynergyOptions) -> float:
    """From the first byte of the data of one wavelength to the last."""
    plate = FORMATS[format]
    size = plate.size * 14 + plate.rows * 2 + 60
    return size * line(options).seconds_per_byte + SPARE_S


def measurement_s(format: int, options: SynergyOptions) -> float:
    """From the start of one wavelength to its last byte."""
    return options.read_timeout_s + transfer_s(format, options)


def resync_s(options: SynergyOptions) -> float:
    """An identity that is asked for until it is unmistakable, as `Link.challenge` bounds it."""
    return 4 * options.reply_timeout_s


def estimate_s(request: ReadRequest, options: SynergyOptions) -> float:
    """The longest a whole `read` takes, with every reply at its limit."""
    wavelengths = len(request.wavelengths_nm)
    replies = SHORT_REPLIES + wavelengths * SHORT_REPLIES_PER_WAVELENGTH
    short_s = replies * options.reply_timeout_s + resync_s(options)
    tray_s = options.tray_timeout_s if options.admit_first else 0.0
    read_s = request.shake_s + wavelengths * measurement_s(request.format, options)
    return short_s + tray_s + read_s
