"""What is said to the driver itself, past SQLAlchemy, whose way takes longer than the database: most of a commit.

Statements have `?` for their values, which go to the driver as they are, so this is for integers, bytes, and text that
both databases hold (`columns.held`). Of a `bytes` object Python's sqlite3 asks whether it would rather be something
else, which takes longer than to store it: so the bytes of rows are given as `bytearray`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Connection, Table

from ledger.adapters.sql.faults import translate_driver
from ledger.errors import LedgerError

Values: TypeAlias = "tuple[int | bytearray | str, ...]"
"""A row, in the order of its table's columns."""

_ERRORS = (sqlite3.Error, psycopg.Error, UnicodeDecodeError)

_WANTED_OF_SQLITE = "SELECT position FROM events WHERE log = ? AND key IN ({})"

_WANTED_OF_POSTGRESQL = """
    SELECT position FROM (
        SELECT (SELECT position FROM events WHERE log = ? AND key = substr(?::bytea, 32 * place + 1, 32)) AS position
        FROM generate_series(0, ?::int - 1) AS place
        OFFSET 0
    ) AS each
    WHERE position IS NOT NULL
"""
"""Each key by itself, as in `reading.look_up`. They come in one piece: as an array, each would be spelled as text."""


def execute(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement; answers its rows, if it is one that has some."""
    driver: Any = connection.connection.driver_connection
    try:
        if isinstance(driver, sqlite3.Connection):
            return driver.execute(statement, values).fetchall()
        cursor = driver.execute(statement.replace("?", "%b"), values)
        return cursor.fetchall() if cursor.description else []
    except _ERRORS as error:
        raise _told(connection, error) from None


def insert_rows(connection: Connection, table: Table, rows: Iterable[Values]) -> None:
    """Insert rows. On PostgreSQL the server inserts some of many while the next are made."""
    insert, copy = _statements(table)
    if connection.dialect.name == "postgresql":
        coming = iter(rows)
        some = list(islice(coming, 2))
        if len(some) == 1:
            execute(connection, insert, some[0])
        elif some:
            _copy(connection, table, copy, chain(some, coming))
    elif listed := list(rows):
        driver: Any = connection.connection.driver_connection
        try:
            driver.executemany(insert, listed)
        except _ERRORS as error:
            raise _told(connection, error) from None


@cache
def _statements(table: Table) -> tuple[str, str]:
    """How one row is inserted, and how many are on PostgreSQL."""
    columns = f"{table.name} ({', '.join(column.name for column in table.columns)})"
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {columns} VALUES ({marks})", f"COPY {columns} FROM STDIN (FORMAT BINARY)"  # noqa: S608


def positions(connection: Connection, log: int, keys: Sequence[bytes]) -> list[int]:
    """Where a log's events with these keys stand, in no order; keys that are not there are left out."""
    if connection.dialect.name == "postgresql":
        found = execute(connection, _WANTED_OF_POSTGRESQL, (log, b"".join(keys), len(keys)))
    else:
        marks = ", ".join("?" * len(keys))
        found = execute(connection, _WANTED_OF_SQLITE.format(marks), (log, *keys))
    return [position for (position,) in found]


def _copy(connection: Connection, table: Table, statement: str, rows: Iterable[Values]) -> None:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    types = [column.type.compile(connection.dialect).lower() for column in table.columns]
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except _ERRORS as error:
        raise _told(connection, error) from None


def _told(connection: Connection, error: Exception) -> LedgerError:
    """The ledger's error for one of a driver's. SQLAlchemy is told of a session that is over.

    It would try to roll that back, and what then fails says less than what ended it.
    """
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection) and driver.closed:
        connection.invalidate(error)
    return translate_driver(error)
