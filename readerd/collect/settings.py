"""Which broker, who we are to it, and how long to wait."""

import random
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from readerd.collect.ledger import Patience
from readerd.errors import InputError, Mistake

# IANA: mqtt 1883, secure-mqtt 8883.
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_SEGMENT: Final = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """InputError when the url or the consumer's name is none, or a file cannot be used."""

    url: str
    consumer: str = "lims"
    receipts: bool = True
    replay: bool = True
    version: Literal["5", "3.1.1"] = "5"
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    session_s: int = 7 * 24 * 3600  # how long the broker keeps messages for us while we are away
    within_s: float = 10.0
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    look_every_s: float = 1.0
    patience: Patience = field(default_factory=Patience)
    uniform: Callable[[float, float], float] = field(default=random.uniform)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:  # half an IPv6 address
            parts = urlsplit("")
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
            what = "write mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; the user goes into --username"
            raise InputError(f"--url {self.url}", Mistake("", what))
        try:
            port = parts.port
        except ValueError:
            port = 0
        if port == 0:
            raise InputError(f"--url {self.url}", Mistake("", "the port must be 1 to 65535"))
        if not _SEGMENT.fullmatch(self.consumer):
            what = "a consumer is 1 to 32 of a-z, 0-9 and -"
            raise InputError(f"--consumer {self.consumer}", Mistake("", what))
        self._check_files(is_tls=parts.scheme == "mqtts")

    def _check_files(self, *, is_tls: bool) -> None:
        """Now, because later nobody reads what is wrong with them."""
        if self.password_file and not self.username:
            raise InputError("--password-file", Mistake("", "a password needs a --username"))
        if self.key_file and not self.cert_file:
            raise InputError("--key-file", Mistake("", "a key needs its --cert-file"))
        if (self.ca_file or self.cert_file) and not is_tls:
            raise InputError(f"--url {self.url}", Mistake("", "certificates are for mqtts://"))
        for option, file, use, wanted in (
            ("--password-file", self.password_file, self.password, "must be UTF-8 text"),
            ("--ca-file", self.ca_file, self._authority, "must be certificates in PEM"),
            ("--cert-file", self.cert_file, self.tls, "must be PEM, with the key that fits it"),
        ):
            if not file:
                continue
            try:
                use()
            except (ssl.SSLError, UnicodeDecodeError):
                raise InputError(f"{option} {file}", Mistake("", wanted)) from None
            except OSError as error:
                text = f"cannot be read: {error.strerror}"
                raise InputError(f"{option} {file}", Mistake("", text)) from None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]

    @property
    def client_id(self) -> str:
        return f"readerd-collect-{self.consumer}"

    @property
    def topics(self) -> tuple[str, ...]:
        """What we subscribe to, at every site and reader."""
        below = ("result", "event", "info", "health", "status")
        directed = (f"replay/{self.consumer}", f"rsp/{self.consumer}")
        return tuple(f"readerd/v1/+/+/{name}" for name in (*below, *directed))

    def password(self) -> str | None:
        """Read at every connect, so that a new password needs no restart."""
        if not self.password_file:
            return None
        return Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")

    def tls(self) -> ssl.SSLContext | None:
        if urlsplit(self.url).scheme != "mqtts":
            return None
        context = self._authority()
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file or None)
        return context

    def _authority(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file or None)
