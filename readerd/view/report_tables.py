"""The tables of a report: standards, acceptance, samples, and the notes below them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from readerd.assay.result import Fit, Flag, Level, Sample, Wells
from readerd.view import rounding as r
from readerd.view.criteria import Criterion, criteria
from readerd.view.markup import Content, Markup, join, tag
from readerd.view.unreported import unreported
from readerd.view.words import SAID_BY_STATUS, Outcome, flag_legend, sample_state

# From here on a second column of samples pays.
_ONE_COLUMN = 12
# Half a sheet holds names of so many letters beside the numbers.
_NAME_LETTERS = 24
# Letters that a wide column holds without wrapping.
_SHORT = 14
_RULE_TABLES = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head, and how it is set.

    `l` to the left, `v` bold, `b` may break at blanks, `w` anywhere where it is long.
    """

    head: str
    style: str = ""


def table(
    caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Content]], **marks: str
) -> Markup:
    """A table with a caption for those who hear it; the first cell of a row is its head."""
    head = [
        tag("th", column.head, class_="l" if "l" in column.style else None, scope="col")
        for column in columns
    ]
    body = [
        tag("tr", *(_cell(columns, index, content) for index, content in enumerate(row)))
        for row in rows
    ]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        **marks,
    )


def _cell(columns: Sequence[Column], index: int, content: Content) -> Markup:
    style = columns[index].style
    marks = [mark for mark in style if mark != "w" or len(str(content)) > _SHORT]
    classes = " ".join(marks) or None
    if index == 0:
        return tag("th", content, class_=classes, scope="row")
    return tag("td", content, class_=classes)


def standards_table(fit: Fit | None, wells: Wells | None) -> Markup:
    if fit is None or not fit.levels:
        return tag("p", "No standards.", class_="quiet")
    columns = (
        Column("level", "l"),
        Column(f"nominal {fit.unit or ''}".rstrip()),
        Column("wells", "lw"),
        Column("n"),
        Column("OD"),
        Column("CV %"),
        Column("back-calc."),
        Column("recovery %"),
        Column("verdict", "lw"),
    )
    places = _wells_of(wells)
    rows = [_standard(level, places.get(level.position, "")) for level in fit.levels]
    return table(f"Standards and what the curve reads back, {fit.unit or ''}", columns, rows)


def _wells_of(wells: Wells | None) -> Mapping[str, str]:
    names: dict[str, list[str]] = {}
    if wells is not None:
        for well, position in zip(wells.id, wells.position, strict=True):
            names.setdefault(position or "", []).append(well)
    return {position: " ".join(found) for position, found in names.items()}


def _standard(level: Level, places: str) -> tuple[Content, ...]:
    said: Content = "anchor" if level.nominal == 0 else r.MISSING
    if level.masked is not None:
        said = "dropped" if level.masked.startswith("dropped") else f"left out: {level.masked}"
    elif level.passed is not None:
        said = verdict("pass" if level.passed else "fail")
    return (
        level.position,
        r.nominal(level.nominal),
        places,
        str(level.n),
        r.od(level.mean),
        r.percent(level.cv_pct),
        r.concentration(level.back_calculated),
        r.percent(level.recovery_pct),
        said,
    )


def verdict(said: str) -> Markup:
    """In capitals where it fell, so that no colour is needed."""
    return tag("span", said.upper() if said in ("fail", "flag") else said, class_=said)


def rules_tables(outcome: Outcome) -> Markup:
    """All rules and limits in short tables; the words of those that fell stand at the top."""
    profile = outcome.qc.profile
    title = tag("h2", f"Acceptance, profile {profile}")
    rows = criteria(outcome.qc, outcome.fit, outcome.wells)
    if not rows:
        return join([title, tag("p", "No rules were applied.", class_="quiet")])
    size = -(-len(rows) // _RULE_TABLES)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    columns = (Column("rule", "l"), Column("seen"), Column("limit", "lb"), Column("held", "l"))
    tables = [
        table(f"Acceptance, part {number} of {len(parts)}", columns, [_rule(row) for row in part])
        for number, part in enumerate(parts, start=1)
    ]
    return join([title, tag("div", *tables, class_="row three")])


def _rule(row: Criterion) -> tuple[Content, ...]:
    said: Content = r.MISSING if row.verdict == "none" else verdict(row.verdict)
    return row.name, row.seen, row.limit, said


def samples_table(outcome: Outcome) -> Markup:
    """Samples and controls; letters for notes, what they mean, and why some have no value."""
    samples = outcome.samples
    if not samples:
        words = tag("p", "No samples on this plate.", class_="quiet")
        return tag("section", tag("h2", "Samples"), words)
    units = ", ".join(sorted({sample.unit for sample in samples}))
    letters = _letters(samples)
    named = any(sample.sample_id for sample in samples)
    rows = [_sample(sample, letters, named) for sample in samples]
    caption = f"Samples and controls, {units}"
    longest = max(len(sample.sample_id or "") for sample in samples)
    split = len(samples) > _ONE_COLUMN and longest <= _NAME_LETTERS
    whole = table(caption, _sample_columns(named), rows)
    return tag(
        "section",
        tag("h2", f"Samples, {units}"),
        tag("div", whole, class_="two" if split else "scroll"),
        *_notes(outcome, letters),
    )


def _sample_columns(named: bool) -> tuple[Column, ...]:
    return (
        Column("pos.", "l"),
        *((Column("sample", "lw"),) if named else ()),
        Column("wells", "lw"),
        Column("OD"),
        Column("CV %"),
        Column("conc. CV %"),
        Column("dil."),
        Column("value", "v"),
        Column("95 % CI"),
        Column("status", "l"),
    )


def _letters(samples: Sequence[Sample]) -> dict[Flag, str]:
    """A letter for each flag that says more than the status, in the order of the closed list."""
    seen = {flag for sample in samples for flag in sample.flags} - set(SAID_BY_STATUS)
    return {flag: chr(ord("a") + rank) for rank, flag in enumerate(f for f in Flag if f in seen)}


def _sample(sample: Sample, letters: Mapping[Flag, str], named: bool) -> tuple[Content, ...]:
    name = sample.sample_id or ("control" if sample.role == "control" else r.MISSING)
    return (
        sample.position,
        *((name,) if named else ()),
        " ".join(sample.wells),
        r.od(sample.mean),
        r.percent(sample.cv_pct),
        r.percent(sample.concentration_cv_pct),
        r.factor(sample.dilution),
        r.reported(sample),
        r.interval(sample.ci95),
        _status(sample, letters),
    )


def _status(sample: Sample, letters: Mapping[Flag, str]) -> Content:
    words = sample_state(sample)
    for flag in letters:
        words = words.replace(f" {flag}", "")
    marks = ",".join(letters[flag] for flag in letters if flag in sample.flags)
    return join([words, " ", tag("sup", marks)]) if marks else words


def _notes(outcome: Outcome, letters: Mapping[Flag, str]) -> list[Markup]:
    """Everything a reader needs that does not fit a cell, in one run of text."""
    notes: list[Content] = []
    lines = unreported(outcome)
    if lines:
        notes.append(join([tag("b", "No value: "), "; ".join(lines)]))
    beyond = [
        f"{sample.position} {r.concentration(sample.extrapolated)}"
        for sample in outcome.samples
        if sample.extrapolated is not None
    ]
    if beyond:
        notes.append(join([tag("b", "Extrapolated, not to be reported: "), ", ".join(beyond)]))
    legend = [
        join([tag("sup", letters[flag]) if flag in letters else "", tag("b", flag), f" {meaning}"])
        for flag, meaning in flag_legend(outcome)
    ]
    if legend:
        notes.append(join([tag("b", "Flags: "), join(legend, "; ")]))
    masked = _masked(outcome.wells)
    if masked:
        notes.append(join([tag("b", "Masked wells: "), masked]))
    return [tag("p", join(notes, " \N{MIDDLE DOT} "))] if notes else []


def _masked(wells: Wells | None) -> str:
    """Wells by their reason, in plate order."""
    reasons: dict[str, list[str]] = {}
    if wells is not None:
        for well, reason in zip(wells.id, wells.masked, strict=True):
            if reason is not None:
                reasons.setdefault(reason, []).append(well)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
