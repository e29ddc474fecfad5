"""Fit on the fly: the wells so far and, as soon as the standards suffice, a provisional curve.

Rows that arrive in one breath are told in one message with one fit: a fit per row would stand
between the plate's last byte and its result.
"""

import asyncio

from readerd.assay.definition import Assay
from readerd.assay.quantify import provisional
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
        reference_nm = self._plan.reference_nm
        message = ProgressMessage(
            run_id=self._run_id,
            wells_read={str(nm): len(wells) for nm, wells in self._wells.items()},
            wells_total=FORMATS[self._assay.layout.format].size * len(self._wells),
            fit=provisional(
                self._assay,
                self._wells[self._plan.measurement_nm],
                self._wells[reference_nm] if reference_nm is not None else None,
            ),
        )
        self._feed.tell("progress", message)
