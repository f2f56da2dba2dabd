"""The outbox: a durable queue of events for one log, in an SQLite file of their party's.

`put` returns once the events are on disk. They leave it only when a receipt that was held against the log's key, and
that is shown to be theirs, is on disk instead (`ledger.client.delivery`): a ledger that is away, or a process that is
killed at any moment, loses none. What the ledger refuses is set aside with the reason, so that it holds up nothing::

    waiting ──► in a batch ──► gone, against a receipt
       ▲            │
       └──again── set aside: refused, or not shown to be there

A batch is fixed before it is sent for the first time, and the salts of a signed event when it is put: what is sent
again after a lost answer, or by the next process, is the same push, to which the ledger gives the same answer.

The file is for its owner only, and what leaves it is overwritten: it holds events in clear.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

from ledger import canonical
from ledger.canonical import Object, Value
from ledger.client.pushes import PushAnswer, salted
from ledger.disclosure import SALT_BYTES
from ledger.entry import Event, parse_event
from ledger.errors import Conflict, MalformedInput, NotFound, StoreUnavailable
from ledger.salted import StatementReader, statement_object
from ledger.statement import Statement
from ledger.types import Origin, parse_origin

BATCH_EVENTS = 1000
BATCH_BYTES = 4 * 1024 * 1024
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

_VERSION = "1"
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    batch INTEGER,
    problem TEXT,
    UNIQUE (source, id)
) STRICT;
CREATE INDEX waiting ON events (batch, number) WHERE problem IS NULL;
CREATE TABLE receipts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    note TEXT NOT NULL UNIQUE,
    shown INTEGER NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Queued:
    """An event in the outbox: `body` is the event, or the statement that its party has salted, in canonical JSON."""

    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are pushed together, in order; the same ones until that push is answered. No two have one number."""

    number: int
    queued: tuple[Queued, ...]
    signed: bool

    def values(self) -> list[Value]:
        """The events of an unsigned batch."""
        return [canonical.parse(it.body) for it in self.queued]

    def statements(self) -> list[Statement]:
        """What the party says in a signed batch."""
        reader = StatementReader()
        return [_statement(reader, value) for value in self.values()]

    def events(self) -> list[Event]:
        """The events as they were put in."""
        if self.signed:
            return [statement.event for statement in self.statements()]
        return [parse_event(value) for value in self.values()]


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event that is not sent, and why: `problem` is for people."""

    source: str
    id: str
    problem: str
    event: Object


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """What is in an outbox. `sent` of the `waiting` events were sent already, and not answered."""

    origin: Origin
    signed: bool
    waiting: int
    sent: int
    set_aside: int
    receipts: int


class Outbox:
    """An outbox in the file `path`, which is made if it is not there. Safe to use from several threads and processes.

    Args:
        origin: the log. May be left out for an outbox that is there.
        signed: whether its party signs what it pushes. May be left out for an outbox that is there.

    Raises:
        NotFound: there is no such file, and nothing said what to make.
        MalformedInput: the file is something else, or another log's.
        StoreUnavailable: it cannot be opened, by this and every method.
    """

    def __init__(self, path: Path, origin: Origin | None = None, *, signed: bool | None = None) -> None:
        self.path = path
        self._lock = threading.RLock()
        if not path.exists():
            if origin is None:
                raise NotFound(f"there is no outbox {path}", advice="Name the log to make one.")
            self._create_file()
        with self._faults():
            self._database = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
        try:
            self._open(origin, signed)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._database.close()

    # --- Putting in -----------------------------------------------------------------------------------------------

    def put(self, events: Iterable[Value]) -> int:
        """Put events in, durably, behind those that are there; all or none. Answers how many were new.

        One that waits already is left alone. One that was set aside is replaced.

        Raises:
            InvalidEvent, TooLarge: the envelope of one is out of form. What its type says is the ledger's to check.
            Conflict: one waits already with other content.
        """
        new = 0
        with self._writing() as database:
            for value in events:
                event = parse_event(value)
                new += self._put(database, event, value)
        return new

    def _put(self, database: sqlite3.Connection, event: Event, value: Value) -> bool:
        key = (event.source, event.id)
        known = database.execute(
            "SELECT body, problem FROM events WHERE source = ? AND id = ?", key
        ).fetchone()
        if known is not None and known[1] is None:
            if canonical.encode(self._event(known[0])) != canonical.encode(value):
                raise Conflict(
                    "an event that waits with other content", got=f"other content under id {event.id!r}"
                )
            return False
        database.execute("DELETE FROM events WHERE source = ? AND id = ?", key)
        body = statement_object(salted(value, _salt)) if self.signed else value
        database.execute(
            "INSERT INTO events (source, id, body) VALUES (?, ?, ?)", (*key, canonical.encode(body))
        )
        return True

    # --- Taking out -----------------------------------------------------------------------------------------------

    def next_batch(self) -> Batch | None:
        """The batch to push now: the one that was sent and not answered, else the first that wait; None if none do."""
        with self._writing() as database:
            (oldest,) = database.execute("SELECT MIN(batch) FROM events WHERE problem IS NULL").fetchone()
            if oldest is not None:
                return Batch(oldest, _queued(database, oldest), self.signed)
            waiting = _queued(database, None, BATCH_EVENTS)
            if not waiting:
                return None
            sizes = accumulate(len(it.body) for it in waiting)
            fits = max(1, sum(size <= BATCH_BYTES for size in sizes))
            return self._fix(database, waiting[:fits])

    def _fix(self, database: sqlite3.Connection, events: tuple[Queued, ...]) -> Batch:
        (number,) = database.execute(
            "UPDATE meta SET value = CAST(value + 1 AS TEXT) WHERE name = 'batches' RETURNING value"
        ).fetchone()
        database.executemany(
            "UPDATE events SET batch = ? WHERE number = ?", [(int(number), event.number) for event in events]
        )
        return Batch(int(number), events, self.signed)

    def acknowledge(self, batch: Batch, answer: PushAnswer, unshown: Mapping[int, str]) -> None:
        """Keep the receipts and let the batch's events go, but for those `unshown`: they are set aside, with why."""
        with self._writing() as database:
            database.executemany(
                "INSERT INTO receipts (note, shown) VALUES (?, ?)"
                " ON CONFLICT (note) DO UPDATE SET shown = max(shown, excluded.shown)",
                [(receipt.note, receipt.shown) for receipt in answer.receipts],
            )
            self._set_aside(database, batch, unshown)
            gone = [(event.number,) for index, event in enumerate(batch.queued) if index not in unshown]
            database.executemany("DELETE FROM events WHERE number = ? AND problem IS NULL", gone)

    def set_aside(self, batch: Batch, problems: Mapping[int, str]) -> None:
        """Set the events at these indexes aside, each with a reason; the others wait again."""
        with self._writing() as database:
            self._set_aside(database, batch, problems)
            self._release(database, batch, batch.queued)

    def halve(self, batch: Batch) -> None:
        """Make two of a batch of two or more: the first half is to be pushed next."""
        half = len(batch.queued) // 2
        with self._writing() as database:
            self._release(database, batch, batch.queued[half:])

    @staticmethod
    def _release(database: sqlite3.Connection, batch: Batch, events: Sequence[Queued]) -> None:
        """Let events of a batch wait for another; those that another process has put into another stay there."""
        database.executemany(
            "UPDATE events SET batch = NULL WHERE number = ? AND batch = ?",
            [(event.number, batch.number) for event in events],
        )

    @staticmethod
    def _set_aside(database: sqlite3.Connection, batch: Batch, problems: Mapping[int, str]) -> None:
        database.executemany(
            "UPDATE events SET batch = NULL, problem = ? WHERE number = ?",
            [(problem, batch.queued[index].number) for index, problem in problems.items()],
        )

    # --- Looking --------------------------------------------------------------------------------------------------

    def status(self) -> OutboxStatus:
        with self._lock, self._faults():
            waiting, sent, aside = self._database.execute(
                "SELECT count(*) FILTER (WHERE problem IS NULL),"
                " count(*) FILTER (WHERE problem IS NULL AND batch IS NOT NULL),"
                " count(*) FILTER (WHERE problem IS NOT NULL) FROM events"
            ).fetchone()
            receipts = self._database.execute("SELECT count(*) FROM receipts").fetchone()[0]
        return OutboxStatus(self.origin, self.signed, waiting, sent, aside, receipts)

    def receipts(self) -> list[str]:
        """The receipts that were kept, in the order of their coming: signed notes."""
        with self._lock, self._faults():
            rows = self._database.execute("SELECT note FROM receipts ORDER BY number").fetchall()
        return [note for (note,) in rows]

    def aside(self) -> list[SetAside]:
        """The events that were set aside."""
        with self._lock, self._faults():
            rows = self._database.execute(
                "SELECT source, id, problem, body FROM events WHERE problem IS NOT NULL ORDER BY number"
            ).fetchall()
        return [SetAside(source, id, problem, self._event(body)) for source, id, problem, body in rows]

    def retry(self) -> int:
        """Let what was set aside wait again, in its old place; answers how many."""
        with self._writing() as database:
            return database.execute("UPDATE events SET problem = NULL WHERE problem IS NOT NULL").rowcount

    def drop_aside(self) -> int:
        """Delete what was set aside; answers how many."""
        with self._writing() as database:
            return database.execute("DELETE FROM events WHERE problem IS NOT NULL").rowcount

    # --- The file -------------------------------------------------------------------------------------------------

    def _create_file(self) -> None:
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unavailable(self.path, error) from None

    def _open(self, origin: Origin | None, signed: bool | None) -> None:
        with self._faults():
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                self._database.execute(f"PRAGMA {pragma}")
        with self._writing() as database:
            if not database.execute("SELECT 1 FROM sqlite_schema").fetchone():
                if origin is None:
                    raise NotFound(f"{self.path} is empty", advice="Name the log to make an outbox.")
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                signs = str(int(bool(signed)))
                told = {"version": _VERSION, "origin": origin, "signed": signs, "batches": "0"}
                database.executemany("INSERT INTO meta VALUES (?, ?)", told.items())
            try:
                meta = dict(database.execute("SELECT name, value FROM meta").fetchall())
            except sqlite3.DatabaseError:
                meta = {}
        if meta.get("version") != _VERSION:
            raise MalformedInput(f"{self.path} is no outbox of this version", expected=_VERSION)
        self.origin = parse_origin(meta["origin"])
        self.signed = meta["signed"] == "1"
        if origin not in (None, self.origin):
            raise MalformedInput(f"the outbox {self.path} is another log's", expected=origin, got=self.origin)
        if signed not in (None, self.signed):
            raise MalformedInput(
                f"the outbox {self.path} is of {'signed' if self.signed else 'unsigned'} events",
                advice="Use another file, or sign as it was begun.",
            )

    def _event(self, body: bytes) -> Object:
        value = canonical.parse_object(body)
        if not self.signed:
            return value
        event = _statement(StatementReader(), value).event
        return {**event.attributes, "data": event.data}

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._faults():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _unavailable(self.path, error) from None


def _queued(database: sqlite3.Connection, batch: int | None, most: int = -1) -> tuple[Queued, ...]:
    """Events of a batch, or of none, in their order."""
    query = "SELECT number, body FROM events WHERE problem IS NULL AND batch IS ? ORDER BY number LIMIT ?"
    return tuple(Queued(*row) for row in database.execute(query, (batch, most)))


def _statement(reader: StatementReader, value: Value) -> Statement:
    """A statement as it was put in, its visible members as they were then."""
    match value:
        case {"visible": dict(visible)}:
            return reader.read(value, lambda event: frozenset(visible))
    raise MalformedInput("the outbox holds something else than a statement")


def _salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


def _unavailable(path: Path, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"the outbox {path} cannot be used",
        got=str(error)[:200],
        advice="What was put in before is safe; put in again what was not.",
    )
