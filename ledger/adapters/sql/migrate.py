"""Bringing a database to this version's schema, with the Alembic migrations beside this module.

Whoever opens a store runs them. Of several processes that start at once one migrates, in one transaction, and the
others wait for it, as long as for any writer, and find nothing left to do.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Connection, func, inspect, select, text

from ledger.adapters.sql.engine import PATIENCE, Database
from ledger.errors import StoreUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where it is needed: a database that is at `HEAD` needs none, and loading it takes a while.

logger = structlog.get_logger(__name__)

HEAD = "0005"
"""The newest revision among the migrations, which this version of the ledger works on."""

MIGRATIONS = Path(__file__).parent / "migrations"

_ADVISORY_LOCK = 0x7472616E73666572
"""Number of PostgreSQL's lock that migrations are run under: the ASCII of `transfer`."""

# Alembic keeps the environment that runs in a global of its module.
_ONE_AT_A_TIME = threading.Lock()


def migrate(url: str, patience: float = PATIENCE) -> None:
    """Bring the database at `url` to this version's schema; make it first if it is a SQLite file that is not there.

    Raises:
        StoreUnavailable: it cannot be reached, or a newer version of the ledger wrote it.
        IntegrityError: an earlier version wrote it, and it is damaged; nothing was changed.
    """
    database = Database(url, patience)
    try:
        upgrade(database)
    finally:
        database.close()


def upgrade(database: Database) -> None:
    """As `migrate`. Writes nothing if there is nothing to do."""
    with database.reading() as connection:
        if revision(connection) == HEAD:
            return
    from alembic import command
    from alembic.script import ScriptDirectory

    with _ONE_AT_A_TIME, database.writing() as connection:
        if database.dialect == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        current = revision(connection)
        config = _config()
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if current is not None and current not in known:
            raise StoreUnavailable(
                "the database has a schema that this version does not know",
                expected=HEAD,
                got=current,
                advice="Run the newer version of the ledger that wrote it.",
            )
        if current not in (None, HEAD):
            logger.info("migrating", schema=current, to=HEAD)  # of a large database it takes minutes
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def revision(connection: Connection) -> str | None:
    """The revision that the database is at; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    heads = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return ", ".join(heads) if heads else None


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
