"""The SpectraMax's bytes: the sheet's worked examples as a witness, round trips in any chunks."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply
from readerd.plate import FORMATS, OpticalDensity, Unread
from readerd_spectramax import DRIVER_M5
from readerd_spectramax.codec import (
    MOST_LINE_BYTES,
    MOST_REPLY_BYTES,
    Command,
    ErrorLog,
    LogEntry,
    Refusal,
    Reply,
    Status,
    StatusScan,
    log_decoder,
    reply_decoder,
    status_decoder,
)
from readerd_spectramax.codes import TEXTS, needs_human, text_of
from readerd_spectramax.platedata import Block, PlateData, cell_text, cell_value, plate_decoder

# The protocol sheet's constructed example, byte for byte: two columns of two rows.
WORKED_EXAMPLE = (
    b"OK\r\n>"
    b"12.3\t25.1\t96-well\r\n"
    b"L:\t450\t570\r\n"
    b"L:\t450\r\n"
    b"1:\t0.1010\t0.2010\r\n"
    b"2:\t0.1020\t#SAT\r\n"
    b"L:\t570\r\n"
    b"1:\t0.0410\t0.0420\r\n"
    b"2:\t0.0430\t0.0440\r\n"
    b">"
)
# The answer to STATUS as the second public client shows it.
STATUS_SEEN = b"OK\r\n>\r\nOPEN\r\nIDLE\r\n\r\n>"
EXAMPLE = PlateData.from_bytes(WORKED_EXAMPLE)

cells = st.one_of(
    st.integers(-40_000, 40_000).map(lambda number: f"{number / 10_000:.4f}"),
    st.sampled_from(["#SAT", "-", "", "???", "1.2E-02", "4"]),
)
words = st.from_regex(r"\A[A-Z0-9]([A-Z0-9 ]{0,12}[A-Z0-9])?\Z")
notes = st.sampled_from([None, "", "Warning: lamp", "x y"])


def blocks(wavelength_nm: int, columns: int, rows: int) -> st.SearchStrategy[Block]:
    column = st.tuples(*[cells] * rows)
    return st.builds(Block, st.just(wavelength_nm), st.tuples(*[column] * columns))


plates = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.builds(
        PlateData,
        st.just("12.3"),
        st.sampled_from(["25.1", "37"]),
        st.sampled_from(["96-well", ""]),
        st.just((450, 570)),
        st.tuples(blocks(450, *shape), blocks(570, *shape)),
    )
)
entries = st.builds(LogEntry, st.integers(100, 505).map(str), words, st.integers(0, 9999))
CASES: list[tuple[st.SearchStrategy[object], Callable[[], Decoder[object]]]] = [
    (st.builds(Reply, notes), reply_decoder),
    (st.builds(Reply, notes, words), lambda: reply_decoder(2)),
    (st.builds(Refusal, st.integers(100, 505).map(str)), reply_decoder),
    (st.builds(Refusal, words, st.booleans()), plate_decoder),
    (
        st.builds(
            Status,
            st.sampled_from(["OPEN", "CLOSED"]),
            words.map(lambda text: " ".join(text.split())),
        ),
        status_decoder,
    ),
    (st.builds(ErrorLog, st.lists(entries, max_size=4).map(tuple)), log_decoder),
    (plates, plate_decoder),
]


def test_the_worked_example_decodes_to_its_values_and_encodes_to_its_bytes() -> None:
    assert EXAMPLE.to_bytes(None) == WORKED_EXAMPLE
    assert (EXAMPLE.time, EXAMPLE.temperature_c, EXAMPLE.container) == ("12.3", 25.1, "96-well")
    assert EXAMPLE.wavelengths_nm == (450, 570)
    measured, reference = EXAMPLE.blocks
    assert measured.values == (0.1010, 0.1020, 0.2010, Unread.SATURATED)  # A1 A2 B1 B2
    assert reference.values == (0.0410, 0.0430, 0.0420, 0.0440)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"OK\t\r\n>", Reply("")),
        (b"OK\r\n>", Reply(None)),
        (b"OK\tWarning: Something happened\r\n>", Reply("Warning: Something happened")),
        (b"FAIL\t 101\r\n>", Refusal("101")),
        (b"OK\t\r\n>FAIL\t 107\r\n>", Refusal("107", acknowledged=True)),
    ],
)
def test_acknowledgements_and_refusals_as_the_sheet_prints_them(
    sent: bytes, message: Reply | Refusal
) -> None:
    assert type(message).from_bytes(sent) == message
    assert message.to_bytes() == sent


def test_the_status_as_it_was_seen() -> None:
    assert Status.from_bytes(STATUS_SEEN) == Status("OPEN", "IDLE")
    assert Status("OPEN", "IDLE").to_bytes(None) == STATUS_SEEN
    assert Status.from_bytes(b"OK\t\r\n>CLOSED MEASURING\r\n>") == Status("CLOSED", "MEASURING")
    powering_up = b"OK\t\r\n>\r\nCLOSED\r\nAIR CAL206\r\n\r\n>"
    assert Status.from_bytes(powering_up) == Status("CLOSED", "AIR CAL206")


def test_the_error_log_is_code_text_and_count() -> None:
    log = ErrorLog((LogEntry("314", "low lamp level warning", 2),))
    assert ErrorLog.from_bytes(b"OK\t\r\n>\r\n314 low lamp level warning(2)\r\n>") == log
    assert ErrorLog.from_bytes(b"OK\t\r\n>\r\n>") == ErrorLog()
    assert str(log.entries[0]) == "314 low lamp level warning (2)"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_commands_end_with_either_line_end(end: bytes) -> None:
    command = Command("WAVELENGTH", ("450", "570"))
    assert command.to_bytes(end) == b"!WAVELENGTH 450 570" + end
    assert Command.from_bytes(command.to_bytes(end)) == command
    assert Command().to_bytes(end) == b"!" + end
    assert Command.from_bytes(b"!" + end) == Command()


@pytest.mark.parametrize("line", [b"", b"!READ", b"READ\r", b"\r", b"!\xe9\r", b"!READ\t\r"])
def test_what_is_no_command_is_refused(line: bytes) -> None:
    with pytest.raises(GarbledReply):
        Command.from_bytes(line)


@given(st.data())
def test_every_message_survives_every_chunking(data: st.DataObject) -> None:
    messages, decoder_for = data.draw(st.sampled_from(CASES))
    message = data.draw(messages)
    filling = data.draw(st.sampled_from([b"", b"\r\n", b">", b"\r\n>\r\n"]))
    sent = filling + message.to_bytes()  # type: ignore[attr-defined]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=20)))
    decoder = decoder_for()
    seen = None
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        assert seen is None
        seen = decoder.feed(sent[start:stop])
    assert seen == message


def test_one_byte_at_a_time_decodes_the_example_at_its_last_prompt() -> None:
    decoder = plate_decoder()
    for index in range(len(WORKED_EXAMPLE) - 1):
        assert decoder.feed(WORKED_EXAMPLE[index : index + 1]) is None
        assert decoder.begun
    assert decoder.feed(b">") == EXAMPLE


def test_columns_are_told_while_they_come() -> None:
    told: list[tuple[int, int, tuple[OpticalDensity, ...]]] = []
    decoder = plate_decoder(lambda nm, column, values: told.append((nm, column, values)))
    half = WORKED_EXAMPLE.index(b"L:\t570\r\n")
    assert decoder.feed(WORKED_EXAMPLE[:half]) is None
    assert told == [(450, 0, (0.1010, 0.2010)), (450, 1, (0.1020, Unread.SATURATED))]
    assert decoder.feed(WORKED_EXAMPLE[half:]) == EXAMPLE
    assert [(nm, column) for nm, column, _ in told[2:]] == [(570, 0), (570, 1)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1010", 0.1010),
        ("-0.001", -0.001),
        ("1.2E-02", 0.012),
        ("4", 4.0),
        (" 0.5", 0.5),
        ("#SAT", Unread.SATURATED),
        ("-", Unread.NOT_MEASURED),
        ("", Unread.NOT_MEASURED),
        ("#LOW", Unread.UNREADABLE),
        ("nan", Unread.UNREADABLE),
        ("1e999", Unread.UNREADABLE),
        ("0.1/10", Unread.UNREADABLE),
    ],
)
def test_a_cell_is_a_number_or_the_reason_why_not(text: str, value: OpticalDensity) -> None:
    assert cell_value(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.00004, "0.0000"),
        (-0.0051, "-0.0051"),
        (4.0, "4.0000"),
        (4.0001, "#SAT"),
        (-4.1, "#SAT"),
        (Unread.SATURATED, "#SAT"),
        (Unread.NOT_MEASURED, "-"),
        (Unread.UNREADABLE, "???"),
    ],
)
def test_the_twin_writes_cells_as_the_sheet_has_them(value: OpticalDensity, text: str) -> None:
    assert cell_text(value, 4, 4.0) == text


@pytest.mark.parametrize("format", [96, 384])
def test_values_are_columns_on_the_wire_and_rows_on_the_plate(format: int) -> None:
    plate = FORMATS[format]
    numbers = [index / 10_000 for index in range(plate.size)]
    block = Block.of(450, numbers, plate)
    assert block.columns[0][:2] == ("0.0000", f"{plate.columns / 10_000:.4f}")  # A1, B1
    assert len(block.columns) == plate.columns
    assert block.values == tuple(numbers)
    assert block.fills(plate)
    assert not block.fills(FORMATS[480 - format])


def test_shape_and_wavelengths_are_verified() -> None:
    assert EXAMPLE.wrong((450, 570), 96) == "2 columns of 2 cells at 450 nm are no 96-well plate"
    whole = Block.of(450, [0.1] * 96, FORMATS[96])
    plate = PlateData("1", "25", "", (450,), (whole,))
    assert plate.wrong((450,), 96) is None
    assert "instead of (450, 570) nm" in str(plate.wrong((450, 570), 96))
    assert PlateData("1", "25", "", (450,), ()).wrong((450,), 96) is not None


@pytest.mark.parametrize(
    ("decoder", "sent"),
    [
        (reply_decoder(), b"OJ"),
        (reply_decoder(), b"\x80"),
        (reply_decoder(), b"OK\x08"),
        (reply_decoder(), b"FAUL\t 1"),
        (reply_decoder(), b"OKAY\r\n>"),
        (reply_decoder(), b"OK\t\r\n>OK\t\r\n>"),
        (reply_decoder(), b"OK\t" + b"x" * MOST_LINE_BYTES),
        (reply_decoder(), b"\r\n" * (MOST_REPLY_BYTES // 2 + 1)),
        (reply_decoder(2), b"OK\t\r\n>x>y"),
        (status_decoder(), b"OK\t\r\n>OK\t\r\n>"),
        (status_decoder(), b"OK\t\r\n>\r\nCLOSED\r\n>"),
        (status_decoder(), b"OK\t\r\n>\r\nIDLE CLOSED\r\n>"),
        (log_decoder(), b"OK\t\r\n>\r\n314 lamp\r\n>"),
        (plate_decoder(), STATUS_SEEN),
        (plate_decoder(), b"OK\t\r\n>\r\n>"),
        (plate_decoder(), WORKED_EXAMPLE.replace(b"L:\t450\r\n", b"", 1)),
        (plate_decoder(), WORKED_EXAMPLE.replace(b"L:\t450\t570", b"M:\t450\t570")),
        (plate_decoder(), WORKED_EXAMPLE.replace(b"2:\t0.1", b"3:\t0.1")),
        (plate_decoder(), WORKED_EXAMPLE.replace(b"\t#SAT", b"")),
        (plate_decoder(), WORKED_EXAMPLE.replace(b"L:\t570\r\n", b"L:\t570\t1\r\n")),
        (plate_decoder(), WORKED_EXAMPLE + b"OK"),
    ],
)
def test_bytes_that_are_not_the_protocol_are_garbled(decoder: Decoder[object], sent: bytes) -> None:
    with pytest.raises(GarbledReply):
        decoder.feed(sent)


def test_a_prompt_that_may_not_be_the_last_is_remembered_until_something_follows() -> None:
    decoder = reply_decoder(2)
    assert decoder.acknowledged is None
    assert decoder.feed(b"OK\t\r\n>\r\n") is None
    assert decoder.acknowledged == Reply("")
    assert decoder.feed(b"x") is None
    assert decoder.acknowledged is None


@given(st.binary(max_size=300))
def test_the_scan_finds_its_answer_behind_anything(before: bytes) -> None:
    scan = StatusScan()
    for index in range(len(before)):
        scan.feed(before[index : index + 1])
    assert scan.feed(STATUS_SEEN) == Status("OPEN", "IDLE")


@pytest.mark.parametrize(
    "mistaken",
    [
        WORKED_EXAMPLE,
        Reply().to_bytes(),
        Reply("", "\r\n").to_bytes(),
        Reply("", "\r\n0.0 25.1\r\n").to_bytes(),
        Refusal("107", acknowledged=True).to_bytes(),
        ErrorLog((LogEntry("110", "OPEN IDLE", 1),)).to_bytes(),
        STATUS_SEEN[:-1],
        STATUS_SEEN[6:],
        STATUS_SEEN.replace(b"OPEN", b"OPEM"),
        STATUS_SEEN.replace(b"IDLE", b"\x80\x81"),
    ],
)
def test_the_scan_takes_nothing_else_in_any_chunking(mistaken: bytes) -> None:
    for size in (1, 7, 64, len(mistaken)):
        scan = StatusScan()
        for start in range(0, len(mistaken), size):
            assert scan.feed(mistaken[start : start + size]) is None


def test_the_scan_waits_while_more_comes_behind_its_answer() -> None:
    scan = StatusScan()
    assert scan.feed(STATUS_SEEN + b"OK\t\r\n>\r\n0.0 25") is None
    assert scan.feed(b".1\r\n>" + STATUS_SEEN + b"\r\n") == Status("OPEN", "IDLE")


def test_error_numbers_have_their_texts_and_say_when_a_person_must_come() -> None:
    assert text_of("107") == "no data to transfer"
    assert text_of("999") == "no text known for this number"
    assert len(TEXTS) == 12 + 11 + 9 + 6 + 4 + 6
    assert [code for code in TEXTS if needs_human(code)][:2] == ["300", "301"]
    assert not needs_human("314")
    assert not needs_human("999")


@settings(max_examples=300)
@given(st.data())
def test_mutated_bytes_end_in_a_message_or_in_garbled_within_bounds(data: st.DataObject) -> None:
    sent = bytearray(WORKED_EXAMPLE)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent[at] = data.draw(st.integers(0, 255))
    fed_without_escape(plate_decoder(), bytes(sent))
    fed_without_escape(plate_decoder(lambda nm, column, values: None), bytes(sent))


@settings(max_examples=500)
@given(st.data(), st.binary(max_size=400))
def test_arbitrary_bytes_never_leave_our_exceptions(data: st.DataObject, sent: bytes) -> None:
    decoder = DRIVER_M5.decoders[data.draw(st.sampled_from(sorted(DRIVER_M5.decoders)))]()
    fed_without_escape(decoder, data.draw(st.sampled_from([b"", b"OK\t\r\n>"])) + sent)


@pytest.mark.parametrize("name", sorted(set(DRIVER_M5.decoders) - {"challenge", "reply"}))
def test_a_reply_that_never_ends_is_garbled_in_bounded_memory(name: str) -> None:
    decoder = DRIVER_M5.decoders[name]()
    assert decoder.feed(b"OK\t\r\n>") is None
    for _ in range(MOST_REPLY_BYTES // 1000):
        assert decoder.feed(b"1" * 1000) is None
    with pytest.raises(GarbledReply, match="bytes in one reply"):
        decoder.feed(b"1" * 1000)


def fed_without_escape(decoder: Decoder[object], sent: bytes) -> None:
    """Whatever comes is a message, more to come, or GarbledReply; anything else fails the test."""
    try:
        for start in range(0, len(sent), 7):
            message = decoder.feed(sent[start : start + 7])
            if isinstance(message, PlateData):
                assert message.wrong((450, 570), 96) is not None or message.blocks[0].values
            if message is not None:
                return
    except GarbledReply:
        return
