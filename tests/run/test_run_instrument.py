"""What the result says of the instrument: who it is, what it complains of, what it has counted."""

from pathlib import Path

import pytest

from readerd.driver import catalog
from tests.run.run_scene import Scene, play


@pytest.mark.parametrize(
    ("driver", "expect", "verified"),
    [
        ("biorad680", "Model 680", True),
        ("biorad550", "Model 550", True),
        ("biorad680", "", False),  # nobody expects anything
        ("spectramax384plus", "SpectraMax 384 Plus", False),  # it does not tell its name
        ("elx800", "ELx800", False),  # any part number is taken for it
        ("sim", "SIM-0001", True),
    ],
)
def test_an_identity_is_verified_where_the_instrument_said_it_itself(
    driver: str, expect: str, verified: bool, tmp_path: Path
) -> None:
    async def script(stage: Scene) -> None:
        instrument = (await stage.read("k1")).data.instrument
        assert instrument.driver == driver
        assert instrument.identity_verified is verified

    play(tmp_path / "j.db", script, driver=catalog.find(driver), expect=expect)


def test_counters_and_a_release_that_failed_stand_in_the_result(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        instrument = (await stage.read("k1")).data.instrument
        assert dict(instrument.counters) == {"power_cycles": 12, "hours": 3120, "plates": 1204}
        assert ["leave remote mode" in warning for warning in instrument.warnings] == [True]

    play(tmp_path / "j.db", script, "silence@RL#3")


def test_a_lamp_that_grows_weak_stands_in_the_result(tmp_path: Path) -> None:
    async def script(stage: Scene) -> None:
        instrument = (await stage.read("k1")).data.instrument
        assert len(instrument.warnings) == 1
        assert "lamp level low" in instrument.warnings[0]

    driver = catalog.find("spectramax384plus")
    play(tmp_path / "j.db", script, "low-lamp", driver=driver)
