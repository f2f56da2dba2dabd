"""The store on SQLite or PostgreSQL.

::

    store = open_store("sqlite:////var/lib/ledger/ledger.db")     # or postgresql+psycopg://user@host/name

`open_store` makes the file if there is none, brings the schema to this version and answers a `ledger.ports.Store`.
Rows are SQLModel classes (`rows`), which never leave this package; the schema is made by the Alembic migrations beside
them and by nothing else. What a store promises is in `ledger.ports`; how it is kept here:

* one transaction per block or call, on SQLite begun with `BEGIN IMMEDIATE`, on PostgreSQL under a row lock on the log;
* the log itself is bundles of some entries with their leaf hashes, and disclosures in rows beside them, so that erasing
  touches no entry; a narrow row finds each event;
* rows that no Merkle tree covers carry a digest of their own content, which `self_check` computes again.
"""

from ledger.adapters.sql.migrate import migrate
from ledger.adapters.sql.store import SqlStore, open_store

__all__ = ["SqlStore", "migrate", "open_store"]
