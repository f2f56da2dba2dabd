"""Entries and disclosures in bundles of some events each, leaf hashes with them.

It goes through memory a bundle at a time. What is not whole is refused before any old table is dropped: the version
that wrote it can still say what is wrong, and read the rest.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from alembic import op

from ledger.adapters.sql.packing import pack, unpack
from ledger.adapters.sql.squeeze import squeeze, unsqueeze
from ledger.errors import IntegrityError
from ledger.merkle import leaf_hash

revision = "0005"
down_revision = "0004"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WIDE = {"sqlite_strict": True}

MOST, BYTES, LEAF = 64, 128 << 10, 32

Event: TypeAlias = "tuple[int, int, bytes, bytes, bytes]"
"""Log, position, leaf hash, entry, joined disclosures."""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        # A version before this may be running, and would go on writing into what is dropped. SQLite has one writer.
        op.execute("LOCK TABLE heads, events, entries, disclosures IN ACCESS EXCLUSIVE MODE")
    _create_bundles()
    for bundle in _bundled():
        _write(connection, bundle)
    _check_sizes(connection)
    for table in ("entries", "disclosures"):
        op.drop_table(table)
    begins = "(SELECT max(b.first) FROM bundles AS b WHERE b.log = events.log AND b.first <= events.position)"
    if connection.dialect.name == "postgresql":
        op.add_column("events", sa.Column("bundle", BIG))
        op.execute(f"UPDATE events SET bundle = {begins}")  # noqa: S608  # of columns' names
        op.alter_column("events", "bundle", nullable=False)
        op.drop_column("events", "leaf")
        op.drop_constraint("events_log_fkey", "events")
    else:
        _make_events_again(sa.Column("bundle", BIG, nullable=False), begins)


def _create_bundles() -> None:
    op.create_table(
        "bundles",
        sa.Column("log", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("first", BIG, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("leaves", "entries")),
        sa.ForeignKeyConstraint(["log"], ["logs.id"]),
        **WIDE,
    )
    op.create_table(
        "bundle_disclosures",
        sa.Column("log", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("bundle", BIG, primary_key=True, autoincrement=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["log", "bundle"], ["bundles.log", "bundles.first"]),
        **WIDE,
    )
    if op.get_bind().dialect.name == "postgresql":  # it need not try to compress what is squeezed already
        for table, column in (
            ("bundles", "leaves"),
            ("bundles", "entries"),
            ("bundle_disclosures", "packed"),
        ):
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")


def _bundled() -> Iterator[list[Event]]:
    """All events, as they go into bundles."""
    bundle: list[Event] = []
    bytes_ = 0
    for event in _events():
        log, _, _, entry, disclosures = event
        bytes_ += len(entry) + len(disclosures)
        if bundle and (bundle[0][0] != log or len(bundle) == MOST or bytes_ > BYTES):
            yield bundle
            bundle, bytes_ = [], len(entry) + len(disclosures)
        bundle.append(event)
    if bundle:
        yield bundle


def _events() -> Iterator[Event]:
    connection = op.get_bind()
    query = sa.text(
        """
        SELECT e.log, e.position, e.leaf, entries.entry, d.packed
        FROM (
                SELECT log, position, leaf FROM events
                WHERE log = :log AND position >= :start
                ORDER BY position LIMIT 64
            ) AS e
            LEFT JOIN entries ON entries.log = e.log AND entries.position = e.position
            LEFT JOIN disclosures AS d ON d.log = e.log AND d.position = e.position
        ORDER BY e.position
        """
    )
    for log in connection.scalars(sa.text("SELECT id FROM logs ORDER BY id")).all():
        start = 0
        while rows := connection.execute(query, {"log": log, "start": start}).all():
            for number, row in enumerate(rows, start):
                yield _event(number, row)
            start = rows[-1].position + 1


def _event(expected: int, row: Any) -> Event:
    """A row of `_events`. Raises IntegrityError unless it is of this position, and whole."""
    log, position, leaf, entry, packed = row
    try:
        event = log, position, leaf, unsqueeze(entry), b"" if packed is None else unsqueeze(packed)
        sound = position == expected and leaf_hash(event[3]) == leaf
    except (AttributeError, TypeError, ValueError):
        sound = False
    if not sound:
        raise _damaged(f"log {log}: the event at position {expected}")
    return event


def _check_sizes(connection: sa.Connection) -> None:
    """Raise IntegrityError unless each log has as many events in bundles as its head says."""
    bundled = "SELECT coalesce(sum(b.count), 0) FROM bundles AS b WHERE b.log = heads.log"
    others = f"SELECT log FROM heads WHERE size <> ({bundled}) ORDER BY log"  # noqa: S608  # no one's input
    if (log := connection.scalar(sa.text(others))) is not None:
        raise _damaged(f"log {log}: not as many events as its head says")


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(
        "a database of an earlier version is damaged, and was left as it is",
        got=what,
        advice="Run `doctor` of the version that wrote it, and restore the newest backup into another place.",
    )


def _write(connection: sa.Connection, bundle: Sequence[Event]) -> None:
    (log, first, *_), count = bundle[0], len(bundle)
    values = {"log": log, "first": first, "count": count}
    connection.execute(
        sa.text("INSERT INTO bundles VALUES (:log, :first, :count, :leaves, :entries)"),
        {
            **values,
            "leaves": b"".join(leaf for _, _, leaf, _, _ in bundle),
            "entries": pack([entry for _, _, _, entry, _ in bundle]),
        },
    )
    disclosures = [joined for *_, joined in bundle]
    if any(disclosures):
        connection.execute(
            sa.text("INSERT INTO bundle_disclosures VALUES (:log, :first, :packed)"),
            {**values, "packed": pack(disclosures)},
        )


def downgrade() -> None:
    of_event = ["log", "position"], ["events.log", "events.position"]
    for table, column in (("entries", "entry"), ("disclosures", "packed")):
        op.create_table(
            table,
            sa.Column("log", sa.Integer(), primary_key=True, autoincrement=False),
            sa.Column("position", BIG, primary_key=True, autoincrement=False),
            sa.Column(column, sa.LargeBinary(), nullable=False),
            sa.ForeignKeyConstraint(*of_event),
            **WIDE,
        )
    connection = op.get_bind()
    leaf = sa.Column("leaf", sa.LargeBinary(), nullable=False)
    if connection.dialect.name == "postgresql":
        op.add_column("events", sa.Column("leaf", sa.LargeBinary(), nullable=False, server_default=""))
        op.create_foreign_key(None, "events", "logs", ["log"], ["id"])
        op.drop_column("events", "bundle")
    else:
        _make_events_again(leaf, "X''", sa.ForeignKeyConstraint(["log"], ["logs.id"]))
    bundles = "SELECT b.log, b.first, b.count, b.leaves, b.entries, d.packed FROM bundles AS b"
    joined = " LEFT JOIN bundle_disclosures AS d ON d.log = b.log AND d.bundle = b.first"
    after = " WHERE (b.log, b.first) > (:log, :first) ORDER BY b.log, b.first LIMIT 1"
    last: dict[str, Any] = {"log": 0, "first": -1}
    while row := connection.execute(sa.text(bundles + joined + after), last).one_or_none():
        _write_apart(connection, row)
        last = {"log": row.log, "first": row.first}
    for table in ("bundle_disclosures", "bundles"):
        op.drop_table(table)


def _make_events_again(last: sa.Column[Any], value: str, *constraints: sa.Constraint) -> None:
    """SQLite drops no foreign key. Rows that refer to events are without them meanwhile, so they are looked at later.

    `value`: of the last column.
    """
    names = ("log", "position", "key", "type", "phase", "subject", "time", "party", "received")
    listed = ", ".join(names)
    op.execute("PRAGMA defer_foreign_keys = ON")
    # Meanwhile SQLite looks for the rows that refer to each event, and of these tables only the log is indexed.
    for table in ("papers", "conflicts"):
        op.create_index(f"{table}_meanwhile", table, ["log", "position"])
    op.execute(f"CREATE TEMP TABLE kept AS SELECT {listed}, {value} FROM events")  # noqa: S608  # as above
    # What the planner is told (0001, 0002) goes with the table.
    spread = sa.text("SELECT tbl, idx, stat FROM sqlite_stat1 WHERE tbl = 'events'")
    told = op.get_bind().execute(spread).all()
    op.drop_table("events")
    op.create_table(
        "events",
        sa.Column("log", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("type", "phase", "subject")),
        sa.Column("time", BIG, nullable=False),
        sa.Column("party", sa.Integer(), nullable=False),
        sa.Column("received", BIG, nullable=False),
        last,
        sa.UniqueConstraint("log", "key"),
        *constraints,
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    order = "ORDER BY log, position"
    op.execute(f"INSERT INTO events ({listed}, {last.name}) SELECT * FROM kept {order}")  # noqa: S608  # as above
    op.drop_table("kept")
    for table in ("papers", "conflicts"):
        op.drop_index(f"{table}_meanwhile", table)
    for indexed in (("subject",), ("subject", "time"), ("type",), ("phase",)):
        name = f"events_log_{'_'.join(indexed)}_position_idx"
        op.create_index(name, "events", ["log", *indexed, "position"])
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.bulk_insert(statistics, [row._asdict() for row in told])
    op.execute("ANALYZE sqlite_schema")


def _write_apart(connection: sa.Connection, row: Any) -> None:
    log, first, count, leaves, entries, packed = row
    for place, entry in enumerate(unpack(entries, count)):
        values = {"log": log, "position": first + place, "entry": squeeze(entry)}
        connection.execute(sa.text("INSERT INTO entries VALUES (:log, :position, :entry)"), values)
        connection.execute(
            sa.text("UPDATE events SET leaf = :leaf WHERE log = :log AND position = :position"),
            {**values, "leaf": leaves[LEAF * place : LEAF * (place + 1)]},
        )
    for place, disclosures in enumerate([] if packed is None else unpack(packed, count)):
        if disclosures:
            connection.execute(
                sa.text("INSERT INTO disclosures VALUES (:log, :position, :packed)"),
                {"log": log, "position": first + place, "packed": squeeze(disclosures)},
            )
