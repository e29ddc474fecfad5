"""Every exception readerd raises on purpose, split by what the caller can do about it.

```
ReaderdError
├─ ConfigError          a settings or assay file is wrong; lists every mistake    fix the file
├─ InputError           a file that somebody handed us cannot be used             fix the file
├─ RequestError         you asked for what we cannot do; carries the contract's   told at once,
│                       error code                                                no run
├─ InstrumentError      the other side; carries phase and transcript tail         recovery ladder
│   ├─ NoReply          silence until the deadline
│   ├─ GarbledReply     bytes that are not the protocol, or not what was asked
│   ├─ LinkLost         the port is gone
│   ├─ InstrumentFault  the instrument says no (code, text, whether a human must come)
│   └─ WrongInstrument  somebody else answers on this port
├─ NoDaemon             nobody answers at the local door                          start it
└─ StoreError           disk full or damaged; the process ends, systemd restarts it
```

Anything else is a bug. Chemistry that disappoints is data, never an exception.
"""

from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """The contract's closed list of refusals: the same words on CLI, HTTP and MQTT."""

    INVALID_PAYLOAD = "invalid_payload"
    UNKNOWN_VERB = "unknown_verb"
    VERB_DISABLED = "verb_disabled"
    RETAINED_COMMAND = "retained_command"
    EXPIRED = "expired"
    CLOCK_UNSYNCHRONISED = "clock_unsynchronised"
    NOT_ARMED = "not_armed"
    PLATE_MISMATCH = "plate_mismatch"
    BARCODE_INVALID = "barcode_invalid"
    ALREADY_READ = "already_read"
    STATE_MISMATCH = "state_mismatch"
    BUSY = "busy"
    READER_OFFLINE = "reader_offline"
    READER_FAULT = "reader_fault"
    WAVELENGTH_UNAVAILABLE = "wavelength_unavailable"
    FORMAT_UNSUPPORTED = "format_unsupported"
    STORE_FULL = "store_full"
    ASSAY_UNKNOWN = "assay_unknown"
    PLATE_MAP_MISSING = "plate_map_missing"
    OPERATOR_MISSING = "operator_missing"
    RUN_UNKNOWN = "run_unknown"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"


class ReaderdError(Exception):
    """Everything that readerd raises on purpose."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file: where it stands (`mqtt.url`, `layout.plate row C`), what is right."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(ReaderdError):
    """A settings or assay file is wrong; `mistakes` holds all of them, not the first."""

    def __init__(self, source: str, mistakes: tuple[Mistake, ...]) -> None:
        self.source = source
        self.mistakes = mistakes
        super().__init__("\n".join(f"{source}: {mistake}" for mistake in mistakes))


class InputError(ReaderdError):
    """A file that somebody handed us cannot be used; the text is one line: where, what, instead."""

    def __init__(self, source: str, mistake: Mistake) -> None:
        self.source = source
        self.mistake = mistake
        super().__init__(f"{source}: {mistake}")


class RequestError(ReaderdError):
    """You asked for what we cannot do; `code` is from the contract's closed list."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(f"{code}: {text}")


class InstrumentError(ReaderdError):
    """The other side failed; `phase` says in which step, `tail` holds the wire's last bytes."""

    def __init__(self, text: str, *, phase: str = "", tail: bytes = b"") -> None:
        self.text = text
        self.phase = phase
        self.tail = tail
        super().__init__(text)

    def __str__(self) -> str:
        phase = f"{self.phase}: " if self.phase else ""
        tail = f" (last bytes {self.tail!r})" if self.tail else ""
        return f"{phase}{self.text}{tail}"


class NoReply(InstrumentError):
    """Silence until the deadline."""


class GarbledReply(InstrumentError):
    """Bytes that are not the protocol, or a whole answer that cannot be true."""


class LinkLost(InstrumentError):
    """The port is gone: unplugged, closed by the peer, or it refuses to open."""


class WrongInstrument(InstrumentError):
    """Somebody else answers on this port."""


class InstrumentFault(InstrumentError):
    """The instrument says no, in its own code."""

    def __init__(
        self,
        code: str,
        text: str,
        *,
        needs_human: bool = False,
        phase: str = "",
        tail: bytes = b"",
    ) -> None:
        self.code = code
        self.needs_human = needs_human
        super().__init__(f"instrument error {code}: {text}", phase=phase, tail=tail)


class NoDaemon(ReaderdError):
    """No daemon answers at the local door."""


class StoreError(ReaderdError):
    """The journal cannot be written or is damaged; nothing may go on without it."""
