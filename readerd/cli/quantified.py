"""What `readerd quantify` answers: JSON, pictures, a report, a screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version

from pydantic import TypeAdapter

from readerd import __version__
from readerd.assay.definition import Assay
from readerd.assay.layout import plate_map_from_csv
from readerd.assay.quantify import quantify
from readerd.assay.result import PlateResult
from readerd.cli.screen import to_screen
from readerd.csvfile import plate_from_csv
from readerd.errors import ErrorCode, RequestError
from readerd.plate import Identity, Reading
from readerd.view.provenance import Provenance
from readerd.view.report import report_page
from readerd.view.svg import curve_svg, plate_svg, recovery_svg, residual_svg
from readerd.view.terminal import PlateScreen
from readerd.view.why import followed

TextFile = tuple[str, str]  # the text, and its name


@dataclass(frozen=True, slots=True)
class Quantified:
    """One plate from a file under one assay."""

    assay: Assay
    result: PlateResult
    source: str
    reference_nm: int | None
    files: Mapping[str, str]  # what each file is -> its name
    digests: Mapping[str, str]  # of their texts

    @property
    def exit_code(self) -> int:
        """1 when the curve or the verdict failed."""
        return int(self.result.curve != "accepted" or self.result.verdict == "fail")

    def json(self) -> str:
        return TypeAdapter(PlateResult).dump_json(self.result).decode()

    def print_screen(self) -> None:
        to_screen(PlateScreen(self.result, title=self.source))

    def why(self, names: Sequence[str]) -> str:
        return followed(self.result, names, self._origin.response)

    def pictures(self) -> dict[str, str]:
        """SVG by file name."""
        result, nm = self.result, self.assay.read.measurement_nm
        response = self._origin.response
        plates = {
            f"plate-{nm}.svg": plate_svg(result.wells, "measurement", title=f"{nm} nm"),
            "plate-corrected.svg": plate_svg(result.wells, "corrected", title=response),
        }
        if self.reference_nm:
            plates[f"plate-{self.reference_nm}.svg"] = plate_svg(
                result.wells, "reference", title=f"{self.reference_nm} nm"
            )
        if result.fit is None:
            return plates
        return {
            **plates,
            "curve.svg": curve_svg(
                result.fit,
                result.wells,
                result.samples,
                qc=result.qc,
                analyte=self.assay.analyte,
                response=f"OD, {response}",
                before=result.fit_before_drop,
            ),
            "recovery.svg": recovery_svg(result.fit, result.wells, limits_pct=self._limits),
            "residual.svg": residual_svg(result.fit, result.wells),
        }

    def report(self) -> str:
        return report_page(
            self.result,
            self._origin,
            before_drop=self.result.fit_before_drop,
            recovery_limits_pct=self._limits,
        )

    @property
    def _origin(self) -> Provenance:
        return Provenance(
            plate=self.source,
            analyte=self.assay.analyte,
            measurement_nm=self.assay.read.measurement_nm,
            reference_nm=self.reference_nm,
            head={
                "assay": f"{self.assay.id}, version {self.assay.version}",
                "kit lot": self.assay.kit.lot or "not stated",
                "kit expires": self.assay.kit.expires or "not stated",
                **self.files,
            },
            foot={
                "readerd": __version__,
                **{name: version(name) for name in ("numpy", "scipy")},
                "assay sha256": self.assay.sha256,
                **self.digests,
            },
            remarks=self.result.warnings,
        )

    @property
    def _limits(self) -> tuple[float, float]:
        limits = self.assay.acceptance
        return limits.standard_recovery_pct, limits.standard_recovery_ends_pct


def quantify_file(
    assay: Assay, reading: TextFile, plate_map: TextFile | None, masks: Mapping[str, str]
) -> Quantified:
    """InputError for a bad file; RequestError when the file lacks what the assay needs."""
    text, source = reading
    table = plate_from_csv(text, source, format=assay.layout.format)
    reference_nm = _reference(assay, table.plates)
    result = quantify(
        assay,
        Reading(identity=Identity(model="file"), format=table.format, plates=table.plates),
        reference_nm=reference_nm,
        plate_map=None if plate_map is None else plate_map_from_csv(*plate_map),
        masks=masks,
    )
    given = {"reading": reading} | ({} if plate_map is None else {"plate map": plate_map})
    return Quantified(
        assay,
        result,
        source,
        reference_nm,
        files={what: name for what, (_, name) in given.items()},
        digests={f"{what} text sha256": _sha256(text) for what, (text, _) in given.items()},
    )


def _sha256(text: str) -> str:
    """Of the file's bytes, when it is UTF-8 without a mark of byte order."""
    return sha256(text.encode()).hexdigest()


def _reference(assay: Assay, plates: Mapping[int, object]) -> int | None:
    """The first reference wavelength of the assay that the file has."""
    read = assay.read
    if not read.reference_nm:
        return None
    for wavelength_nm in (read.reference_nm, *read.reference_alternatives_nm):
        if wavelength_nm in plates:
            return wavelength_nm
    held = ", ".join(map(str, plates))
    raise RequestError(
        ErrorCode.WAVELENGTH_UNAVAILABLE,
        f"assay {assay.id} corrects with {read.reference_nm} nm, the file holds {held} nm;"
        " add its column, or name another in read.reference_alternatives_nm",
    )
