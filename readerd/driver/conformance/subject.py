"""One instrument under test: it outlives its connections; one link and one reader at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from readerd.driver.contract import Driver, Options, Reader
from readerd.driver.link import Link
from readerd.driver.stream import ByteStream
from readerd.errors import InstrumentError
from readerd.plate import Identity, OpticalDensity, Reading, ReadRequest, Strip

# On top of the driver's own estimate, as the bench gives it.
GRACE_S = 10.0
# The ladder in small. Two answers that come 400 s late each are what a twin's line does worst.
RETRY_S = 1.0
LADDER_S = 2000.0


class Subject:
    """A driver's reader on an instrument; `lay` is None where nobody can exchange the plate."""

    def __init__(
        self,
        driver: Driver,
        options: Options,
        format: int,
        open_stream: Callable[[], Awaitable[ByteStream]],
        *,
        lay: Callable[[int], None] | None = None,
        lies: Callable[[], Mapping[int, Sequence[OpticalDensity]] | None] = lambda: None,
        answered: Mapping[str, int] | None = None,
        ladder_s: float = LADDER_S,
    ) -> None:
        self.driver = driver
        self.options = options
        self.format = format
        self.strips: list[Strip] = []
        self.answered = {} if answered is None else answered  # answers so far by the twin's step
        self.link: Link
        self.reader: Reader
        self._open_stream = open_stream
        self._lay = lay
        self._lies = lies
        self._ladder_s = ladder_s
        self._request: ReadRequest | None = None

    @property
    def request(self) -> ReadRequest:
        """Two wavelengths that are fitted, or the one; known after `settle`."""
        if self._request is None:
            raise LookupError("identify first (settle does)")
        return self._request

    @property
    def read_bound_s(self) -> float:
        return self.driver.estimate_s(self.request, self.options) + GRACE_S

    @property
    def rest_bound_s(self) -> float:
        """How long identify and park may take from any state."""
        any_read = self._request or ReadRequest(wavelengths_nm=(450, 570), format=self.format)
        estimate_s = self.driver.estimate_s(any_read, self.options)
        return self.driver.rest_s(estimate_s, self.options)

    async def plug_in(self) -> None:
        """Open the port; what the instrument still says to an earlier opening comes here."""
        self.link = Link(await self._open_stream())
        self.reader = self.driver.open(self.link, self.options)

    async def settle(self) -> Identity:
        """Park and identify; else plug in again, and at last give up with the last failure."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._ladder_s
        while True:
            try:
                await self.reader.park()
                identity = await self.reader.identify()
            except InstrumentError:
                if loop.time() >= give_up_s:
                    raise
                await self.link.close()
                await asyncio.sleep(RETRY_S)
                await self.plug_in()
            else:
                self._request = ReadRequest(wavelengths_nm=_two(identity), format=self.format)
                return identity

    def lay(self, plate: int) -> None:
        """Put this plate on the carrier; on a port whatever lies there stays."""
        if self._lay is not None:
            self._lay(plate)

    def lies(self) -> Mapping[int, Sequence[OpticalDensity]] | None:
        """What is in the wells at the request's wavelengths; None when nobody knows."""
        known = self._lies()
        if known is None:
            return None
        return {nm: _nearest(known, nm) for nm in self.request.wavelengths_nm}

    async def read(self) -> Reading:
        self.strips = []
        return await self.reader.read(self.request, self.strips.append)


def _two(identity: Identity) -> tuple[int, ...]:
    if identity.offers(450) and identity.offers(570):
        return (450, 570)
    return (identity.wavelengths_nm or ())[:2]


def _nearest(known: Mapping[int, Sequence[OpticalDensity]], nm: int) -> Sequence[OpticalDensity]:
    return known[min(known, key=lambda known_nm: (abs(known_nm - nm), known_nm))]
