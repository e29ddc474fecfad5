"""Both shelves: kept once, byte for byte, found again, and another's bytes never over ours."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from readerd.collect.message import Item
from readerd.collect.shelf import Place, Shelf, open_shelf
from readerd.errors import InputError

STREAM = "01HZZ0K3Q8J5M7N2P4R6S8T0V1"
Open = Callable[[], Shelf]


def item(number: int, text: str = "") -> Item:
    name = f"01JNF6ZX9M2E7A4R8T1Y5W{number:04d}"
    payload = (
        f'{{"id":"{name}","source":"urn:readerd:lab1:b1","type":"org.readerd.result.v1",'
        f'"stream":"{STREAM}","sequence":{number},"data":"{text}"}}'
    )
    return Item(
        reader="lab1/b1",
        kind="result",
        id=name,
        stream=STREAM,
        sequence=number,
        payload=payload.encode(),
    )


@pytest.fixture(params=["directory", "sqlite"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    target = f"{tmp_path}/kept" if request.param == "directory" else f"sqlite:{tmp_path}/a/kept.db"
    opened: list[Shelf] = []

    def again() -> Shelf:
        opened.append(open_shelf(target))
        return opened[-1]

    yield again
    for shelf in opened:
        shelf.close()


def test_each_is_kept_once_and_found_after_a_restart(opening: Open) -> None:
    shelf = opening()
    assert shelf.keep([item(1), item(2), item(1)]) == ["stored", "stored", "duplicate"]
    again = opening()
    places = {Place("lab1/b1", "result", STREAM, number) for number in (1, 2)}
    assert set(again.places()) == places
    assert again.keep([item(2), item(3)]) == ["duplicate", "stored"]


def test_other_bytes_under_a_known_id_are_not_kept(opening: Open) -> None:
    shelf = opening()
    shelf.keep([item(1)])
    assert shelf.keep([item(1, "other")]) == ["differs"]
    assert shelf.keep([item(1)]) == ["duplicate"]


def test_the_directory_holds_the_bytes_and_passes_over_strange_files(tmp_path: Path) -> None:
    shelf = open_shelf(str(tmp_path))
    shelf.keep([item(1, "µ")])
    file = tmp_path / shelf.ref(item(1))
    assert file == tmp_path / "lab1" / "b1" / "result" / f"{item(1).id}.json"
    assert file.read_bytes() == item(1, "µ").payload
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    (file.parent / "note.json").write_text("not ours")
    (tmp_path / "x.json").write_text("{}")
    assert [place.sequence for place in shelf.places()] == [1]


def test_a_rest_of_a_broken_off_write_is_no_message_and_no_hindrance(tmp_path: Path) -> None:
    shelf = open_shelf(str(tmp_path))
    shelf.keep([item(1)])
    (tmp_path / "lab1" / "b1" / "result" / f".{item(2).id}.part").write_bytes(b"{")
    assert [place.sequence for place in shelf.places()] == [1]
    assert shelf.keep([item(2)]) == ["stored"]
    assert sorted(place.sequence for place in shelf.places()) == [1, 2]


def test_sqlite_keeps_a_batch_whole_or_not_at_all(tmp_path: Path) -> None:
    shelf = open_shelf(f"sqlite:{tmp_path}/k.db")
    unfit = dataclasses.replace(item(2), sequence=2**70)  # beyond what a column holds
    with pytest.raises(OverflowError):
        shelf.keep([item(1), unfit])
    assert list(shelf.places()) == []
    assert shelf.keep([item(1)]) == ["stored"]
    shelf.close()


@pytest.mark.parametrize("form", ["{}/file/kept", "sqlite:{}/file/kept.db", "sqlite:{}"])
def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as refusal:
        open_shelf(form.format(tmp_path))
    assert "\n" not in str(refusal.value)
