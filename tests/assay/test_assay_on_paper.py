"""What follows on paper: every number of a straight line, F tests, limits, the choice of `auto`."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.special import betainc, stdtrit

from readerd.assay.curve.checks import LevelData, explains_nothing
from readerd.assay.curve.curve import Curve
from readerd.assay.curve.fit import fit_standards
from readerd.assay.curve.inverse import read_means
from readerd.assay.curve.models import (
    NAMES,
    Array,
    Sigmoid,
    rise,
    rise_at,
    theta_from,
    value_and_gradient,
)
from readerd.assay.curve.report import cv_pct
from readerd.assay.curve.settings import CurveSettings, FitTo, Model, WeightKind
from readerd.assay.curve.weights import Variance, variance_of
from readerd.assay.result import Fit
from readerd.assay.unknowns import read_unknowns

WEIGHTS: tuple[WeightKind, ...] = ("variance", "none", "1/y", "1/y^2")
S0, CV = 0.02, 0.06
X = np.repeat([1.0, 2.0, 4.0, 8.0, 16.0], [2, 3, 2, 1, 2])
NOISE = np.array([0.9, 1.04, 0.97, 1.06, 0.93, 1.05, 1.02, 0.94, 1.01, 1.08])


@dataclass(frozen=True)
class Line:
    """Weighted least squares by the normal equations, at given weights."""

    theta: Array
    inverse: Array
    wssr: float

    @staticmethod
    def through(x: Array, y: Array, v: Array) -> "Line":
        rows = np.column_stack([np.ones(x.size), x])
        inverse = np.asarray(np.linalg.inv(rows.T @ (rows / v[:, None])), dtype=float)
        theta = np.asarray(inverse @ rows.T @ (y / v), dtype=float)
        return Line(theta, inverse, float(((y - rows @ theta) ** 2 / v).sum()))


def v_of(kind: WeightKind, f: Array, logarithms: bool) -> Array:
    """The variance function as the assay file states it; of ln y it is v/f², but for `none`."""
    v = {"variance": S0**2 + (CV * f) ** 2, "none": np.ones(f.size), "1/y": abs(f), "1/y^2": f * f}
    return np.asarray(v[kind] / f**2 if logarithms and kind != "none" else v[kind])


def fit_of(wells: list[tuple[float, float]], rule: CurveSettings) -> Fit:
    return fit_standards([x for x, _ in wells], [y for _, y in wells], rule).fit


def settings(model: Model, kind: WeightKind, fit_to: FitTo = "wells") -> CurveSettings:
    return CurveSettings(model=model, weighting=kind, fit_to=fit_to, s0=S0, cv=CV)


def noisy_line(logarithms: bool) -> Array:
    return np.asarray((0.2 * X**0.8 if logarithms else 0.1 + 0.2 * X) * NOISE)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("model", ["linear", "log-log"])
def test_every_number_of_a_straight_line(model: Model, kind: WeightKind) -> None:
    logarithms = model == "log-log"
    y = noisy_line(logarithms)
    fit = fit_standards(X.tolist(), y.tolist(), settings(model, kind)).fit
    z, t = (np.log(X), np.log(y)) if logarithms else (X, y)
    a, b = fit.params["a"], fit.params["b"]
    f = np.exp(a + b * z) if logarithms else a + b * z
    v = v_of(kind, f, logarithms)
    line = Line.through(z, t, v)
    # the weights of the fitted line give this very line again
    assert (a, b) == pytest.approx(line.theta, rel=1e-9)
    n, df, k = X.size, X.size - 2, 3
    sigma2 = line.wssr / df
    assert (fit.df, fit.wssr, fit.sigma) == pytest.approx((df, line.wssr, sigma2**0.5))
    assert fit.covariance is not None
    assert fit.stderr is not None
    (aa, ab), (bb,) = fit.covariance.upper
    assert (aa, ab, bb) == pytest.approx((line.inverse * sigma2)[[0, 0, 1], [0, 1, 1]])
    assert fit.stderr == pytest.approx({"a": aa**0.5, "b": bb**0.5})
    squares = ((y - f) ** 2).sum()
    assert fit.rmse == pytest.approx((squares / n) ** 0.5)
    assert fit.r2 == pytest.approx(1 - squares / ((y - y.mean()) ** 2).sum())
    likelihood = n * math.log(line.wssr / n) + np.log(v).sum()
    assert fit.aicc == pytest.approx(likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1))
    pure = sum(((t[i] - t[at == X].mean()) ** 2 / v[i]) for i, at in enumerate(X))
    assert fit.lack_of_fit is not None
    f_ratio = (line.wssr - pure) / 3 / (pure / 5)
    assert (fit.lack_of_fit.df1, fit.lack_of_fit.df2) == (3, 5)
    assert fit.lack_of_fit.f == pytest.approx(f_ratio)
    assert fit.lack_of_fit.p == pytest.approx(betainc(2.5, 1.5, 5 / (5 + 3 * f_ratio)))


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("model", ["linear", "log-log"])
def test_an_unknown_of_three_wells_on_a_straight_line(model: Model, kind: WeightKind) -> None:
    logarithms = model == "log-log"
    calibration = fit_standards(X.tolist(), noisy_line(logarithms).tolist(), settings(model, kind))
    fit, df = calibration.fit, X.size - 2
    assert fit.covariance is not None
    assert fit.sigma is not None
    (aa, ab), (bb,) = fit.covariance.upper
    a, b, sigma2 = fit.params["a"], fit.params["b"], fit.sigma**2
    wells = [0.75, 0.9, 0.84]
    mean = sum(wells) / 3
    (delta,) = read_unknowns(calibration, {"u": wells}, flat=math.inf)
    z0 = ((math.log(mean) if logarithms else mean) - a) / b
    x0 = math.exp(z0) if logarithms else z0
    own = sigma2 * v_of(kind, np.array([mean]), logarithms)[0] / 3
    total = own + aa + 2 * z0 * ab + z0 * z0 * bb
    relative = total**0.5 / (b if logarithms else b * z0)
    reach = stdtrit(df, 0.975) * relative
    assert (delta.concentration, delta.se) == pytest.approx((x0, x0 * relative))
    assert delta.ci95 == pytest.approx((x0 * math.exp(-reach), x0 * math.exp(reach)))
    assert delta.ci95_method == "delta"
    assert delta.cv_pct == pytest.approx(100 * float(np.std(wells, ddof=1)) / mean)
    (inverted,) = read_unknowns(calibration, {"u": wells}, flat=0.0)
    assert inverted.ci95_method == "inversion"
    assert inverted.ci95 is not None
    for end in inverted.ci95:
        assert end is not None
        at = np.array([math.log(end) if logarithms else end])
        expected = np.exp(a + b * at) if logarithms else a + b * at
        scale = expected if logarithms else np.ones(1)
        spread = sigma2 * v_of(kind, expected, logarithms) / 3 + aa + 2 * at * ab + at * at * bb
        distance = abs(mean - expected) / (stdtrit(df, 0.975) * scale * spread**0.5)
        assert distance == pytest.approx([1.0], rel=1e-9)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("model", ["linear", "log-log"])
def test_level_means_on_a_line_are_as_sure_as_their_wells(model: Model, kind: WeightKind) -> None:
    x = [1.0, 2.0, 4.0, 8.0, 16.0]
    means = [0.3 * dose for dose in x]
    spread = [(-0.1, 0.1), (0.0,), (-0.05, 0.02, 0.03), (-0.1, 0.1), (-0.2, 0.05, 0.15)]
    pairs = [(d, m * (1 + s)) for d, m, row in zip(x, means, spread, strict=True) for s in row]
    fit = fit_of(pairs, settings(model, kind, "level_means"))
    logarithms = model == "log-log"
    f = np.array(means)
    v = v_of(kind, f, logarithms)
    squares = np.array([sum(s * s for s in row) for row in spread]) * (1 if logarithms else f**2)
    per_point = 5 / sum(1 / len(row) for row in spread)
    df = (5 - 2) + (11 - 5)
    sigma2 = (squares / v).sum() / per_point / df
    z, t = (np.log(x), np.log(f)) if logarithms else (np.array(x), f)
    inverse = Line.through(z, t, v).inverse
    assert fit.stderr is not None
    assert fit.wssr == pytest.approx(0.0, abs=1e-20)
    assert (fit.sigma, fit.df) == pytest.approx((sigma2**0.5, df))
    assert fit.stderr == pytest.approx(
        {name: (sigma2 * inverse[i, i]) ** 0.5 for i, name in enumerate("ab")}
    )


def test_mean_of_concentrations_on_a_line() -> None:
    y = (0.1 + 0.2 * X) * NOISE
    calibration = fit_standards(X.tolist(), y.tolist(), settings("linear", "none"))
    fit = calibration.fit
    assert fit.covariance is not None
    assert fit.sigma is not None
    a, b = fit.params["a"], fit.params["b"]
    (aa, ab), (bb,) = fit.covariance.upper
    groups = {"one": [0.9], "three": [0.75, 1.4, 0.84], "off": [a - 0.1, 0.9], "two": [2.0, 2.2]}
    found = read_unknowns(calibration, groups, replicates="mean-concentration")
    assert found[2].status == "unreadable"
    for unknown in (found[0], found[1], found[3]):
        x = (np.array(groups[unknown.id]) - a) / b
        mean, n = float(x.mean()), x.size
        # d(mean)/da = -1/b, d(mean)/db = -mean/b, and every well its own sigma
        se = (fit.sigma**2 / n + aa + 2 * mean * ab + mean * mean * bb) ** 0.5 / b
        reach = stdtrit(8, 0.975) * se / mean
        assert (unknown.concentration, unknown.se) == pytest.approx((mean, se))
        assert unknown.ci95 == pytest.approx((mean * math.exp(-reach), mean * math.exp(reach)))
        assert unknown.ci95_method == "delta"


def test_mean_of_concentrations_dot_to_dot() -> None:
    x, y = [1.0, 2.0, 4.0], [0.9, 0.5, 0.1]
    calibration = fit_standards(x, y, CurveSettings(model="point-to-point"))
    groups = {"two": [0.7, 0.3], "off": [0.3, 0.05]}
    two, off = read_unknowns(calibration, groups, replicates="mean-concentration")
    assert two.concentration == pytest.approx((1.5 + 3.0) / 2)
    assert (two.se, two.ci95, two.status) == (None, None, "ok")
    assert (off.concentration, off.status, off.qualifier) == (None, "unreadable", None)


def test_an_error_beyond_all_numbers_is_an_open_interval() -> None:
    for reach in (650.0, 699.0, 701.0, 720.0, 1e4):
        sd = reach / stdtrit(8, 0.975)
        parts = (np.array([0.0, 1.0]), ("a", "b"), (0, 1), np.diag([sd**2, 0.0]))
        curve = Curve("linear", *parts, Variance("none", 1.0, 0.0, 0.0), 0.0, 8, 1.0)
        (found,) = read_means(curve, np.ones(1), np.ones(1), (0.1, 10.0), flat=math.inf)
        assert found is not None
        closed = (math.exp(-reach), math.exp(reach)) if reach < 700 else (None, None)
        assert found.ci95 == (closed if None in closed else pytest.approx(closed, rel=1e-9))


def test_f_of_three_parameters_has_a_closed_form() -> None:
    for wssr, n in ((9.5, 12), (7.0, 30), (4.0, 12), (0.9, 6)):
        f = (10.0 - wssr) / 2 / (wssr / (n - 3))
        p = (1 + 2 * f / (n - 3)) ** (-(n - 3) / 2)
        said = explains_nothing(wssr, 10.0, n, 3)
        # a curve that leaves a tenth of the scatter is one, however few the points
        refused = p > 0.01 and wssr > 1.0
        assert (said is not None) == refused
        assert said is None or f"(p = {p:.2g})" in said
    assert explains_nothing(10.1, 10.0, 12, 3) is not None
    # nothing to compare: one parameter, no freedom left, no residual
    assert [explains_nothing(*case) for case in ((9, 10, 9, 1), (9, 10, 3, 3), (0, 0, 9, 3))] == [
        None
    ] * 3


@pytest.mark.parametrize("model", ["linear", "log-log", "4pl"])
def test_scatter_without_a_slope_is_no_curve(model: Model) -> None:
    x = [float(2**k) for k in range(8) for _ in range(3)]
    y = [1.0 + s + 0.001 * k for k in range(8) for s in (-0.3, 0.0, 0.3)]
    fixed = {"b": 1.0, "c": 8.0} if model == "4pl" else {}
    fit = fit_standards(x, y, CurveSettings(model=model, min_span=1e-3, s0=1e-4, fixed=fixed)).fit
    assert fit.params == {}
    assert "no better than their mean (p = " in (fit.reason or "")
    if model != "4pl":
        plain = fit_standards(x, y, CurveSettings(model=model, weighting="none", min_span=1e-3)).fit
        share = np.corrcoef(*((x, y) if model == "linear" else (np.log(x), np.log(y))))[0, 1] ** 2
        # F = 22·r²/(1 - r²) with 1 and 22 degrees of freedom
        assert f"(p = {betainc(11, 0.5, 1 - share):.2g})" in (plain.reason or "")


def test_what_cannot_be_a_curve_is_refused_at_its_limits() -> None:
    def reason(x: list[float], span: float, **choice: float) -> str:
        y = [0.1, 0.1 + 0.2 * span, 0.1 + 0.5 * span, 0.1 + 0.8 * span, 0.1 + span]
        fit = fit_standards(x, y, replace(CurveSettings(), **choice)).fit  # type: ignore[arg-type]
        return fit.reason or ""

    x = [1.0, 2.0, 4.0, 8.0, 16.0]
    # 0.2 OD, or five times s0 where that is more
    assert [bool(reason(x, span)) for span in (0.199, 0.201)] == [True, False]
    assert [bool(reason(x, span, s0=0.1)) for span in (0.499, 0.501)] == [True, False]
    assert [bool(reason(x, span, min_span=0.6)) for span in (0.599, 0.601)] == [True, False]
    assert reason(x, 2.0, s0=-0.1) == reason(x, 2.0, cv=-0.1) == "s0 and cv cannot be negative"
    wide = [[1e-12 * edge, 1e-6, 1e-5, 1e-4, 1.0] for edge in (0.99, 1.01)]
    assert ["cannot belong to one curve" in reason(doses, 2.0) for doses in wide] == [True, False]


def test_doses_that_are_one_to_rounding_determine_no_line() -> None:
    x = [1 + k * 5e-8 for k in range(5)]
    fit = fit_standards(x, [0.1, 0.5, 0.9, 1.31, 1.7], settings("linear", "none")).fit
    assert fit.reason == "the standards do not determine the parameters"


def test_beyond_the_standards_there_is_a_number_only_for_who_asks() -> None:
    x = [1.0, 2.0, 4.0, 8.0]
    calibration = fit_standards(x, [0.1 + 0.2 * v for v in x], settings("linear", "none"))
    (plain,) = read_unknowns(calibration, {"u": [2.1]})
    (asked,) = read_unknowns(calibration, {"u": [2.1]}, extrapolate=True)
    assert (plain.concentration, plain.extrapolated, plain.limit) == (None, None, 8.0)
    assert asked.extrapolated == pytest.approx(10.0)
    assert replace(asked, extrapolated=None) == plain


def test_loose_standards_are_named_from_the_highest_dose_down() -> None:
    levels = fit_standards(
        [1.0, 4.0, 2.0], [0.1, 0.4, 0.2], CurveSettings(model="linear")
    ).fit.levels
    assert [(level.position, level.nominal) for level in levels] == [
        ("S1", 4.0),
        ("S2", 2.0),
        ("S3", 1.0),
    ]


@pytest.mark.parametrize("model", ["4pl", "5pl", "5pl-mirrored"])
def test_a_curve_is_its_asymptotes_at_both_ends(model: Sigmoid) -> None:
    params = {"a": 0.25, "d": 2.0, "b": 1.5, "c": math.e, "g": 0.4}
    theta = theta_from(model, {name: params[name] for name in NAMES[model]})
    log_x = np.array([-np.inf, -1e6, -1e4, 1e4, 1e6])
    f, rows = value_and_gradient(model, theta, log_x)
    assert f.tolist() == [0.25] * 3 + [2.0] * 2
    assert rows[:2].tolist() == [[1.0] * 3 + [0.0] * 2, [0.0] * 3 + [1.0] * 2]
    assert np.abs(rows[2:]).max() < 1e-100
    for at in (*log_x, -8.0, 0.0, 1.0, 1.3, 5.0):
        alone = rise(model, theta, np.array([at]))[1][0]
        assert rise_at(model, theta, float(at)) == pytest.approx(alone, rel=1e-14, abs=1e-300)


def test_a_response_near_zero_weighs_no_more_than_a_ten_thousandth_of_the_largest() -> None:
    f = np.array([0.0, 1.9e-4, 2.1e-4, 2.0])
    reciprocal = variance_of(CurveSettings(weighting="1/y"), 2.0)
    assert reciprocal.of(f) == pytest.approx([2e-4, 2e-4, 2.1e-4, 2.0])
    squared = variance_of(CurveSettings(weighting="1/y^2"), 2.0)
    assert squared.of(f) == pytest.approx(np.array([2e-4, 2e-4, 2.1e-4, 2.0]) ** 2)
    assert [squared.floored(f[2:]), squared.floored(f)] == [False, True]
    constant = variance_of(CurveSettings(s0=0.3, cv=0.0), 2.0)
    assert constant.of(f) == pytest.approx(0.09)
    x = [0.0, 1.0, 2.0, 3.0, 4.0]
    for low, said in ((0.0, True), (1e-3, False)):
        y = [low, 1.0, 2.0, 3.0, 4.0]
        fit = fit_standards(x, y, CurveSettings(model="linear", weighting="1/y")).fit
        assert any("comes near zero" in warning for warning in fit.warnings) is said


def test_a_step_between_fixed_asymptotes_still_has_a_start() -> None:
    y = {1.0: (0.0, 0.0), 2.0: (0.0, 0.0), 4.0: (0.4, 0.6), 8.0: (1.0, 1.0), 16.0: (1.0, 1.0)}
    for middle in ((0.5,), (0.4, 0.6)):
        wells = [(x, v) for x, ys in (y | {4.0: middle}).items() for v in ys]
        rule = CurveSettings(fixed={"a": 0.0, "d": 1.0}, weighting="none")
        fit = fit_of(wells, rule)
        assert fit.reason or fit.params["c"] == pytest.approx(4.0, rel=1e-3)


def test_a_mean_that_is_not_positive_has_no_cv() -> None:
    assert cv_pct([1.0, 3.0]) == pytest.approx(100 * 2**0.5 / 2)
    assert [cv_pct(values) for values in ([1.0], [], [-1.0, 1.0], [-2.0, 1.0])] == [None] * 4
    assert LevelData(position="S", nominal=1.0, responses=(1.0, 2.0, 6.0)).mean == 3.0
