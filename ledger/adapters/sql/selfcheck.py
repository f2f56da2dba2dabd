"""What the database finds wrong with itself, before anybody looks at the evidence in it.

In this order; a check that cannot be finished because the database cannot be read is a problem too:

1. the database's own structures: pages, indexes, references; on PostgreSQL also settings that would lose commits
2. the schema: its revision, and every table and index
3. register rows against their digests
4. what repeats what other rows say: heads, projections' rows, the batches' newest anchorings, the parts of events, the
   bundles, what accesses and snapshots are found by

What Merkle trees and signatures cover is checked against them, elsewhere (`ledger.doctor`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, or_, select

from ledger.adapters.sql import accesses, bundles, codec, reading
from ledger.adapters.sql.columns import UNREADABLE, AnyQuery, AnyRow
from ledger.adapters.sql.engine import Database
from ledger.adapters.sql.faults import DamagedStore
from ledger.adapters.sql.migrate import HEAD, revision
from ledger.adapters.sql.rows import (
    DIGESTED,
    METADATA,
    AccessRow,
    AnchoringRow,
    BatchRow,
    BundleRow,
    EventRow,
    HeadRow,
    LogRow,
    PaperRow,
    ProjectionRow,
    SnapshotRow,
)
from ledger.adapters.sql.rows import Row as TableRow
from ledger.adapters.sql.views import resource_tag
from ledger.errors import IntegrityError, MalformedInput, StoreUnavailable

MOST_OF_A_KIND = 100
"""Problems that one check lists before it is cut short."""

_POSTGRES_PROBLEMS = (
    """SELECT 'a crash would lose commits: ' || name || ' is off' FROM pg_settings
       WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'""",
    "SELECT 'index ' || indexrelid::regclass || ' is not valid' FROM pg_index WHERE NOT indisvalid",
    "SELECT 'constraint ' || conname || ' is not validated' FROM pg_constraint WHERE NOT convalidated",
)


def problems(database: Database) -> Iterator[str]:
    """Every problem found, as one line. Raises StoreUnavailable only if the server is away."""
    checks: list[Callable[[Database], Iterator[str]]] = [
        _structures,
        _schema,
        *(partial(_digests, row=row) for row in DIGESTED),
        _heads,
        _anchorings,
        _parts,
        _bundles,
        _accesses,
        _tags,
    ]
    for check in checks:
        try:
            yield from islice(check(database), MOST_OF_A_KIND)
        except (StoreUnavailable, IntegrityError) as error:
            if isinstance(error, StoreUnavailable) and not _is_damage(database, error):
                raise
            yield error.message + (f": {error.got}" if error.got is not None else "")
        except UNREADABLE:
            yield "a row holds a value that its column cannot: the check that came to it was not finished"


def _is_damage(database: Database, error: StoreUnavailable) -> bool:
    # A file that could be opened is not away: whatever stops its reading is a problem of the file.
    return isinstance(error, DamagedStore) or database.dialect == "sqlite"


def _structures(database: Database) -> Iterator[str]:
    if database.dialect == "postgresql":
        for query in _POSTGRES_PROBLEMS:
            with database.reading() as connection:
                yield from connection.exec_driver_sql(query).scalars().all()
        return
    with database.reading() as connection:
        found = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST_OF_A_KIND})").scalars().all()
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    yield from (f"the database file is damaged: {line}" for line in found if line != "ok")
    yield from (
        f"{table}: a row refers to one in {parent} that is not there" for table, _, parent, _ in broken
    )


def _schema(database: Database) -> Iterator[str]:
    with database.reading() as connection:
        if (current := revision(connection)) != HEAD:
            yield f"the schema is at revision {current}, not {HEAD}"
            return
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)
    for difference in differences:
        kind = difference[0] if isinstance(difference, tuple) else difference[0][0]
        yield f"the schema is not what the migrations make: {str(kind).replace('_', ' ')} would be needed"


def _digests(database: Database, row: type[TableRow]) -> Iterator[str]:
    table = row.table()
    for found in _pages(database, select(table), list(table.primary_key.columns)):
        values = found._asdict()
        try:
            sound = codec.digest_of(table, values) == values["digest"]
        except (MalformedInput, TypeError):
            sound = False
        if not sound:
            key = ", ".join(str(values[column.name]) for column in table.primary_key.columns)
            yield f"{table.name}: the row of {key[:200]} is not what was written"


def _heads(database: Database) -> Iterator[str]:
    """Heads and projections' rows against what they sum up."""
    for log, origin in _logs(database):
        derived, newest = _derive_head(database, log)
        heads = _all(database, select(HeadRow.table()).where(HeadRow.table().c.log == log))
        if not heads:
            yield f"{origin}: no head"
            continue
        kept = heads[0]._asdict()
        for name, value in derived.items():
            if kept[name] != value:
                yield f"{origin}: the head says {name} {kept[name]}, the rows say {value}"
        if newest != derived["size"] - 1:
            yield f"{origin}: {derived['size']} events, but the newest is at position {newest}"
        yield from _projection(database, log, origin, derived["size"])


def _derive_head(database: Database, log: int) -> tuple[dict[str, int], int]:
    """The head as events and batches give it, and the newest event's position (−1 if none)."""
    event, batch = EventRow.table().c, BatchRow.table().c
    events, newest = _all(database, select(func.count(), func.max(event.position)).where(event.log == log))[0]
    received = _all(
        database,
        select(event.received).where(event.log == log).order_by(event.position.desc()).limit(1),
    )
    (batches,) = _all(database, select(func.count()).select_from(BatchRow.table()).where(batch.log == log))[0]
    last = _all(
        database, select(BatchRow.table()).where(batch.log == log).order_by(batch.number.desc()).limit(1)
    )
    derived = {
        "size": events,
        "last_received": received[0].received if received else 0,
        "batches": batches,
        "sealed": last[0].first_leaf + last[0].leaf_count if last else 0,
        "last_closed": last[0].closed_at if last else 0,
    }
    return derived, -1 if newest is None else newest


def _projection(database: Database, log: int, origin: str, size: int) -> Iterator[str]:
    projection = ProjectionRow.table().c
    rows = _all(database, select(projection.projected, projection.dropped).where(projection.log == log))
    if not rows or not 0 <= rows[0].projected <= size or not 0 <= rows[0].dropped <= size:
        yield f"{origin}: the projections say they took in other events than there are"
        return
    if 0 < rows[0].dropped <= rows[0].projected:
        yield f"{origin}: the projections say they lack events, and have them"
    for row in (AccessRow, SnapshotRow, PaperRow):
        table = row.table()
        query = select(func.max(table.c.position)).where(table.c.log == log)
        last = _all(database, query)[0][0]
        if last is not None and last >= rows[0].projected:
            yield f"{origin}: {table.name} has rows of events that the projections did not take in"


def _anchorings(database: Database) -> Iterator[str]:
    """The newest anchoring that each batch names, against the anchorings."""
    anchoring, batch = AnchoringRow.table().c, BatchRow.table().c
    for log, origin in _logs(database):
        newest: dict[int, int] = {}
        count = _all(database, select(func.count()).where(batch.log == log))[0][0]
        attempts = select(anchoring.number, anchoring.first, anchoring.count.label("batches"))
        for row in _pages(database, attempts.where(anchoring.log == log), [anchoring.number]):
            end = min(row.first + row.batches, count)
            newest.update(dict.fromkeys(range(max(0, row.first), end), row.number))
        named = select(batch.number, batch.anchoring).where(batch.log == log)
        for row in _pages(database, named, [batch.number]):
            if row.number < count and row.anchoring != newest.get(row.number):
                yield f"{origin}: batch {row.number} does not name its newest anchoring"


def _parts(database: Database) -> Iterator[str]:
    """Events whose entry, or one of whose names, is gone."""
    event, bundle = EventRow.table().c, BundleRow.table()
    holds = (
        (bundle.c.log == event.log)
        & (bundle.c.first == event.bundle)
        & (bundle.c.first <= event.position)
        & (bundle.c.first + bundle.c.count > event.position)
    )
    source, gone = EventRow.table().outerjoin(bundle, holds), [bundle.c.first.is_(None)]
    for name, table in reading.NAMES.items():
        source = source.outerjoin(table, (table.c.log == event.log) & (table.c.id == event[name]))
        gone.append(table.c.id.is_(None))
    query = select(event.log, event.position).select_from(source).where(or_(*gone)).limit(MOST_OF_A_KIND)
    for row in _all(database, query):
        yield f"log {row.log}: the event at position {row.position} lacks its entry or a name"


def _bundles(database: Database) -> Iterator[str]:
    """Bundles that do not tile their log, which leaves are read by.

    Heads are read before and after: what is appended meanwhile is no difference.
    """
    bundle, head = BundleRow.table().c, HeadRow.table().c
    sizes = select(head.log, head.size)
    query = select(bundle.log, bundle.first, bundle.count.label("count_"), func.length(bundle.leaves))
    before, end = dict(_pairs(database, sizes)), defaultdict[int, int](int)
    for log, first, count, length in _pages(database, query, [bundle.log, bundle.first]):
        if first != end[log] or not 0 < count <= bundles.MOST or length != bundles.LEAF * count:
            yield f"log {log}: the bundle of position {first} is not the next one, or not whole"
        end[log] = first + count
    after = dict(_pairs(database, sizes))
    for log in sorted({*end, *after}):
        if not before.get(log, 0) <= end[log] <= after.get(log, -1):
            yield f"log {log}: its bundles end before position {end[log]}, the head says size {after.get(log)}"


def _accesses(database: Database) -> Iterator[str]:
    """How accesses are found, against the accesses."""
    for log, _ in _logs(database):
        with database.reading() as connection:
            yield from accesses.Check(log).problems(connection)


def _tags(database: Database) -> Iterator[str]:
    """Snapshots that a search for their resource would not find."""
    snapshot = SnapshotRow.table().c
    query = select(snapshot.log, snapshot.position, snapshot.resource, snapshot.resource_tag)
    for row in _pages(database, query, [snapshot.log, snapshot.position]):
        if row.resource_tag != (None if row.resource is None else resource_tag(row.resource)):
            yield f"log {row.log}: the snapshot at position {row.position} does not carry its resource's tag"


def _logs(database: Database) -> list[tuple[int, str]]:
    log = LogRow.table().c
    return [(row.id, row.origin) for row in _all(database, select(log.id, log.origin).order_by(log.id))]


def _pages(database: Database, query: AnyQuery, key: Sequence[Any]) -> Iterator[AnyRow]:
    return reading.pages(partial(_all, database), query, key)


def _pairs(database: Database, query: AnyQuery) -> list[tuple[int, int]]:
    return [(row[0], row[1]) for row in _all(database, query)]


def _all(database: Database, query: AnyQuery) -> Sequence[AnyRow]:
    with database.reading() as connection:
        return connection.execute(query).all()
