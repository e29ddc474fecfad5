"""ELx800 / EL800: experimental. The ELx808's conversation, which nobody has tried on it, and the
dump of its last plate, which a public client reads from hardware.

The dump (`D`) has no wavelength and no checksum; option `dump_wavelength_nm` gives the one.
"""

from dataclasses import replace

from readerd.driver.contract import OnStrip
from readerd.driver.link import Link
from readerd.errors import GarbledReply
from readerd.plate import Identity, Reading, ReadRequest
from readerd_biotek.complaints import fault
from readerd_biotek.elx_codec import LAST_PLATE
from readerd_biotek.elx_data import Dump, dump_decoder
from readerd_biotek.elx_options import Elx800Options, transfer_s
from readerd_biotek.elx_reader import Elx808
from readerd_biotek.framing import Aborted, Nak

MODEL = "ELx800"
EXPERIMENTAL = "experimental driver: no ELx800 was ever read with it"


class Elx800:
    """A Reader, a Carrier and a Resender."""

    def __init__(self, link: Link, options: Elx800Options) -> None:
        self._link = link
        self._options = options
        self._as_elx808 = Elx808(link, options, MODEL)

    async def identify(self) -> Identity:
        return await self._as_elx808.identify()

    async def read(self, request: ReadRequest, on_strip: OnStrip) -> Reading:
        """One endpoint plate as an ELx808 reads it, marked as experimental."""
        return _marked(await self._as_elx808.read(request, on_strip))

    async def park(self) -> None:
        await self._as_elx808.park()

    async def present(self) -> None:
        await self._as_elx808.present()

    async def admit(self) -> None:
        await self._as_elx808.admit()

    async def resend(self) -> Reading:
        """The last plate again, at the wavelength that the options say."""
        identity = await self._as_elx808.who("resend")
        data = await self._link.ask(
            LAST_PLATE,
            dump_decoder(status_first=False),
            within_s=self._options.reply_timeout_s + transfer_s(1, self._options),
            phase="D",
        )
        tail = self._link.transcript.tail()
        if isinstance(data, Nak | Aborted):
            raise fault(None if isinstance(data, Nak) else data.status, "D", tail)
        if not isinstance(data, Dump):
            raise GarbledReply(f"no plate: {data}", phase="D", tail=tail)
        if not data.final.ok:
            raise fault(data.final, "D", tail)
        wavelength_nm = self._options.dump_wavelength_nm
        notes = (
            "sent again from the reader's memory, without a checksum",
            f"{wavelength_nm} nm as option dump_wavelength_nm says; the reader does not tell",
        )
        plates = {wavelength_nm: data.block.values}
        return _marked(Reading(identity=identity, format=96, plates=plates, notes=notes))


def _marked(reading: Reading) -> Reading:
    return replace(reading, warnings=(*reading.warnings, EXPERIMENTAL))
