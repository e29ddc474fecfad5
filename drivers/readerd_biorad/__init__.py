"""Bio-Rad microplate readers with the EIA.READER command set: Model 680 and Model 550.

`codec` and `absdata` are the bytes, `dialect` is what the models differ in, `reader` the
conversation, `twin` the simulated instrument, `options` what the manuals leave open. The manuals
(chapter 7 of each) are the only source: no transcript of a real instrument and no independent
client stands behind this package yet, so `proven` is empty.
"""

from collections.abc import Callable, Mapping
from functools import partial

from readerd.driver.codec import Decoder
from readerd.driver.contract import Driver
from readerd_biorad.absdata import plate_decoder
from readerd_biorad.codec import (
    AcknowledgementScan,
    IdentityScan,
    acknowledgement_decoder,
    counters_decoder,
    filters_decoder,
    identity_decoder,
    reply_decoder,
)
from readerd_biorad.dialect import MODEL_550, MODEL_680
from readerd_biorad.options import Model550Options, Model680Options, estimate_s, line
from readerd_biorad.reader import EiaReader
from readerd_biorad.twin import twin

_BOTH: Mapping[str, Callable[[], Decoder[object]]] = {
    "identity": identity_decoder,
    "counters": counters_decoder,
    "plate": plate_decoder,
    "challenge": IdentityScan,
}

DRIVER = Driver(
    name="biorad680",
    summary="Bio-Rad Model 680, RS-232, filters, 96 wells, one wavelength or two in one read",
    models=(MODEL_680.model,),
    formats=(96,),
    photometric_range=(-MODEL_680.limit_od, MODEL_680.limit_od),
    wavelengths="eight filter positions, 400-750 nm; the instrument says which are fitted",
    options=Model680Options,
    line=line,
    open=partial(EiaReader, MODEL_680),
    twin=partial(twin, MODEL_680),
    estimate_s=estimate_s,
    decoders={
        **_BOTH,
        "reply": reply_decoder,
        "acknowledgement": acknowledgement_decoder,
        "filters": filters_decoder,
    },
)

DRIVER_550 = Driver(
    name="biorad550",
    summary="Bio-Rad Model 550, RS-232, filters, 96 wells, one wavelength or two in one read",
    models=(MODEL_550.model,),
    formats=(96,),
    photometric_range=(-MODEL_550.limit_od, MODEL_550.limit_od),
    wavelengths="four filter positions; which filters are fitted is an option, it cannot tell",
    options=Model550Options,
    line=line,
    open=partial(EiaReader, MODEL_550),
    twin=partial(twin, MODEL_550),
    estimate_s=estimate_s,
    decoders={**_BOTH, "acknowledgement": AcknowledgementScan},
    example={"filters_nm": (405, 450, 490, 570)},
)
