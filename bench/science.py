"""The science on simulated plates: silent failures, coverage and bias, and time beside the peers.

`python -m bench.science [PLATES]` prints both tables. The ratios of speed are taken on the same 8x2
standards in the same run, as medians of five runs; the curve of ours is weighted, iterated to its
fixed point, with covariance, levels and statistics, the peers' is one unweighted fit. A row of ours
does just that one too. Nobody judges himself: a fit fails when any other tool finds a lower sum.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from bench._how_sure import BANDS, Outcomes, Row, Tally, write
from bench._peers import Array, Parameters, Peer, four, peers, quietly
from bench._plates import (
    SCENARIOS,
    SEED,
    TRUE,
    Plate,
    Scenario,
    simulate,
    true_response,
)
from readerd.assay.curve.checks import LevelData
from readerd.assay.curve.curve import Curve
from readerd.assay.curve.fit import calibrate, fit_standards
from readerd.assay.curve.models import theta_from
from readerd.assay.curve.settings import CurveSettings
from readerd.assay.curve.sigmoid import points_of, problem_of
from readerd.assay.curve.solve import descend
from readerd.assay.definition import Assay, load_assay
from readerd.assay.quantify import quantify
from readerd.assay.result import PlateResult
from readerd.assay.wells import levels_of, measure

ASSAY = Path(__file__).parents[1] / "systemd" / "assays" / "il6-elisa.toml"
PLATES, MISSPECIFIED_PLATES = 10_000, 2_000
# science: 95 % intervals cover 93-97 % where the noise follows the weights
COVERAGE = (0.93, 0.97)
# science: the fit at most 5 x, the plate at most 25 x one bare curve_fit; below one lmfit fit
FIT_RATIO, PLATE_RATIO = 5.0, 25.0
# a curve that passes must not read noise-free responses back wrong by this factor, beyond its error
WRONG = 1.5
TIMED_PLATES, RUNS = 60, 5
# a c so many times the highest standard is no optimum, only the place where a tool gave in
RUN_AWAY = 1000.0


def il6() -> Assay:
    return load_assay(ASSAY.read_text("utf-8"), ASSAY.name)


def coverage(plates: int, others: int) -> tuple[int, dict[str, Tally]]:
    """Prints the table of coverage and bias; the number of budgets missed, and what became of
    the plates of each scenario."""
    assay = il6()
    print(f"\ncoverage and bias, seed {SEED}: generator in bench/_plates.py")
    print(
        f"{'noise':50s} {'plates':>6s} {'refused':>7s} {'reject':>6s} {'warn':>5s} {'silent':>6s}"
        f" {'95 % covers':>11s}   low / middle / high: coverage %, median bias %"
    )
    missed, tallies = 0, {}
    for scenario in SCENARIOS:
        tally = tallied(assay, scenario, plates if scenario.well_specified else others)
        tallies[scenario.name] = tally
        print(line_of(scenario, tally))
        for reason, count in sorted(tally.reasons.items()):
            print(f"    {count:5d} refused or rejected: {reason}")
        for what, count in tally.silent.items():
            print(f"    {count:5d} SILENT: {what}")
        missed += bool(tally.silent)
        if scenario.well_specified:
            missed += not COVERAGE[0] <= tally.coverage <= COVERAGE[1]
    return missed, tallies


def line_of(scenario: Scenario, tally: Tally) -> str:
    bands = "  ".join(f"{band.coverage_pct:.1f}, {band.bias_pct:+.2f}" for band in tally.bands)
    return (
        f"{scenario.name:50s} {tally.plates:6d} {tally.refused:7d} {tally.rejected:6d}"
        f" {tally.warned:5d} {sum(tally.silent.values()):6d} {100 * tally.coverage:11.2f}   {bands}"
    )


def tallied(assay: Assay, scenario: Scenario, plates: int) -> Tally:
    tally = Tally(plates=plates)
    for number in range(plates):
        plate = simulate(assay, scenario, number)
        found = quantify(assay, plate.reading, reference_nm=570)
        judge(assay, plate, found, tally)
    return tally


def judge(assay: Assay, plate: Plate, found: PlateResult, tally: Tally) -> None:
    """Count one plate: refused, rejected, warned, silently wrong; and its samples."""
    if found.curve == "rejected":
        converged = found.fit is not None and found.fit.converged
        tally.rejected += converged
        tally.refused += not converged
        reason = (found.fit.reason if found.fit else None) or "?"
        kind = reason.partition(" ")[0] if converged else reason
        tally.reasons[kind] = tally.reasons.get(kind, 0) + 1
        return
    tally.warned += found.verdict != "pass"
    for what in silent_failures(assay, plate, found):
        tally.silent[what] = tally.silent.get(what, 0) + 1
    for sample in found.samples:
        dose = plate.doses[sample.position]
        if sample.value is None or sample.ci95 is None or sample.role == "control":
            continue
        band = next(b for (_, high), b in zip(BANDS, tally.bands, strict=True) if dose <= high)
        low, high = sample.ci95
        band.seen += 1
        band.covered += (low is None or low <= dose) and (high is None or dose <= high)
        band.errors.append(sample.value / dose - 1.0)


def silent_failures(assay: Assay, plate: Plate, found: PlateResult) -> list[str]:
    """What an accepted plate must not be: not finite, short of its optimum, or plainly wrong."""
    failures = []
    numbers = [s.value for s in found.samples] + [s.se for s in found.samples]
    if not all(math.isfinite(number) for number in numbers if number is not None):
        failures.append("a number that is not finite")
    levels = standards_of(assay, plate)
    curve = calibrate(levels, assay.curve_settings).curve
    fit = found.fit
    if curve is None or fit is None or fit.wssr is None or fit.lloq is None:
        return [*failures, "accepted without a curve"]
    truth = from_the_truth(levels, curve)
    if truth is not None and truth < fit.wssr * (1 - 1e-6):
        failures.append("a better fit exists")
    if found.verdict == "pass" and wrong(curve, fit.lloq, fit.uloq or fit.lloq):
        failures.append(f"passes, but the curve is wrong by a factor {WRONG} and does not know it")
    return failures


def wrong(curve: Curve, lloq: float, uloq: float) -> bool:
    """Whether noise-free responses in range come back far off, beyond their 99.9 % interval."""
    doses = np.geomspace(lloq, uloq, 9)
    log_x, exists = curve.log_dose(true_response(doses))
    if curve.df is None or not exists.all():
        return True
    rows = curve.value_and_gradient(log_x)[1]
    error = np.sqrt(curve.variance_of_value(rows)) / np.abs(curve.slope(log_x))
    off = np.abs(log_x - np.log(doses))
    return bool(((off > math.log(WRONG)) & (off > stdtrit(curve.df, 0.9995) * error)).any())


def standards_of(assay: Assay, plate: Plate) -> list[LevelData]:
    reading = plate.reading
    table = measure(assay, reading.plates[450], reading.plates[570], None, {})
    return levels_of(assay.layout, table)


def from_the_truth(levels: Sequence[LevelData], curve: Curve) -> float | None:
    """The weighted sum of squares of the fixed point that is reached from the true parameters."""
    ordered = sorted(levels, key=lambda level: level.nominal)
    x = np.array([level.nominal for level in ordered for _ in level.responses])
    y = np.array([value for level in ordered for value in level.responses])
    problem = problem_of("4pl", points_of(x, y, y), {})
    rest = descend(problem, theta_from("4pl", TRUE), curve.variance, np.ones(y.size))
    return rest.wssr if rest.settled and not rest.at_bound else None


def speed() -> tuple[int, dict[str, Row]]:
    """Prints the table of times; the number of ratios missed, and the table."""
    assay = il6()
    plates = [simulate(assay, SCENARIOS[0], number) for number in range(TIMED_PLATES)]
    levels = [standards_of(assay, plate) for plate in plates]
    arrays = [wells_of(entry) for entry in levels]
    found = peers()
    settings = assay.curve_settings
    found.append(Peer("readerd, the same unweighted fit", unweighted))
    calls: dict[str, list[Callable[[], object]]] = {
        peer.name: [partial(quietly, peer.fit, *wells) for wells in arrays] for peer in found
    }
    calls["readerd, fit"] = [partial(calibrate, entry, settings) for entry in levels]
    calls["readerd, whole plate"] = [
        partial(quantify, assay, plate.reading, reference_nm=570) for plate in plates
    ]
    rows: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(RUNS):
        for name, row in rows.items():
            row.append(timed(calls[name]))
    answers = {p.name: [quietly(p.fit, *a) for a in arrays] for p in found}
    table = printed(rows, outcomes(answers, arrays))
    return missed_ratios(table), table


def wells_of(levels: Sequence[LevelData]) -> tuple[Array, Array]:
    x = [level.nominal for level in levels for _ in level.responses]
    y = [value for level in levels for value in level.responses]
    return np.array(x), np.array(y)


def timed(calls: Sequence[Callable[[], object]]) -> float:
    """Milliseconds per call."""
    began = time.perf_counter()
    for call in calls:
        call()
    return 1e3 * (time.perf_counter() - began) / len(calls)


def unweighted(x: Array, y: Array) -> Parameters:
    """Our fit of what the peers fit: the zero standard a point, every well alike."""
    fit = fit_standards(x.tolist(), y.tolist(), CurveSettings(weighting="none")).fit
    if not fit.converged:
        raise RuntimeError(fit.reason)
    params = fit.params
    return params["a"], params["b"], params["c"], params["d"]


def outcomes(
    answers: Mapping[str, Sequence[Parameters | None]], arrays: Sequence[tuple[Array, Array]]
) -> dict[str, Outcomes]:
    """Of each tool: no answer, an answer that ran away, or one 0.1 % above the least sum of any."""
    sums = {
        name: [math.inf if p is None else squares(p, *a) for p, a in zip(row, arrays, strict=True)]
        for name, row in answers.items()
    }
    least = [min(column) for column in zip(*sums.values(), strict=True)]
    found = {}
    for name, row in answers.items():
        none = sum(answer is None for answer in row)
        beyond = [RUN_AWAY * float(x.max()) for x, _ in arrays]
        away = sum(p is not None and p[2] > far for p, far in zip(row, beyond, strict=True))
        worse = sum(
            p is not None and not own <= 1.001 * best
            for p, own, best in zip(row, sums[name], least, strict=True)
        )
        found[name] = Outcomes(none, away, worse)
    return found


def squares(answer: Parameters, x: Array, y: Array) -> float:
    return float(np.sum((y - four(x, *answer)) ** 2))


def printed(times: Mapping[str, list[float]], found: Mapping[str, Outcomes]) -> dict[str, Row]:
    bare = times["scipy curve_fit, with a start"]
    print(f"\nspeed on the same 8x2 standards, {TIMED_PLATES} plates, median of {RUNS} runs")
    print(f"{'':33s} {'ms':>7s} {'x curve_fit':>11s} {'none':>5s} {'ran away':>8s} {'worse':>5s}")
    rows = {}
    for name, row in times.items():
        ratio = statistics.median(t / b for t, b in zip(row, bare, strict=True))
        rows[name] = Row(statistics.median(row), ratio, found.get(name))
        counts = found.get(name)
        told = f"{counts.none:5d} {counts.ran_away:8d} {counts.worse:5d}" if counts else ""
        print(f"{name:33s} {rows[name].milliseconds:7.3f} {ratio:11.2f} {told}".rstrip())
    return rows


def missed_ratios(rows: Mapping[str, Row]) -> int:
    """The budgets of speed that do not hold, printed and counted."""
    missed = [
        f"{name} is {rows[name].ratio:.1f} x, allowed {limit:g} x"
        for name, limit in (("readerd, fit", FIT_RATIO), ("readerd, whole plate", PLATE_RATIO))
        if rows[name].ratio > limit
    ]
    lmfit = rows.get("lmfit, with a start")
    if lmfit is not None and rows["readerd, fit"].ratio >= lmfit.ratio:
        missed.append("the fit is not below one lmfit fit")
    print(f"ratios: {'; '.join(missed) if missed else 'held'}")
    return len(missed)


def main() -> int:
    """Both tables, with `--write` into the page that quotes them; 1 when a budget is missed."""
    arguments = sys.argv[1:]
    plates = next((int(text) for text in arguments if text.isdigit()), PLATES)
    if "--write" in arguments and plates < PLATES:
        print(f"the page quotes {PLATES} plates, not {plates}", file=sys.stderr)
        return 2
    slow, rows = speed()
    wrong, tallies = coverage(plates, min(plates, MISSPECIFIED_PLATES))
    if "--write" in arguments:
        write(tallies, rows)
    return 1 if slow + wrong else 0


if __name__ == "__main__":
    sys.exit(main())
