"""The Synergy's bytes: captured answers as a witness, round trips under any chunking.

The captures are those that PyLabRobot ships with its tests; they are read from the installed
package, with the values that it expects from them.
"""

import ast
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from readerd.driver.codec import Decoder
from readerd.errors import GarbledReply
from readerd.plate import OpticalDensity, Unread, complete, well_name
from readerd_biotek import SYNERGYH1
from readerd_biotek.framing import Aborted, Answer, Nak, Nothing, Started, Status
from readerd_biotek.synergy_codec import (
    Geometry,
    Procedure,
    Promise,
    SerialNumber,
    Warmth,
    decimal_sum,
    promise_decoder,
    serial_decoder,
    warmth_decoder,
)
from readerd_biotek.synergy_data import Frame, frame_decoder, row_cells, value_bytes
from readerd_biotek.synergy_options import SynergyOptions, geometry
from tests.drivers.biotek.biotek_bench import feed_any_bytes

# The sheet's small frame, typed in: A1 and A2 at 23.6 °C.
SMALL = b"01,1,\r000:00:00.0,236,01,01,+0.1100,01,02,+0.1200\r\n236\x1a217\x1a0000\x03"
STARTED = b"\x060000\x03"

optical_densities: st.SearchStrategy[OpticalDensity] = st.one_of(
    st.integers(-99_999, 99_999).map(lambda digits: digits / 10_000),
    st.just(Unread.SATURATED),
)
wells = st.tuples(st.integers(0, 7), st.integers(0, 11))
frames = st.builds(
    Frame.of, st.dictionaries(wells, optical_densities, max_size=96), st.integers(0, 999)
)
statuses = st.integers(0, 0xFFFF).map(lambda code: Status(f"{code:04X}"))


def captures() -> ast.Module:
    """The source of the public driver's tests."""
    spec = find_spec("pylabrobot.plate_reading")
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(
        (Path(spec.origin).with_name("agilent") / "biotek_tests.py").read_text("utf-8")
    )


def captured() -> list[str]:
    """Every text in them, long ones already joined."""
    return [_text(node) for node in ast.walk(captures()) if _text(node)]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else _ascii(node.value)
    return ""


def _ascii(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else ""


def captured_frames() -> list[bytes]:
    texts = "\n".join(captured())
    found = re.findall(r"01,1,\r[^\x03]*\x03", texts)
    return [text.encode("latin-1") for text in found]


def expected_plates() -> list[list[list[float | None]]]:
    """The values that they expect."""
    return [
        ast.literal_eval(node.value)
        for node in ast.walk(captures())
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "expected_data"
    ]


def test_captured_answers_decode_with_right_checksums_and_go_back_to_their_bytes() -> None:
    sent = captured_frames()
    seen = [Frame.from_bytes(data) for data in sent]
    assert {frame.checksum for frame in seen} == {b"041", b"132", b"160", b"210", b"091", b"014"}
    assert all(frame.right for frame in seen)
    assert [frame.to_bytes() for frame in seen] == sent


def test_the_captured_absorbance_plate_has_the_values_that_its_driver_expects() -> None:
    plates = [tuple(value for row in plate for value in row) for plate in expected_plates()]
    frames = map(Frame.from_bytes, captured_frames())
    frame = next(frame for frame in frames if frame.checksum == b"041")
    cells = {well_name(*well): value for well, value in frame.cells().items()}
    assert complete(cells, 96) in plates
    assert cells["A1"] == 0.1917
    assert cells["H12"] == 0.1316
    assert frame.temperature_c == 22.8
    again = Frame.of(frame.cells(), 228)
    assert again == frame


def test_captured_procedures_have_the_length_and_the_checksum_of_the_rule() -> None:
    texts = set(re.findall(r"^(\d{4}01[0-9-]{26,}?)\x03?$", "\n".join(captured()), re.M))
    assert len(texts) == 5
    for text in texts:
        body, checksum = text[4:-3].encode(), text[-3:].encode()
        assert decimal_sum(body) == checksum, text
        assert int(text[:4]) == len(text) - 4


def test_the_procedures_of_the_sheet() -> None:
    sent = b"004701010108120001200100001100100000106000080450109\x03"
    assert Procedure(450, 8, 12).to_bytes() == sent
    assert Procedure.from_bytes(sent) == Procedure(450, 8, 12)
    checksums = {
        (580, 8, 12, 1, 1): b"113",
        (570, 8, 12, 1, 1): b"112",
        (600, 1, 1, 1, 1): b"097",
        (325, 1, 1, 1, 1): b"101",
        (600, 3, 1, 3, 1): b"101",
        (400, 3, 1, 3, 1): b"099",
    }
    for arguments, checksum in checksums.items():
        assert Procedure(*arguments).to_bytes()[-4:-1] == checksum


@pytest.mark.parametrize(
    "wrong",
    [
        b"004701010108120001200100001100100000106000080450108\x03",
        b"004601010108120001200100001100100000106000080450109\x03",
        b"004701010108120001200100001100100000106000080450109",
        b"004701010108120001200100001100100000106000090450110\x03",
    ],
)
def test_a_procedure_with_a_wrong_length_or_checksum_is_garbled(wrong: bytes) -> None:
    with pytest.raises(GarbledReply):
        Procedure.from_bytes(wrong)


def test_geometry_as_it_was_seen_and_as_the_standard_has_it() -> None:
    seen = b"08120112807428014301133008548127761420\x03"
    shape = Geometry(8, 12, 1128, 7428, 1430, 11330, 8548, 12776, 1420)
    assert Geometry.from_bytes(seen) == shape
    assert shape.to_bytes() == seen
    options = SynergyOptions(plate_height_mm=14.35)
    assert geometry(96, options) == Geometry(8, 12, 1124, 7424, 1438, 11338, 8548, 12776, 1435)
    assert geometry(384, options) == Geometry(16, 24, 899, 7649, 1213, 11563, 8548, 12776, 1435)
    with pytest.raises(GarbledReply):
        Geometry.from_bytes(seen[:-1])


def test_the_small_frame() -> None:
    frame = Frame.from_bytes(SMALL)
    assert frame.right
    assert sum(frame.core) == 2265
    assert frame.cells() == {(0, 0): 0.11, (0, 1): 0.12}
    assert frame.temperature_c == 23.6
    assert Frame.of({(0, 0): 0.11, (0, 1): 0.12}, 236).to_bytes() == SMALL


def test_rows_run_like_a_snake_and_cells_are_put_by_their_place() -> None:
    cells: dict[tuple[int, int], OpticalDensity] = {
        (row, column): (10 * row + column) / 10_000 for row in range(3) for column in range(3)
    }
    frame = Frame.of(cells)
    assert frame.rows[0] == b",01,01,+0.0000,01,02,+0.0001,01,03,+0.0002\r\n"
    assert frame.rows[1] == b",02,03,+0.0012,02,02,+0.0011,02,01,+0.0010\r\n"
    assert frame.rows[2].startswith(b",03,01,")
    assert frame.cells() == cells
    straight = Frame((b",02,01,+0.0010,02,02,+0.0011\r\n",), frame.before, frame.after, b"000")
    assert straight.cells() == {(1, 0): 0.001, (1, 1): 0.0011}


def test_missing_stays_missing_and_twice_is_no_plate() -> None:
    frame = Frame.of({(0, 0): 0.1, (7, 11): -0.2})
    values = complete({well_name(*well): value for well, value in frame.cells().items()}, 96)
    assert (values[0], values[95]) == (0.1, -0.2)
    assert set(values[1:95]) == {Unread.NOT_MEASURED}
    twice = Frame((frame.rows[0], frame.rows[0]), frame.before, frame.after, frame.checksum)
    with pytest.raises(GarbledReply, match="A1 comes twice"):
        twice.cells()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, b"+0.0000"),
        (-0.00004, b"+0.0000"),
        (-0.0001, b"-0.0001"),
        (9.9999, b"+9.9999"),
        (10.0, b"*******"),
        (Unread.UNREADABLE, b"*******"),
    ],
)
def test_values_are_seven_bytes(value: OpticalDensity, shown: bytes) -> None:
    assert value_bytes(value) == shown


def test_stars_are_what_the_options_say_and_rubbish_is_unreadable() -> None:
    row = b",01,01,*******,01,02,+0.1x00,01,03,-0.0000\r\n"
    for stars in (Unread.SATURATED, Unread.UNREADABLE):
        seen = [value for _, value in row_cells(row, stars)]
        assert seen == [stars, Unread.UNREADABLE, 0.0]
        assert str(seen[2]) == "0.0"


CASES: dict[str, tuple[st.SearchStrategy[object], Callable[[], Decoder[object]]]] = {
    "serial": (
        st.builds(Answer, st.builds(SerialNumber, st.from_regex(r"\A[0-9A-Z]{1,16}\Z")), statuses),
        serial_decoder,
    ),
    "warmth": (st.builds(Answer, st.builds(Warmth, st.integers(0, 999)), statuses), warmth_decoder),
}


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("name", [*CASES, "frame", "promise"])
def test_every_message_survives_every_chunking(name: str, data: st.DataObject) -> None:
    make: Callable[[], Decoder[object]]
    message: object
    if name == "frame":
        message, make = data.draw(frames), lambda: frame_decoder(96)
        sent = STARTED + message.to_bytes()
    elif name == "promise":
        promise = Promise.of(data.draw(st.from_regex(r"\A[0-9]{27}\Z")))
        status = data.draw(statuses)
        message, make = Answer(promise, status), promise_decoder
        sent = promise.to_bytes() + status.to_bytes()
        assert promise.right
    else:
        messages, make = CASES[name]
        message = data.draw(messages)
        sent = message.to_bytes()  # type: ignore[attr-defined]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=20)))
    decoder = make()
    seen = None
    for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        assert seen is None or start == len(sent)
        seen = decoder.feed(sent[start:stop]) if seen is None else seen
    assert seen == message


@given(frames)
def test_values_go_into_a_frame_and_out_again(frame: Frame) -> None:
    assert frame.right
    assert Frame.of(frame.cells(), int(frame.after)) == frame


def test_the_captured_promises_have_right_checksums() -> None:
    texts = set(re.findall(r"035\d{30}(?=0000\x03)", "\n".join(captured())))
    assert {text[-3:] for text in texts} == {"030", "020", "017"}
    for text in texts:
        assert Promise.from_bytes(text.encode()).right
        assert Promise.from_bytes(text.encode()).to_bytes() == text.encode()


def test_refusals_and_aborts_are_whole_at_once() -> None:
    assert frame_decoder(96).feed(b"\x15") == Nak()
    assert frame_decoder(96).feed(b"\x062D06\x03") == Started(Status("2D06"))
    assert frame_decoder(96).feed(STARTED + b"0100\x03") == Aborted(Status("0100"))
    assert frame_decoder(96).feed(STARTED + b"\x100100\x03") == Aborted(Status("0100"))
    assert promise_decoder().feed(b"2D06\x03") == Answer(Nothing(), Status("2D06"))
    assert promise_decoder().feed(b"\x15") == Nak()


@pytest.mark.parametrize(
    ("decoder", "sent"),
    [
        (frame_decoder(96), STARTED + SMALL.replace(b"01,1,", b"01;1,")),
        (frame_decoder(96), STARTED + SMALL.replace(b"00.0", b"00:0")),
        (frame_decoder(96), STARTED + SMALL.replace(b"\r\n", b"\r\r")),
        (frame_decoder(96), STARTED + SMALL.replace(b",01,02", b",00,02")),
        (frame_decoder(96), STARTED + SMALL.replace(b",01,02", b",09,02")),
        (frame_decoder(96), STARTED + SMALL.replace(b",01,02", b",01,13")),
        (frame_decoder(96), STARTED + SMALL.replace(b"\x1a217", b"\x1b217")),
        (frame_decoder(96), STARTED + SMALL + b"\x03"),
        (frame_decoder(96), STARTED + Frame.of({(0, c): 0.1 for c in range(13)}).to_bytes()),
        (frame_decoder(96), STARTED + Frame.of({(r, 0): 0.1 for r in range(9)}).to_bytes()),
        (serial_decoder(), b"\x06 0000000        0000\x03"),
        (warmth_decoder(), b"\x062x60000\x03"),
        (promise_decoder(), b"034" + b"0" * 30 + b"0000\x03"),
    ],
)
def test_bytes_that_are_not_the_protocol_are_garbled(decoder: Decoder[object], sent: bytes) -> None:
    with pytest.raises(GarbledReply):
        decoder.feed(sent)


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_end_in_a_message_or_in_garbled(data: st.DataObject) -> None:
    feed_any_bytes(data, SYNERGYH1, STARTED + SMALL)
