"""Marks: how far the files of an import were dealt with, kept in one SQLite file until the import is done.

A mark is saved only after what stands before it was acknowledged, so that at worst something is pushed again, which is
harmless. It survives `kill -9` at any time. Only one process at a time has the file open.

It holds paths, and SHA-256 of raw records: keep it where the logs may be kept.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.collect.reading import Place
from ledger.errors import MalformedInput, Unavailable


@dataclass(frozen=True, slots=True)
class Stat:
    """By what a file is seen to be as it was: inode, size in bytes, times of last change in ns since 1970."""

    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Stat:
        return cls(stat.st_ino % 2**63, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one file was dealt with.

    It is known by its first record (`Reading.first`), wherever it is moved to; `path` is where it was last, absolute,
    `stat` what it was then. `is_whole` says that all of it was dealt with. `told` is the SHA-256 of a record at its end
    that was set aside, though more of it may follow: `place` is before that.
    """

    id: int
    path: Path
    stat: Stat
    is_whole: bool = False
    first: bytes | None = None
    place: Place | None = None
    told: bytes | None = None


_SCHEMA = """
CREATE TABLE IF NOT EXISTS mark (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, inode INTEGER, size INTEGER, modified INTEGER, changed INTEGER,
    is_whole INTEGER, first BLOB, told BLOB, number INTEGER, digest BLOB, began TEXT, offset INTEGER, head BLOB
);
CREATE TABLE IF NOT EXISTS import (version INTEGER NOT NULL, set_aside INTEGER, is_watch INTEGER NOT NULL);
"""
_VERSION = 1
_COLUMNS = (
    "id, path, inode, size, modified, changed, is_whole, first, told, number, digest, began, offset, head"
)


class Marks:
    """The marks of one import, in the file at `path`.

    Raises:
        Unavailable: another process has them: the same import is running.
        MalformedInput: the file cannot be made, read or written; it says what to do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise self._failure(error) from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise self._failure(error) from None

    def _prepare(self) -> None:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
        if (
            row := self._database.execute("SELECT version, set_aside, is_watch FROM import").fetchone()
        ) is None:
            row = (_VERSION, None, 0)
            self._database.execute("INSERT INTO import VALUES (?, ?, ?)", row)
        if row[0] != _VERSION:
            raise sqlite3.DatabaseError(f"marks of version {row[0]}")
        self.set_aside: int | None = row[1]
        """Size of the file of what was set aside, when marks were last saved; None if they never were."""
        self.is_watch = bool(row[2])
        """Whether a watch made them, which goes on from them for ever."""

    def load(self) -> list[Mark]:
        return [_mark(row) for row in self._database.execute(f"SELECT {_COLUMNS} FROM mark ORDER BY id")]  # noqa: S608

    def save(self, marks: Iterable[Mark], set_aside: int) -> None:
        """Keep marks, and the size of the file of what was set aside: all or nothing."""
        rows = [_row(mark) for mark in marks]
        try:
            self._database.execute("BEGIN")
            self._database.executemany(
                f"INSERT OR REPLACE INTO mark ({_COLUMNS}) VALUES ({', '.join('?' * 14)})",  # noqa: S608
                rows,
            )
            self._database.execute("UPDATE import SET set_aside = ?", (set_aside,))
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from None
        self.set_aside = set_aside

    def keep(self) -> None:
        """From now on the marks are a watch's."""
        self._database.execute("UPDATE import SET is_watch = 1")
        self.is_watch = True

    def forget(self) -> None:
        """Start anew."""
        self._database.executescript("BEGIN; DELETE FROM mark; UPDATE import SET set_aside = NULL; COMMIT;")
        self.set_aside = None

    def close(self) -> None:
        self._database.close()

    def remove(self) -> None:
        """The import is done: next time it starts anew."""
        self._database.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _failure(self, error: sqlite3.Error) -> MalformedInput | Unavailable:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return Unavailable(
                "the same import is running already",
                got=str(self.path),
                advice="Wait for its end, or end it.",
            )
        return MalformedInput(
            f"it cannot be kept in {self.path} how far the import came",
            got=str(error),
            advice="Name a --set-aside in a folder that can be written to, or remove the file: what is pushed again is "
            "taken once.",
        )


def _row(mark: Mark) -> tuple[object, ...]:
    stat, place = mark.stat, mark.place
    placed = (place.number, place.digest, place.began, place.offset, place.head) if place else (None,) * 5
    return (
        mark.id,
        os.fsencode(mark.path),
        *(stat.inode, stat.size, stat.modified, stat.changed),
        mark.is_whole,
        mark.first,
        mark.told,
        *placed,
    )


def _mark(row: tuple[Any, ...]) -> Mark:
    id, path, inode, size, modified, changed, is_whole, first, told, *placed = row
    return Mark(
        id,
        Path(os.fsdecode(path)),
        Stat(inode, size, modified, changed),
        is_whole=bool(is_whole),
        first=first,
        place=None if placed[0] is None else Place(*placed),
        told=told,
    )
