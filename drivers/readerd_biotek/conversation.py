"""One question and its status, and the way back to a clean link, for the whole family.

The problem: an abandoned command may leave the reader measuring (it then hears nothing but the
halt), or waiting for the rest of an argument (it then swallows whatever is asked). The rule:
whoever begins such a step says first how to get out of it (`way_out`); `resync` sends that, waits
for any answer at all, and then asks for the identity, whose answer nothing else looks like. A
process that died may have left the same behind without a word: when the identity does not come,
`wake` is sent and the identity asked for once more. Rejected: halting the reader at every start (it
homes all axes), and taking the halt's own answer for the end (a plate may hold that byte too).
"""

import contextlib
from typing import TypeVar

from readerd.driver.link import Link
from readerd.errors import InstrumentError, InstrumentFault, NoReply, WrongInstrument
from readerd_biotek.complaints import fault
from readerd_biotek.framing import (
    Answer,
    Nak,
    Ready,
    ReplyDecoder,
    Scan,
    Status,
    Version,
    identity_scan,
    ready_decoder,
    stirred_scan,
    version_decoder,
)

T = TypeVar("T")

IDENTITY = b"e"
# DLE and status; what is left of it is no sign of older answers.
HALT_ANSWER_BYTES = 6
# Identities that earlier links may have asked for in vain.
MOST_LEFT_OVER = 64


class Conversation:
    """Asks; raises InstrumentFault for every status that is not 0000."""

    def __init__(
        self, link: Link, *, reply_s: float, halt_s: float, wake: bytes, family: str = ""
    ) -> None:
        self.link = link
        self.way_out = b""
        self._reply_s = reply_s
        self._halt_s = halt_s
        self._wake = wake
        self._family = family

    async def ask(
        self,
        command: bytes,
        decoder: ReplyDecoder[Answer[T] | Nak],
        phase: str,
        within_s: float | None = None,
    ) -> T:
        """The data of a reply whose status is 0000; afterwards nothing is waited for."""
        bound_s = self._reply_s if within_s is None else within_s
        answer = await self.link.ask(command, decoder, within_s=bound_s, phase=phase)
        self.way_out = b""
        if isinstance(answer, Nak):
            raise self.refusal(None, phase)
        if not answer.status.ok:
            raise self.refusal(answer.status, phase)
        return answer.body

    async def announce(self, command: bytes, phase: str, way_out: bytes) -> None:
        """A command whose argument goes only when it was acknowledged."""
        self.way_out = way_out
        answer = await self.link.ask(command, ready_decoder(), within_s=self._reply_s, phase=phase)
        if not isinstance(answer, Ready):
            self.way_out = b""
            raise self.refusal(None, phase)

    async def version(self, phase: str) -> Version:
        return await self.ask(IDENTITY, version_decoder(), phase)

    async def resync(self, phase: str) -> None:
        """A clean link and a reader that listens, whatever went on before; NoReply when it stays
        silent."""
        if self.way_out:
            await self._stir(self.way_out, phase)
        try:
            await self._challenge(phase)
        except NoReply:
            await self._stir(self._wake, phase)
            await self._challenge(phase)
        self.way_out = b""

    async def settle(self, phase: str) -> None:
        """After an answer that may have more behind it; a failure leaves the link dirty."""
        with contextlib.suppress(InstrumentError):
            await self._challenge(phase)

    def refusal(self, status: Status | None, phase: str) -> InstrumentFault:
        """The exception to raise, with the last bytes that came; None is a NAK."""
        return fault(status, phase, self.link.transcript.tail(), self._family)

    async def _challenge(self, phase: str) -> None:
        """The link cannot know what an earlier link was still owed: a reader that was stuck may
        answer everybody who asked meanwhile. Whoever skipped a whole answer waits until no more
        identities come."""
        scans: list[Scan[Version]] = []

        def scan() -> Scan[Version]:
            scans.append(identity_scan())
            return scans[-1]

        await self.link.challenge(IDENTITY, scan, answer_s=self._reply_s, phase=phase)
        if any(scan.skipped > HALT_ANSWER_BYTES for scan in scans):
            await self._drain(phase)

    async def _drain(self, phase: str) -> None:
        with contextlib.suppress(NoReply):
            for _ in range(MOST_LEFT_OVER):
                reply_s = self._reply_s
                await self.link.ask(b"", identity_scan(), within_s=reply_s, phase=phase)
        await self.link.challenge(IDENTITY, identity_scan, answer_s=self._reply_s, phase=phase)

    async def _stir(self, command: bytes, phase: str) -> None:
        with contextlib.suppress(NoReply):
            await self.link.challenge(command, stirred_scan, answer_s=self._halt_s, phase=phase)


def require_part(version: Version, parts: tuple[str, ...], model: str, phase: str) -> str:
    """What to call the software inside; WrongInstrument when its part number begins otherwise."""
    if parts and not version.part.startswith(parts):
        what = f"software {version.part!r} answers; {model}: {' or '.join(parts)}…"
        raise WrongInstrument(f"{what} (option parts)", phase=phase)
    return f"{version.part} {version.version}"
