"""The Model 680's bytes: the manual's layout as a witness, round trips under any chunking."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Unread
from readerd_biorad.absdata import (
    RULES,
    TITLE,
    Block,
    PlateData,
    cell_bytes,
    plate_decoder,
    row_values,
)
from readerd_biorad.codec import (
    MOST_REPLY_BYTES,
    NAMES,
    Command,
    Counters,
    Filters,
    IdentityScan,
    Reply,
    acknowledgement_decoder,
    counters_decoder,
    filters_decoder,
    identity_decoder,
    reply_decoder,
)
from tests.well_values import well_values


def worked_example() -> bytes:
    """The layout of the manual's chapter 7, written without the codec.

    Cell(r, c) = 0.100 r + 0.010 c, A12 over range, B1 = -0.005; reference 0.040 + 0.001 c.
    """
    text = "ERE 0000 BIO-RAD Model 680 Microplate READER\r"
    text += "01/02/2024 10:11:12\r" + "Mes. filter:450\r" + "Ref. filter:570\r" + ".begin\r"
    for row in range(1, 9):
        for column in range(1, 13):
            if (row, column) == (1, 12):
                text += " *.***"
            elif (row, column) == (2, 1):
                text += "-0.005"
            else:
                text += f" 0.{row * 100 + column * 10:03d}"
        text += "\r"
    text += "227\r.end\r\r" + ".begin\r"
    text += ("".join(f" 0.{40 + column:03d}" for column in range(1, 13)) + "\r") * 8
    return (text + "192\r.end\r\r\r").encode("ascii")


EXAMPLE = PlateData.from_bytes(worked_example())

blocks = st.builds(
    Block.of, well_values(-3500, 3500, 3, [Unread.SATURATED]), st.sampled_from("ABC")
)
wavelengths = st.integers(400, 750)
single_plates = st.builds(
    PlateData,
    st.just(TITLE),
    st.sampled_from(["01/02/2024 10:11:12", None]),
    wavelengths,
    st.none(),
    st.tuples(blocks),
)
dual_plates = st.builds(
    PlateData,
    st.just(TITLE),
    st.just("28/02/2025 23:59:59"),
    wavelengths,
    wavelengths,
    st.tuples(blocks, blocks),
)
texts = st.from_regex(r"\A[!-~]([ -~]{0,30}[!-~])?\Z")
replies = st.builds(Reply, st.integers(0, 9999), st.one_of(st.just(""), texts))
filters = st.builds(
    Filters, st.tuples(*[st.one_of(st.none(), st.integers(0, 999)) for _ in range(8)])
)
counter = st.integers(0, 9999)
counters = st.builds(Counters, counter, counter, counter)

CASES: list[tuple[st.SearchStrategy[object], Callable[[], Decoder[object]]]] = [
    (replies, reply_decoder),
    (filters, filters_decoder),
    (counters, counters_decoder),
    (single_plates, plate_decoder),
    (dual_plates, plate_decoder),
]


def test_the_witness_is_the_manuals_1300_bytes() -> None:
    assert len(worked_example()) == 1300


def test_the_witness_decodes_to_its_values_and_encodes_to_its_bytes() -> None:
    assert EXAMPLE.to_bytes() == worked_example()
    assert EXAMPLE.title == "BIO-RAD Model 680 Microplate READER"
    assert EXAMPLE.taken_at == "01/02/2024 10:11:12"
    assert EXAMPLE.filters == (450, 570)
    measured, reference = (block.values for block in EXAMPLE.blocks)
    assert measured[0] == 0.110
    assert measured[11] is Unread.SATURATED
    assert measured[12] == -0.005
    assert measured[95] == 0.920
    assert reference == tuple((40 + column) / 1000 for column in range(1, 13)) * 8


def test_the_witness_holds_checksum_rule_a_with_the_stated_sums() -> None:
    assert [block.checksum for block in EXAMPLE.blocks] == [227, 192]
    assert EXAMPLE.rules == {"A"}
    assert [RULES["B"](block.rows) for block in EXAMPLE.blocks] == [123, 88]
    assert [RULES["C"](block.rows) for block in EXAMPLE.blocks] == [26851, 26816]


def test_values_encode_to_the_witness_rows() -> None:
    again = tuple(Block.of(block.values) for block in EXAMPLE.blocks)
    assert again == EXAMPLE.blocks


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (Command("RPLATE", ("2", "0", "L", "2", "4")), b"EIA.READER RPLATE 2 0 L 2 4\r"),
        (Command("AQ"), b"EIA.READER AQ\r"),
        (Reply(0), b"ERE 0000\r"),
        (Reply(8073), b"ERE 8073\r"),
        (Reply(0, "Model 680"), b"ERE 0000 Model 680\r"),
        (
            Filters((405, 450, None, None, 570, None, None, None)),
            b"ERE 0000\r405 450 *** *** 570 *** *** ***\r",
        ),
        (
            Counters(12, 3120, 1204),
            b"ERE 0000\rOn/Off:0012\rHours :3120\rPlates:1204\r\r",
        ),
    ],
)
def test_messages_as_the_manual_prints_them(
    message: Command | Reply | Filters | Counters, sent: bytes
) -> None:
    assert message.to_bytes() == sent
    assert type(message).from_bytes(sent) == message


def test_only_two_letters_of_a_command_count_in_any_case() -> None:
    assert len({name[:2] for name in NAMES}) == len(NAMES)
    for line in (b"EIA.READER rp 1 0 l 2\r", b"eia.reader RPXYZ 1 0 l 2\r"):
        assert Command.from_bytes(line) == Command("RPLATE", ("1", "0", "l", "2"))
    assert Command.from_bytes(b"EIA.READER zz\r") == Command("ZZ")


@pytest.mark.parametrize(
    "line",
    [b"EIA. READER AQ\r", b"EIA.READER\r", b"EIA.READER \r", b"AQ\r", b"EIA.READER AQ", b"\xe9\r"],
)
def test_what_is_no_command_is_refused(line: bytes) -> None:
    with pytest.raises(GarbledReply):
        Command.from_bytes(line)


@given(st.data())
def test_every_message_survives_every_chunking(data: st.DataObject) -> None:
    messages, decoder_for = data.draw(st.sampled_from(CASES))
    message = data.draw(messages)
    filling = b"\r" * data.draw(st.integers(0, 3))
    sent = filling + message.to_bytes()  # type: ignore[attr-defined]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=20)))
    decoder = decoder_for()
    seen = None
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        seen = decoder.feed(sent[start:stop])
        if seen is not None:
            assert sent[stop:].strip(b"\r") == b""
            break
    assert seen == message


def test_one_byte_at_a_time_decodes_the_witness_at_its_last_end_marker() -> None:
    decoder = plate_decoder()
    sent = worked_example()
    for index in range(len(sent)):
        seen = decoder.feed(sent[index : index + 1])
        if seen is not None:
            assert sent[index + 1 :] == b"\r\r"
            assert seen == EXAMPLE
            return
    pytest.fail("never whole")


def test_rows_are_told_while_they_come() -> None:
    rows: list[tuple[int, int, tuple[OpticalDensity, ...]]] = []
    decoder = plate_decoder(lambda nm, row, cells: rows.append((nm, row, cells)))
    sent = worked_example()
    half = sent.index(b"227\r")
    assert decoder.feed(sent[:half]) is None
    assert [(nm, row) for nm, row, _ in rows] == [(450, row) for row in range(8)]
    assert decoder.feed(sent[half:]) == EXAMPLE
    assert [(nm, row) for nm, row, _ in rows[8:]] == [(570, row) for row in range(8)]
    assert rows[0][2][11] is Unread.SATURATED


@pytest.mark.parametrize(
    ("printed", "variant"),
    [
        (b".begin", b" begin"),
        (b".begin", b". begin"),
        (b".end", b" end"),
        (b"Mes. filter:450", b"Mes. filter: 450"),
        (b"01/02/2024 10:11:12\r", b""),
        (b" *.***", b"-*.***"),
        (b"\r\r.begin", b"\r.begin"),
    ],
)
def test_spellings_on_which_the_manual_contradicts_itself(printed: bytes, variant: bytes) -> None:
    seen = PlateData.from_bytes(worked_example().replace(printed, variant))
    assert [block.values for block in seen.blocks] == [block.values for block in EXAMPLE.blocks]
    assert seen.filters == (450, 570)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.0, b" 0.000"),
        (-0.0, b" 0.000"),
        (-0.0004, b" 0.000"),
        (-0.001, b"-0.001"),
        (3.5, b" 3.500"),
        (3.501, b" *.***"),
        (-3.6, b"-*.***"),
        (Unread.SATURATED, b" *.***"),
    ],
)
def test_cells_are_six_characters(value: OpticalDensity, cell: bytes) -> None:
    assert cell_bytes(value) == cell


def test_a_damaged_cell_is_unreadable_and_its_checksum_wrong_but_the_plate_is_whole() -> None:
    damaged = PlateData.from_bytes(worked_example().replace(b" 0.120", b" 0.1:0"))
    assert damaged.blocks[0].values[1] is Unread.UNREADABLE
    assert damaged.rules == frozenset()
    assert row_values(b" 0.1200.1300" + b" 0.000" * 10)[1] is Unread.UNREADABLE


@pytest.mark.parametrize("shown", [b"", b"2x7", b"226", b"999999"])
def test_a_damaged_checksum_is_a_whole_plate_that_agrees_with_no_rule(shown: bytes) -> None:
    seen = PlateData.from_bytes(worked_example().replace(b"227\r", shown + b"\r"))
    assert seen.rules == frozenset()
    assert seen.blocks[1].rules == {"A"}


def test_rules_must_hold_in_every_block_of_an_answer() -> None:
    values = EXAMPLE.blocks[0].values
    mixed = PlateData(TITLE, None, 450, 570, (Block.of(values, "A"), Block.of(values, "B")))
    assert mixed.rules == frozenset()


@pytest.mark.parametrize(
    ("decoder", "sent"),
    [
        (reply_decoder(), b"ERX"),
        (reply_decoder(), b"\x80"),
        (reply_decoder(), b"ERE 00\r"),
        (reply_decoder(), b"ERE 0000 " + b"x" * 200),
        (reply_decoder(), b"ERE 0000\rERE 0000\r"),
        (reply_decoder(), b"\r" * (MOST_REPLY_BYTES + 1)),
        (acknowledgement_decoder(), b"ERE 0000 Model 680\r"),
        (identity_decoder(), b"ERE 0000\r"),
        (filters_decoder(), b"ERE 0000\r405 450\r"),
        (filters_decoder(), b"ERE 0000\r405 450 xxx *** 570 *** *** ***\r"),
        (counters_decoder(), b"ERE 0000\rHours :0001\r"),
        (plate_decoder(), b"ERE 0000\rnonsense\r"),
        (plate_decoder(), worked_example().replace(b"Mes.", b"Mess")),
        (plate_decoder(), worked_example().replace(b".begin", b".began", 1)),
        (plate_decoder(), worked_example().replace(b" 0.130", b" 0.13", 1)),
        (plate_decoder(), worked_example().replace(b".end", b".ens", 1)),
        (plate_decoder(), worked_example() + b"ERE"),
    ],
)
def test_bytes_that_are_not_the_protocol_are_garbled(decoder: Decoder[object], sent: bytes) -> None:
    with pytest.raises(GarbledReply):
        decoder.feed(sent)


@pytest.mark.parametrize("make", [filters_decoder, counters_decoder, plate_decoder])
def test_a_refusal_is_whole_at_once(make: Callable[[], Decoder[object]]) -> None:
    assert make().feed(b"ERE 8073\r") == Reply(8073)


@given(st.binary(max_size=300))
def test_the_identity_scan_finds_its_answer_behind_anything(before: bytes) -> None:
    scan = IdentityScan()
    for index in range(len(before)):
        scan.feed(before[index : index + 1])
    assert scan.feed(b"ERE 0000 Model 680\r") == Reply(0, "Model 680")


@pytest.mark.parametrize(
    "mistaken",
    [
        worked_example(),
        Reply(0).to_bytes(),
        Reply(8073).to_bytes(),
        Filters((405, 450, None, None, 570, None, None, None)).to_bytes(),
        Counters(12, 3120, 1204).to_bytes(),
        b"ERE 0000" + worked_example()[300:],
        b"ERE 0000 " + b" 0.123" * 12 + b"\r",
        b"ERE 0000 BIO-RAD Model 680\r",
        b"ERE 0000 ***\r",
        b"ERE 8073 Model 680\r",
    ],
)
def test_the_identity_scan_takes_nothing_else_in_any_chunking(mistaken: bytes) -> None:
    for size in (1, 7, 64, len(mistaken)):
        scan = IdentityScan()
        for start in range(0, len(mistaken), size):
            assert scan.feed(mistaken[start : start + size]) is None


def test_the_identity_scan_waits_while_more_comes_behind_its_answer() -> None:
    scan = IdentityScan()
    assert scan.feed(b"ERE 0000 Model 680\rERE 0000\r") is None
    assert scan.feed(b"ERE 0000 Model 680\r\r") == Reply(0, "Model 680")


@settings(max_examples=300)
@given(st.data())
def test_mutated_bytes_end_in_a_message_or_in_garbled_within_bounds(data: st.DataObject) -> None:
    sent = bytearray(worked_example())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    decoder = plate_decoder()
    try:
        seen = decoder.feed(bytes(sent))
    except GarbledReply:
        return
    assert seen is None or isinstance(seen, PlateData | Reply)
