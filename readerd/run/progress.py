"""Fit on the fly: the wells so far and, as soon as the standards suffice, a provisional curve.

Rows that arrive in one breath are told in one message with one fit, and the last message has none:
the final curve is milliseconds away, and nothing may stand between the last byte and the result.
"""

import asyncio

from readerd.assay.definition import Assay
from readerd.assay.result import Fit
from readerd.payload import ProgressMessage
from readerd.plate import FORMATS, OpticalDensity, Strip
from readerd.run.feed import Feed
from readerd.run.report import Plan


class Progress:
    """Collects the strips of one read and tells the feed. Strips are hints: they may come again."""

    def __init__(self, run_id: str, plan: Plan, assay: Assay, feed: Feed) -> None:
        self._run_id = run_id
        self._plan = plan
        self._assay = assay
        self._feed = feed
        self._due: asyncio.Handle | None = None
        self._wells: dict[int, dict[str, OpticalDensity]] = {
            nm: {} for nm in (plan.measurement_nm, plan.reference_nm) if nm is not None
        }

    def on_strip(self, strip: Strip) -> None:
        self._wells.setdefault(strip.wavelength_nm, {}).update(strip.values)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self._tell)

    def end(self) -> None:
        """The read is over; what was not told yet is in the result."""
        if self._due is not None:
            self._due.cancel()

    def _tell(self) -> None:
        self._due = None
        seen = {str(nm): len(wells) for nm, wells in self._wells.items()}
        total = FORMATS[self._assay.layout.format].size * len(self._wells)
        fit = None if sum(seen.values()) == total else self._fit()
        message = ProgressMessage(run_id=self._run_id, wells_read=seen, wells_total=total, fit=fit)
        self._feed.tell("progress", message)

    def _fit(self) -> Fit | None:
        from readerd.assay.quantify import provisional  # half a second of import: see daemon._warm

        reference_nm = self._plan.reference_nm
        reference = None if reference_nm is None else self._wells[reference_nm]
        return provisional(self._assay, self._wells[self._plan.measurement_nm], reference)
