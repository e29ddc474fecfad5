"""What the edge asks of a broker: the seam between the publisher and the MQTT library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from readerd.errors import ReaderdError

# MQTT 5.0, 2.4: reason codes from here on refuse; 0x10 (nobody subscribed) is still a success.
REFUSED_FROM: Final = 0x80
# MQTT 5.0, 2.4: another connection came with our client id.
SESSION_TAKEN_OVER: Final = 0x8E
# MQTT 5.0, 3.3: headers, lengths, packet id and the numbers of the properties that we use.
PACKET_OVERHEAD: Final = 32


class BrokerLost(ReaderdError):
    """No connection, or no longer; connect again. `reason` is the broker's code, if it gave one."""

    def __init__(self, text: str, reason: int | None = None) -> None:
        self.reason = reason
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to the broker; `expiry_s` and `content_type` exist on MQTT 5 only."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    content_type: str = "application/json"
    correlation: bytes | None = None

    def most_bytes(self) -> int:
        """An upper bound of its size on the wire."""
        extra = len(self.correlation or b"") + len(self.content_type)
        return len(self.topic.encode()) + len(self.payload) + extra + PACKET_OVERHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message from the broker; `retained` means that it is old, from before we subscribed."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None


class Connection(Protocol):
    """One connection, from the broker's welcome to its end. Every verb may raise BrokerLost."""

    @property
    def version(self) -> str:
        """`5` or `3.1.1`."""
        ...

    @property
    def window(self) -> int:
        """How many QoS 1 messages the broker takes at once."""
        ...

    def takes(self, message: Outgoing) -> bool:
        """Whether the message is within the packet size that the broker allows."""
        ...

    def publish(self, message: Outgoing) -> asyncio.Future[int]:
        """Hand it over now; the future becomes the acknowledgement's reason code (QoS 0: 0).

        The future stays open when the connection ends: whoever waits has a deadline.
        """
        ...

    def is_congested(self) -> bool:
        """Whether bytes handed over before still wait for the network."""
        ...

    def subscribe(self, topic_filter: str, *, retained: bool = False) -> asyncio.Future[int]:
        """Ask for a filter; the answer's reason code, as above.

        On MQTT 5 what is retained there comes only when it is asked for; 3.1.1 cannot leave it out.
        """
        ...

    def incoming(self) -> AsyncIterator[Incoming]:
        """What arrives, until BrokerLost."""
        ...

    async def goodbye(self) -> None:
        """End it in order, so that the will is not sent."""
        ...


async def answered(answer: asyncio.Future[int], within_s: float, what: str) -> int:
    """The reason code of an answer; BrokerLost when it does not come in time."""
    try:
        async with asyncio.timeout(within_s):
            return await answer
    except TimeoutError:
        raise BrokerLost(f"no acknowledgement of {what} within {within_s:g} s") from None


class Connect(Protocol):
    """Opens a connection; leaving the context without `goodbye` cuts it, and the will speaks."""

    def __call__(self, will: Outgoing) -> AbstractAsyncContextManager[Connection]: ...
