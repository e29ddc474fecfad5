"""What differs between the models of this family: the Model 680 and the older Model 550.

Sources: Model 680 manual, chapter 7; Model 550 manual, chapter 7 (printed pp. 32-34). What the
550's pages do not say otherwise is taken to be as on the 680 [inferred]: layout and checksum of the
data, the refusal 8073 in local mode, answers in the order of the commands.
"""

import re
from dataclasses import dataclass

from readerd_biorad.absdata import LIMIT_OD, TITLE
from readerd_biorad.codec import COUNTER_LABELS, NAMES, POSITIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One model as its manual has it."""

    model: str
    id_text: str  # what it answers to ID
    says: re.Pattern[str]  # the same, as generously as it is taken
    commands: tuple[str, ...]
    positions: int  # on the filter wheel
    tells_filters: bool  # FSTATUS, and data that name wavelengths; else data name positions
    talks_unasked: bool  # sends what is read at its front panel, in local mode
    settings: int  # how many arguments RPLATE has in front of the positions
    longest_shake_s: int
    limit_od: float  # beyond it a value is sent as asterisks
    title: str
    dated: bool  # data carry the instrument's clock
    counter_labels: tuple[str, str, str]


MODEL_680 = Dialect(
    model="Model 680",
    id_text="Model 680",
    says=re.compile(r"Model 680.*", re.IGNORECASE),
    commands=NAMES,
    positions=POSITIONS,
    tells_filters=True,
    talks_unasked=False,
    settings=3,
    longest_shake_s=999,
    limit_od=LIMIT_OD,
    title=TITLE,
    dated=True,
    counter_labels=COUNTER_LABELS,
)
MODEL_550 = Dialect(
    model="Model 550",
    # p. 33 has 550 where it tells the request and 0550 where it tells the answer.
    id_text="0550",
    says=re.compile(r"0?550"),
    # pp. 33-34: all of them. None tells which filters are fitted.
    commands=("ID", "AQ", "RL", "RS", "MR", "RM", "RWELL", "RPLATE", "RTPLATE"),
    positions=4,
    tells_filters=False,
    talks_unasked=True,
    settings=1,
    longest_shake_s=9,
    limit_od=3.0,
    title="BIO-RAD MODEL 550 READER",
    dated=False,
    counter_labels=("On/off:", "Hours:", "Plates:"),
)
