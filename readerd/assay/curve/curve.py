"""A fitted curve as one value: what it predicts, how sure it is, what it reads back.

`covariance` is that of the free elements of `theta` (b, c, g as logarithms), None where there is
none (straight lines between points). `sigma2` times v(f) is the variance of one fitted point;
`per_point` wells stand behind one point, so one well has `sigma2 · per_point · v(f)`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from readerd.assay.curve import models
from readerd.assay.curve.models import Array
from readerd.assay.curve.weights import Variance

# the square of e to this power is still a number
_BEYOND = 300.0
# no concentration in any unit lies beyond e to plus or minus this
_LARGEST_LOG_DOSE = 250.0

CurveModel = Literal["4pl", "5pl", "5pl-mirrored", "linear", "log-log", "point-to-point"]


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve that may be used; for `point-to-point` theta holds the knots x then y."""

    model: CurveModel
    theta: Array
    names: tuple[str, ...]
    free: tuple[int, ...]
    covariance: Array | None
    variance: Variance
    sigma2: float | None
    df: int | None
    per_point: float

    @property
    def t_975(self) -> float | None:
        """The 97.5 % quantile of Student's t, None without degrees of freedom."""
        if not self.df:
            return None
        # here, because a terminal draws the curve without its band, and the import takes longer
        from scipy.special import stdtrit

        return float(stdtrit(self.df, 0.975))

    @property
    def params(self) -> dict[str, float]:
        """The natural parameters by name."""
        if self.model in ("4pl", "5pl", "5pl-mirrored"):
            return models.params_from(self.model, self.theta)
        if self.model == "point-to-point":
            return {}
        return dict(zip(self.names, self.theta.tolist(), strict=True))

    @property
    def rising(self) -> bool:
        if self.model == "point-to-point":
            knots = self.theta[self.theta.size // 2 :]
            return bool(knots[-1] > knots[0])
        return bool(self.theta[1] > (self.theta[0] if self.model in models.NAMES else 0.0))

    def value(self, log_x: Array) -> Array:
        """The response at ln x (-inf = dose zero)."""
        return self.value_and_gradient(log_x)[0]

    def value_and_gradient(self, log_x: Array) -> tuple[Array, Array]:
        """The response at ln x, and its gradient with one row per free element of theta."""
        theta = self.theta
        if self.model in ("4pl", "5pl", "5pl-mirrored"):
            f, rows = models.value_and_gradient(self.model, theta, log_x)
            return f, (rows if len(self.free) == theta.size else rows[list(self.free)])
        if self.model == "point-to-point":
            x, y = np.split(theta, 2)
            return np.interp(np.exp(log_x), x, y), np.empty((0, log_x.size))
        if self.model == "linear":
            rows = np.vstack([np.ones(log_x.size), np.exp(log_x)])
            return theta[0] + theta[1] * rows[1], rows
        finite = np.maximum(log_x, -_BEYOND)
        f = np.exp(np.clip(theta[0] + theta[1] * finite, -_BEYOND, _BEYOND))
        return f, np.vstack([f, f * finite])

    def slope(self, log_x: Array) -> Array:
        """dy/d(ln x)."""
        if self.model in ("4pl", "5pl", "5pl-mirrored"):
            return models.slope(self.model, self.theta, log_x)
        if self.model == "linear":
            return np.asarray(self.theta[1] * np.exp(log_x))
        if self.model == "log-log":
            return np.asarray(self.theta[1] * self.value(log_x))
        return np.zeros(log_x.size)

    def log_dose(self, y: Array) -> tuple[Array, NDArray[np.bool_]]:
        """ln x at each response, and where there is one (else 0)."""
        log_x, exists = self._log_dose(y)
        exists &= np.abs(log_x) < _LARGEST_LOG_DOSE
        return np.where(exists, log_x, 0.0), exists

    def _log_dose(self, y: Array) -> tuple[Array, NDArray[np.bool_]]:
        theta = self.theta
        if self.model in ("4pl", "5pl", "5pl-mirrored"):
            return models.log_dose(self.model, theta, y)
        if self.model == "log-log":
            exists = y > 0.0
            return (np.log(np.where(exists, y, 1.0)) - theta[0]) / theta[1], exists
        if self.model == "linear":
            x = (y - theta[0]) / theta[1]
        else:
            x, exists = _between_knots(theta, y)
            y = np.where(exists, y, 0.0)
        exists = (x > 0.0) & np.isfinite(x)
        return np.log(np.where(exists, x, 1.0)), exists

    def variance_of_value(self, rows: Array) -> Array:
        """The variance of the curve itself where its gradient is `rows`."""
        if self.covariance is None:
            return np.zeros(rows.shape[1])
        return np.asarray(np.einsum("ik,ij,jk->k", rows, self.covariance, rows))

    def variance_of_mean(self, y: Array, wells: Array) -> Array:
        """The variance of the mean of so many wells whose response is y."""
        if self.sigma2 is None:
            return np.zeros(y.size)
        v = self.variance.of(y)
        if self.model == "log-log":
            v = log_variance(self.variance, y) * y * y
        return np.asarray(self.sigma2 * self.per_point * v / wells)


def log_variance(variance: Variance, f: Array) -> Array:
    """v of ln y in a log-log fit: v(f)/f², but the same for every well with weights `none`."""
    if variance.kind == "none":
        return np.ones(f.shape)
    return np.asarray(variance.of(f) / np.maximum(f * f, variance.floor**2))


def _between_knots(theta: Array, y: Array) -> tuple[Array, NDArray[np.bool_]]:
    x, knots = np.split(theta, 2)
    if knots[-1] < knots[0]:
        x, knots = x[::-1], knots[::-1]
    exists = (y >= knots[0]) & (y <= knots[-1])
    return np.where(exists, np.interp(y, knots, x), 0.0), exists
