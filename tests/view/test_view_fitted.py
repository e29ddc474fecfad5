"""The drawn curve is the fitted curve: values and band agree with the curve room's own."""

import math
from dataclasses import replace

import numpy as np
import pytest

from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.fit import calibrate
from readerd.assay.curve.models import EQUATIONS, log_of
from readerd.assay.curve.settings import CurveSettings, Model
from readerd.assay.result import PlateResult
from readerd.view.fitted import standardised, trace

DOSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
NOISE = (1.0, -0.6, 0.3, -1.1, 0.8, 0.2, -0.9, 0.5, -0.4, 0.7)


def response(model: str, x: float) -> float:
    if model == "linear":
        return 0.05 + 0.004 * x
    if model == "log-log":
        return float(0.01 * x**0.8)
    q = (x / 40.0) ** 1.3
    if model == "5pl":
        return float(3.0 - 2.95 / (1 + q) ** 0.5)
    if model == "5pl-mirrored":
        return float(0.05 + 2.95 / (1 + 1 / q) ** 0.5)
    return float(3.0 - 2.95 / (1 + q))


@pytest.mark.parametrize(
    "model", ["4pl", "5pl", "5pl-mirrored", "linear", "log-log", "point-to-point"]
)
def test_trace_is_what_the_curve_room_fitted(model: Model) -> None:
    assert set(EQUATIONS) >= {model}
    levels = [
        LevelData(
            position=f"S{rank}",
            nominal=x,
            responses=tuple(response(model, x) * (1 + 0.002 * s * n) for s in (1, -1.5)),
        )
        for rank, (x, n) in enumerate(zip(DOSES, NOISE, strict=True))
    ]
    calibration = calibrate(levels, CurveSettings(model=model))
    curve = calibration.curve
    assert curve is not None, calibration.fit.reason
    xs = np.geomspace(1.2, 480, 25)
    points = trace(calibration.fit, xs.tolist(), band=True)
    values, rows = curve.value_and_gradient(log_of(xs))
    assert [p.y for p in points] == pytest.approx(values.tolist(), rel=1e-9)
    if curve.covariance is None:
        assert all(p.low is None and p.high is None for p in points)
        return
    assert curve.t_975 is not None
    half = curve.t_975 * np.sqrt(curve.variance_of_value(rows))
    drawn = [p.high - p.y for p in points if p.high is not None]
    assert drawn == pytest.approx(half.tolist(), rel=1e-9)


def test_standardised_residuals_have_the_size_of_sigma(good: PlateResult) -> None:
    """With sigma = 1 and v = s0² + (cv·f)², an offset of one noise SD scores 1."""
    assert good.fit is not None
    fit = replace(good.fit, sigma=1.0)
    (at,) = trace(fit, [75.0])
    spread = math.hypot(0.005, 0.05 * at.y)
    scores = standardised(fit, [(75.0, at.y), (75.0, at.y + spread), (75.0, at.y - 2 * spread)])
    assert scores == pytest.approx((0.0, 1.0, -2.0))


def test_without_a_curve_there_is_nothing_to_draw(failed: PlateResult) -> None:
    assert trace(failed.fit, [1.0, 2.0]) == ()
    assert trace(None, [1.0]) == ()
    assert failed.fit is not None
    assert standardised(failed.fit, [(1.0, 0.1)]) == (None,)
