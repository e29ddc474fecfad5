"""What is accepted: the profiles' limits by name. Every one of them is printed with the result."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from readerd.assay.result import Qc, Rule
from readerd.complaint import in_words
from readerd.errors import Mistake

Percent = Annotated[float, Field(gt=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Acceptance:
    """The defaults are those of `m10` (ICH M10, ligand-binding assays)."""

    profile: Literal["m10", "kit"] = "m10"
    standard_recovery_pct: Percent = 20.0
    standard_recovery_ends_pct: Percent = 25.0
    min_levels: Annotated[int, Field(ge=2, le=48)] = 6
    min_levels_passing_pct: Share = 75.0
    drop_failing_levels: bool = False
    replicate_cv_pct: Percent = 20.0
    replicate_cv_ends_pct: Percent = 25.0
    # two thirds of all, with room for the rounding of 2/3
    min_controls_passing_pct: Share = 66.6
    min_controls_passing_each_level_pct: Share = 50.0
    parallelism_cv_pct: Percent = 30.0
    hook_standard_errors: Annotated[float, Field(gt=0)] = 2.0
    hook_rise_pct: Percent = 25.0
    # the kit's stated range, instead of the lowest and highest accepted standard
    range_low: Annotated[float, Field(gt=0)] | None = None
    range_high: Annotated[float, Field(gt=0)] | None = None
    # [M] seven real plates at 570 nm: mean 0.036-0.041, SD 0.0012-0.0055, extremes 0.031 and 0.053
    reference_high_od: Annotated[float, Field(gt=0)] = 0.1
    reference_low_od: float = 0.02
    reference_mads: Annotated[float, Field(gt=0)] = 5.0
    reference_spread_od: Annotated[float, Field(gt=0)] = 0.01

    def qc(self, rules: Iterable[Rule] = ()) -> Qc:
        """The rules beside every limit that was in force."""
        named = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return Qc(profile=named.pop("profile"), rules=tuple(rules), limits=named)


# ELISA kit inserts ask for a duplicate CV of 10-20 % and state their own range
_KIT = {"min_levels": 5, "replicate_cv_pct": 15.0, "replicate_cv_ends_pct": 20.0}


def resolve(raw: object) -> tuple[Acceptance, list[Mistake]]:
    """The profile's limits with the file's own on top, and the mistakes of the section."""
    given: dict[str, Any] = dict(raw) if isinstance(raw, dict) else {}
    known = {entry.name for entry in fields(Acceptance)}
    mistakes = [Mistake(f"acceptance.{name}", "unknown key") for name in given if name not in known]
    chosen = {name: value for name, value in given.items() if name in known}
    if chosen.get("profile") == "kit":
        chosen = {**_KIT, **chosen}
    try:
        acceptance = Acceptance(**chosen)
    except ValidationError as error:
        for entry in error.errors():
            where = ".".join(("acceptance", *map(str, entry["loc"])))
            mistakes.append(Mistake(where, f"{in_words(entry)}, not {entry['input']!r}"))
        return Acceptance(), mistakes
    low, high = acceptance.range_low, acceptance.range_high
    if low is not None and high is not None and low >= high:
        mistakes.append(Mistake("acceptance.range_low", "lies at or above range_high"))
    return acceptance, mistakes
