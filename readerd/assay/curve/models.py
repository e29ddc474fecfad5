"""The sigmoid curves: value, gradient, inverse. numpy only.

All three are y = a + (d-a)·R(u) with u = b·(ln x - ln c) and R rising from 0 to 1:

    4pl            R = 1 / (1 + e^-u)
    5pl            R = 1 - (1 + e^u)^-g
    5pl-mirrored   R = (1 + e^-u)^-g

a is the response at dose zero, d at infinite dose; b, c, g > 0 are carried as logarithms
(`theta` = a, d, ln b, ln c and, in a 5PL, ln g). Dose zero is ln x = -inf: u is held at -1e5, where
R and all its derivatives are 0 in double precision, which is the limit itself. Above, u is held
at 700, so that e^u does not overflow.
"""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sigmoid = Literal["4pl", "5pl", "5pl-mirrored"]

EQUATIONS: Mapping[str, str] = {
    "4pl": "y=d+(a-d)/(1+(x/c)^b)",
    "5pl": "y=d+(a-d)/(1+(x/c)^b)^g",
    "5pl-mirrored": "y=a+(d-a)/(1+(x/c)^(-b))^g",
    "linear": "y=a+b*x",
    "log-log": "ln(y)=a+b*ln(x)",
    "point-to-point": "straight lines between the level means",
}
# the same, solved for the dose
INVERSES: Mapping[str, str] = {
    "4pl": "x=c*((y-a)/(d-y))^(1/b)",
    "5pl": "x=c*(((d-a)/(d-y))^(1/g)-1)^(1/b)",
    "5pl-mirrored": "x=c*(((d-a)/(y-a))^(1/g)-1)^(-1/b)",
    "linear": "x=(y-a)/b",
    "log-log": "x=exp((ln(y)-a)/b)",
    "point-to-point": "on the straight line between the two level means around y",
}
# order of theta; b, c and g stand there as logarithms
NAMES: Mapping[str, tuple[str, ...]] = {
    "4pl": ("a", "d", "b", "c"),
    "5pl": ("a", "d", "b", "c", "g"),
    "5pl-mirrored": ("a", "d", "b", "c", "g"),
}
_LOWEST_U = -1e5
_HIGHEST_U = 700.0


def theta_from(model: Sigmoid, params: Mapping[str, float]) -> Array:
    """theta from the natural parameters."""
    logs = [np.log(params[name]) for name in NAMES[model][2:]]
    return np.array([params["a"], params["d"], *logs])


def params_from(model: Sigmoid, theta: Array) -> dict[str, float]:
    """The natural parameters a, b, c, d (and g) of theta."""
    values = [*theta[:2].tolist(), *np.exp(theta[2:]).tolist()]
    named = dict(zip(NAMES[model], values, strict=True))
    return {name: named[name] for name in sorted(named)}


def _argument(theta: Array, log_x: Array) -> Array:
    u: Array = (log_x - theta[3]) * np.exp(theta[2])
    np.maximum(u, _LOWEST_U, out=u)
    np.minimum(u, _HIGHEST_U, out=u)
    return u


def rise(model: Sigmoid, theta: Array, log_x: Array) -> tuple[Array, Array, Array, Array | None]:
    """u, R, dR/du and, in a 5PL, dR/d(ln g)."""
    u = _argument(theta, log_x)
    e = np.exp(u)
    q = 1.0 / (1.0 + e)
    if model == "4pl":
        r = e * q
        return u, r, r * q, None
    g = float(np.exp(theta[4]))
    if model == "5pl":
        soft = np.log1p(e)
        tail = g * np.exp(-g * soft)
        return u, -np.expm1(-g * soft), tail * (e * q), tail * soft
    soft = np.logaddexp(0.0, -u)
    r = np.exp(-g * soft)
    return u, r, g * r * q, -g * soft * r


def rise_at(model: Sigmoid, theta: Array, log_x: float) -> float:
    """R at one dose, without the cost of arrays."""
    u = (log_x - float(theta[3])) * math.exp(theta[2])
    u = min(max(u, _LOWEST_U), _HIGHEST_U)
    if model == "4pl":
        return 1.0 / (1.0 + math.exp(-u)) if u > -_HIGHEST_U else 0.0
    return float(rise(model, theta, np.array([log_x]))[1][0])


def value(model: Sigmoid, theta: Array, log_x: Array) -> Array:
    """The response at ln x."""
    r = rise(model, theta, log_x)[1]
    return np.asarray(theta[0] + (theta[1] - theta[0]) * r)


def value_and_gradient(model: Sigmoid, theta: Array, log_x: Array) -> tuple[Array, Array]:
    """The response at ln x and its gradient, one row per element of theta."""
    u, r, du, dg = rise(model, theta, log_x)
    span = theta[1] - theta[0]
    rows = np.empty((theta.size, log_x.size))
    rows[0] = 1.0 - r
    rows[1] = r
    du *= span
    np.multiply(du, u, out=rows[2])
    np.multiply(du, -np.exp(theta[2]), out=rows[3])
    if dg is not None:
        np.multiply(dg, span, out=rows[4])
    return theta[0] + span * r, rows


def slope(model: Sigmoid, theta: Array, log_x: Array) -> Array:
    """dy/d(ln x)."""
    du = rise(model, theta, log_x)[2]
    return np.asarray((theta[1] - theta[0]) * np.exp(theta[2]) * du)


def log_dose(model: Sigmoid, theta: Array, y: Array) -> tuple[Array, NDArray[np.bool_]]:
    """ln x at each response, and where it exists: strictly between the asymptotes."""
    share = (y - theta[0]) / (theta[1] - theta[0])
    exists = (share > 0.0) & (share < 1.0)
    share = np.where(exists, share, 0.5)
    if model == "4pl":
        u = np.log(share) - np.log1p(-share)
    elif model == "5pl":
        u = _log_expm1(-np.log1p(-share) / np.exp(theta[4]))
    else:
        u = -_log_expm1(-np.log(share) / np.exp(theta[4]))
    return np.asarray(theta[3] + u / np.exp(theta[2])), exists


def _log_expm1(z: Array) -> Array:
    """ln(e^z - 1) for z > 0, without overflow."""
    return np.asarray(z + np.log(-np.expm1(-z)))


def log_of(x: Array) -> Array:
    """ln x with -inf at dose zero."""
    result = np.full(x.shape, -np.inf)
    np.log(x, out=result, where=x > 0)
    return result
