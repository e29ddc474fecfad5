"""What a codec is: pure functions between bytes and frozen messages, fed in any chunks.

Every message has `to_bytes` and `from_bytes`; the reader uses one side, the twin the other.
"""

from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """Collects one reply. No I/O, no clock, bounded memory, used once.

    A decoder owns every byte that it is fed. Leading bytes: it skips what its protocol calls
    filling (the tail of an earlier reply, line ends) and nothing else. Bytes behind the reply in
    the same chunk: filling is swallowed, anything else is GarbledReply, because one question has
    one answer. A protocol that answers in parts (an acknowledgement, later the data) uses one
    decoder for all parts: it keeps what came early and is asked again with an empty command.
    """

    @property
    def begun(self) -> bool:
        """True once a byte of the reply itself has come; filling does not count."""
        ...

    def feed(self, data: bytes) -> T_co | None:
        """The message once it is whole, None before; GarbledReply when it cannot become one.

        A whole message whose checksum is wrong is a message, not GarbledReply.
        """
        ...
