"""BioTek absorbance readers: ELx808, ELx800 (experimental), Synergy H1 and Cytation.

`framing` is what the family shares, `elx_*` and `synergy_*` are bytes, conversation, options and
simulated instrument of each line, `conversation` is the way back to a clean link. What stands
behind each of them is its `proven`; what its sources leave open is its options.
"""

from collections.abc import Callable, Mapping

from readerd.driver.codec import Decoder
from readerd.driver.contract import Driver
from readerd_biotek import (
    elx_codec,
    elx_data,
    elx_options,
    framing,
    synergy_codec,
    synergy_data,
    synergy_options,
)
from readerd_biotek.elx_options import Elx800Options, ElxOptions
from readerd_biotek.elx_reader import ELX800_MODEL, Elx808, elx800
from readerd_biotek.elx_twin import elx800_twin, elx808_twin
from readerd_biotek.synergy_options import SynergyOptions
from readerd_biotek.synergy_reader import SynergyH1
from readerd_biotek.synergy_twin import synergy_twin

_FAMILY: Mapping[str, Callable[[], Decoder[object]]] = {
    "done": framing.done_decoder,
    "ready": framing.ready_decoder,
    "verdict": framing.verdict_decoder,
    "version": framing.version_decoder,
    "challenge": framing.identity_scan,
    "halt": framing.stirred_scan,
}
_ELX: Mapping[str, Callable[[], Decoder[object]]] = {
    **_FAMILY,
    "filters": elx_codec.filters_decoder,
    "temperature": elx_codec.temperature_decoder,
    "plate": lambda: elx_data.plate_decoder(2),
    "plate without end": lambda: elx_data.plate_decoder(2, final_terminator=False),
    "plate in 312 form": elx_data.dump_decoder,
}

ELX808 = Driver(
    name="elx808",
    summary="BioTek ELx808, RS-232, filters, 96 wells, several wavelengths in one read",
    models=("ELx808",),
    formats=(96,),
    photometric_range=(-elx_data.LIMIT_OD, elx_data.LIMIT_OD),
    wavelengths="six filter positions, 340-900 nm; the instrument says which are fitted",
    options=ElxOptions,
    line=elx_options.line,
    open=Elx808,
    twin=elx808_twin,
    estimate_s=elx_options.estimate_s,
    decoders=_ELX,
)

ELX800 = Driver(
    name="elx800",
    summary="BioTek ELx800 / EL800, EXPERIMENTAL: the ELx808's commands, tried on none",
    models=(ELX800_MODEL, "EL800"),
    formats=(96,),
    photometric_range=(-elx_data.LIMIT_OD, elx_data.LIMIT_OD),
    wavelengths="six filter positions, 340-900 nm; the instrument says which are fitted",
    options=Elx800Options,
    line=elx_options.line,
    open=elx800,
    twin=elx800_twin,
    estimate_s=elx_options.estimate_s,
    decoders={**_ELX, "last plate": lambda: elx_data.dump_decoder(status_first=False)},
)

SYNERGYH1 = Driver(
    name="synergyh1",
    summary="Agilent BioTek Synergy H1 / Cytation, USB serial, any wavelength, 96 and 384 wells",
    models=("Synergy H1", "Cytation 1", "Cytation 5"),
    formats=(96, 384),
    photometric_range=(-synergy_data.LIMIT_OD, synergy_data.LIMIT_OD),
    wavelengths="monochromator, 230-999 nm",
    options=SynergyOptions,
    line=synergy_options.line,
    open=SynergyH1,
    twin=synergy_twin,
    estimate_s=synergy_options.estimate_s,
    proven=(
        "PyLabRobot 0.2.2 (its Synergy H1 class) reads the twin at 450 and 570 nm",
        "six answers that PyLabRobot captured decode to its values with right checksums",
    ),
    decoders={
        **_FAMILY,
        "serial number": synergy_codec.serial_decoder,
        "temperature": synergy_codec.warmth_decoder,
        "procedure": synergy_codec.promise_decoder,
        "plate": lambda: synergy_data.frame_decoder(96),
        "plate of 384": lambda: synergy_data.frame_decoder(384),
    },
)
