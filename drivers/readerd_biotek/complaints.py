"""The error codes of the ELx family and what they mean.

Source: ELx808 operator's manual, appendix B. The last digit may be a sub-code: a motor, a filter, a
voltage. That a Synergy shares the table is not known: its codes are shown with these texts and
"as on the ELx808". 2D06 was measured on a Cytation.
"""

import re
from collections.abc import Mapping

from readerd.errors import InstrumentFault
from readerd_biotek.framing import Status

ABORTED = "0100"
REFUSED = "NAK"
BAD_PROCEDURE = "2D06"

_MOTORS = {"0": "plate carrier", "1": "filter wheel", "2": "door"}
_LAMPS = {"1": "5 V", "2": "24 V"}

# pattern, text; {} is the sub-code in words.
_TEXTS: tuple[tuple[str, str, Mapping[str, str] | None], ...] = (
    ("0100", "read aborted: STOP was pressed, or the host asked for it", None),
    ("020(.)", "{}: position sensor not found", _MOTORS),
    ("030(.)", "{}: no light transition at its sensor", _MOTORS),
    ("040(.)", "{}: position could not be verified", _MOTORS),
    ("050(.)", "A/D converter saturated, {} supply", _LAMPS),
    ("060(.)", "gain of filter {} out of range", None),
    ("07(.)0", "noise test failed, channel {}", None),
    ("08(.)0", "offset test failed, channel {}", None),
    ("09(..)", "dark range, channel and filter {}", None),
    ("0A(..)", "air blank range, channel and filter {}", None),
    ("0B0(.)", "no assay number {}", None),
    ("0D00", "calibration checksum wrong", None),
    ("0E0(.)", "wavelength not in the filter table (filter {})", None),
    ("0F(..)", "filter signal range, channel and filter {}", None),
    ("1000", "configuration data missing", None),
    ("1100", "checksum missing", None),
    ("1200", "calibration data missing", None),
    ("130(.)", "{}: not homed", _MOTORS),
    ("15(..)", "incubator {}", None),
    ("1600", "assay definition error", None),
    ("1700", "kinetic interval too short", None),
    ("1800", "too many kinetic reads", None),
    ("2000", "barcode", None),
    ("2100", "invalid parameter", None),
    ("230(.)", "lamp failed ({})", None),
    ("233(.)", "lamp failed ({})", None),
    (BAD_PROCEDURE, "the procedure was refused: wrong checksum", None),
    ("A[1-9]..", "fatal: switch the reader off and on", None),
    # The one digit of the 312 form.
    ("8", "instrument failure or self-test required", None),
    ("9", "definition error", None),
    ("A", "well range", None),
    ("B", "incubator", None),
    ("C", "incubator", None),
    ("E", "barcode", None),
    (REFUSED, "refused: the reader did not expect this command now", None),
)
# Nothing that a program sends mends these: power, lamp, lost configuration or calibration, motors.
_NEEDS_HUMAN = re.compile(r"A[1-9]..|23(?:0|3).|1[012]00|0D00|0[234]0.|8")


def text_of(code: str) -> str:
    """What a code means, or that it is not known."""
    for pattern, text, names in _TEXTS:
        match = re.fullmatch(pattern, code)
        if match is not None:
            digits = match[1] if match.re.groups else ""
            return text.format((names or {}).get(digits, digits))
    return "no text known for this code"


def needs_human(code: str) -> bool:
    return _NEEDS_HUMAN.fullmatch(code) is not None


def fault(status: Status | None, phase: str, tail: bytes, family: str = "") -> InstrumentFault:
    """The exception for a status that is not ok; None is a NAK."""
    code = REFUSED if status is None else status.code
    text = text_of(code)
    if family and code not in (REFUSED, BAD_PROCEDURE):
        text += f" ({family})"
    return InstrumentFault(code, text, needs_human=needs_human(code), phase=phase, tail=tail)
