"""SpectraMax error numbers: what they mean, and which of them need a person at the instrument."""

from collections.abc import Mapping

# The public client's table, which follows the vendor's software internals [P].
TEXTS: Mapping[str, str] = {
    "100": "command not found",
    "101": "invalid argument",
    "102": "too many arguments",
    "103": "too few arguments",
    "104": "command line too long",
    "105": "the instrument is busy",
    "106": "a measurement is in progress",
    "107": "no data to transfer",
    "108": "data buffer full",
    "109": "error buffer overflow",
    "110": "stray light in the cuvette: is its door open?",
    "111": "invalid read settings",
    "200": "firmware: assertion failed",
    "201": "firmware: bad error number",
    "202": "firmware: receive queue overflow",
    "203": "serial line: parity error",
    "204": "serial line: overrun",
    "205": "serial line: framing error",
    "206": "firmware: a command produced too much output",
    "207": "firmware: fatal trap",
    "208": "firmware: operating system error",
    "209": "firmware: stack overflow",
    "210": "firmware: unknown interrupt",
    "300": "thermistor faulty",
    "301": "safe temperature exceeded",
    "302": "low light",
    "303": "dark current cannot be calibrated",
    "304": "signal saturated",
    "305": "reference saturated",
    "306": "plate air calibration failed: low light",
    "307": "cuvette air reference failed",
    "308": "stray light",
    "312": "gain calibration failed",
    "313": "reference gain check failed",
    "314": "lamp level low",
    "315": "zero order of the grating not found",
    "316": "grating motor driver faulty",
    "317": "monitor converter faulty",
    "400": "carriage does not move as it should",
    "401": "filter wheel does not move as it should",
    "402": "grating does not move as it should",
    "403": "stage does not move as it should",
    "500": "settings memory: checksum wrong",
    "501": "settings memory: grating calibration bad",
    "502": "settings memory: cuvette air calibration bad",
    "503": "settings memory: plate air calibration bad",
    "504": "settings memory: carriage offset bad",
    "505": "settings memory: stage offset bad",
}

NOT_FOUND, INVALID_ARGUMENT, TOO_MANY, TOO_FEW, TOO_LONG = "100", "101", "102", "103", "104"
BUSY, MEASURING, NO_DATA, INVALID_SETTINGS = "105", "106", "107", "111"
LAMP_LOW = "314"


def text_of(code: str) -> str:
    """The meaning of a code; a code that is not in the table is said to be unknown."""
    return TEXTS.get(code, "no text known for this number")


def needs_human(code: str) -> bool:
    """Optics, mechanics and settings memory do not mend themselves; a weak lamp still reads."""
    return code in TEXTS and code[0] in "345" and code != LAMP_LOW
