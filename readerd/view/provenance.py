"""Where a plate comes from: the lines above and below its numbers on a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from readerd.payload import ResultData


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """All that a report says besides numbers. What is not known is empty and leaves no trace."""

    plate: str = ""
    analyte: str = ""
    measurement_nm: int | None = None
    reference_nm: int | None = None
    head: Mapping[str, str] = field(default_factory=dict)  # label -> text, in reading order
    foot: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()  # warnings and notes of instrument and assay
    failure: str = ""  # why no plate was delivered

    @property
    def response(self) -> str:
        """What the numbers of the corrected layer are: `450 – 570 nm`."""
        if self.measurement_nm is None:
            return "corrected"
        if not self.reference_nm:
            return f"{self.measurement_nm} nm"
        return f"{self.measurement_nm} – {self.reference_nm} nm"


def provenance_of(data: ResultData, analyte: str = "") -> Provenance:
    """The provenance that a result message carries."""
    return Provenance(
        plate=data.plate.barcode or "",
        analyte=analyte or data.software.assay.id,
        measurement_nm=data.read.measurement_nm,
        reference_nm=data.read.reference_nm,
        head=_known(_head(data)),
        foot=_known(_foot(data)),
        remarks=(*data.instrument.warnings, *data.instrument.notes),
        failure=data.failure.text if data.failure else "",
    )


def _known(pairs: Mapping[str, str | None]) -> dict[str, str]:
    return {label: text for label, text in pairs.items() if text}


def moment(at: datetime | None) -> str | None:
    """`2026-03-04 09:15:42 +01:00`."""
    if at is None:
        return None
    zone = at.strftime("%z")
    return at.strftime("%Y-%m-%d %H:%M:%S") + (f" {zone[:3]}:{zone[3:5]}" if zone else "")


def _head(data: ResultData) -> dict[str, str | None]:
    assay, instrument, run = data.software.assay, data.instrument, data.run
    serial = f"serial {instrument.serial}" if instrument.serial else None
    machine = [instrument.model, serial, instrument.firmware]
    read_type = None if run.read_type == "normal" else f"{run.read_type}, attempt {run.attempt}"
    revision = f"{data.revision}: {data.reason or 'no reason given'}" if data.revision > 1 else None
    temperature = data.read.temperature_c
    return {
        "plate": data.plate.barcode,
        "run": run.id,
        "assay": f"{assay.id}, version {assay.version}",
        "instrument": ", ".join(part for part in machine if part),
        "reader": f"{instrument.reader} ({instrument.driver})",
        "operator": run.operator.id if run.operator else None,
        "started": moment(run.started_at),
        "finished": moment(run.finished_at),
        "kit lot": data.kit.lot,
        "kit expires": data.kit.expires,
        "temperature": f"{temperature:.1f} °C" if temperature is not None else None,
        "read": read_type,
        "revision": revision,
        "review": data.review,
    }


def _foot(data: ResultData) -> dict[str, str | None]:
    raw = data.raw
    return {
        "readerd": data.software.version,
        "assay sha256": data.software.assay.sha256,
        "configuration sha256": data.software.config_sha256,
        "wire bytes sha256": f"{raw.sha256} ({raw.bytes} bytes)" if raw else None,
    }
