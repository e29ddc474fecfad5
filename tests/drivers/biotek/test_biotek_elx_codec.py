"""The ELx808's bytes: the manual's layout as a witness, round trips under any chunking."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Unread
from readerd_biotek.elx_codec import (
    TABLE_BYTES,
    AssayTable,
    FilterTable,
    Temperature,
    filters_decoder,
    temperature_decoder,
)
from readerd_biotek.elx_data import (
    Block,
    Dump,
    PlateData,
    cell_bytes,
    dump_decoder,
    plate_decoder,
    row_values,
)
from readerd_biotek.framing import (
    OK,
    Aborted,
    Answer,
    Nak,
    Nothing,
    Ready,
    Started,
    Status,
    Version,
    done_decoder,
    ready_decoder,
    verdict_decoder,
    version_decoder,
)
from tests.drivers.biotek.elx_witness import ROW_570, TEXT_450, WITNESS
from tests.well_values import well_values

plates = well_values(-9999, 9999, 3, [Unread.SATURATED])
statuses = st.integers(0, 0xFFFF).map(lambda code: Status(f"{code:04X}"))
blocks = plates.map(Block.of)
nm = st.integers(340, 900)
answers: dict[str, tuple[st.SearchStrategy[object], Callable[[], Decoder[object]]]] = {
    "done": (st.builds(Answer, st.just(Nothing()), statuses), done_decoder),
    "312 status": (st.builds(Answer, st.just(Nothing()), st.just(Status("9"))), done_decoder),
    "nak": (st.just(Nak()), done_decoder),
    "ready": (st.just(Ready()), ready_decoder),
    "version": (
        st.builds(
            Answer,
            st.builds(
                Version,
                st.from_regex(r"\A[0-9A-Z]{7}\Z"),
                st.from_regex(r"\A[0-9]{1,3}\.[0-9]{1,3}\Z"),
            ),
            statuses,
        ),
        version_decoder,
    ),
    "filters": (
        st.builds(
            Answer, st.builds(FilterTable, st.tuples(*[st.one_of(st.none(), nm)] * 6)), statuses
        ),
        filters_decoder,
    ),
    "temperature": (
        st.builds(Answer, st.builds(Temperature, st.integers(0, 0xFFFF)), statuses),
        temperature_decoder,
    ),
    "one plate": (st.builds(PlateData, st.tuples(blocks)), lambda: plate_decoder(1)),
    "two plates": (
        st.builds(PlateData, st.tuples(blocks, blocks), statuses),
        lambda: plate_decoder(2),
    ),
    "312 plate": (
        st.builds(
            Dump,
            plates.map(lambda values: Block(Block.of(values).rows, None)),
            st.from_regex(r"\A[0-9A-Z]{0,6}\Z"),
            st.binary(min_size=49, max_size=49),
            statuses,
        ),
        dump_decoder,
    ),
}


def test_the_witness_has_the_stated_size_and_sums() -> None:
    assert len(WITNESS) == 1202
    assert len(TEXT_450) == 592
    assert sum(TEXT_450 + b"\x1a") == 27809
    assert sum(TEXT_450 + b"237\x1a") == 27965
    assert sum(ROW_570 * 8 + b"\x1a") == 27786


def test_the_witness_decodes_to_its_values_and_encodes_to_its_bytes() -> None:
    plate = PlateData.from_bytes(WITNESS)
    assert plate.to_bytes() == WITNESS
    measured, reference = plate.blocks
    assert (measured.checksum, reference.checksum) == (0xA1, 0x8A)
    assert measured.right
    assert reference.right
    assert plate.final == OK
    assert measured.values[0] == 0.110
    assert measured.values[11] is Unread.SATURATED
    assert measured.values[12] == -0.005
    assert measured.values[95] == 0.920
    assert reference.values == tuple((40 + column) / 1000 for column in range(1, 13)) * 8


def test_values_encode_to_the_witness() -> None:
    again = tuple(Block.of(block.values) for block in PlateData.from_bytes(WITNESS).blocks)
    assert PlateData(again).to_bytes() == WITNESS


def test_the_temperature_counts_in_the_checksum() -> None:
    warm = WITNESS.replace(b"\x1a\xa1", b"237\x1a\x3d")
    block = PlateData.from_bytes(warm).blocks[0]
    assert (block.temperature, block.checksum, block.right) == (b"237", 0x3D, True)
    assert PlateData.from_bytes(warm).to_bytes() == warm


def test_the_small_witness() -> None:
    values: list[OpticalDensity] = [0.051, 1.234, Unread.SATURATED, -0.003, 0.987, 2.5]
    block = Block.of(values, columns=3)
    assert block.rows == (b",+0051,+1234,*****\r\n", b",-0003,+0987,+2500\r\n")
    assert block.checksum == 0xED
    assert list(block.values) == values


@pytest.mark.parametrize("checksum", [0x03, 0x06, 0x0D, 0x10, 0x15, 0x1A, 0x1E])
def test_a_checksum_that_looks_like_a_control_byte_ends_nothing(checksum: int) -> None:
    block = Block.of([0.0] * 96)
    values: list[OpticalDensity] = [0.0] * 96
    at = 0
    while block.checksum != checksum:
        values[at % 96] = float(values[at % 96]) + 0.001 if values[at % 96] != 9.999 else 0.0
        block = Block.of(values)
        at += 1
    sent = PlateData((block, block)).to_bytes()
    for size in (1, len(sent)):
        decoder = plate_decoder(2)
        seen = [decoder.feed(sent[at : at + size]) for at in range(0, len(sent), size)]
        assert seen[-1] == PlateData((block, block))


def test_the_312_dump_has_the_657_bytes_that_a_public_client_waits_for() -> None:
    rows = PlateData.from_bytes(WITNESS).blocks[0].rows
    sent = b"\x06\r" + TEXT_450 + b"ELISA \r\n" + b"\x1e" * 49 + b"\x1a\x1e000\x03"
    assert len(sent) == 657
    dump = Dump.from_bytes(sent, status_first=False)
    assert dump == Dump(Block(rows, None), "ELISA", b"\x1e" * 49, Status("0"), None)
    assert dump.to_bytes() == sent
    warm = sent.replace(b"ELISA", b"237ELISA")
    assert Dump.from_bytes(warm, status_first=False).block.temperature == b"237"
    assert Dump.from_bytes(warm, status_first=False).to_bytes() == warm


def test_the_multi_wavelength_table_is_the_sheets() -> None:
    expected = bytearray(170)
    expected[1:7] = b"ELISA "
    expected[31] = 0x01
    expected[49:55] = b"000000"
    expected[66:84] = b"450570000000000000"
    table = AssayTable("ELISA", several_nm=(450, 570))
    assert table.to_bytes() == bytes(expected)
    assert AssayTable.from_bytes(bytes(expected)) == table


def test_shaking_and_a_single_wavelength_stand_where_the_manual_says() -> None:
    sent = AssayTable("X", 405, shake_s=0x0102, shake_speed=3).to_bytes()
    assert (sent[30], sent[162:165]) == (0x10, b"\x02\x01\x03")
    assert (sent[49:55], sent[66:84]) == (b"405000", b"000" * 6)
    assert sent[55] == 0


@given(
    st.from_regex(r"\A[0-9A-Z]{1,6}\Z"),
    st.one_of(nm, st.lists(nm, min_size=1, max_size=6, unique=True)),
    st.integers(1, 0xFFFF),
    st.integers(0, 3),
)
def test_tables_go_both_ways(
    name: str, wavelengths: int | list[int], shake_s: int, speed: int
) -> None:
    single = wavelengths if isinstance(wavelengths, int) else None
    several = () if isinstance(wavelengths, int) else tuple(wavelengths)
    table = AssayTable(name, single, several, shake_s, speed)
    assert len(table.to_bytes()) == TABLE_BYTES
    assert AssayTable.from_bytes(table.to_bytes()) == table


@given(st.data())
def test_a_damaged_table_is_garbled_or_another_table(data: st.DataObject) -> None:
    sent = bytearray(AssayTable("450570", several_nm=(450, 570)).to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        sent[data.draw(st.integers(0, 169))] = data.draw(st.integers(0, 255))
    try:
        table = AssayTable.from_bytes(bytes(sent))
    except GarbledReply:
        return
    assert table.to_bytes() == sent


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (Answer(Nothing()), b"\x060000\x03"),
        (Answer(Nothing(), Status("0")), b"\x06\x1e000\x03"),
        (Answer(Version("7340201", "3.15")), b"\x067340201  Version 3.15   0000\x03"),
        (
            Answer(FilterTable((405, 450, 490, 590, 650, None))),
            b"\x06405,450,490,590,650,000,0000\x03",
        ),
        (Answer(Temperature(0x0103), Status("1500")), b"\x06\x03\x011500\x03"),
        (Aborted(Status("0100")), b"\x100100\x03"),
        (Started(Status("1600")), b"\x061600\x03"),
        (Nak(), b"\x15"),
    ],
)
def test_messages_as_they_were_seen(message: Answer[Nothing], sent: bytes) -> None:
    assert message.to_bytes() == sent


def test_temperatures_outside_the_sensors_range_are_none() -> None:
    seen = [Temperature(tenths).celsius for tenths in (0, 111, 237, 999)]
    assert seen == [None, None, 23.7, None]


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("name", answers)
def test_every_message_survives_every_chunking(name: str, data: st.DataObject) -> None:
    messages, decoder_for = answers[name]
    message = data.draw(messages)
    sent: bytes = message.to_bytes()  # type: ignore[attr-defined]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=20)))
    decoder = decoder_for()
    seen = None
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        assert seen is None or start == len(sent)
        seen = decoder.feed(sent[start:stop]) if seen is None else seen
    assert seen == message


def test_rows_are_told_while_they_come_and_silence_counts_from_the_first_byte_of_data() -> None:
    rows: list[tuple[int, int]] = []
    decoder = plate_decoder(2, lambda block, row, _: rows.append((block, row)))
    assert decoder.feed(WITNESS[:6]) is None
    assert not decoder.begun
    assert decoder.feed(WITNESS[6:7]) is None
    assert decoder.begun
    decoder.feed(WITNESS[7 : 7 + 592 + 2])
    assert rows == [(0, row) for row in range(8)]
    assert decoder.feed(WITNESS[7 + 592 + 2 :]) == PlateData.from_bytes(WITNESS)
    assert rows[8:] == [(1, row) for row in range(8)]


@pytest.mark.parametrize("kept", [*range(6, 30), 79, 80, 81, 597, 598, 599, 601, 602, 1194, 1196])
def test_an_abort_is_seen_wherever_it_replaces_the_text(kept: int) -> None:
    sent = WITNESS[:kept] + b"\x100100\x03"
    decoder = plate_decoder(2)
    seen = [decoder.feed(sent[at : at + 1]) for at in range(len(sent))]
    assert seen[-1] == Aborted(Status("0100"))


def test_dle_in_the_place_of_the_checksum_is_the_checksum() -> None:
    with pytest.raises(GarbledReply):
        plate_decoder(2).feed(WITNESS[:600] + b"\x100100\x03")


def test_without_the_final_terminator_a_plate_is_whole_at_its_last_checksum() -> None:
    decoder = plate_decoder(2, final_terminator=False)
    plate = PlateData(PlateData.from_bytes(WITNESS).blocks, None)
    assert decoder.feed(WITNESS[:-6]) == plate
    for more in (5, 1):
        assert plate_decoder(2, final_terminator=False).feed(WITNESS[:-more]) == plate
    with pytest.raises(GarbledReply):
        plate_decoder(2, final_terminator=False).feed(WITNESS[:-6] + b"0")


def test_a_refusal_is_whole_at_once() -> None:
    assert plate_decoder(2).feed(b"\x15") == Nak()
    assert plate_decoder(2).feed(b"\x061600\x03") == Started(Status("1600"))
    assert dump_decoder().feed(b"\x06\x1e090\x03") == Started(Status("9"))


@pytest.mark.parametrize(
    ("decoder", "sent"),
    [
        (done_decoder(), b"\x80"),
        (done_decoder(), b"\x0600x0\x03"),
        (done_decoder(), b"\x060000\x04"),
        (done_decoder(), b"\x060000\x03\x06"),
        (verdict_decoder(), b"\x060000"),
        (ready_decoder(), b"\x03"),
        (ready_decoder(), b"\x060000\x03"),
        (version_decoder(), b"\x067340201  Versio  3.15   0000\x03"),
        (filters_decoder(), b"\x06405,450,490,590,650,xxx,0000\x03"),
        (plate_decoder(1), WITNESS),
        (plate_decoder(2), WITNESS.replace(b"+0210,*****\r\n", b"+0210,*****\n\r", 1)),
        (plate_decoder(2), WITNESS.replace(b"\x1a\xa1", b"23x\x1a\x3d")),
        (plate_decoder(2), WITNESS.replace(b"\x1a\xa1", b"2\x1a\xa1\r")),
        (plate_decoder(2), WITNESS[:-6] + b"\x04"),
        (dump_decoder(), b"\x060000\x03x"),
    ],
)
def test_bytes_that_are_not_the_protocol_are_garbled(decoder: Decoder[object], sent: bytes) -> None:
    with pytest.raises(GarbledReply):
        decoder.feed(sent)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.0, b",+0000"),
        (-0.0, b",+0000"),
        (-0.0004, b",+0000"),
        (-0.001, b",-0001"),
        (9.999, b",+9999"),
        (10.0, b",*****"),
        (-10.0, b",*****"),
        (Unread.NOT_MEASURED, b",*****"),
    ],
)
def test_cells_are_six_bytes(value: OpticalDensity, cell: bytes) -> None:
    assert cell_bytes(value) == cell


def test_a_damaged_cell_is_unreadable_and_its_checksum_wrong_but_the_plate_is_whole() -> None:
    damaged = PlateData.from_bytes(WITNESS.replace(b"+0120", b"+01:0", 1))
    assert damaged.blocks[0].values[1] is Unread.UNREADABLE
    assert not damaged.blocks[0].right
    assert damaged.blocks[1].right
    assert row_values(b",+*234,*****,+ 123\r\n") == (
        Unread.UNREADABLE,
        Unread.SATURATED,
        Unread.UNREADABLE,
    )
    negative_nothing = row_values(b",-0000\r\n")[0]
    assert str(negative_nothing) == "0.0"
