"""The journal's file: one SQLite database, one connection, one transaction at a time.

The problem: a power cut, a full disk or a kill may come between any two lines, and afterwards no
plate may be lost, told twice as new, or measured again. The rule: WAL with synchronous=FULL; each
public method of the rooms above (`store`, `outbox`, `audit`) is one transaction without an await;
what must reach the LIMS is written in the same transaction as the state that it tells.

Exactly one read-write connection exists, because SQLite before 3.51.3 can corrupt a WAL database
when two connections commit and checkpoint at once; an advisory lock keeps a second daemon away, and
everybody else opens read-only. A read is accepted only while there is room to finish it.
Rejected: aiosqlite (a thread between us and "one transaction, no await"), an ORM (0.3 s of import
for ten statements), a queue beside the journal (two commits that can disagree).
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ulid import ULID

from readerd.errors import StoreError
from readerd.run.rows import STREAMS

# Each entry takes the file from `user_version` = its index to the next one.
MIGRATIONS: Final = tuple(
    files("readerd.run").joinpath(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "schema_2.sql")
)
# A plate, its evidence, its messages and the write-ahead log of all that: under 1 MB with 384
# wells. What is kept free is many times that, because the drain and the audit write too.
ROOM_BYTES: Final = 16 * 1024 * 1024

PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
# SQLite never shrinks a write-ahead log by itself, only overwrites it; the usual one has 4 MB.
MOST_LOG_BYTES: Final = 8 * 1024 * 1024


class Journal:
    """The file, locked and healthy. StoreError means that nothing may go on without it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _locked(path)
        try:
            _writable(path)
            self.db = sqlite3.connect(path, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self.db.close()  # half a migration goes with it
                raise
        except (sqlite3.Error, StoreError) as error:
            os.close(self._lock)
            text = str(error).removeprefix(f"journal {path}: ")
            raise StoreError(f"journal {path}: {text}; the file is kept as it is") from error

    def _prepare(self) -> None:
        for pragma in (*PRAGMAS, f"journal_size_limit={MOST_LOG_BYTES}"):
            self.db.execute(f"PRAGMA {pragma}")
        (version,) = self.one("PRAGMA user_version")
        if version > len(MIGRATIONS):
            raise StoreError(f"written by a newer readerd (schema {version})")
        if version:
            (health,) = self.one("PRAGMA quick_check(1)")
            if health != "ok":
                raise StoreError(f"damaged ({health})")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self.db.executescript(f"BEGIN;\n{script}\nPRAGMA user_version={number};\nCOMMIT;")
        with self.transaction():
            for kind in STREAMS:
                self.db.execute(
                    "INSERT OR IGNORE INTO meta VALUES (?, ?)", (f"stream.{kind}", str(ULID()))
                )

    def close(self) -> None:
        """Close the file and let the next daemon in; idempotent."""
        if self._lock >= 0:
            self.db.close()
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; StoreError when the file fails."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self.db.in_transaction:  # a full disk has rolled back by itself
                    self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"journal {self.path}: {error}") from error

    def all(self, sql: str, *values: object) -> list[Any]:
        """Every row; StoreError when the file fails."""
        try:
            return self.db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"journal {self.path}: {error}") from error

    def one(self, sql: str, *values: object) -> Any:
        """The first row, None when there is none; StoreError when the file fails."""
        try:
            return self.db.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"journal {self.path}: {error}") from error

    def meta(self, name: str) -> str | None:
        row = self.one("SELECT value FROM meta WHERE name = ?", name)
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Within a transaction."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def lacks_room(self) -> str | None:
        """Why no further plate should be begun: disk or file nearly full; None when all is well."""
        disk = os.statvfs(self.path)
        if disk.f_bavail * disk.f_frsize < ROOM_BYTES:
            return f"less than {ROOM_BYTES >> 20} MB are free beside the journal"
        page_size, pages, most, free = (
            self.one(f"PRAGMA {name}")[0]
            for name in ("page_size", "page_count", "max_page_count", "freelist_count")
        )
        if (most - pages + free) * page_size < ROOM_BYTES:
            return "the journal has nearly reached its largest size"
        return None


def _locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        text = f"{error.strerror}; readerd must be able to write in {path.parent}"
        raise StoreError(f"journal {path}: {text}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(f"journal {path} is in use by another readerd") from error
    return lock


def _writable(path: Path) -> None:
    """StoreError when it is not: SQLite would open it all the same, and leave files beside it."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except FileNotFoundError:
        return  # it will be made
    except OSError as error:
        raise StoreError(f"{error.strerror}; readerd must be able to write it") from error


def reading_only(path: Path) -> sqlite3.Connection:
    """A read-only connection beside a running daemon; StoreError when there is no journal."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        connection.execute("SELECT 1 FROM meta")
        if connection.execute("PRAGMA user_version").fetchone() == (1,):  # an old backup
            connection.execute("CREATE TEMP VIEW bodies AS SELECT row_id, payload FROM outbox")
    except sqlite3.Error as error:
        raise StoreError(f"journal {path}: {error}") from error
    return connection


def back_up(path: Path, target: Path) -> None:
    """An online copy of the journal, whole at one moment; the target must not exist."""
    if target.exists():
        raise StoreError(f"{target} exists; a backup overwrites nothing")
    source = reading_only(path)
    try:
        copy = sqlite3.connect(target)
        try:
            source.backup(copy)
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise StoreError(f"backup {target}: {error}") from error
    finally:
        source.close()
