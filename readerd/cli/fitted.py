"""What `readerd fit` answers: JSON, a picture, a screen."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.result import Fit, Unknown
from readerd.assay.unknowns import read_unknowns
from readerd.cli.screen import to_screen
from readerd.csvfile import LARGEST_OPTICAL_DENSITY, LeftOut, standards_from_csv, unknowns_from_csv
from readerd.errors import InputError, Mistake
from readerd.view.rounding import nominal
from readerd.view.svg import curve_svg
from readerd.view.terminal import standards_table
from readerd.view.terminal_fit import fit_lines, legend, recovery_lines, unknowns_table
from readerd.view.words import printable

TextFile = tuple[str, str]  # the text, and its name

# Which option helps, by how a refusal begins. docs/explanation/the-curve.md has them all.
_HELP = {
    "the standards span": "--min-span and --s0 set what is needed, in units of the response",
    "no convergence: no bend": "higher standards, or --model log-log",
    "the lower asymptote": "lower standards or a zero standard, or --fix a=…",
    "the upper asymptote": "higher standards, or --fix d=…",
    "5PL not identifiable": "take --model 4pl or auto",
    "a standard has no positive response": "another --zero, or another --model",
}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A curve from loose standards, and the unknowns read from it."""

    fit: Fit
    settings: CurveSettings
    unknowns: tuple[Unknown, ...]
    points: tuple[tuple[float, float], ...]
    left_out: tuple[LeftOut, ...]

    def json(self) -> str:
        """The contract's `fit` object, with `unknowns[]` and `left_out[]`."""
        answer = {
            **asdict(self.fit),
            "unknowns": [asdict(one) for one in self.unknowns],
            "left_out": [asdict(one) for one in self.left_out],
        }
        return json.dumps(answer, allow_nan=False, ensure_ascii=False)

    def svg(self) -> str:
        return curve_svg(self.fit, points=self.points, loose=self.unknowns, response="response")

    def print_screen(self) -> None:
        """How it was fitted, standards, unknowns; or in one line why there is no curve."""
        fit = self.fit
        if not fit.converged:
            to_screen(f"no curve: {_with_help(fit.reason or '')}", *self._notes(*fit.warnings))
            return
        to_screen(*fit_lines(fit, self.settings.zero_standard), *self._notes(), "")
        to_screen(standards_table(fit, response="mean", judged=False), *recovery_lines(fit))
        if self.unknowns:
            to_screen("", unknowns_table(self.unknowns, fit.unit), *legend(self.unknowns))

    def _notes(self, *warnings: str) -> Iterator[str]:
        yield from (f"  note: {printable(warning)}" for warning in warnings)
        for one in self.left_out:
            known = "" if one.concentration is None else f", {nominal(one.concentration)}"
            yield f"  left out: line {one.line}{known}: {printable(one.reason)}"


def _with_help(reason: str) -> str:
    """A refusal with the option that helps, where there is one."""
    found = next((text for begin, text in _HELP.items() if reason.startswith(begin)), "")
    return f"{reason}; {found}" if found else reason


def fit_file(
    text: str,
    source: str,
    settings: CurveSettings,
    unknowns: TextFile | None,
    *,
    extrapolate: bool,
) -> Fitted:
    """Fit one CSV file and read another from the curve; InputError names line and column."""
    standards = standards_from_csv(text, source)
    doses, responses = zip(*standards.pairs, strict=True)
    if settings.zero_standard == "subtract" and 0.0 not in doses:
        what = "no standard of concentration 0 to subtract; take --zero anchor or exclude"
        raise InputError(source, Mistake("", what))
    calibration = fit_standards(doses, responses, replace(settings, unit=standards.unit))
    notes = tuple(_not_optical(settings, max(map(abs, responses))))
    wanted = {} if unknowns is None else unknowns_from_csv(*unknowns)
    return Fitted(
        replace(calibration.fit, warnings=(*calibration.fit.warnings, *notes)),
        settings,
        read_unknowns(calibration, wanted, extrapolate=extrapolate),
        tuple((x, y - calibration.blank) for x, y in standards.pairs),
        standards.left_out,
    )


def _not_optical(settings: CurveSettings, largest: float) -> Iterator[str]:
    """The default s0 is one of optical densities; other responses need their own."""
    if settings.weighting != "variance" or largest <= LARGEST_OPTICAL_DENSITY:
        return
    if settings.s0 == CurveSettings().s0:
        yield (
            f"responses up to {nominal(largest)} are no optical densities, and s0 ="
            f" {settings.s0:g} is theirs: give --s0 in units of the response"
        )
