"""Bio-Rad microplate readers with the EIA.READER command set: the Model 680.

`codec` and `absdata` are the bytes, `reader` is the conversation, `twin` the simulated instrument,
`options` what the manual leaves open. The manual (chapter 7) is the only source: no transcript of
a real instrument and no independent client stands behind this package yet, so `proven` is empty.
"""

from readerd.driver.contract import Driver
from readerd_biorad.absdata import LIMIT_OD, plate_decoder
from readerd_biorad.codec import (
    IdentityScan,
    acknowledgement_decoder,
    counters_decoder,
    filters_decoder,
    identity_decoder,
    reply_decoder,
)
from readerd_biorad.options import Model680Options, estimate_s, line
from readerd_biorad.reader import MODEL, Model680
from readerd_biorad.twin import twin

DRIVER = Driver(
    name="biorad680",
    summary="Bio-Rad Model 680, RS-232, filters, 96 wells, one wavelength or two in one read",
    models=(MODEL,),
    formats=(96,),
    photometric_range=(-LIMIT_OD, LIMIT_OD),
    wavelengths="eight filter positions, 400-750 nm; the instrument says which are fitted",
    options=Model680Options,
    line=line,
    open=Model680,
    twin=twin,
    estimate_s=estimate_s,
    decoders={
        "reply": reply_decoder,
        "acknowledgement": acknowledgement_decoder,
        "identity": identity_decoder,
        "filters": filters_decoder,
        "counters": counters_decoder,
        "plate": plate_decoder,
        "challenge": IdentityScan,
    },
)
