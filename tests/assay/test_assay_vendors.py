"""What other software printed, reproduced in compatibility mode, and published answers."""

import math

import numpy as np
import pytest

from readerd.assay.curve.fit import Calibration, fit_standards
from readerd.assay.curve.settings import CurveSettings, FitTo, Model
from readerd.assay.unknowns import read_unknowns
from tests.assay.reference import Entry, case, responses, standards, vendor_wells

# case, what is fitted, printed digits (absolute), wells compared at least
COMPATIBLE: list[tuple[str, FitTo, float, int]] = [
    ("softmax-hcp-450-650", "wells", 0.00051, 90),
    ("elisatools-assay2", "level_means", 0.00051, 60),
    ("elisatools-assay4", "wells", 0.00051, 70),
    ("myassays-2021", "wells", 1.1e-5, 78),
]


def compatible(name: str, fit_to: FitTo) -> Calibration:
    x, y = standards(name)
    return fit_standards(x, y, CurveSettings(weighting="none", fit_to=fit_to))


@pytest.mark.parametrize(("name", "fit_to", "digit", "least"), COMPATIBLE)
def test_reader_software_to_its_printed_digits(
    name: str, fit_to: FitTo, digit: float, least: int
) -> None:
    curve = compatible(name, fit_to).curve
    assert curve is not None
    od = responses(name)
    printed = {well: value for well, value in vendor_wells(name).items() if well in od}
    log_x, exists = curve.log_dose(np.array([od[well] for well in printed]))
    compared = 0
    for said, x, there in zip(printed.values(), log_x, exists, strict=True):
        if said == "Masked":
            continue
        if isinstance(said, str):
            assert not there, said
        else:
            assert there
            assert abs(math.exp(x) - said) <= digit
            compared += 1
    assert compared >= least


def test_skanit_with_its_range_flags() -> None:
    calibration = compatible("skanit-apoe", "wells")
    od = responses("skanit-apoe")
    printed = {well: said for well, said in vendor_wells("skanit-apoe").items() if well in od}
    found = read_unknowns(calibration, {well: [od[well]] for well in printed})
    numbers = 0
    for (well, said), unknown in zip(printed.items(), found, strict=True):
        if isinstance(said, str):
            assert unknown.concentration is None
            assert unknown.qualifier == {"< Min": "<", "> Max": ">"}[said]
        else:
            assert unknown.concentration == pytest.approx(said, abs=6.1e-5), well
            numbers += 1
    assert numbers >= 55
    published = case("skanit-apoe")["published"][0]["params"]
    assert calibration.fit.params == pytest.approx(published, rel=5e-4)


def test_the_excel_add_in_in_full_precision() -> None:
    fit = compatible("myassays-2021", "wells").fit
    published = case("myassays-2021")["published"][0]
    assert fit.params == pytest.approx(published["params"], rel=1e-6)
    assert fit.r2 == pytest.approx(published["r2"], rel=1e-9)


def test_r_sslogis_on_dnase_run_1() -> None:
    fit = Entry("dnase-run01", "3PL_a0", "none").fit().fit
    published = case("dnase-run01")["published"][0]
    # nls stops at a relative offset of 1e-5, which leaves about 2e-6 in the parameters
    assert fit.stderr is not None
    assert fit.params["d"] == pytest.approx(published["params"]["Asym"], rel=5e-6)
    assert math.log(fit.params["c"]) == pytest.approx(published["params"]["xmid"], rel=5e-6)
    assert 1 / fit.params["b"] == pytest.approx(published["params"]["scal"], rel=5e-6)
    assert fit.stderr["d"] == pytest.approx(published["se"]["Asym"], rel=1e-5)
    assert fit.sigma == pytest.approx(published["residual_se"], rel=1e-8)


def test_drc_on_ryegrass() -> None:
    fit = Entry("drc-ryegrass", "4PL", "none").fit().fit
    published = case("drc-ryegrass")["published"][0]
    names = {"a": "d", "d": "c", "c": "e", "b": "b"}
    for ours, theirs in names.items():
        assert fit.params[ours] == pytest.approx(published["params"][theirs], rel=2e-5)
    assert fit.sigma == pytest.approx(published["residual_se"], rel=1e-6)


def test_investr_by_inversion_and_by_wald() -> None:
    calibration = Entry("investr-nasturtium", "3PL_d0", "none").fit()
    published = case("investr-nasturtium")["published"][0]["unknown"]
    (unknown,) = read_unknowns(calibration, {"y0": [309.0, 296.0, 419.0]}, flat=0.0)
    assert unknown.concentration == pytest.approx(published["estimate"], rel=2e-6)
    assert unknown.se == pytest.approx(published["wald_se"], rel=1e-5)
    assert unknown.ci95_method == "inversion"
    ends = (published["inversion_lower"], published["inversion_upper"])
    # investr pools the variance of the three unknown wells into that of the fit
    assert unknown.ci95 == pytest.approx(ends, rel=1e-3)


def test_calibfit_within_its_loose_convergence() -> None:
    calibration = Entry("calibfit-elisa", "4PL", "none").fit()
    for stated in case("calibfit-elisa")["published"][0]["backcalc"]:
        (found,) = read_unknowns(calibration, {"U": [stated["y"], stated["y"]]})
        assert found.concentration == pytest.approx(stated["x"], rel=1e-3)
        assert found.se == pytest.approx(stated["se"], rel=5e-3)


def test_nist_rat43_to_its_certified_digits() -> None:
    x, y = standards("nist-rat43")
    model: Model = "5pl-mirrored"
    fit = fit_standards(x, y, CurveSettings(model=model, weighting="none", fixed={"a": 0.0})).fit
    certified = case("nist-rat43")["published"][0]
    p = fit.params
    assert p["d"] == pytest.approx(certified["params"]["b1"], rel=1e-9)
    assert math.log(p["c"]) * p["b"] == pytest.approx(certified["params"]["b2"], rel=1e-8)
    assert p["b"] == pytest.approx(certified["params"]["b3"], rel=1e-9)
    assert 1 / p["g"] == pytest.approx(certified["params"]["b4"], rel=1e-9)
    assert fit.wssr == pytest.approx(certified["ssr"], rel=1e-9)
    assert fit.sigma == pytest.approx(certified["residual_se"], rel=1e-9)
