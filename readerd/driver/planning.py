"""What every driver refuses in the same words, before anything is sent."""

from readerd.errors import ErrorCode, RequestError
from readerd.plate import Identity, ReadRequest


def refuse_unfitted(request: ReadRequest, identity: Identity) -> None:
    """RequestError, naming the fitted filters, when a wavelength of the request is not fitted."""
    missing = [str(nm) for nm in request.wavelengths_nm if not identity.offers(nm)]
    if missing:
        fitted = ", ".join(str(nm) for nm in identity.wavelengths_nm or ()) or "none"
        text = f"no {' and no '.join(missing)} nm filter is fitted; fitted are {fitted} nm"
        raise RequestError(ErrorCode.WAVELENGTH_UNAVAILABLE, text)
