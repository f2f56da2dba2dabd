"""What lies on the disk of a ledger, table by table."""

from __future__ import annotations

import sqlite3

import psycopg

from benchmark.place import driver_url


def stored(database: str) -> int:
    """Bytes of a database, indexes included. Its write-ahead log, which is cut back again and again, does not count."""
    return sum(tables(database).values())


def tables(database: str) -> dict[str, int]:
    """Bytes of each table with its indexes, the largest first."""
    sizes = _sqlite(database) if database.startswith("sqlite") else _postgresql(database)
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _sqlite(database: str) -> dict[str, int]:
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        try:
            rows = connection.execute(
                "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) GROUP BY tbl_name"
            )
            return dict(rows.fetchall())
        except sqlite3.OperationalError:  # SQLite was built without dbstat
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            return {"all": pages * size}


def _postgresql(database: str) -> dict[str, int]:
    with psycopg.connect(driver_url(database)) as connection:
        rows = connection.execute(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return dict(rows.fetchall())
