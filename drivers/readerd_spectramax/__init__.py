"""Molecular Devices SpectraMax: the 384 Plus and the M5, absorbance endpoint plates.

`codec`, `platedata` and `codes` are the bytes, `dialect` is what the models differ in, `reader` the
conversation, `twin` the simulated instrument, `options` what no source tells. There is no vendor
document: two public clients are the source. `proven` names the one that reads our twin.
"""

from functools import partial

from readerd.driver.contract import Driver
from readerd_spectramax.codec import (
    StatusScan,
    log_decoder,
    reply_decoder,
    setting_decoder,
    status_decoder,
)
from readerd_spectramax.dialect import SPECTRAMAX_384_PLUS, SPECTRAMAX_M5, Dialect
from readerd_spectramax.options import SpectraMaxOptions, estimate_s, line, start_up_s
from readerd_spectramax.platedata import plate_decoder
from readerd_spectramax.reader import SpectraMax
from readerd_spectramax.twin import twin

# No stored source tells the photometric range: 4.0 is what the vendor advertises. The instrument
# says itself what is saturated (#SAT), and the assay's own limits are lower.
LIMIT_OD = 4.0
PROVEN = ("PyLabRobot 0.2.2 reads 450 and 570 nm from the twin; no hardware transcript yet",)


def _driver(dialect: Dialect) -> Driver:
    return Driver(
        name=dialect.name,
        summary=f"Molecular Devices {dialect.model}, RS-232, monochromator, 96 and 384 wells,"
        " several wavelengths in one read",
        models=(dialect.model,),
        formats=(96, 384),
        photometric_range=(-LIMIT_OD, LIMIT_OD),
        wavelengths="monochromator; its range is an option",
        options=SpectraMaxOptions,
        line=line,
        open=partial(SpectraMax, dialect),
        twin=partial(twin, dialect),
        estimate_s=estimate_s,
        start_up_s=start_up_s,
        proven=PROVEN,
        decoders={
            "reply": reply_decoder,
            "setting with two prompts": lambda: setting_decoder(2),
            "status": status_decoder,
            "error log": log_decoder,
            "plate": plate_decoder,
            "challenge": StatusScan,
        },
    )


DRIVER_384_PLUS = _driver(SPECTRAMAX_384_PLUS)
DRIVER_M5 = _driver(SPECTRAMAX_M5)
