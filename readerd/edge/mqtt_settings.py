"""`[mqtt]`: which broker, how it knows us, what it may ask of us."""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)
from pydantic_core.core_schema import ValidationInfo

Verb = Literal[
    "ping", "info", "arm", "disarm", "platemap", "read", "abort", "replay", "resend", "get"
]
# Segments of the contract's topics: no dots, because RabbitMQ and NATS translate those.
Segment = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]

# IANA: mqtt 1883, secure-mqtt 8883.
DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


def _broker_url(text: str) -> str:
    """The same url, or ValueError that says what is right."""
    parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT], not {text!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("user name and password go into username and password_file")
    if not parts.hostname:
        raise ValueError(f"names no host: {text!r}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"ends after the port: {text!r}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"the port must be 1 to 65535: {text!r}")
    return text


class MqttSettings(BaseModel):
    """The broker connection. File names may be empty: then there is no such file."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    url: Annotated[str, AfterValidator(_broker_url)]
    version: Literal["auto", "5", "3.1.1"] = "auto"
    username: str = ""
    password_file: str = ""  # or the name of a systemd credential
    ca_file: str = ""  # empty: the certificate authorities of the machine
    cert_file: str = ""
    key_file: str = ""
    required_receipts: tuple[Segment, ...] = ()
    commands: tuple[Verb, ...] = Field(default=("ping", "info", "replay", "resend", "get"))

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @field_validator("password_file")
    @classmethod
    def _password_has_its_user(cls, value: str, info: ValidationInfo) -> str:
        if value and not info.data.get("username"):
            raise ValueError("a password needs a username")
        return value

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _certificates_need_tls(cls, value: str, info: ValidationInfo) -> str:
        if value and str(info.data.get("url", "mqtts:")).startswith("mqtt:"):
            raise ValueError("certificates are for mqtts://")
        return value

    @field_validator("key_file")
    @classmethod
    def _certificate_has_its_key(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("cert_file", value)):
            raise ValueError("cert_file and key_file come together")
        return value
