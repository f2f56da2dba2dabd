"""Bringing a database to this version's schema, with the Alembic migrations beside this module.

Whoever opens a store runs them. Of several processes that start at once one migrates, in one transaction, and the
others wait for it and find nothing left to do.
"""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from ledger.adapters.sql.engine import PATIENCE, Database
from ledger.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"

_ADVISORY_LOCK = 0x7472616E73666572
"""Number of PostgreSQL's lock that migrations are run under: the ASCII of `transfer`."""

# Alembic keeps the environment that runs in a global of its module.
_ONE_AT_A_TIME = threading.Lock()


def migrate(url: str, patience: float = PATIENCE) -> None:
    """Bring the database at `url` to this version's schema; make it first if it is a SQLite file that is not there.

    Raises:
        StoreUnavailable: it cannot be reached, or a newer version of the ledger wrote it.
    """
    database = Database(url, patience)
    try:
        upgrade(database)
    finally:
        database.close()


def upgrade(database: Database) -> None:
    """As `migrate`. Writes nothing if there is nothing to do."""
    with database.reading() as connection:
        if revision(connection) == head():
            return
    with _ONE_AT_A_TIME, database.writing() as connection:
        if database.dialect == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        current = revision(connection)
        if current is not None and current not in {script.revision for script in _scripts().walk_revisions()}:
            raise StoreUnavailable(
                "the database has a schema that this version does not know",
                expected=head(),
                got=current,
                advice="Run the newer version of the ledger that wrote it.",
            )
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def head() -> str | None:
    """The newest revision that this version knows."""
    return _scripts().get_current_head()


def revision(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty database."""
    heads = MigrationContext.configure(connection).get_current_heads()
    return ", ".join(heads) if heads else None


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
