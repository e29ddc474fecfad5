"""`the-curve.md` explains with real curves; its boxes are computed here.

Run this file to write them anew: `python -m tests.docs.test_docs_curve`.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from readerd.assay.curve.fit import Calibration, fit_standards
from readerd.assay.curve.settings import CurveSettings, FitTo, Model, WeightKind, ZeroStandard
from readerd.assay.result import Unknown
from readerd.assay.unknowns import read_unknowns
from readerd.view.rounding import quantity
from tests.assay.reference import Entry, case, standards

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "the-curve.md"
BLOCK = re.compile(r"(?<=```text\n).*?(?=```)", re.DOTALL)
HCP, MASKED, RUN_AWAY = "softmax-hcp-450-650", "elisatools-assay2", "softmax-5pl-degenerate"


def fitted(
    name: str,
    *,
    model: Model = "4pl",
    weighting: WeightKind = "variance",
    fit_to: FitTo = "wells",
    zero: ZeroStandard = "anchor",
) -> Calibration:
    x, y = standards(name)
    settings = CurveSettings(model=model, weighting=weighting, fit_to=fit_to, zero_standard=zero)
    return fit_standards(x, y, settings)


def lowest(found: Calibration) -> float:
    """Recovery of the lowest standard above zero."""
    above = [level for level in found.fit.levels if level.nominal > 0]
    recovery = min(above, key=lambda level: level.nominal).recovery_pct
    assert recovery is not None
    return recovery


def read(found: Calibration, *responses: float) -> tuple[float, float, str]:
    """Concentration, standard error and interval of one unknown."""
    (one,) = read_unknowns(found, {"U": responses})
    assert one.concentration is not None
    assert one.se is not None
    return one.concentration, one.se, interval(one)


def interval(one: Unknown) -> str:
    assert one.ci95 is not None
    return " to ".join("open" if end is None else quantity(end) for end in one.ci95)


def weights() -> Iterator[str]:
    yield "                  R², none    lowest standard: none   1/y^2   variance"
    for run in (1, 2, 4, 5, 8):
        name = f"dnase-run{run:02}"
        plain = fitted(name, weighting="none")
        both = lowest(fitted(name, weighting="1/y^2")), lowest(fitted(name))
        yield (
            f"DNase, run {run}{plain.fit.r2:>14.4f}{lowest(plain):>25.1f}"
            f"{both[0]:>8.1f}{both[1]:>11.1f}"
        )


def observed() -> Iterator[str]:
    """The reference (R) weighs with observed responses, which readerd does not offer."""
    yield "response   1/y^2 observed (R)   1/y^2 fitted   difference"
    theirs = Entry("dnase-run01", "4PL", "inv_y2_obs").answer["unknowns"]
    ours = fitted("dnase-run01", weighting="1/y^2")
    wells = {one["id"]: one["y"] for one in case("dnase-run01")["unknowns"]}
    for one in theirs:
        responses = wells[one["id"]]
        x, _, _ = read(ours, *responses)
        off = 100 * (x / one["x"] - 1)
        y = sum(responses) / len(responses)
        yield f"{y:8.3f}{one['x']:>21.4f}{x:>15.4f}{off:>+11.1f} %"


def zeros() -> Iterator[str]:
    yield "           a         2 ng/mL read back   a well of 0.1246 OD   95 % interval"
    kinds: tuple[ZeroStandard, ...] = ("anchor", "exclude", "subtract")
    for kind in kinds:
        found = fitted(HCP, zero=kind)
        x, _, ends = read(found, 0.1246)
        a = found.fit.params["a"]
        yield f"{kind:10}{a:>8.4f}{lowest(found):>18.1f} %{x:>22.2f}{ends:>16}"


def means() -> Iterator[str]:
    yield "                 c   1 OD reads   95 % interval"
    kinds: tuple[FitTo, ...] = ("wells", "level_means")
    for kind in kinds:
        found = fitted(MASKED, fit_to=kind)
        x, _, ends = read(found, 1.0)
        yield f"{kind:12}{found.fit.params['c']:>6.0f}{x:>13.0f}{ends:>16}"


def plateau() -> Iterator[str]:
    yield "                  none          variance"
    kinds: tuple[WeightKind, ...] = ("none", "variance")
    curves = [fitted("dnase-run08", weighting=kind) for kind in kinds]
    for name in ("d", "c"):
        pairs = [(one.fit.params[name], (one.fit.stderr or {})[name]) for one in curves]
        yield f"{name:6}" + "".join(f"{x:>10.3f} ± {se:.3f}" for x, se in pairs)
    for response in (1.0, 0.1):
        pairs = [read(one, response, response)[:2] for one in curves]
        yield f"{f'{response:g} OD':6}" + "".join(f"{x:>10.3f} ± {se:.3f}" for x, se in pairs)


def guarded() -> Iterator[str]:
    for title, name in (("DNase, run 5", "dnase-run05"), ("DNase, run 2", "dnase-run02")):
        yield from told(title, fitted(name, model="auto").fit.warnings[0])
    yield from told(RUN_AWAY, fitted(RUN_AWAY, model="auto").fit.warnings[0])
    yield from told(RUN_AWAY, f"as 5pl: refused, {fitted(RUN_AWAY, model='5pl').fit.reason}")


def told(title: str, text: str) -> Iterator[str]:
    first, *rest = textwrap.wrap(text, 72)
    yield f"{title:25}{first}"
    yield from (f"{'':25}{line}" for line in rest)


def blocks() -> list[str]:
    every = (weights, observed, zeros, means, plateau, guarded)
    return ["\n".join(block()) + "\n" for block in every]


def test_the_page_shows_what_the_code_computes() -> None:
    assert BLOCK.findall(PAGE.read_text(encoding="utf-8")) == blocks()


def test_what_the_page_says_of_its_numbers() -> None:
    runs = [f"dnase-run{run:02}" for run in (1, 2, 4, 5, 8)]
    unweighted = [fitted(name, weighting="none") for name in runs]
    assert all(one.fit.r2 is not None and one.fit.r2 > 0.997 for one in unweighted)
    assert sum(abs(lowest(one) - 100) > 20 for one in unweighted) >= 4
    assert all(abs(lowest(fitted(name)) - 100) < 8 for name in runs)
    readme = (PAGE.parents[2] / "README.md").read_text("utf-8")
    worst = min(unweighted, key=lowest)
    said = f"R² {worst.fit.r2:.3f} reads its lowest standard back at {lowest(worst):.0f} %"
    assert said in " ".join(readme.split())
    # run 1, 1/y^2: the noise that it believes the lowest standard to have
    steep = fitted("dnase-run01", weighting="1/y^2").fit
    assert steep.sigma is not None
    assert f"{steep.sigma * 0.0175:.4f}" == "0.0007"
    # equally many wells per level: the same curve from wells and from means
    same = [fitted("dnase-run01", fit_to=kind).fit.params["c"] for kind in ("wells", "level_means")]
    assert abs(same[0] / same[1] - 1) < 1e-6


if __name__ == "__main__":
    fresh = iter(blocks())
    PAGE.write_text(BLOCK.sub(lambda _: next(fresh), PAGE.read_text(encoding="utf-8")), "utf-8")
