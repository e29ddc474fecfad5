"""Our fits against answers that other tools computed, within the tolerances stated with them."""

import math
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest

from readerd.assay.curve.curve import Curve
from readerd.assay.curve.fit import Calibration, fit_standards
from readerd.assay.curve.inverse import read_means
from readerd.assay.result import Fit
from tests.assay.reference import (
    FIVE,
    FOUR,
    Entry,
    case,
    entries,
    standards,
)

WSSR, CONCENTRATION, PARAMETER, ERROR = 1e-9, 1e-6, 1e-4, 1e-3
FOUR_ENTRIES = list(entries(FOUR))
FIVE_ENTRIES = list(entries(FIVE))


def near(got: float | None, want: float, tolerance: float) -> bool:
    return got is not None and abs(got - want) <= tolerance * abs(want)


def within_levels(name: str) -> float:
    """Scatter inside the levels, each level counted once: the reference adds it to level_means."""
    x, y = standards(name)
    total = 0.0
    for dose in set(x):
        wells = [value for at, value in zip(x, y, strict=True) if at == dose]
        mean = math.fsum(wells) / len(wells)
        total += math.fsum((value - mean) ** 2 for value in wells) / len(wells)
    return total


def wrong_in_fit(entry: Entry, fit: Fit) -> list[str]:
    """Every number of the fit that lies outside its tolerance."""
    answer = entry.answer
    if not fit.converged or fit.wssr is None:
        return [f"refused: {fit.reason}"]
    wrong = []
    wssr = fit.wssr
    if entry.weights == "level_means":
        wssr += within_levels(entry.case)
    if not near(wssr, answer["wssr"], WSSR):
        wrong.append(f"wssr {wssr} for {answer['wssr']}")
    wrong += [
        f"{name} {fit.params[name]} for {value}"
        for name, value in answer["params"].items()
        if not near(fit.params[name], value, PARAMETER)
    ]
    wrong += [
        f"se({name})"
        for name, value in (answer.get("se") or {}).items()
        if fit.stderr is None or not near(fit.stderr[name], value, ERROR)
    ]
    if "aicc" in answer and not near(fit.aicc, answer["aicc"], WSSR):
        wrong.append(f"aicc {fit.aicc} for {answer['aicc']}")
    if not near(fit.r2, answer["r2_plain"], WSSR):
        wrong.append(f"r2 {fit.r2} for {answer['r2_plain']}")
    return wrong


def wrong_in_tests(entry: Entry, fit: Fit) -> list[str]:
    """Lack of fit and covariance."""
    answer = entry.answer
    wrong = []
    stated = answer.get("lack_of_fit")
    if stated and entry.weights != "level_means":
        ours = fit.lack_of_fit
        if ours is None or not (
            near(ours.f, stated["F"], 1e-6)
            and near(ours.p, stated["p"], 1e-6)
            and (ours.df1, ours.df2) == (stated["df1"], stated["df2"])
        ):
            wrong.append(f"lack of fit {ours} for {stated}")
    if fit.covariance is not None and answer.get("cov_upper"):
        order = fit.covariance.order
        for row, first in enumerate(order):
            for value, second in zip(fit.covariance.upper[row], order[row:], strict=True):
                want = answer["cov_upper"][first + second]
                if not near(value, want, 2 * ERROR):
                    wrong.append(f"cov({first},{second}) {value} for {want}")
    return wrong


def wrong_in_reading(entry: Entry, curve: Curve) -> list[str]:
    """Levels and unknowns read back: concentration, error and both intervals."""
    answer = entry.answer
    wells = {unknown["id"]: unknown["y"] for unknown in case(entry.case).get("unknowns", [])}
    wanted: list[tuple[str, float, int, dict[str, Any]]] = [
        (f"level {level['conc']}", level["y_mean"], level["n"], level["backcalc_of_mean"])
        for level in answer["levels"]
        if level.get("backcalc_of_mean")
    ]
    for unknown in answer.get("unknowns", []):
        ys = wells[unknown["id"]]
        wanted.append((unknown["id"], math.fsum(ys) / len(ys), len(ys), unknown))
    y = np.array([mean for _, mean, _, _ in wanted])
    m = np.array([n for _, _, n, _ in wanted], dtype=float)
    doses = [dose for dose in standards(entry.case)[0] if dose > 0]
    span = (min(doses), max(doses))
    delta = read_means(curve, y, m, span, flat=math.inf)
    inversion = read_means(curve, y, m, span, flat=0.0)
    wrong = []
    for (name, _, _, want), by_delta, by_inversion in zip(wanted, delta, inversion, strict=True):
        if (by_delta is None) != ("x" not in want):
            wrong.append(f"{name}: {by_delta} for {want}")
        elif by_delta is not None and by_inversion is not None:
            if not near(by_delta.x, want["x"], CONCENTRATION):
                wrong.append(f"{name}: {by_delta.x} for {want['x']}")
            if "se_total" in want and not near(by_delta.se, want["se_total"], ERROR):
                wrong.append(f"{name}: se {by_delta.se} for {want['se_total']}")
            wrong += wrong_interval(name, by_delta.ci95, want.get("ci95_wald_log"))
            wrong += wrong_interval(name, by_inversion.ci95, want.get("ci95_inversion"))
    return wrong


def wrong_interval(
    name: str,
    got: tuple[float | None, float | None] | None,
    want: list[float | None] | None,
) -> list[str]:
    if want is None:
        return []
    wrong = []
    for end, stated in zip(got or (None, None), want, strict=True):
        is_open = stated is None or stated in (0.0, math.inf)
        agrees = end is None if is_open else near(end, stated or 0.0, ERROR)
        if not agrees:
            wrong.append(f"{name}: interval end {end} for {stated}")
    return wrong


def wrong_in(entry: Entry, calibration: Calibration) -> list[str]:
    wrong = wrong_in_fit(entry, calibration.fit)
    if calibration.curve is not None:
        wrong += wrong_in_tests(entry, calibration.fit)
        wrong += wrong_in_reading(entry, calibration.curve)
    return wrong


@cache
def wrong_of(entry: Entry) -> list[str]:
    """Fitted once per process: the count below asks again."""
    return wrong_in(entry, entry.fit())


@pytest.mark.parametrize("entry", FOUR_ENTRIES, ids=str)
def test_every_4pl_agrees(entry: Entry) -> None:
    assert wrong_of(entry) == []


def test_the_comparison_can_fail() -> None:
    entry = Entry("dnase-run01", "4PL", "none")
    x, y = standards(entry.case)
    y[3] += 1e-6
    assert wrong_in(entry, fit_standards(x, y, entry.settings)) != []


@pytest.mark.parametrize("entry", FIVE_ENTRIES, ids=str)
def test_every_5pl_agrees_or_is_refused(entry: Entry) -> None:
    calibration = entry.fit()
    # a 5PL with a fixed asymptote states no verdict on g; it is identifiable
    if entry.answer.get("identifiable", False):
        assert wrong_in(entry, calibration) == []
        assert calibration.fit.identifiable is True
    else:
        assert calibration.curve is None
        assert calibration.fit.params == {}
        assert "5PL not identifiable" in (calibration.fit.reason or "")
        assert calibration.fit.identifiable is False


def test_the_count_of_entries(capsys: pytest.CaptureFixture[str]) -> None:
    """The line below says how many stated fits agree; a count that moved is a failure."""
    agreeing = [entry for entry in FOUR_ENTRIES if not wrong_of(entry)]
    weights = sorted({entry.weights for entry in FOUR_ENTRIES})
    identifiable = [entry for entry in FIVE_ENTRIES if entry.answer.get("identifiable")]
    held = [entry for entry in identifiable if not wrong_of(entry)]
    refused = len(FIVE_ENTRIES) - len(identifiable)
    with capsys.disabled():
        sys.stdout.write(
            f"\n4PL reference fits that agree: {len(agreeing)} of {len(FOUR_ENTRIES)}"
            f" ({', '.join(weights)}); 5PL: {len(held)} of {len(identifiable)} identifiable ones"
            f" agree, {refused} others are refused\n"
        )
    assert len(agreeing) == len(FOUR_ENTRIES) == 57
    assert len(held) == len(identifiable)
