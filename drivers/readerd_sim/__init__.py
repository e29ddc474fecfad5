"""A simulated microplate reader: the smallest complete driver, and the one to copy.

Read it aloud in this order: `codec` (the bytes), `reader` (the conversation), `twin` (the
instrument's side). The protocol is our own, so there is no instrument behind it and nothing can
prove it but its tests; `readerd new-driver NAME` starts a package from these four files.
"""

from readerd.driver.contract import Driver
from readerd_sim.codec import LIMIT_OD, AnswerDecoder, WhoScan
from readerd_sim.reader import MODEL, SimOptions, SimReader, estimate_s, line
from readerd_sim.twin import twin

DRIVER = Driver(
    name="sim",
    summary="Simulated reader with a protocol of its own, any wavelength, 96 and 384 wells",
    models=(MODEL,),
    formats=(96, 384),
    photometric_range=(-LIMIT_OD, LIMIT_OD),
    wavelengths="any",
    options=SimOptions,
    line=line,
    open=SimReader,
    twin=twin,
    estimate_s=estimate_s,
    decoders={
        "answer": lambda: AnswerDecoder("WHO"),
        "plate": lambda: AnswerDecoder("READ"),
        "challenge": WhoScan,
    },
)
