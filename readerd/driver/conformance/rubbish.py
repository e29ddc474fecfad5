"""Rubbish into the codec: every decoder takes any bytes, and stays small.

`bench/codecs.py` does the same a million times.
"""

import random
import tracemalloc
from collections.abc import Callable, Iterator, Sequence

from readerd.driver.codec import Decoder
from readerd.driver.conformance.rule import Broken, Rule, Stage, require
from readerd.driver.conformance.subject import Subject
from readerd.errors import GarbledReply

ROUNDS = 400
# What an endless answer may leave in a decoder: twice a 384-well plate at six wavelengths.
MOST_KEPT_BYTES = 200_000
ENDLESS_BYTES = 400_000
PIECE_BYTES = 4096

MakesDecoder = Callable[[], Decoder[object]]


def takes_any_bytes(stage: Stage) -> None:
    """Random and mutated bytes: a message, None or GarbledReply, and nothing else is raised."""
    decoders = stage.driver.decoders
    require(bool(decoders), "DRIVER names no decoders")
    samples = recorded(stage)
    dice = random.Random(1)
    for name, make in decoders.items():
        for data in inputs(samples, dice, ROUNDS):
            try:
                feed(make(), data, dice)
            except Exception as error:
                raise Broken(f"decoder {name} on {data[:80]!r}: {error!r}") from error


def stays_small(stage: Stage) -> None:
    """An answer without an end: GarbledReply, or the decoder keeps less than 200 kB of it."""
    samples = recorded(stage)
    beginnings = {sample[: max(1, len(sample) // 2)] for sample in samples}
    fillings = [b"\x00", b"\r", b"\n", b" ", b"0", b"\xff", b"\x06", b"0.123\t"]
    for name, make in stage.driver.decoders.items():
        for filling in fillings:
            for beginning in (b"", *sorted(beginnings)[:4]):
                kept = _kept(make, beginning, filling)
                text = f"decoder {name} keeps {kept} bytes of {filling!r} behind {beginning[:20]!r}"
                require(kept <= MOST_KEPT_BYTES, text)


def recorded(stage: Stage) -> tuple[bytes, ...]:
    """What the twin answers in one whole conversation, answer by answer."""

    async def talk(subject: Subject) -> tuple[bytes, ...]:
        await subject.settle()
        await subject.read()
        await subject.reader.park()
        answers, parts = [], []
        for entry in subject.link.transcript.entries:
            if entry.direction == "<":
                parts.append(entry.data)
            elif parts:
                answers.append(b"".join(parts))
                parts = []
        return tuple(dict.fromkeys((*answers, b"".join(parts))))

    return stage.run(talk)


def inputs(samples: Sequence[bytes], dice: random.Random, number: int) -> Iterator[bytes]:
    """So many inputs: random bytes, random text, and real answers that were tampered with."""
    alphabet = bytes(sorted(set(b"".join(samples)))) or b"\r"
    for _ in range(number):
        match dice.randrange(8):
            case 0:
                yield dice.randbytes(dice.randrange(1, 64))
            case 1:
                yield bytes(dice.choices(alphabet, k=dice.randrange(1, 64)))
            case _:
                yield _tampered(bytearray(dice.choice(samples)), samples, dice)


def _tampered(data: bytearray, samples: Sequence[bytes], dice: random.Random) -> bytes:
    for _ in range(dice.randrange(1, 4)):
        at, to = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
        match dice.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                data[at:at] = dice.randbytes(dice.randrange(1, 8))
            case 2:
                del data[at : at + dice.randrange(1, 8)]
            case 3:
                del data[at:]
            case 4:
                data[at:at] = data[at:to][:200]
            case 5:
                data[at:at] = dice.choice(samples)[:200]
    return bytes(data)


def feed(decoder: Decoder[object], data: bytes, dice: random.Random) -> str:
    """Feed the bytes in some pieces, until the decoder is done: `message`, `garbled`, `open`."""
    piece = dice.choice((1, 7, 64, len(data))) if len(data) < 200 else dice.choice((64, len(data)))
    try:
        for start in range(0, len(data), max(1, piece)):
            if decoder.feed(data[start : start + piece]) is not None:
                return "message"
    except GarbledReply:
        return "garbled"
    return "open"


def _kept(make: MakesDecoder, beginning: bytes, filling: bytes) -> int:
    """Bytes that live on in a decoder after an endless answer; 0 when it refused it."""
    piece = filling * (PIECE_BYTES // len(filling))
    tracemalloc.start()
    try:
        decoder = make()
        decoder.feed(beginning)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(ENDLESS_BYTES // len(piece)):
            if decoder.feed(bytes(bytearray(piece))) is not None:  # a copy: who keeps it, pays
                return 0
            now, _ = tracemalloc.get_traced_memory()
            if now - before > MOST_KEPT_BYTES:
                return now - before
        return max(0, now - before)
    except GarbledReply:
        return 0
    finally:
        tracemalloc.stop()


RULES = (
    Rule(name="takes-any-bytes", check=takes_any_bytes),
    Rule(name="stays-small", check=stays_small),
)
