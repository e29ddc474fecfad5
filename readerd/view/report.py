"""One plate on one sheet: a self-contained HTML page that prints on A4 and on Letter.

No script and no outside resource; a content security policy in the page itself forbids both.
"""

from collections.abc import Sequence

from readerd.assay.result import Fit
from readerd.view import rounding as r
from readerd.view.markup import Content, Markup, join, tag
from readerd.view.provenance import Provenance
from readerd.view.report_style import STYLE, css_string
from readerd.view.report_tables import rules_tables, samples_table, standards_table
from readerd.view.svg import RECOVERY_LIMITS_PCT, curve_svg, plate_svg, recovery_svg, residual_svg
from readerd.view.words import VERDICT_WORDS, Outcome, counted, reasons, tally

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_RELEASE = "Not reviewed here: release is the word of the laboratory's own system."
# A larger plate needs the width of the sheet to be read, and goes behind the samples.
_SMALL_PLATE = 96


def report_page(
    outcome: Outcome,
    origin: Provenance,
    *,
    before_drop: Fit | None = None,
    recovery_limits_pct: tuple[float, float] = RECOVERY_LIMITS_PCT,
) -> str:
    """The whole page as text. Same input, same bytes; a plate that never came is said so.

    `before_drop` is the first curve, where failing levels were dropped.
    """
    wells = outcome.wells
    name = " · ".join(part for part in (origin.analyte, origin.plate) if part) or "plate"
    body: list[Content] = [_header(outcome, origin, name)]
    if wells is not None and len(wells.id) > 0:
        body.append(_curve_row(outcome, origin, before_drop, recovery_limits_pct))
        rest = [_plates(outcome, origin), rules_tables(outcome), samples_table(outcome)]
        large = len(wells.id) > _SMALL_PLATE
        body += [*rest[1:], rest[0]] if large else rest
    body.append(_footer(outcome, origin))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light"),
        tag("title", f"{name}: {VERDICT_WORDS[outcome.verdict]}"),
        tag("style", Markup(STYLE.replace("NAME", css_string(name)))),
    )
    page = tag("html", head, tag("body", tag("main", *body)), lang="en")
    return f"<!doctype html>\n{page.text}\n"


def _header(outcome: Outcome, origin: Provenance, name: str) -> Markup:
    """Verdict, every reason for it, and where the plate comes from."""
    badge = tag("div", VERDICT_WORDS[outcome.verdict], class_=f"badge {outcome.verdict}")
    lines = list(reasons(outcome, origin.failure))
    if outcome.samples:
        lines.append(tally(outcome.samples))
    why = tag("ul", *(tag("li", line) for line in lines), class_="why")
    facts = [tag("div", tag("dt", label), tag("dd", text)) for label, text in origin.head.items()]
    title = tag("div", tag("h1", name), why)
    top = tag("header", title, badge)
    return join([top, tag("dl", *facts)] if facts else [top])


def _curve_row(
    outcome: Outcome, origin: Provenance, before: Fit | None, limits_pct: tuple[float, float]
) -> Markup:
    fit, wells = outcome.fit, outcome.wells
    picture = curve_svg(
        fit,
        wells,
        outcome.samples,
        qc=outcome.qc,
        analyte=origin.analyte,
        response=f"OD, {origin.response}",
        before=before,
    )
    left = tag("div", tag("h2", "Standard curve"), Markup(picture), *_fit_lines(fit, before))
    checks = [recovery_svg(fit, wells, limits_pct=limits_pct), residual_svg(fit, wells)]
    small = tag("div", *map(Markup, checks), class_="row checks")
    right = tag("div", tag("h2", "Standards"), standards_table(fit, wells), small)
    return tag("section", left, right, class_="row curve")


def _fit_lines(fit: Fit | None, before: Fit | None) -> list[Markup]:
    if fit is None:
        return [tag("p", "No fit.", class_="quiet")]
    weighting: str = fit.weighting.kind
    if fit.weighting.s0 is not None and fit.weighting.cv is not None:
        weighting += f" (s0 {r.nominal(fit.weighting.s0)}, cv {r.nominal(fit.weighting.cv)})"
    counts = "every well counts" if fit.fit_to == "wells" else "level means"
    lines = [f"{fit.model}: {fit.equation}, weights {weighting}, {counts}"]
    if fit.params:
        lines.append(f"{_parameters(fit)}, {_quality(fit)}")
    lines += fit.warnings
    told = [tag("p", "; ".join(lines), class_="quiet")]
    if before is not None and before.params:
        gone = [level for level in before.levels if level.passed is False]
        recoveries = ", ".join(f"{one.position} {r.percent(one.recovery_pct)} %" for one in gone)
        words = f"before ({recoveries}): {_parameters(before)}, {_quality(before)}"
        told.append(tag("p", words, class_="quiet"))
    return told


def _parameters(fit: Fit) -> str:
    """Each with its standard error; without one it was given, or dots were joined."""
    errors = fit.stderr or {}
    told = [
        f"{name} = {r.with_error(value, errors[name])}"
        if name in errors
        else f"{name} = {r.statistic(value)}" + (" (fixed)" if errors else "")
        for name, value in fit.params.items()
    ]
    return ", ".join(told) + (" (± standard error)" if errors else "")


def _quality(fit: Fit) -> str:
    parts = []
    if fit.wssr is not None and fit.df is not None:
        parts.append(f"weighted SSR {r.statistic(fit.wssr)} on {fit.df} df")
    if fit.r2 is not None:
        parts.append(f"R² {r.statistic(fit.r2)}")
    if fit.rmse is not None:
        parts.append(f"RMSE {r.significant(fit.rmse, 2)}")
    if fit.lack_of_fit is not None:
        parts.append(f"lack of fit p = {r.significant(fit.lack_of_fit.p, 2)}")
    return ", ".join(parts)


def _plates(outcome: Outcome, origin: Provenance) -> Markup:
    wells = outcome.wells
    if wells is None:
        return Markup("")
    measurement = f"{origin.measurement_nm} nm" if origin.measurement_nm else "measurement"
    pictures = [plate_svg(wells, "measurement", title=measurement)]
    if any(value is not None for value in wells.a_reference):
        reference = f"{origin.reference_nm} nm" if origin.reference_nm else "reference"
        pictures.append(plate_svg(wells, "reference", title=reference))
        pictures.append(plate_svg(wells, "corrected", title=origin.response))
    size = "large" if len(wells.id) > _SMALL_PLATE else "plates"
    title = tag("h2", f"Plate, {counted(len(wells.id), 'well')}", class_="heard")
    return tag("section", title, *map(Markup, pictures), class_=f"row {size}")


def _footer(outcome: Outcome, origin: Provenance) -> Markup:
    """What made these numbers, and room for those who answer for them."""
    told: Sequence[str] = outcome.fit.warnings if outcome.fit is not None else ()
    remarks = [remark for remark in origin.remarks if remark not in told]
    facts = (f"{label} {text}" for label, text in origin.foot.items())
    lines = (" · ".join(remarks), " · ".join(facts), _RELEASE)
    words = tag("div", *(tag("p", line) for line in lines if line))
    blanks = [
        tag("div", *(tag("span", what) for what in (role, "date", "signature")))
        for role in ("performed by", "reviewed by")
    ]
    return tag("footer", words, tag("div", *blanks, class_="sign"))
