"""Line events of the kernel, replayed; and what is said where there is no chip and no library."""

import sys
from pathlib import Path

import pytest

from readerd.edge.button_settings import parse_input
from readerd.edge.gpio import EdgeEvent, Edges, open_lamp, open_line
from readerd.errors import LinkLost
from tests.edge.recorded import line_edge

# A press on line 17, active low: falling voltage is the rising (active) edge; and the release.
RECORDED = bytes.fromhex(
    "5d4ab1c20e030000 01000000 11000000 01000000 01000000" + "00" * 24 +
    "b8c27fd20e030000 02000000 11000000 02000000 02000000" + "00" * 24
)  # fmt: skip


def test_a_recorded_press_is_two_edges_with_the_kernels_times() -> None:
    edges = [EdgeEvent(0x030EC2B14A5D, True), EdgeEvent(0x030ED27FC2B8, False)]
    assert Edges().feed(RECORDED) == edges
    for cut in range(len(RECORDED)):
        source = Edges()
        assert source.feed(RECORDED[:cut]) + source.feed(RECORDED[cut:]) == edges


def test_the_recording_is_what_other_tests_make() -> None:
    made = line_edge(0x030EC2B14A5D, 1, is_down=True) + line_edge(0x030ED27FC2B8, 2, is_down=False)
    assert made == RECORDED


@pytest.mark.parametrize("name", ["chip", "nowhere"])
def test_a_chip_that_is_none_is_a_lost_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "chip").write_bytes(b"")
    address = parse_input(f"gpio:{tmp_path}/{name}/17")
    for open_it in (lambda it: open_line(it, 0.03), open_lamp):
        with pytest.raises(LinkLost, match=f"gpio:{tmp_path}/{name}/17: "):
            open_it(address)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    for open_it in (lambda it: open_line(it, 0.03), open_lamp):
        with pytest.raises(LinkLost, match=r"install readerd\[gpio\]"):
            open_it(parse_input("gpio:/dev/gpiochip0/17"))
