"""Permissions of a running PostgreSQL, asked for with `ledger.collect.postgresql_grants.QUERY`.

What comes out is what `psql` would have written into a file, so there is one reading of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ledger.collect.postgresql_grants import QUERY
from ledger.errors import MalformedInput, Unavailable


def read_permissions(conninfo: str) -> Iterator[bytes]:
    """The rows, each one record of `PostgresqlGrants`. `conninfo` is a connection string or URI of libpq.

    All rows are of one moment: they are read in one statement of a read-only transaction.

    Raises:
        MalformedInput: for what is no connection string.
        Unavailable: if the server does not answer, or refuses the question.

    No message quotes `conninfo`, which may hold a password.
    """
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        raise MalformedInput(
            "not a connection string of libpq", expected="such as host=db.example dbname=shop, or a URI of it"
        ) from None
    try:
        with psycopg.connect(conninfo) as connection:
            connection.read_only = True
            for (row,) in connection.execute(QUERY):
                yield str(row).encode()
    except psycopg.Error as error:
        raise Unavailable(
            "PostgreSQL does not tell its permissions",
            got=error.sqlstate or type(error).__name__,
            advice="Check the address, the role and that it may connect to the database.",
        ) from None
