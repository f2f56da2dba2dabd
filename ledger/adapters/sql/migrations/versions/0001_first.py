"""The first schema (`ledger.adapters.sql.rows`)."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WIDE = {"sqlite_strict": True}
NARROW = {"sqlite_strict": True, "sqlite_with_rowid": False}


def upgrade() -> None:
    _registers()
    _events()
    _promises()
    _batches()
    _projections()
    if op.get_bind().dialect.name == "sqlite":
        _expectations()


def downgrade() -> None:
    for table in (
        *("snapshot_records", "access_records", "projections"),
        *("checkpoints", "nodes", "batches", "anchorings", "conflicts", "receipts"),
        *("disclosures", "entries", "events", "names", "heads"),
        *("api_keys", "logs", "parties"),
    ):
        op.drop_table(table)


def _registers() -> None:
    op.create_table(
        "parties", _text("id", key=True), _text("name"), _text("role"), _text("country"), _digest(), **NARROW
    )
    op.create_table(
        "logs",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("origin"),
        _text("party"),
        _text("verifier_key"),
        _big("chain_id"),
        _text("contract"),
        _big("created"),
        _digest(),
        sa.UniqueConstraint("origin"),
        sa.ForeignKeyConstraint(["party"], ["parties.id"]),
        **WIDE,
    )
    op.create_table(
        "api_keys",
        _text("id", key=True),
        _blob("secret_hash"),
        _text("party"),
        sa.Column("log", sa.Integer(), nullable=False),
        _text("scopes"),
        _big("created"),
        _big("revoked", optional=True),
        _digest(),
        sa.ForeignKeyConstraint(["party"], ["parties.id"]),
        _of_log(),
        **NARROW,
    )


def _events() -> None:
    numbers = ("size", "last_received", "batches", "sealed", "last_closed")
    op.create_table("heads", _log(), *map(_big, numbers), _of_log(), **WIDE)
    op.create_table(
        "names",
        _log(),
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _text("text"),
        sa.UniqueConstraint("log", "text"),
        _of_log(),
        **NARROW,
    )
    op.create_table(
        "events",
        _log(),
        _big("position", key=True),
        _blob("leaf"),
        _blob("key"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("type", "phase", "subject")),
        _big("time"),
        sa.Column("party", sa.Integer(), nullable=False),
        _big("received"),
        sa.UniqueConstraint("log", "key"),
        _of_log(),
        **NARROW,
    )
    for name in ("subject", "type", "phase"):
        op.create_index(f"events_log_{name}_position_idx", "events", ["log", name, "position"])
    op.create_table("entries", _log(), _big("position", key=True), _blob("entry"), _of_event(), **WIDE)
    op.create_table("disclosures", _log(), _big("position", key=True), _blob("packed"), _of_event(), **WIDE)


def _promises() -> None:
    op.create_table(
        "receipts",
        _log(),
        _big("first", key=True),
        _big("count"),
        _text("note"),
        _digest(),
        _of_log(),
        **WIDE,
    )
    op.create_table(
        "conflicts",
        _log(),
        _big("number", key=True),
        _big("position"),
        _blob("entry"),
        _blob("packed", optional=True),
        _big("received"),
        _digest(),
        _of_event(),
        _of_log(),
        **WIDE,
    )


def _batches() -> None:
    op.create_table(
        "anchorings",
        _log(),
        _big("number", key=True),
        *map(_big, ("first", "count", "attempt")),
        _text("state"),
        _blob("tx_hash"),
        _blob("raw_tx"),
        _big("updated"),
        _big("block_number", optional=True),
        _blob("block_hash", optional=True),
        _digest(),
        sa.UniqueConstraint("log", "first", "attempt"),
        _of_log(),
        **WIDE,
    )
    op.create_table(
        "batches",
        _log(),
        _big("number", key=True),
        *map(_big, ("first_leaf", "leaf_count", "closed_at")),
        _blob("root"),
        _big("anchoring", optional=True),
        sa.UniqueConstraint("log", "first_leaf"),
        sa.ForeignKeyConstraint(["log", "anchoring"], ["anchorings.log", "anchorings.number"]),
        _of_log(),
        **NARROW,
    )
    level = sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False)
    op.create_table("nodes", _log(), level, _big("place", key=True), _blob("hash"), _of_log(), **NARROW)
    op.create_table(
        "checkpoints", _log(), _big("size", key=True), _text("note"), _digest(), _of_log(), **WIDE
    )


def _projections() -> None:
    op.create_table("projections", _log(), _big("projected"), _of_log(), **WIDE)
    op.create_table(
        "access_records",
        _log(),
        _big("position", key=True),
        _text("principal", optional=True),
        _big("principal_tag", optional=True),
        *(_text(name, optional=True) for name in ("action", "resource", "outcome", "country")),
        *(_text(name, optional=True) for name in ("source_address", "tls_version")),
        _big("bytes", optional=True),
        *(_text(name, optional=True) for name in ("source_system", "completeness")),
        _of_event(),
        **WIDE,
    )
    op.create_index(
        "access_records_log_principal_tag_position_idx",
        "access_records",
        ["log", "principal_tag", "position"],
    )
    op.create_table(
        "snapshot_records",
        _log(),
        _big("position", key=True),
        _text("resource", optional=True),
        sa.Column("public", sa.Integer(), nullable=True),
        _text("external_principals"),
        *(_text(name, optional=True) for name in ("grants", "source_system")),
        _of_event(),
        **WIDE,
    )


def _expectations() -> None:
    """Tell SQLite's planner how the rows of a log are spread.

    It has no statistics of a table that nobody has analyzed and guesses that a log has ten events, of which it would
    rather look at each than use an index. ANALYZE, whenever somebody runs it, puts the truth in their place.
    """
    op.execute("ANALYZE")
    spread = {
        "events": "1000000 1000000 1",
        "sqlite_autoindex_events_2": "1000000 1000000 1",
        "events_log_subject_position_idx": "1000000 1000000 50 1",
        "events_log_type_position_idx": "1000000 1000000 50000 1",
        "events_log_phase_position_idx": "1000000 1000000 50000 1",
    }
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    rows = [{"tbl": "events", "idx": index, "stat": stat} for index, stat in spread.items()]
    op.bulk_insert(statistics, rows)
    op.execute("ANALYZE sqlite_schema")


def _log() -> sa.Column[Any]:
    return sa.Column("log", sa.Integer(), primary_key=True, autoincrement=False)


def _of_log() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["log"], ["logs.id"])


def _of_event() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["log", "position"], ["events.log", "events.position"])


def _big(name: str, *, key: bool = False, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, BIG, primary_key=key, nullable=optional, autoincrement=False)


def _text(name: str, *, key: bool = False, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=key, nullable=optional)


def _blob(name: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=optional)


def _digest() -> sa.Column[Any]:
    return _blob("digest")
