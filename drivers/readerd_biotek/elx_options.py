"""What the manual leaves open about an ELx808, and what only the user knows."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from readerd.driver.contract import LineSettings, Options
from readerd.plate import ReadRequest
from readerd_biotek.elx_codec import TABLE_BYTES

# One block: CR, 8 rows of 12 cells of 6 characters and a line end, temperature, ^Z, checksum.
BLOCK_BYTES = 1 + 8 * (12 * 6 + 2) + 3 + 2
# n1, q1, e, W, ], k, V and r: what is said before S at most, but the table.
SHORT_REPLIES = 8
# For adapters and device servers.
SPARE_S = 5.0

PartNumber = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,7}$")]


class ElxOptions(Options):
    """`[reader.options]` of driver elx808."""

    baud: Literal[1200, 2400, 4800, 9600] = 2400
    """As it is set in the reader; 2400 when it leaves the factory. The manual lists 4800 once."""

    parts: tuple[PartNumber, ...] = ("734",)
    """How the part number of the software inside must begin; () takes any. 7340201 was seen."""

    read_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """The longest one wavelength takes, without shaking; the manual does not tell."""

    gap_timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """The longest silence between two bytes of data: the reader may measure in between."""

    reply_timeout_s: float = Field(default=3.0, gt=0, le=60)
    """The longest a short command takes."""

    carrier_timeout_s: float = Field(default=15.0, gt=0, le=120)
    """The longest the plate carrier takes to its place, and all axes after an abort."""

    most_wavelengths: int = Field(default=3, ge=1, le=6)
    """Wavelengths in one read: three in the manual's text, six places in its table."""

    single: Literal["rows", "312"] = "rows"
    """One wavelength alone: `rows` names all rows (r), which makes the reader send a checksum;
    `312` leaves it at the default format, which has none."""

    checksum: Literal["verify", "ignore"] = "verify"
    """Whether a plate with a wrong checksum is refused."""

    require_final_terminator: bool = True
    """Whether data must end with ^Z and a status; a public client reports that they miss."""

    speed: Literal["as-set", "enhanced", "fast"] = "as-set"
    """Read mode; as-set leaves what the front panel chose."""

    shake_speed: int = Field(default=1, ge=0, le=3)
    """0 to 3, as the manual numbers them."""

    quiet: bool = True
    """No beep and no wait for a key when something goes wrong."""

    temperature: bool = False
    """Ask for the incubator's temperature before each plate; an error where there is none."""

    admit_first: bool = False
    """Take the carrier in before each read; S alone was enough on the reader that was seen."""

    read_before_abort: bool = False
    """Let an abandoned read run to its end instead of halting the reader (X)."""


class Elx800Options(ElxOptions):
    """`[reader.options]` of driver elx800, which nobody has tried: experimental."""

    baud: Literal[1200, 2400, 4800, 9600] = 9600
    """As it is set in the reader; 9600 was seen."""

    parts: tuple[PartNumber, ...] = ()
    """How the part number of the software inside must begin; () takes any. None was seen."""


def line(options: ElxOptions) -> LineSettings:
    """8N2, fixed; no flow control was needed."""
    return LineSettings(baud=options.baud, stop_bits=2)


def table_s(options: ElxOptions) -> float:
    """An assay table on its way to the reader, and what it says to it."""
    return TABLE_BYTES * line(options).seconds_per_byte + options.reply_timeout_s


def measurement_s(request: ReadRequest, options: ElxOptions) -> float:
    """From the start of a read to its last byte."""
    wavelengths = len(request.wavelengths_nm)
    transfer_s = wavelengths * BLOCK_BYTES * line(options).seconds_per_byte + SPARE_S
    return request.shake_s + wavelengths * options.read_timeout_s + transfer_s


def resync_s(options: ElxOptions) -> float:
    """An identity that is asked for until it is unmistakable, as `Link.challenge` bounds it."""
    return 4 * options.reply_timeout_s


def estimate_s(request: ReadRequest, options: ElxOptions) -> float:
    """The longest a whole `read` takes, with every reply at its limit."""
    carrier_s = options.carrier_timeout_s if options.admit_first else 0.0
    short_s = SHORT_REPLIES * options.reply_timeout_s + table_s(options) + resync_s(options)
    return short_s + carrier_s + measurement_s(request, options)
