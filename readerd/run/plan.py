"""From a request to a plan: everything that can be refused is refused here, before a run exists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from readerd.assay.definition import Assay
from readerd.assay.kit import last_day
from readerd.assay.layout import PlateMap, bind
from readerd.errors import ErrorCode, InputError, RequestError
from readerd.payload import Kit, Operator, Trigger
from readerd.plate import Identity
from readerd.run.report import Plan
from readerd.run.settings import AssaysSettings, PlatesSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What an edge asks for: which plate, by whom, and the key that makes one press one run.

    `barcode_source` says who told the barcode. Lot and expiry replace those of the assay file; a
    lot of its own has no expiry but the one that is told with it.
    """

    key: str
    trigger: Trigger
    plate: str | None = None
    barcode_source: str | None = None
    assay: str | None = None
    operator: Operator | None = None
    reread_reason: str | None = None
    kit_lot: str | None = None
    kit_expires: str | None = None
    armed_only: bool = False  # refused unless a plate is announced


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this bridge allows: its assays by id and its `[assays]` and `[plates]` settings."""

    assays: Mapping[str, Assay]
    choice: AssaysSettings
    plates: PlatesSettings

    def assay_for(self, request: RunRequest, mapped: str | None = None) -> Assay:
        """By name, else by barcode (first match wins), else the plate map's, else the default."""
        name = request.assay or mapped or self.choice.default
        if request.assay is None and request.plate is not None:
            matches = (
                assay
                for pattern, assay in self.choice.by_barcode.items()
                if re.search(pattern, request.plate)
            )
            name = next(matches, name)
        if name not in self.assays:
            known = ", ".join(sorted(self.assays)) or "none"
            raise RequestError(ErrorCode.ASSAY_UNKNOWN, f"no assay {name!r}; there are: {known}")
        return self.assays[name]

    def check_plate(self, request: RunRequest, *, was_read: bool) -> None:
        """RequestError unless the barcode, the re-read and the operator are as `[plates]` wants."""
        plate, rules = request.plate, self.plates
        if plate is not None:
            self.check_barcode(plate)
        if was_read and rules.reread == "never":
            raise RequestError(
                ErrorCode.ALREADY_READ,
                f"plate {plate} has been read, and plates.reread forbids reading it again",
            )
        if was_read and rules.reread == "with-reason" and not _said(request.reread_reason):
            raise RequestError(
                ErrorCode.ALREADY_READ,
                f"plate {plate} has been read; {_reason_by(request)} to read it again",
            )
        operator = request.operator.id if request.operator else None
        if rules.require_operator and not _said(operator):
            text = f"say who reads: {_operator_by(request)}"
            raise RequestError(ErrorCode.OPERATOR_MISSING, text)

    def check_barcode(self, plate: str) -> None:
        """RequestError unless it looks as `[plates]` wants."""
        if not re.fullmatch(self.plates.barcode, plate):
            raise RequestError(
                ErrorCode.BARCODE_INVALID,
                f"barcode {plate!r} does not match {self.plates.barcode}",
            )

    def check_mapped(self, plate: str | None, *, is_mapped: bool) -> None:
        """RequestError when sample ids are required and the LIMS has sent none."""
        if self.plates.plate_map == "required" and not is_mapped:
            what = f"plate {plate}" if plate else "a plate without a barcode"
            text = f"no plate map for {what}; plates.plate_map requires one before the read"
            raise RequestError(ErrorCode.PLATE_MAP_MISSING, text)


def _reason_by(request: RunRequest) -> str:
    """How whoever asks gives a reason; who has a scanner in hand has no options."""
    ways = {"cli": "give --reread --reason TEXT", "button": "scan a reason"}
    return ways.get(request.trigger.kind, "give reread_reason")


def _operator_by(request: RunRequest) -> str:
    ways = {"cli": "--operator NAME", "button": "scan a badge"}
    return ways.get(request.trigger.kind, "operator")


def _said(text: str | None) -> bool:
    return bool(text and text.strip())


def kit_of(request: RunRequest, assay: Assay) -> Kit:
    """The kit that this plate was made with; RequestError when its expiry is no date."""
    lot, expires = request.kit_lot or assay.kit.lot, request.kit_expires
    if expires:
        try:
            last_day(expires)
        except ValueError as error:
            text = f"kit_expires {expires!r}: {error}"
            raise RequestError(ErrorCode.INVALID_PAYLOAD, text) from None
    elif lot == assay.kit.lot:  # the file's expiry is that of the file's lot
        expires = assay.kit.expires
    return Kit(lot=lot or None, expires=expires or None)


def check_map(plate_map: PlateMap, wells: int | None, assay: Assay) -> None:
    """RequestError unless the map's positions and format are the assay's."""
    if wells not in (None, assay.layout.format):
        text = f"the plate map has {wells} wells, assay {assay.id} {assay.layout.format}"
        raise RequestError(ErrorCode.FORMAT_UNSUPPORTED, text)
    try:
        bind(assay.layout, {}, plate_map)
    except InputError as error:
        raise RequestError(ErrorCode.INVALID_PAYLOAD, f"assay {assay.id}: {error}") from None


def make_plan(
    request: RunRequest,
    assay: Assay,
    identity: Identity,
    was_read: bool,
    plate_map: PlateMap | None = None,
) -> Plan:
    """The plan, or RequestError when the instrument cannot measure what the assay needs."""
    return Plan(
        key=request.key,
        assay=assay.id,
        plate=request.plate,
        barcode_source=request.barcode_source,
        trigger=request.trigger,
        operator=request.operator,
        reread=was_read,
        reread_reason=request.reread_reason if was_read else None,
        kit=kit_of(request, assay),
        measurement_nm=_measurement(assay, identity),
        reference_nm=_reference(assay, identity),
        requested_reference_nm=assay.read.reference_nm or None,
        plate_map=plate_map,
    )


def _measurement(assay: Assay, identity: Identity) -> int:
    wanted = assay.read.measurement_nm
    if not identity.offers(wanted):
        raise RequestError(
            ErrorCode.WAVELENGTH_UNAVAILABLE,
            f"assay {assay.id} measures at {wanted} nm, {_fitted(identity)}",
        )
    return wanted


def _reference(assay: Assay, identity: Identity) -> int | None:
    wanted = assay.read.reference_nm
    if not wanted:
        return None
    for candidate in (wanted, *assay.read.reference_alternatives_nm):
        if identity.offers(candidate):
            return candidate
    raise RequestError(
        ErrorCode.WAVELENGTH_UNAVAILABLE,
        f"assay {assay.id} corrects with {wanted} nm, {_fitted(identity)};"
        " reference_alternatives_nm in the assay may allow one of them",
    )


def _fitted(identity: Identity) -> str:
    fitted = ", ".join(map(str, identity.wavelengths_nm or ())) or "no filter"
    return f"but the {identity.model} has {fitted} nm fitted"
