"""Do the level means go one way: the steps back, the fall of the top, and their noise by hand."""

import math

import pytest

from readerd.assay.curve.checks import Direction, LevelData, Step, direction
from readerd.assay.curve.weights import Variance

PLAIN = Variance("none", 1.0, 0.0, 0.0)


def levels(*responses: tuple[float, ...]) -> list[LevelData]:
    return [
        LevelData(position=f"S{x}", nominal=float(x), responses=values)
        for x, values in enumerate(responses)
    ]


def test_the_fall_of_the_top_level_in_its_own_errors() -> None:
    kind = Variance("variance", 0.02, 0.1, 0.0)
    # single wells: the errors are those of the model
    alone = direction(levels((0.1,), (0.5,), (2.0,), (1.7,)), kind)
    assert alone.rising
    assert alone.top_fall == pytest.approx(0.3 / math.hypot(0.02, 0.2, 0.02, 0.17))
    # replicates: pooled over all levels, in units of the model
    pairs = direction(levels((0.1, 0.1), (1.6, 2.4), (1.7, 1.7, 1.7)), kind)
    sigma2 = 2 * 0.16 / (0.02**2 + 0.2**2) / 4
    errors = sigma2 * ((0.02**2 + 0.2**2) / 2 + (0.02**2 + 0.17**2) / 3)
    assert pairs.top_fall == pytest.approx(0.3 / errors**0.5)
    # neither: a fiftieth of the span each
    bare = direction(levels((0.1,), (2.1,), (2.0,)), PLAIN)
    assert bare.top_fall == pytest.approx(0.1 / math.hypot(0.04, 0.04))
    assert direction(levels((2.1,), (1.0,), (0.1,)), PLAIN).top_fall == 0.0
    assert direction(levels((2.1,), (0.1,), (0.3,)), PLAIN).top_fall == pytest.approx(
        0.2 / 0.04 / 2**0.5
    )


@pytest.mark.parametrize(
    ("share", "errors", "flagged", "gross"),
    [
        (0.0501, 2.01, True, False),
        (0.0501, 1.99, False, False),
        (0.0499, 3.01, True, False),
        (0.0499, 2.99, False, False),
        (0.499, 9.0, True, False),
        (0.501, 2.01, True, True),
        (0.501, 1.99, False, False),
    ],
)
def test_a_step_back_counts_by_its_size_and_its_errors(
    share: float, errors: float, flagged: bool, gross: bool
) -> None:
    step = Step(share, errors, ("S1", "S2"))
    way = Direction(True, step, step)
    assert (way.flagged, way.gross) == (flagged, gross)


@pytest.mark.parametrize("off", [0.03, 0.3])
def test_a_small_step_is_measured_by_the_larger_of_both_noises(off: float) -> None:
    rows = ((0.1, 0.1), (1.0 - off, 1.0 + off), (0.98 - off, 0.98 + off), (3.0, 3.0))
    way = direction(levels(*rows), Variance("variance", 0.02, 0.1, 0.0))
    v = [0.02**2 + (0.1 * mean) ** 2 for mean in (1.0, 0.98)]
    sigma2 = sum(2 * off**2 / unit for unit in v) / 4
    # the assay's own variance where the replicates are quieter, 0.09 and 8.8 times it here
    errors = 0.02 / (sum(v) / 2 * max(1.0, sigma2)) ** 0.5
    assert way.surest.standard_errors == pytest.approx(errors)
    assert (way.surest, way.surest.between) == (way.largest, ("S1", "S2"))
    assert way.surest.share == pytest.approx(0.02 / 2.9)
