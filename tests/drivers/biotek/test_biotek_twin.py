"""The simulated BioTek readers keep the instrument's state and refuse what it refuses."""

from typing import Any

import pytest

from readerd.errors import InputError
from readerd_biotek.elx_codec import AssayTable
from readerd_biotek.elx_data import Dump, PlateData
from readerd_biotek.synergy_codec import Procedure
from readerd_biotek.synergy_data import Frame
from readerd_biotek.synergy_options import SynergyOptions, geometry
from tests.drivers.biotek.biotek_bench import Bench, simulated

TABLE = AssayTable("ELISA", several_nm=(450, 570)).to_bytes()
SINGLE = AssayTable("ELISA", 450).to_bytes()
SHAPE = geometry(96, SynergyOptions()).to_bytes()


def ask_twin(bench: Bench, *pieces: bytes, at_s: float = 0.0) -> list[bytes]:
    return [emission.data for piece in pieces for emission in bench.twin.receive(piece, at_s)]


@pytest.mark.parametrize(
    ("name", "setup", "says"),
    [
        ("elx808", {"faults": ("melt@S",)}, "unknown kind; known are abort"),
        ("elx808", {"filters_nm": (450,) * 7}, "at most six"),
        ("elx808", {"filters_nm": (300,)}, "340 to 900"),
        ("elx808", {"twin_options": {"read_s": -1}}, "twin options: read_s"),
        ("synergyh1", {"faults": ("missing-filter:450",)}, "unknown kind; known are abort"),
        ("synergyh1", {"twin_options": {"speed": 1}}, "twin options: speed"),
    ],
)
def test_a_twin_that_cannot_be_is_refused(name: str, setup: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        simulated(name, **setup)


def test_an_elx_powers_up_in_the_312_form_and_changes_when_it_is_told() -> None:
    bench = simulated()
    assert ask_twin(bench, b"A") == [b"\x06\x1e000\x03"]
    assert ask_twin(bench, b"o") == [b"\x060000\x03"]  # always in the ELx form
    assert ask_twin(bench, b"n1", b"A", b"n0", b"A") == [
        b"\x060000\x03",
        b"\x060000\x03",
        b"\x06\x1e000\x03",
        b"\x06\x1e000\x03",
    ]


def test_an_elx_clears_what_comes_behind_an_unexpected_byte() -> None:
    bench = simulated()
    assert ask_twin(bench, b"n1", b"\x00e", b"e")[1:] == [
        b"\x15",
        b"\x067340201  Version 3.15   0000\x03",
    ]
    assert ask_twin(bench, b"D") == [b"\x15"]


def test_an_elx_reads_only_what_was_defined_and_is_fitted() -> None:
    bench = simulated()
    assert ask_twin(bench, b"n1", b"S")[1:] == [b"\x061600\x03"]
    assert ask_twin(bench, b"o", b"o") == [b"\x061600\x03", b"\x060000\x03"]
    unfitted = AssayTable("X", several_nm=(450, 571)).to_bytes()
    assert ask_twin(bench, b"V", unfitted) == [b"\x06", b"0E01\x03"]
    assert ask_twin(bench, b"V", bytes(170)) == [b"\x06", b"1600\x03"]
    assert ask_twin(bench, b"S") == [b"\x061600\x03"]


def test_an_elx_takes_a_table_in_any_pieces_and_answers_in_the_form_that_belongs() -> None:
    bench = simulated(twin_options={"read_s": 0})
    ask_twin(bench, b"n1")
    pieces = [TABLE[at : at + 1] for at in range(170)]
    assert ask_twin(bench, b"V", *pieces) == [b"\x06", b"0000\x03"]
    plate = PlateData.from_bytes(b"".join(ask_twin(bench, b"S")))
    assert tuple(block.values for block in plate.blocks) == tuple(bench.expected().values())
    ask_twin(bench, b"V", SINGLE)
    dump = Dump.from_bytes(b"".join(ask_twin(bench, b"S")))
    assert (dump.name, dump.block.values) == ("ELISA", bench.expected()[450])
    ask_twin(bench, b"V", SINGLE, b"r\x01\x08")
    assert len(PlateData.from_bytes(b"".join(ask_twin(bench, b"S"))).blocks) == 1
    ask_twin(bench, b"V", SINGLE)  # takes the rows back
    assert Dump.from_bytes(b"".join(ask_twin(bench, b"S"))).block.checksum is None
    assert ask_twin(bench, b"r\x02\x08") == [b"\x062100\x03"]


def test_an_elx_that_reads_hears_the_halt_alone() -> None:
    bench = simulated(twin_options={"read_s": 30, "deaf_while_reading": True})
    ask_twin(bench, b"n1", b"V", TABLE, b"S")
    assert ask_twin(bench, b"e", b"S", at_s=59) == []
    (halted,) = bench.twin.receive(b"X", 59.5)
    assert (halted.data, halted.replaces) == (b"\x100100\x03", True)
    assert ask_twin(bench, b"A", at_s=59.6) == [b"\x060000\x03"]
    assert ask_twin(bench, b"X", at_s=70) == [b"\x100000\x03"]


def test_an_elx800_sends_its_last_plate_as_657_bytes() -> None:
    bench = simulated("elx800")
    assert ask_twin(bench, b"D") == [b"\x15"]
    ask_twin(bench, b"n1", b"V", SINGLE, b"S")
    (sent,) = ask_twin(bench, b"D")
    assert len(sent) == 657
    assert Dump.from_bytes(sent, status_first=False).block.values == bench.expected()[450]


def test_a_synergy_refuses_a_wrong_procedure_when_it_is_to_be_run() -> None:
    bench = simulated("synergyh1")
    good, wrong = Procedure(450, 8, 12).to_bytes(), b"004701" + b"0" * 41 + b"\x03"
    assert ask_twin(bench, b"O") == [b"\x062D06\x03"]
    assert ask_twin(bench, b"y", SHAPE) == [b"\x06", b"0000\x03"]
    for procedure, outcome in ((wrong, b"\x062D06\x03"), (good, b"\x060000\x03")):
        assert ask_twin(bench, b"D", procedure)[1].startswith(b"035")
        assert ask_twin(bench, b"O")[0] == outcome
    assert ask_twin(bench, b"y", b"nonsense\x03") == [b"\x06", b"2100\x03"]
    assert ask_twin(bench, b"Q") == [b"\x15"]


def test_a_synergy_reads_the_rectangle_that_it_was_told() -> None:
    bench = simulated("synergyh1")
    part = Procedure(450, 3, 2, 2, 1).to_bytes()
    *_, sent = ask_twin(bench, b"y", SHAPE, b"D", part, b"O")
    cells = Frame.from_bytes(sent).cells()
    assert sorted(cells) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert cells[1, 0] == bench.expected()[450][12]


def test_a_synergy_takes_arguments_in_any_pieces_and_bounds_them() -> None:
    bench = simulated("synergyh1")
    assert ask_twin(bench, b"&", b"S", b"0", b"i", b"x", b"g", b"370", b"00") == [
        b"\x06",
        b"0000\x03",
        b"\x06",
        b"0000\x03",
        b"\x06",
        b"0000\x03",
    ]
    assert ask_twin(bench, b"h") == [b"\x062360000\x03"]
    assert ask_twin(bench, b"y", b"1" * 200) == [b"\x06"]
    assert ask_twin(bench, b"1" * 200) == [b"2100\x03"]


def test_a_synergy_that_reads_hears_the_halt_alone() -> None:
    twin_options = {"read_s": 30, "deaf_while_reading": True}
    bench = simulated("synergyh1", twin_options=twin_options)
    ask_twin(bench, b"y", SHAPE, b"D", Procedure(450, 8, 12).to_bytes(), b"O")
    assert ask_twin(bench, b"e", at_s=29) == []
    (halted,) = bench.twin.receive(b"x", 29.5)
    assert (halted.data, halted.replaces) == (b"\x060000\x03", True)
    assert len(ask_twin(bench, b"e", at_s=29.6)) == 1


@pytest.mark.parametrize("name", ["elx808", "synergyh1"])
def test_a_busy_reader_hears_nothing_for_a_while(name: str) -> None:
    bench = simulated(name, ("busy@e#1:10",))
    assert ask_twin(bench, b"e", at_s=1) == []
    assert ask_twin(bench, b"e", at_s=10.9) == []
    assert len(ask_twin(bench, b"e", at_s=11.1)) == 1
