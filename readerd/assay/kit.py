"""The reagents' last day: how it is written, and what a plate that was read after it is worth.

A kit past its day still makes a curve, and often a good one; the plate is read, kept and published,
with a warning that no verdict can hide. Whether it counts is the laboratory's decision.
"""

import re
from calendar import monthrange
from dataclasses import replace
from datetime import date
from typing import Final

from readerd.assay.result import Flag, PlateResult, Rule, verdict_of

# Kits are printed with a day or with a month, which is good until its end (ISO 8601 either way).
_EXPIRY: Final = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")


def last_day(expires: str) -> date:
    """The last day on which the kit is good; ValueError that says how it is written."""
    found = _EXPIRY.fullmatch(expires)
    try:
        if found is None:
            raise ValueError(expires)
        year, month = int(found[1]), int(found[2])
        return date(year, month, int(found[3] or monthrange(year, month)[1]))
    except ValueError:
        raise ValueError("write the day as 2027-01-31, or the month as 2027-01") from None


def judge_kit(result: PlateResult, expires: str | None, read_on: date) -> PlateResult:
    """The same result; with KIT_EXPIRED and the warning `kit-expiry` when the day had passed."""
    if not expires:
        return result
    late_days = (read_on - last_day(expires)).days
    if late_days <= 0:
        return result
    text = f"the kit was good until {expires}, the plate was read on {read_on.isoformat()}"
    rule = Rule(id="kit-expiry", verdict="warn", observed=float(late_days), limit=0.0, text=text)
    rules = (*result.qc.rules, rule)
    return replace(
        result,
        flags=(*result.flags, Flag.KIT_EXPIRED),
        qc=replace(result.qc, rules=rules),
        verdict=verdict_of(rules),
    )
