"""Many rows at once, by the shortest way that each driver has: SQLAlchemy's own takes longer than the database.

Values go to the driver as they are, so this is for tables of integers and bytes. Bytes are given as `bytearray`: of a
`bytes` object Python's sqlite3 asks whether it would rather be something else, which takes longer than to store it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Connection, Table

from ledger.adapters.sql.faults import translate_driver

Values: TypeAlias = "tuple[int | bytearray, ...]"
"""A row, in the order of its table's columns."""

_WANTED_OF_SQLITE = "SELECT position FROM events WHERE log = ? AND key IN ({})"

_WANTED_OF_POSTGRESQL = """
    SELECT position FROM (
        SELECT (SELECT position FROM events WHERE log = %b AND key = substr(%b::bytea, 32 * place + 1, 32)) AS position
        FROM generate_series(0, %b::int - 1) AS place
        OFFSET 0
    ) AS each
    WHERE position IS NOT NULL
"""
"""Each key by itself, as in `reading.look_up`. They come in one piece: as an array, each would be spelled as text."""


def insert_rows(connection: Connection, table: Table, rows: Iterable[Values]) -> None:
    """Insert rows. On PostgreSQL the server inserts some while the next are made."""
    names = ", ".join(column.name for column in table.columns)
    if connection.dialect.name == "postgresql":
        _copy(connection, table, f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)", rows)
    elif listed := list(rows):
        marks = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608  # of the table's names
        connection.exec_driver_sql(statement, listed)


def positions(connection: Connection, log: int, keys: Sequence[bytes]) -> list[int]:
    """Where a log's events with these keys stand, in no order; keys that are not there are left out."""
    if connection.dialect.name == "postgresql":
        found = connection.exec_driver_sql(_WANTED_OF_POSTGRESQL, (log, b"".join(keys), len(keys)))
    else:
        marks = ", ".join("?" * len(keys))
        found = connection.exec_driver_sql(_WANTED_OF_SQLITE.format(marks), (log, *keys))
    return list(found.scalars())


def _copy(connection: Connection, table: Table, statement: str, rows: Iterable[Values]) -> None:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    types = [column.type.compile(connection.dialect).lower() for column in table.columns]
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise translate_driver(error) from None
