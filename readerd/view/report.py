"""One plate on one sheet: a self-contained HTML page that prints on A4.

No script and no outside resource; a content security policy in the page itself forbids both.
"""

from collections.abc import Sequence

from readerd.assay.result import Fit, Level, Qc, Rule, Sample
from readerd.view import rounding as r
from readerd.view.markup import Content, Markup, join, tag
from readerd.view.provenance import Provenance
from readerd.view.report_style import STYLE
from readerd.view.svg import RECOVERY_LIMITS_PCT, curve_svg, plate_svg, recovery_svg, residual_svg
from readerd.view.words import (
    VERDICT_WORDS,
    Outcome,
    flag_legend,
    reasons,
    sample_state,
    tally,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_RELEASE = "Not reviewed here: release is the word of the laboratory's own system."
# From here on a second column of samples pays.
_ONE_COLUMN = 12
# More would push the page off its sheet.
_REASONS_SHOWN = 5
# Letters that a wide column holds without wrapping.
_SHORT = 14


def report_page(
    outcome: Outcome,
    origin: Provenance,
    *,
    recovery_limits_pct: tuple[float, float] = RECOVERY_LIMITS_PCT,
) -> str:
    """The whole page as text. Same input, same bytes; a plate that never came is said so."""
    delivered = outcome.wells is not None and len(outcome.wells.id) > 0
    name = " · ".join(part for part in (origin.analyte, origin.plate) if part) or "plate"
    body: list[Content] = [_header(outcome, origin, name)]
    if delivered:
        body += [
            _curve_row(outcome, origin, recovery_limits_pct),
            _plates_row(outcome, origin),
            _words(outcome),
            _samples(outcome.samples),
        ]
    body.append(_footer(origin))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", f"{name}: {VERDICT_WORDS[outcome.verdict]}"),
        tag("style", Markup(STYLE)),
    )
    page = tag("html", head, tag("body", tag("main", *body)), lang="en")
    return f"<!doctype html>\n{page.text}\n"


def _header(outcome: Outcome, origin: Provenance, name: str) -> Markup:
    badge = tag("div", VERDICT_WORDS[outcome.verdict], class_=f"badge {outcome.verdict}")
    lines = reasons(outcome, origin.failure)
    why = [tag("li", line) for line in lines[:_REASONS_SHOWN]]
    if len(lines) > _REASONS_SHOWN:
        why.append(tag("li", f"and {len(lines) - _REASONS_SHOWN} more, in the table of rules"))
    if outcome.samples:
        why.append(tag("li", tally(outcome.samples), class_="quiet"))
    facts = [tag("div", tag("dt", label), tag("dd", text)) for label, text in origin.head.items()]
    title = tag("div", tag("h1", name), tag("ul", *why, class_="why"))
    top = tag("header", title, badge)
    return join([top, tag("dl", *facts)] if facts else [top])


def _curve_row(outcome: Outcome, origin: Provenance, limits_pct: tuple[float, float]) -> Markup:
    picture = curve_svg(
        outcome.fit,
        outcome.wells,
        outcome.samples,
        qc=outcome.qc,
        analyte=origin.analyte,
        response=f"OD, {origin.response}",
    )
    left = tag("div", tag("h2", "Standard curve"), Markup(picture))
    checks = [
        recovery_svg(outcome.fit, outcome.wells, limits_pct=limits_pct),
        residual_svg(outcome.fit, outcome.wells),
    ]
    small = tag("div", *map(Markup, checks), class_="row checks")
    right = tag("div", tag("h2", "Standards"), _standards(outcome.fit), small)
    return join([tag("section", left, right, class_="row curve"), _fit_line(outcome.fit)])


def _fit_line(fit: Fit | None) -> Markup:
    if fit is None:
        return tag("p", "No fit.", class_="quiet")
    weighting: str = fit.weighting.kind
    if fit.weighting.s0 is not None and fit.weighting.cv is not None:
        weighting += f" (s0 {r.nominal(fit.weighting.s0)}, cv {r.nominal(fit.weighting.cv)})"
    parts = [f"{fit.model}: {fit.equation}", f"weights {weighting}", f"fitted to {fit.fit_to}"]
    errors = fit.stderr or {}
    parts += [
        f"{name} = {r.statistic(value)}"
        + (f" ± {r.significant(errors[name], 2)}" if name in errors else "")
        for name, value in fit.params.items()
    ]
    parts += _quality(fit)
    return tag("p", "; ".join(parts), class_="quiet")


def _quality(fit: Fit) -> list[str]:
    parts = []
    if fit.wssr is not None and fit.df is not None:
        parts.append(f"weighted SSR {r.statistic(fit.wssr)} on {fit.df} df")
    if fit.r2 is not None:
        parts.append(f"R² {r.statistic(fit.r2)}")
    if fit.rmse is not None:
        parts.append(f"RMSE {r.significant(fit.rmse, 2)}")
    if fit.lack_of_fit is not None:
        parts.append(f"lack of fit p = {r.significant(fit.lack_of_fit.p, 2)}")
    return [*parts, *fit.warnings]


def _standards(fit: Fit | None) -> Markup:
    if fit is None or not fit.levels:
        return tag("p", "No standards.", class_="quiet")
    unit = fit.unit or ""
    heads = ("", f"nominal {unit}", "n", "OD", "CV %", "back-calc.", "recovery %", "")
    rows = [_standard(level) for level in fit.levels]
    return _table(heads, rows, left=(0, 7))


def _standard(level: Level) -> tuple[Content, ...]:
    verdict: Content = "anchor" if level.nominal == 0 else r.MISSING
    if level.masked is not None:
        verdict = f"left out: {level.masked}"
    elif level.passed is not None:
        verdict = _verdict("pass") if level.passed else _verdict("fail")
    return (
        level.position,
        r.nominal(level.nominal),
        str(level.n),
        r.od(level.mean),
        r.percent(level.cv_pct),
        r.concentration(level.back_calculated),
        r.percent(level.recovery_pct),
        verdict,
    )


def _rules(qc: Qc) -> Markup:
    """All rules in three short tables; the words of those that fell stand at the top."""
    title = tag("h2", f"Acceptance, profile {qc.profile}")
    if not qc.rules:
        return join([title, tag("p", "No rules were applied.", class_="quiet")])
    third = -(-len(qc.rules) // 3)
    parts = [qc.rules[start : start + third] for start in range(0, len(qc.rules), third)]
    heads = ("", "rule", "seen", "limit")
    tables = [_table(heads, [_rule(rule) for rule in part], left=(0, 1)) for part in parts]
    return join([title, tag("div", *tables, class_="row three")])


def _rule(rule: Rule) -> tuple[Content, ...]:
    name = tag("span", rule.id, title=rule.text)
    return _verdict(rule.verdict), name, r.quantity(rule.observed), r.quantity(rule.limit)


def _verdict(verdict: str) -> Markup:
    return tag("span", verdict.upper() if verdict == "fail" else verdict, class_=verdict)


def _plates_row(outcome: Outcome, origin: Provenance) -> Markup:
    measurement = f"{origin.measurement_nm} nm" if origin.measurement_nm else "measurement"
    pictures = [plate_svg(outcome.wells, "measurement", title=measurement)]
    wells = outcome.wells
    if wells is not None and any(value is not None for value in wells.a_reference):
        reference = f"{origin.reference_nm} nm" if origin.reference_nm else "reference"
        pictures.append(plate_svg(wells, "reference", title=reference))
        pictures.append(plate_svg(wells, "corrected", title=origin.response))
    return tag("section", *map(Markup, pictures), class_="row plates")


def _words(outcome: Outcome) -> Markup:
    """Rules, then what the flags on this plate mean, then who was left out and why."""
    parts = [_rules(outcome.qc)]
    legend = [join([tag("b", flag.value), f" {meaning}"]) for flag, meaning in flag_legend(outcome)]
    if legend:
        parts.append(tag("p", "Flags: ", join(legend, "; ")))
    masked = _masked(outcome)
    if masked:
        parts.append(tag("p", f"Masked wells: {masked}"))
    return tag("section", *parts)


def _masked(outcome: Outcome) -> str:
    wells = outcome.wells
    if wells is None:
        return ""
    pairs = zip(wells.id, wells.masked, strict=True)
    return ", ".join(f"{well}: {reason}" for well, reason in pairs if reason is not None)


def _samples(samples: Sequence[Sample]) -> Markup:
    if not samples:
        return join([tag("h2", "Samples"), tag("p", "No samples on this plate.", class_="quiet")])
    units = sorted({sample.unit for sample in samples})
    title = tag("h2", f"Samples, {', '.join(units)}")
    half = len(samples) if len(samples) <= _ONE_COLUMN else (len(samples) + 1) // 2
    heads = ("", "sample", "wells", "OD", "CV %", "dil.", "value", "95 % CI", "")
    tables = [
        _table(heads, [_sample(each) for each in part], left=(0, 1, 2, 8), bold=6, wide=(1, 8))
        for part in (samples[:half], samples[half:])
        if part
    ]
    return tag("section", title, tag("div", *tables, class_="row two"))


def _sample(sample: Sample) -> tuple[Content, ...]:
    name = sample.sample_id or ("control" if sample.role == "control" else r.MISSING)
    return (
        sample.position,
        name,
        " ".join(sample.wells),
        r.od(sample.mean),
        r.percent(sample.cv_pct),
        r.factor(sample.dilution),
        r.reported(sample),
        r.interval(sample.ci95),
        sample_state(sample),
    )


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Content]],
    *,
    left: Sequence[int],
    bold: int = -1,
    wide: Sequence[int] = (),
) -> Markup:
    def style(column: int, content: Content) -> str | None:
        long = column in wide and len(str(content)) > _SHORT
        marks = {"l": column in left, "v": column == bold, "w": long}
        return " ".join(mark for mark, on in marks.items() if on) or None

    head = [
        tag("th", text, class_="l" if column in left else None, scope="col")
        for column, text in enumerate(heads)
    ]
    body = [
        tag("tr", *(tag("td", text, class_=style(column, text)) for column, text in enumerate(row)))
        for row in rows
    ]
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))


def _footer(origin: Provenance) -> Markup:
    facts = (f"{label} {text}" for label, text in origin.foot.items())
    lines = (" · ".join(origin.remarks), " · ".join(facts), _RELEASE)
    return tag("footer", *(tag("p", line) for line in lines if line))
