"""Where messages are kept: a directory of JSON files, or one SQLite file. Both keep the bytes.

`keep` returns when what it was given survives a power cut. An id is kept once; a second message
with the same id is compared with the first and never replaces it.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from readerd.collect.message import Garbage, Item, understand
from readerd.errors import InputError, Mistake, StoreError

Outcome = Literal["stored", "duplicate", "differs"]
SQLITE: Final = "sqlite:"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
  id TEXT PRIMARY KEY,
  reader TEXT NOT NULL,   -- site/reader
  kind TEXT NOT NULL,     -- result | event
  stream TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  payload BLOB NOT NULL   -- as received
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a kept message stands in its stream."""

    reader: str
    kind: str
    stream: str
    sequence: int


class Shelf(Protocol):
    def keep(self, items: Sequence[Item]) -> list[Outcome]:
        """What became of each; on return all of it is durable. StoreError when it cannot be."""
        ...

    def ref(self, item: Item) -> str:
        """What a receipt calls the place of a kept message."""
        ...

    def places(self) -> Iterator[Place]:
        """Everything that is kept."""
        ...

    def close(self) -> None: ...


def open_shelf(target: str) -> Shelf:
    """`DIR` or `sqlite:PATH`; InputError when it cannot be written."""
    try:
        if target.startswith(SQLITE):
            return SqliteShelf(Path(target.removeprefix(SQLITE)))
        return DirectoryShelf(Path(target))
    except (OSError, sqlite3.Error) as error:
        text = f"cannot be used: {getattr(error, 'strerror', None) or error}"
        raise InputError(target, Mistake("", text)) from None


class DirectoryShelf:
    """`DIR/site/reader/kind/ID.json`, each file whole or absent."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root

    def keep(self, items: Sequence[Item]) -> list[Outcome]:
        try:
            outcomes = [self._keep(item) for item in items]
            for folder in {self._path(item).parent for item in items}:
                _sync_folder(folder)
        except OSError as error:
            raise StoreError(f"{self._root}: {error.strerror}") from error
        return outcomes

    def _keep(self, item: Item) -> Outcome:
        path = self._path(item)
        try:
            return "duplicate" if path.read_bytes() == item.payload else "differs"
        except FileNotFoundError:
            pass
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            for folder in path.parent.parents:  # the new folders' own names, up to the root
                _sync_folder(folder)
                if folder == self._root:
                    break
        part = path.with_name(f".{item.id}.part")
        with part.open("wb") as file:
            file.write(item.payload)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return "stored"

    def _path(self, item: Item) -> Path:
        return self._root / item.reader / item.kind / f"{item.id}.json"

    def ref(self, item: Item) -> str:
        return str(self._path(item).relative_to(self._root))

    def places(self) -> Iterator[Place]:
        for path in self._root.glob("*/*/*/*.json"):
            reader, kind = "/".join(path.relative_to(self._root).parts[:2]), path.parent.name
            try:
                known = understand(f"readerd/v1/{reader}/{kind}", path.read_bytes())
            except (Garbage, OSError):
                continue  # somebody else's file
            if known is not None and isinstance(known[1], Item):
                yield Place(reader, kind, known[1].stream, known[1].sequence)

    def close(self) -> None:
        """Nothing is held."""


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class SqliteShelf:
    """One table `messages` in one file; a batch is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Used by one thread at a time: the collector waits for each `keep`.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._path = path
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_SCHEMA)

    def keep(self, items: Sequence[Item]) -> list[Outcome]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [self._keep(item) for item in items]
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        return outcomes

    def _keep(self, item: Item) -> Outcome:
        kept = self._db.execute("SELECT payload FROM messages WHERE id = ?", (item.id,)).fetchone()
        if kept is not None:
            return "duplicate" if kept[0] == item.payload else "differs"
        self._db.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
            (item.id, item.reader, item.kind, item.stream, item.sequence, item.payload),
        )
        return "stored"

    def ref(self, item: Item) -> str:
        return item.id

    def places(self) -> Iterator[Place]:
        rows = self._db.execute("SELECT reader, kind, stream, sequence FROM messages")
        yield from (Place(*row) for row in rows)

    def close(self) -> None:
        self._db.close()
