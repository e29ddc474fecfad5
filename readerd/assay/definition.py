"""One assay: what is measured, how it is fitted, what is accepted. TOML text in, frozen values out.

Every mistake of the file is reported at once with its path. The limits of the acceptance profiles
stand in `readerd.assay.acceptance`; a key under `[acceptance]` overrides the profile's number.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from readerd.assay.acceptance import Acceptance, resolve
from readerd.assay.curve.settings import (
    CurveSettings,
    FitTo,
    Model,
    WeightKind,
    ZeroStandard,
    mistake_in,
)
from readerd.assay.kit import last_day
from readerd.assay.layout import (
    BLANK,
    LARGEST_DILUTION,
    Binding,
    Layout,
    parse_grid,
    stray_positions,
)
from readerd.complaint import in_words
from readerd.errors import ConfigError, Mistake

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=128)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Naming(_Section):
    """`[assay]`: what is determined, in which unit."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    version: Text = "1"
    analyte: Text
    unit: Text


def _as_text(value: object) -> object:
    """TOML has dates of its own: `expires = 2027-01-31`."""
    return value.isoformat() if type(value) is date else value


def _expiry(text: str) -> str:
    if text:
        last_day(text)
    return text


class Kit(_Section):
    """`[kit]`: lot and last day, copied into every result; empty = not said."""

    lot: Annotated[str, Field(max_length=64)] = ""
    expires: Annotated[str, BeforeValidator(_as_text), AfterValidator(_expiry)] = ""


class Read(_Section):
    """`[read]`: wavelengths (reference 0 = none), shaking, the assay's photometric limits."""

    measurement_nm: Annotated[int, Field(ge=200, le=1100)]
    reference_nm: Annotated[int, Field(ge=0, le=1100)]
    reference_alternatives_nm: Annotated[tuple[int, ...], Field(strict=False)] = ()
    shake_s: Annotated[int, Field(ge=0, le=3600)] = 0
    warn_above_od: Positive = 3.0
    no_value_above_od: Positive = 3.5


class Curve(_Section):
    """`[curve]`: model, weights, zero standard, replicates, blank."""

    model: Model = "4pl"
    fit_to: FitTo = "wells"
    weighting: WeightKind = "variance"
    s0: NotNegative = 0.005
    cv: NotNegative = 0.05
    zero_standard: ZeroStandard = "anchor"
    replicates: Literal["mean-response", "mean-concentration"] = "mean-response"
    blank: Literal["none", "subtract"] = "none"
    fixed: dict[Literal["a", "b", "c", "d", "g"], float] = Field(default_factory=dict)
    min_span_od: Positive = 0.2
    report_extrapolated: bool = False


class _LayoutSection(_Section):
    format: Literal[96, 384] = 96
    standards: dict[str, NotNegative]
    controls: dict[str, Annotated[tuple[NotNegative, NotNegative], Field(strict=False)]] = Field(
        default_factory=dict
    )
    plate: str


class _SampleSection(_Section):
    id: Text | None = None
    dilution: Annotated[float, Field(gt=0, le=LARGEST_DILUTION)] = 1.0


class _File(_Section):
    assay: Naming
    kit: Kit = Kit()
    read: Read
    curve: Curve = Curve()
    acceptance: dict[str, Any] = Field(default_factory=dict)
    layout: _LayoutSection
    samples: dict[str, _SampleSection] = Field(default_factory=dict)


@dataclass(frozen=True)
class Assay:
    """An assay file as it was read; `text` is the file, `sha256` that of its UTF-8 bytes."""

    id: str
    version: str
    analyte: str
    unit: str
    kit: Kit
    read: Read
    curve: Curve
    acceptance: Acceptance
    layout: Layout
    samples: Mapping[str, Binding]
    text: str

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def curve_settings(self) -> CurveSettings:
        return curve_settings(self.curve, self.unit)


def curve_settings(curve: Curve, unit: str) -> CurveSettings:
    """The section `[curve]` as the fit takes it."""
    return CurveSettings(
        model=curve.model,
        fit_to=curve.fit_to,
        weighting=curve.weighting,
        s0=curve.s0,
        cv=curve.cv,
        zero_standard=curve.zero_standard,
        fixed={str(name): value for name, value in curve.fixed.items()},
        min_span=curve.min_span_od,
        unit=unit,
    )


def load_assay(text: str, source: str) -> Assay:
    """The assay of a TOML text; ConfigError lists every mistake with its path."""
    try:
        raw = tomllib.loads(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"))
    except tomllib.TOMLDecodeError as error:
        what = f"not TOML: {error}; text stands in quotes, numbers have a decimal point"
        raise ConfigError(source, (Mistake("", what),)) from error
    mistakes: list[Mistake] = []
    file: _File | None = None
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        mistakes += [_mistake(entry) for entry in error.errors()]
    acceptance, wrong = resolve(raw.get("acceptance"))
    mistakes += wrong
    layout, wrong = _layout(raw.get("layout"))
    mistakes += wrong
    if file is not None and layout is not None:
        mistakes += _across(file, layout)
        mistakes += _against_the_profile(file, acceptance, layout)
    if mistakes or file is None or layout is None:
        raise ConfigError(source, tuple(mistakes))
    bindings = {name: Binding(entry.id, entry.dilution) for name, entry in file.samples.items()}
    return Assay(
        **dict(file.assay),
        kit=file.kit,
        read=file.read,
        curve=file.curve,
        acceptance=acceptance,
        layout=layout,
        samples=bindings,
        text=text,
    )


def _mistake(entry: Any) -> Mistake:
    where = ".".join(str(part) for part in entry["loc"] if part != "[key]")
    what = in_words(entry)
    if entry["type"] not in ("extra_forbidden", "missing"):
        what += "" if isinstance(entry["input"], dict | list) else f", not {entry['input']!r}"
    return Mistake(where, what)


def _layout(raw: object) -> tuple[Layout | None, list[Mistake]]:
    """The layout and its own mistakes; (None, []) when the section's types are wrong already."""
    try:
        section = _LayoutSection.model_validate(raw)
    except ValidationError:
        return None, []
    positions, wrong = parse_grid(section.plate, section.format)
    layout = Layout(section.format, section.standards, section.controls, positions)
    stray = () if wrong and not any(positions) else stray_positions(layout)
    return layout, [*wrong, *_standards(section), *stray]


def _standards(section: _LayoutSection) -> list[Mistake]:
    mistakes = []
    seen: dict[float, str] = {}
    for name, nominal in section.standards.items():
        if nominal in seen:
            what = f"has the concentration of {seen[nominal]}; give their wells one name"
            mistakes.append(Mistake(f"layout.standards.{name}", what))
        seen[nominal] = name
    for name, (low, high) in section.controls.items():
        if name in section.standards:
            mistakes.append(Mistake(f"layout.controls.{name}", "is a standard too"))
        if low >= high:
            mistakes.append(Mistake(f"layout.controls.{name}", "the range is [low, high]"))
    mistakes += [
        Mistake(f"layout.{kind}.{name}", f"{BLANK} means blank; choose another name")
        for kind, names in (("standards", section.standards), ("controls", section.controls))
        for name in names
        if name == BLANK
    ]
    return mistakes


def _against_the_profile(file: _File, acceptance: Acceptance, layout: Layout) -> list[Mistake]:
    """A limit that no plate of this layout can meet, a zero standard that the profile wants."""
    mistakes = []
    least, there = acceptance.min_levels, sum(dose > 0 for dose in layout.standards.values())
    if there < least:
        what = f"{least} levels must hold (profile {acceptance.profile}), and layout.standards has"
        what += f" {there} above 0: every plate would fail; state a smaller one here"
        mistakes.append(Mistake("acceptance.min_levels", what))
    excluded = file.curve.zero_standard == "exclude" and 0.0 in layout.standards.values()
    if acceptance.profile == "kit" and excluded:
        what = "profile kit has the zero standard in the fit (anchor) or subtracted (subtract)"
        mistakes.append(Mistake("curve.zero_standard", what))
    return mistakes


def _across(file: _File, layout: Layout) -> list[Mistake]:
    """Mistakes that take two sections to see."""
    mistakes = [
        Mistake(f"samples.{name}", "no sample or control of layout.plate has this position")
        for name in file.samples
        if layout.role(name if name in layout.groups else None) not in ("sample", "control")
    ]
    if file.curve.zero_standard == "subtract" and 0.0 not in layout.standards.values():
        what = "subtract needs a standard with concentration 0 in layout.standards"
        mistakes.append(Mistake("curve.zero_standard", what))
    if file.curve.blank == "subtract" and BLANK not in layout.groups:
        mistakes.append(Mistake("curve.blank", "subtract needs wells named B in layout.plate"))
    if file.curve.blank == "subtract" and file.curve.zero_standard == "subtract":
        mistakes.append(Mistake("curve.blank", "blank and zero standard: subtract only one"))
    contradiction = mistake_in(curve_settings(file.curve, file.assay.unit))
    if contradiction is not None:
        mistakes.append(Mistake("curve", contradiction))
    if file.read.warn_above_od > file.read.no_value_above_od:
        mistakes.append(Mistake("read.warn_above_od", "lies above read.no_value_above_od"))
    if file.read.measurement_nm in (file.read.reference_nm, *file.read.reference_alternatives_nm):
        mistakes.append(Mistake("read.reference_nm", "is the measurement wavelength"))
    if file.read.reference_alternatives_nm and not file.read.reference_nm:
        what = "stand in for a reference_nm, which is 0: none"
        mistakes.append(Mistake("read.reference_alternatives_nm", what))
    return mistakes
