"""What goes wrong in a database, in the ledger's own words.

Outside this package nobody sees an error of SQLAlchemy or of a driver. The cause is not chained: a driver's message may
quote the row, and rows hold disclosures.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import ExceptionContext, exc

from ledger.errors import IntegrityError, LedgerError, StoreUnavailable


class DamagedStore(StoreUnavailable):
    """The database's own structures cannot be read."""

    advice_default = (
        "Keep the database as it is and run `transfer-ledger doctor`; "
        "restore the newest backup into another place."
    )


class LockedStore(StoreUnavailable):
    """Somebody else is writing for too long."""

    advice_default = "Another process is writing for too long; try again."


_SQLITE_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SQLITE_ADVICE = {
    sqlite3.SQLITE_READONLY: "This user cannot write to the database file or its folder: check their permissions.",
    sqlite3.SQLITE_PERM: "This user cannot reach the database file: check its permissions.",
    sqlite3.SQLITE_IOERR: "Check the disk and its free space.",
    sqlite3.SQLITE_FULL: "Free some disk space; nothing was lost.",
    sqlite3.SQLITE_CANTOPEN: "Check that the database's folder exists and that this user may write to it.",
}
# SQLITE_ERROR: a table or column that the statement names is not there, though the migrations make it.
_SQLITE_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)

_POSTGRES_ADVICE = {
    "08": "Check that PostgreSQL runs and that the database URL is right.",
    "25": "The server takes no writes, perhaps it is a standby: check the database URL.",
    "28": "Check the user and password of the database URL.",
    "3D": "Create the database, or check the database URL.",
    "42": "Check that the user of the database URL may use the ledger's tables, and that they are all there.",
    "53": "The server is out of disk space, memory or connections.",
    "57": "The server is stopping or starting; try again.",
}
"""By class of SQLSTATE."""

_POSTGRES_DAMAGE = ("XX", "42P01", "42703")
"""Data corrupted, and tables or columns that are not there, though the migrations make them."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise what the database raises within the block as `StoreUnavailable` or `IntegrityError`."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise translate(error) from None


def undecodable(context: ExceptionContext) -> None:
    """For SQLAlchemy's `handle_error`: Python fails to decode a message of SQLite that quotes damaged text."""
    if isinstance(context.original_exception, UnicodeDecodeError):
        raise translate_driver(context.original_exception) from None


def translate(error: exc.SQLAlchemyError) -> LedgerError:
    """The ledger's error for one of SQLAlchemy's."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        return translate_driver(error.orig)
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable(
            "no free connection to the database", advice="Too many calls at once; try again."
        )
    return StoreUnavailable("the database does not answer", got=_first_line(error))


def translate_driver(error: BaseException) -> LedgerError:
    """The ledger's error for one of a driver's."""
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error)
    if isinstance(error, psycopg.Error):
        return _from_postgres(error)
    if isinstance(error, UnicodeDecodeError):
        return DamagedStore("the database is damaged", got="text that is not UTF-8")
    return StoreUnavailable("the database does not answer", got=_first_line(error))


def _from_sqlite(error: sqlite3.Error) -> LedgerError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if isinstance(error, sqlite3.IntegrityError):
        return IntegrityError("the database refused a row", got=_first_line(error))
    if "decode to UTF-8" in str(error):
        # Not quoted: the message carries the text.
        return IntegrityError("a stored text is not UTF-8")
    if primary in _SQLITE_DAMAGE or "malformed" in str(error):
        return DamagedStore("the database file is damaged", got=_first_line(error))
    if primary in _SQLITE_LOCKED:
        return LockedStore("the database is locked")
    advice = _SQLITE_ADVICE.get(primary, "") if primary is not None else ""
    return StoreUnavailable("the database does not answer", got=_first_line(error), advice=advice)


def _from_postgres(error: psycopg.Error) -> LedgerError:
    state = error.sqlstate or ""
    message = error.diag.message_primary or _first_line(error)
    if isinstance(error, psycopg.IntegrityError):
        return IntegrityError("the database refused a row", got=message)
    if state.startswith(_POSTGRES_DAMAGE):
        return DamagedStore("the database is damaged", got=message)
    if state == "55P03":
        return LockedStore("the log is locked")
    advice = _POSTGRES_ADVICE.get(state[:2] or "08", "")
    return StoreUnavailable("the database does not answer", got=message, advice=advice)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
