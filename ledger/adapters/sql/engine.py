"""The database, and the ways into a transaction.

SQLite
    WAL, so that readers and the one writer do not wait for each other; `synchronous=FULL`, so that a commit is on disk
    when it returns; foreign keys enforced. Python's driver is told to begin nothing by itself: reads begin with
    `BEGIN`, writes with `BEGIN IMMEDIATE`, which takes the writer's place at once instead of failing half-way.
    Threads of one process queue for it on a lock, since SQLite itself only polls.

    What a push costs, once there are some 100,000 events, is the index of their keys: keys are hashes, so each goes
    into a page of its own, which is written whole. Hence small pages, a cache that holds those of a push, a long
    write-ahead log, from which a page is carried over once for many pushes, and the last used connection first, whose
    cache is still good.

PostgreSQL
    Reads are statements in autocommit, those that must fit together transactions in REPEATABLE READ; writes are
    transactions in READ COMMITTED under row locks.
    `synchronous_commit=off` is overruled: it would acknowledge what is not durable.

`patience` is how many seconds a call waits for a lock, a connection or the server before it is `StoreUnavailable`.
"""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import URL, Connection, Engine, event, exc, make_url

from ledger.adapters.sql.driver import execute
from ledger.adapters.sql.faults import LockedStore, translate_driver, translated, undecodable
from ledger.errors import MalformedInput, StoreUnavailable

PATIENCE = 10.0
PAGE_SIZE = 4096
WAL_LIMIT = 64 * 2**20
"""Bytes of SQLite's write-ahead log at which it is carried over, and to which it is cut back."""
CACHE = 16 * 2**20
"""Bytes of pages that a connection to SQLite keeps, at most."""

_BEGIN = "ledger_begin"


class Database:
    """An engine with its transactions. Makes the folder and file of a SQLite database that is not there yet."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        parsed = _parse(url)
        self.dialect = parsed.get_backend_name()
        self._patience = patience
        self._turn = threading.Lock() if self.dialect == "sqlite" else None
        self._engine = _sqlite(parsed, patience) if self._turn else _postgres(parsed, patience)
        reading = {_BEGIN: "BEGIN"} if self._turn else {"isolation_level": "AUTOCOMMIT"}
        seeing_one = {_BEGIN: "BEGIN"} if self._turn else {"isolation_level": "REPEATABLE READ"}
        self._reading = self._engine.execution_options(**reading)
        self._seeing_one_state = self._engine.execution_options(**seeing_one)
        self._writing = self._engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose statements, on SQLite, all see one state; on PostgreSQL each sees its own."""
        with translated(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def seeing_one_state(self) -> Iterator[Connection]:
        """A connection for reading whose statements all see one state, on PostgreSQL too."""
        with translated(), self._seeing_one_state.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: committed durably at the end of the block, rolled back on any exception."""
        with self._my_turn(), translated(), self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=self._patience):
            raise StoreUnavailable("another thread is writing for too long", advice="Try again.")
        try:
            yield
        finally:
            self._turn.release()

    def _prepare(self) -> None:
        """Put a new SQLite file into WAL mode, which it then keeps."""
        if self._turn is None:
            return
        with translated(), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            if _pragma(driver, "journal_mode") != "wal":
                _pragma(driver, f"page_size={PAGE_SIZE}")
                self._enter_wal(driver)

    def _enter_wal(self, driver: sqlite3.Connection) -> None:
        """Changing the mode does not wait for other connections by itself."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                mode = _pragma(driver, "journal_mode=WAL")
                break
            except LockedStore:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        if mode != "wal":
            raise StoreUnavailable(
                "the database file cannot be put into WAL mode",
                expected="wal",
                got=mode,
                advice="Keep it on a local disk, not on a network share.",
            )


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (exc.ArgumentError, exc.NoSuchModuleError):
        backend = ""
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and not _in_memory(parsed):
        return parsed.set(drivername="sqlite+pysqlite")
    # Not quoted: it may hold a password.
    raise MalformedInput(
        "not a database URL", expected="sqlite:////folder/file.db or postgresql+psycopg://user@host/name"
    )


def _in_memory(url: URL) -> bool:
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _sqlite(url: URL, patience: float) -> Engine:
    if "uri" not in url.query:
        _make_file(Path(str(url.database)))
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": patience, "isolation_level": None},
        pool_size=10,
        max_overflow=50,
        pool_timeout=patience,
        pool_use_lifo=True,
    )

    @event.listens_for(engine, "connect")
    def connect(driver: sqlite3.Connection, _record: Any) -> None:
        for pragma in (
            "foreign_keys=ON",
            "synchronous=FULL",
            "trusted_schema=OFF",
            "cell_size_check=ON",
            f"cache_size=-{CACHE // 1024}",
            f"wal_autocheckpoint={WAL_LIMIT // PAGE_SIZE}",
            f"journal_size_limit={WAL_LIMIT}",
        ):
            _pragma(driver, pragma)

    event.listen(engine, "handle_error", undecodable)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        execute(connection, connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _pragma(driver: sqlite3.Connection, pragma: str) -> Any:
    try:
        row = driver.execute(f"PRAGMA {pragma}").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise translate_driver(error) from None
    return row[0] if row else None


def _make_file(path: Path) -> None:
    """Make the file and its folder, for this user only and durably, unless they are there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(
            "the database file cannot be made",
            got=error.strerror,
            advice="Check that its folder can be made and that this user may write to it.",
        ) from None


def _postgres(url: URL, patience: float) -> Engine:
    seconds = max(2, math.ceil(patience))
    engine = sa.create_engine(
        url if "connect_timeout" in url.query else url.update_query_dict({"connect_timeout": str(seconds)}),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_timeout=patience,
    )

    @event.listens_for(engine, "connect")
    def connect(driver: psycopg.Connection[Any], _record: Any) -> None:
        driver.autocommit = True
        driver.execute(f"SET lock_timeout = {int(patience * 1000)}")
        driver.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        driver.autocommit = False

    return engine
