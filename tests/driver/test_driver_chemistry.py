"""Simulated wells: the stated truth, reproducible, and nothing that is no number."""

import math
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readerd.driver.chemistry import from_plates, simulated_elisa, true_signal_od
from readerd.errors import InputError
from readerd.plate import FORMATS, OpticalDensity, Unread

WELLS = FORMATS[96].wells


def numbers(values: tuple[object, ...]) -> list[float]:
    assert all(isinstance(value, float) for value in values)
    return [value for value in values if isinstance(value, float)]


def test_the_truth_is_the_contracts_curve() -> None:
    assert true_signal_od(0.0) == pytest.approx(0.045)
    assert true_signal_od(420.0) == pytest.approx((0.045 + 3.2) / 2)
    assert true_signal_od(1e12) == pytest.approx(3.2)


@given(st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_plate_in_any_order(seed: int) -> None:
    filled = {"A1": 300.0, "C7": 4.69, "H12": 0.0}
    backwards = dict(reversed(list(filled.items())))
    one, two = simulated_elisa(filled, seed=seed), simulated_elisa(backwards, seed=seed)
    assert one.plate(450) == two.plate(450)
    assert one.plate(450) != simulated_elisa(filled, seed=seed + 1).plate(450)
    assert one.concentrations == filled


def test_noise_and_background_have_the_stated_size() -> None:
    concentration, plates = 100.0, 60
    signal = true_signal_od(concentration)
    corrected, background = [], []
    for seed in range(plates):
        chemistry = simulated_elisa(dict.fromkeys(WELLS, concentration), seed=seed)
        red = numbers(chemistry.plate(570))
        corrected += [a - b for a, b in zip(numbers(chemistry.plate(450)), red, strict=True)]
        background += red
    assert fmean(corrected) == pytest.approx(signal, rel=0.005)
    assert stdev(corrected) == pytest.approx(math.hypot(0.004, 0.04 * signal), rel=0.05)
    assert fmean(background) == pytest.approx(0.038, abs=0.0002)
    assert stdev(background) == pytest.approx(0.002, rel=0.05)


def test_wells_without_a_concentration_are_background_at_every_wavelength() -> None:
    chemistry = simulated_elisa({"A1": 300.0}, seed=1)
    blue, red = numbers(chemistry.plate(450)), numbers(chemistry.plate(570))
    assert blue[1:] == red[1:]
    assert blue[0] - red[0] > 1.0
    assert chemistry.plate(630) == chemistry.plate(570)


def test_given_plates_answer_as_given_and_the_nearest_wavelength_for_others() -> None:
    blue: list[OpticalDensity] = [0.1, Unread.SATURATED] * 48
    chemistry = from_plates({450: blue, 570: [0.04] * 96})
    assert chemistry.optical_density("A2", 450) is Unread.SATURATED
    assert chemistry.plate(450) == tuple(blue)
    assert chemistry.optical_density("H12", 630) == 0.04
    assert chemistry.concentrations is None


def test_a_plate_that_is_not_whole_is_refused() -> None:
    with pytest.raises(InputError, match="570 nm: 95 wells instead of 96"):
        from_plates({450: [0.1] * 96, 570: [0.1] * 95})
    with pytest.raises(InputError, match="no wavelength"):
        from_plates({})
    with pytest.raises(InputError, match="I1, Z9"):
        simulated_elisa({"A1": 1.0, "Z9": 1.0, "I1": 1.0}, seed=1)
