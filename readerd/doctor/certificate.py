"""When a certificate ends: the one field of X.509 that nobody looks at until it is too late.

The standard library tells it of a broker whose certificate it has just verified, not of a file.
"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

# RFC 5280, 4.1; X.690, 8.1: tags.
SEQUENCE, EXPLICIT_VERSION = 0x30, 0xA0
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18


def ends_at(text: str) -> datetime:
    """The end of the first certificate in a PEM text; ValueError when there is none."""
    begin = text.find(ssl.PEM_HEADER)
    end = text.find(ssl.PEM_FOOTER, begin)
    if begin < 0 or end < 0:
        raise ValueError("no certificate in it")
    return der_ends_at(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)]))


def der_ends_at(der: bytes) -> datetime:
    """The same for the certificate itself. ValueError when it is none."""
    try:
        ((_, certificate),) = _values(der)
        _, to_be_signed = next(_values(certificate))
        fields = [field for field in _values(to_be_signed) if field[0] != EXPLICIT_VERSION]
        tag, validity = fields[3]  # serial number, algorithm, issuer, validity
        _, (kind, moment) = _values(validity)
    except (IndexError, StopIteration, ValueError):
        raise ValueError("is no certificate") from None
    if tag != SEQUENCE or kind not in (UTC_TIME, GENERALIZED_TIME):
        raise ValueError("is no certificate")
    text = moment.decode("ascii")
    if kind == UTC_TIME:  # RFC 5280, 4.1.2.5.1: 50 and above is the last century
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The values in a constructed one: tag and content of each. IndexError when it is cut off."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(der[at : at + count], "big")
            at += count
        if at + length > len(der):
            raise IndexError
        yield tag, der[at : at + length]
        at += length
