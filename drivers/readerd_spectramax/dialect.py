"""What differs between the SpectraMax models of this family: words, extra settings, prompts."""

from collections.abc import Mapping
from dataclasses import dataclass

from readerd_spectramax.codec import Command, Prompts

# [P]: these answer with a second prompt, all others with one.
TWO_PROMPTS = frozenset(
    {
        "ERROR", "QUEUE", "READSTAGE", "READTYPE", "SPEED", "STATUS", "TEMP", "TRANSFER",
        "USER_NUMBER", "WELLSCANMODE", "PATHCAL", "OPTION",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """One model as [P] speaks to it."""

    name: str
    model: str
    read_type: str  # argument of READTYPE for an absorbance plate
    one_prompt: frozenset[str] = frozenset()  # exceptions to TWO_PROMPTS
    extra: tuple[Command, ...] = ()  # settings that this model has besides the common ones

    def prompts(self, name: str, overrides: Mapping[str, Prompts]) -> Prompts:
        """How many prompts a command's answer has; what the user says comes first."""
        if name in overrides:
            return overrides[name]
        return 2 if name in TWO_PROMPTS - self.one_prompt else 1


SPECTRAMAX_384_PLUS = Dialect(
    name="spectramax384plus",
    model="SpectraMax 384 Plus",
    read_type="PLA",
    one_prompt=frozenset({"READTYPE"}),
)
# TAG and the carriage's settling time are what [P] sends to an M5 and skips for a 384 Plus.
SPECTRAMAX_M5 = Dialect(
    name="spectramaxm5",
    model="SpectraMax M5",
    read_type="ABSPLA",
    extra=(Command("TAG", ("OFF",)), Command("NVRAM", ("CARCOL", "100"))),
)
