"""Parties' signatures over their pushes; logs that take no others."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from ledger.adapters.sql.packing import row_digest

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_LOG = ("origin", "party", "verifier_key", "chain_id", "contract", "created", "opaque")


def upgrade() -> None:
    flag = sa.Column("require_signature", sa.Integer(), nullable=False, server_default="0")
    op.add_column("logs", flag)
    _digest_logs((*_LOG, "require_signature"))
    op.create_table(
        "push_signatures",
        sa.Column("log", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("first", BIG, primary_key=True, autoincrement=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["log", "first"], ["receipts.log", "receipts.first"]),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("push_signatures")
    op.drop_column("logs", "require_signature")
    _digest_logs(_LOG)


def _digest_logs(columns: Sequence[str]) -> None:
    """A row's digest is over all of its columns."""
    connection = op.get_bind()
    logs = sa.table("logs", sa.column("id"), sa.column("digest"), *map(sa.column, columns))
    for row in connection.execute(sa.select(logs)).all():
        digest = row_digest("logs", [row._asdict()[name] for name in columns])
        connection.execute(sa.update(logs).where(logs.c.id == row.id).values(digest=digest))
