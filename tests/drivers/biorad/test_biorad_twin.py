"""The simulated Model 680 keeps the instrument's state and refuses what the instrument refuses."""

from typing import Any

import pytest

from readerd.errors import InputError
from readerd_biorad.codec import Command
from tests.drivers.biorad.model680 import Bench, simulated


@pytest.mark.parametrize(
    ("setup", "says"),
    [
        ({"faults": ("melt@RPLATE",)}, "unknown kind; known are bad-checksum"),
        ({"filters_nm": (450,) * 9}, "at most 8"),
        ({"filters_nm": (390,)}, "400 to 750"),
        ({"twin_options": {"checksum": "D"}}, "twin options: checksum"),
        ({"twin_options": {"speed": 1}}, "twin options: speed"),
    ],
)
def test_a_twin_that_cannot_be_is_refused(setup: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        simulated(**setup)


def ask_twin(bench: Bench, *lines: bytes) -> list[bytes]:
    return [emission.data for line in lines for emission in bench.twin.receive(line, 0.0)]


def test_the_twin_refuses_what_the_instrument_refuses() -> None:
    bench = simulated()
    local = b"ERE 8073\r"
    for name in ("ID", "RL", "RS", "MR", "FSTATUS", "RPLATE", "RTPLATE", "RWELL", "ISTATUS"):
        assert ask_twin(bench, Command(name).to_bytes()) == [local]
    assert ask_twin(bench, b"eia.reader aq\r") == [b"ERE 0000\r"]
    assert ask_twin(bench, b"EIA.READER id\r", b"EIA.READER RL\r", b"EIA.READER ID\r") == [
        b"ERE 0000 Model 680\r",
        b"ERE 0000\r",
        local,
    ]
    assert ask_twin(bench, b"noise\rEIA. READER AQ\r") == []
    ask_twin(bench, b"EIA.READER AQ\r")
    bad = [
        b"2 0 L",
        b"2 0 L 9",
        b"2 0 L 8",
        b"2 0 L 2 4 5",
        b"3 0 L 2",
        b"2 1000 L 2",
        b"2 0 X 2",
        b"",
    ]
    for args in bad:
        assert ask_twin(bench, b"EIA.READER RPLATE " + args + b"\r") == [b"ERE 9999\r"], args
    assert ask_twin(bench, b"EIA.READER RW 2 1 2\r") == [b"ERE 0000 -0.005\r"]
    assert ask_twin(bench, b"EIA.READER RW 13 1 2\r") == [b"ERE 9999\r"]


def test_the_twin_counts_plates_and_powers_up_local_again() -> None:
    bench = simulated()
    ask_twin(bench, b"EIA.READER AQ\r", b"EIA.READER RPLATE 2 0 L 2\r")
    assert b"Plates:1205" in ask_twin(bench, b"EIA.READER MR\r")[0]
    ask_twin(bench, b"EIA.READER RM\r")
    assert b"Plates:0000" in ask_twin(bench, b"EIA.READER MR\r")[0]
    assert ask_twin(bench, b"EIA.READER RS\r", b"EIA.READER ID\r") == [b"ERE 0000\r", b"ERE 8073\r"]


def test_the_twin_takes_commands_in_any_pieces() -> None:
    bench = simulated()
    answers = [ask_twin(bench, bytes([byte])) for byte in b"EIA.READER AQ\rEIA.READER ID\r"]
    assert [a for answer in answers for a in answer] == [b"ERE 0000\r", b"ERE 0000 Model 680\r"]
