"""Projections of accesses by term, of transfers and of their papers; keys of parties; logs that take opaque types.

What a projection held is made again from the events, so its tables are dropped and begun anew; `dropped` says so to
whoever asks before they are whole again.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger.adapters.sql.packing import row_digest

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WIDE = {"sqlite_strict": True}
NARROW = {"sqlite_strict": True, "sqlite_with_rowid": False}

_LOG = ("origin", "party", "verifier_key", "chain_id", "contract", "created")
_TERMS = (
    *("phase", "subject", "party", "principal", "action", "resource", "outcome", "reason", "country"),
    *("source_address", "tls_version", "cipher", "source_system", "completeness"),
)


def upgrade() -> None:
    for table in ("snapshot_records", "access_records"):
        op.drop_table(table)
    op.add_column("projections", sa.Column("dropped", BIG, nullable=False, server_default="0"))
    op.execute("UPDATE projections SET dropped = projected, projected = 0")
    _logs()
    op.create_table(
        "party_keys",
        _text("party", key=True),
        _text("verifier_key", key=True),
        _big("valid_from"),
        _big("valid_until", optional=True),
        _blob("digest"),
        sa.ForeignKeyConstraint(["party"], ["parties.id"]),
        **NARROW,
    )
    op.create_index("events_log_subject_time_position_idx", "events", ["log", "subject", "time", "position"])
    _accesses()
    _snapshots()
    _transfers()
    if op.get_bind().dialect.name == "sqlite":
        _expectations()


def downgrade() -> None:
    for table in (
        *("papers", "transfer_facts", "snapshot_records"),
        *("access_blocks", "access_postings", "access_terms", "access_records", "party_keys"),
    ):
        op.drop_table(table)
    op.drop_index("events_log_subject_time_position_idx", "events")
    op.drop_column("logs", "opaque")
    op.drop_column("projections", "dropped")
    _digest_logs(_LOG)
    op.execute("UPDATE projections SET projected = 0")
    _first_views()


def _logs() -> None:
    op.add_column("logs", sa.Column("opaque", sa.Integer(), nullable=False, server_default="0"))
    _digest_logs((*_LOG, "opaque"))


def _digest_logs(columns: Sequence[str]) -> None:
    """A row's digest is over all of its columns."""
    connection = op.get_bind()
    logs = sa.table("logs", sa.column("id"), sa.column("digest"), *map(sa.column, columns))
    for row in connection.execute(sa.select(logs)).all():
        digest = row_digest("logs", [row._asdict()[name] for name in columns])
        connection.execute(sa.update(logs).where(logs.c.id == row.id).values(digest=digest))


def _accesses() -> None:
    op.create_table(
        "access_records",
        _log(),
        _big("position", key=True),
        _big("time"),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in _TERMS),
        _blob("raw_sha256", optional=True),
        _big("class_uid", optional=True),
        _big("transferred", optional=True),
        _of_event(),
        **NARROW,
    )
    op.create_index("access_records_log_time_position_idx", "access_records", ["log", "time", "position"])
    op.create_table(
        "access_terms",
        _log(),
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        _blob("tag"),
        _text("text"),
        sa.UniqueConstraint("log", "tag"),
        _of_log(),
        **NARROW,
    )
    op.create_table(
        "access_postings",
        _log(),
        sa.Column("term", sa.Integer(), primary_key=True, autoincrement=False),
        _big("block", key=True),
        _blob("places"),
        _of_log(),
        **NARROW,
    )
    op.create_table(
        "access_blocks",
        _log(),
        _big("block", key=True),
        _blob("places"),
        _big("first_time"),
        _big("last_time"),
        _of_log(),
        **NARROW,
    )


def _snapshots() -> None:
    op.create_table(
        "snapshot_records",
        _log(),
        _big("position", key=True),
        _big("time"),
        *map(_text, ("phase", "subject", "party")),
        _big("captured"),
        _text("resource", optional=True),
        _blob("resource_tag", optional=True),
        _text("owner", optional=True),
        sa.Column("public", sa.Integer(), nullable=True),
        _text("external_principals"),
        *(_text(name, optional=True) for name in ("grants", "collector", "api_call", "region", "country")),
        *(_text(name, optional=True) for name in ("source_system", "completeness", "raw_sha256")),
        _of_event(),
        **WIDE,
    )
    for name in ("resource_tag", "captured", "subject", "public"):
        op.create_index(
            f"snapshot_records_log_{name}_position_idx", "snapshot_records", ["log", name, "position"]
        )


def _transfers() -> None:
    op.create_table(
        "transfer_facts",
        _log(),
        *map(_word, ("subject", "phase", "name", "value")),
        *map(_big, ("count", "first_time", "last_time", "first", "last")),
        _of_log(),
        **NARROW,
    )
    op.create_table(
        "papers",
        _log(),
        *map(_word, ("subject", "kind")),
        _big("position", key=True),
        _of_event(),
        **NARROW,
    )


def _expectations() -> None:
    """Tell SQLite's planner how the rows of a log are spread (see 0001)."""
    spread = {
        ("events", "events_log_subject_time_position_idx"): "1000000 1000000 50 1 1",
        ("access_records", "access_records"): "1000000 1000000 1",
        ("access_records", "access_records_log_time_position_idx"): "1000000 1000000 1 1",
        ("snapshot_records", "sqlite_autoindex_snapshot_records_1"): "10000 10000 1",
        ("snapshot_records", "snapshot_records_log_resource_tag_position_idx"): "10000 10000 50 1",
        ("snapshot_records", "snapshot_records_log_captured_position_idx"): "10000 10000 1 1",
        ("snapshot_records", "snapshot_records_log_subject_position_idx"): "10000 10000 50 1",
        ("snapshot_records", "snapshot_records_log_public_position_idx"): "10000 10000 3000 1",
    }
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.bulk_insert(statistics, [{"tbl": t, "idx": i, "stat": stat} for (t, i), stat in spread.items()])
    op.execute("ANALYZE sqlite_schema")


def _first_views() -> None:
    """The projections' tables as 0001 made them."""
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


def _word(name: str) -> sa.Column[Any]:
    """A key that orders its rows by code points, on both databases."""
    kind = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, kind, primary_key=True, nullable=False)


def _blob(name: str, *, optional: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=optional)
