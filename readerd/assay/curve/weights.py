"""How uncertain one well is, as a function of the fitted response: w = 1/v(f).

`none` is v = 1, `1/y` is v = |f|, and both `1/y^2` and `variance` are v = s0² + (cv·f)²: with
s0 = 0 and cv = 1 the one, with s0 = 1 and cv = 0 again `none`. f is the fitted curve, never the
observed response: weights from noisy responses favour the wells that happen to be low (2.3 % bias
at the low end). Where f comes near zero, v of the pure `1/y` kinds is held up by `floor`.
"""

from dataclasses import dataclass

import numpy as np

from readerd.assay.curve.models import Array
from readerd.assay.curve.settings import CurveSettings, WeightKind

# share of the largest level mean below which a response counts as zero in 1/y and 1/y^2
_ZERO_RESPONSE = 1e-4


@dataclass(frozen=True, slots=True)
class Variance:
    """v(f) of one well, up to the common factor sigma² that the fit estimates."""

    kind: WeightKind
    s0: float
    cv: float
    floor: float

    @property
    def constant(self) -> bool:
        return self.kind == "none" or (self.kind == "variance" and self.cv == 0.0)

    def of(self, f: Array) -> Array:
        """v(f), one value per element of f."""
        if self.constant:
            return np.full(f.shape, 1.0 if self.kind == "none" else self.s0 * self.s0)
        if self.kind == "1/y":
            return np.asarray(np.maximum(np.abs(f), self.floor))
        v = self.cv * f
        v *= v
        v += self.s0 * self.s0
        return np.asarray(np.maximum(v, (self.cv * self.floor) ** 2))

    def floored(self, f: Array) -> bool:
        """Whether the floor decides the weight of one of these wells."""
        if self.kind in ("1/y", "1/y^2"):
            return bool((np.abs(f) <= self.floor).any())
        return False


def variance_of(settings: CurveSettings, largest: float) -> Variance:
    """The assay's variance function; `largest` is the largest level mean in absolute terms."""
    floor = _ZERO_RESPONSE * largest
    if settings.weighting == "variance":
        return Variance("variance", settings.s0, settings.cv, floor)
    if settings.weighting == "1/y^2":
        return Variance("1/y^2", 0.0, 1.0, floor)
    return Variance(settings.weighting, 1.0, 0.0, floor)
