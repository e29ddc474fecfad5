"""The laboratory's fallbacks: a straight line, a straight line in logarithms, dot to dot.

`linear` is y = a + b·x with the assay's weights. `log-log` is a straight line through ln y over
ln x; with weights `none` every well counts the same there, which is what other software prints.
Both iterate their weights to the fixed point as the sigmoids do. Dose zero has no logarithm: it
stays out of `log-log`. `point-to-point` joins the level means and knows no error.
"""

import numpy as np
from scipy.linalg.lapack import dposv

from readerd.assay.curve.curve import log_variance
from readerd.assay.curve.models import Array
from readerd.assay.curve.sigmoid import Points
from readerd.assay.curve.solve import Rest
from readerd.assay.curve.weights import Variance

_ROUNDS = 200
_TOLERANCE = 1e-13


def fit_line(points: Points, variance: Variance, *, logarithms: bool) -> Rest | None:
    """The weighted line, or None when it is not determined. `f` and `v` are of y, or of ln y."""
    x = points.log_x if logarithms else points.x
    y = np.log(points.y) if logarithms else points.y
    rows = np.vstack([np.ones(x.size), x])
    steady = np.maximum(np.abs(points.level_mean), 0.02 * np.ptp(points.level_mean))
    v = log_variance(variance, steady) if logarithms else variance.of(steady)
    theta = np.zeros(2)
    for _ in range(_ROUNDS):
        weighted = rows / v
        h = weighted @ rows.T
        _, renewed, info = dposv(h, weighted @ y)
        if info != 0:
            return None
        moved = float(np.max(np.abs(renewed - theta)))
        theta = renewed
        f = theta @ rows
        v = log_variance(variance, np.exp(f)) if logarithms else variance.of(f)
        if moved <= _TOLERANCE * float(np.max(np.abs(theta))):
            return _rest(theta, f, v, rows, y)
    return None


def _rest(theta: Array, f: Array, v: Array, rows: Array, y: Array) -> Rest:
    r = y - f
    h = (rows / v) @ rows.T
    return Rest(theta, f, v, h, float(np.dot(r / v, r)), True, ())
