"""Queries over one log, shared by the transaction, which sees its own writes, and the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    Column,
    Connection,
    FromClause,
    ScalarSelect,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.sql import ColumnElement

from ledger.adapters.sql import bundles, codec, driver
from ledger.adapters.sql.columns import AnyQuery, AnyRow, clip
from ledger.adapters.sql.rows import (
    AnchoringRow,
    BatchRow,
    EventRow,
    HeadRow,
    NameRow,
    NodeRow,
    ReceiptRow,
)
from ledger.errors import IntegrityError
from ledger.merkle import NodeId
from ledger.records import Committed, LogHead
from ledger.types import BatchNo, Digest, Position

T = TypeVar("T")

AT_ONCE = 500
"""Most parameters, or rows of unknown width, of one statement."""

event = EventRow.table().c
NAMES = {name: NameRow.table().alias(f"{name}_name") for name in ("type", "phase", "subject", "party")}
"""The table of names, once for each column of an event that names one."""

_anchoring = AnchoringRow.table().c
_batch = BatchRow.table().c
_receipt = ReceiptRow.table().c
_node = NodeRow.table().c


def events_query(
    log: int, where: Sequence[ColumnElement[bool]], order: Sequence[Column[Any]], limit: int
) -> AnyQuery:
    """Rows for `codec.event`, in any order: the first `limit` events that match.

    They are found first, and only then joined: asked for both at once, PostgreSQL's planner may read the names of all
    events before them, since it knows of none of these where the events begin. Outer joins, so that an event whose
    name is gone is not passed over in silence.
    """
    some = select(*event).where(event.log == log, *where).order_by(*order).limit(clip(limit)).subquery("some")
    at, source = some.c, cast("FromClause", some)
    for name, table in NAMES.items():
        source = source.outerjoin(table, (table.c.log == at.log) & (table.c.id == at[name]))
    return select(
        at.position,
        at.key,
        NAMES["type"].c.text,
        NAMES["phase"].c.text,
        NAMES["subject"].c.text,
        at.time,
        NAMES["party"].c.text,
        at.received,
        at.bundle,
    ).select_from(source)


ANCHORINGS = select(
    _anchoring.first,
    _anchoring.number,
    # A row of SQLAlchemy is a tuple, whose `count` is a method.
    _anchoring.count.label("count_"),
    *(_anchoring[name] for name in ("attempt", "state", "tx_hash", "raw_tx", "updated")),
    *(_anchoring[name] for name in ("block_number", "block_hash")),
)
"""Rows for `codec.anchoring`."""

RECEIPTS = select(_receipt.first, _receipt.count.label("count_"), _receipt.note)
"""Rows for `codec.receipt`."""

BATCHES = (
    select(
        *(_batch[name] for name in ("number", "first_leaf", "leaf_count", "closed_at", "root", "anchoring")),
        *(column for column in ANCHORINGS.selected_columns if column.name != "number"),
    )
    .select_from(BatchRow.table())
    .outerjoin(AnchoringRow.table(), (_anchoring.log == _batch.log) & (_anchoring.number == _batch.anchoring))
)
"""Rows for `codec.batch`."""


_HEAD = f"SELECT {', '.join(LogHead.__slots__)} FROM {HeadRow.__tablename__} WHERE log = ?"  # noqa: S608


def named(log: int, text: str) -> ScalarSelect[Any]:
    """The number of a name."""
    names = NameRow.table().c
    return select(names.id).where(names.log == log, names.text == text).scalar_subquery()


def head(connection: Connection, log: int, *, lock: bool = False) -> LogHead:
    """Where the log stands. `lock` keeps PostgreSQL's other writers of the log away until the transaction ends."""
    for_update = " FOR UPDATE" if lock and connection.dialect.name == "postgresql" else ""
    rows = driver.execute(connection, _HEAD + for_update, (log,))
    if not rows:
        raise IntegrityError("a log without its head", got=f"log {log}")
    size, last_received, batches, sealed, last_closed = rows[0]
    return LogHead(Position(size), last_received, BatchNo(batches), Position(sealed), last_closed)


def look_up(
    connection: Connection, log: int, key: Column[Any], value: Column[Any], wanted: Sequence[Any]
) -> dict[Any, Any]:
    """The values of a log's rows whose `key`, unique in the log, is wanted, by key.

    PostgreSQL is asked for each key by itself: for a list of them, and a table that it has not analyzed since it grew,
    its planner thinks that reading the whole table is cheaper.
    """
    found: dict[Any, Any] = {}
    where = key.table.c.log == log
    for some in portions(wanted):
        if connection.dialect.name == "sqlite":
            query = select(key, value).where(where, key.in_(some))
        else:
            each = func.unnest(literal(some, ARRAY(key.type))).column_valued("each")
            query = select(each, select(value).where(where, key == each).scalar_subquery())
        found.update((name, it) for name, it in connection.execute(query) if it is not None)
    return found


def portions(values: Sequence[T]) -> Iterator[list[T]]:
    """The values, no more at once than one statement takes."""
    return (list(values[start : start + AT_ONCE]) for start in range(0, len(values), AT_ONCE))


def events(
    connection: Connection,
    log: int,
    where: Sequence[ColumnElement[bool]],
    limit: int,
    order: Sequence[Column[Any]] = (event.position,),
) -> list[Committed]:
    """The first `limit` events that match, by `order`; in order of position."""
    rows: dict[int, list[AnyRow]] = {}
    for row in connection.execute(events_query(log, where, order, limit)):
        if not isinstance(row.bundle, int):
            raise IntegrityError("a stored event cannot be read", got=f"the row of {row.position}")
        rows.setdefault(row.bundle, []).append(row)
    found: list[Committed] = []
    for bundle in bundles.read(connection, log, rows):
        found += [codec.event(row, bundle) for row in rows.pop(bundle.first, ())]
    for of_no_bundle in rows.values():
        found += [codec.event(row, None) for row in of_no_bundle]
    return sorted(found, key=lambda it: it.position)


def nodes(connection: Connection, log: int, ids: Sequence[NodeId]) -> list[Digest]:
    """Perfect subtrees, in the order asked. Raises IntegrityError if one is missing."""
    found: dict[NodeId, Digest] = {}
    for some in portions(ids):
        levels, places = ({clip(number) for number in numbers} for numbers in zip(*some, strict=True))
        # Pairs would be more to the point, but SQLite then looks at every node; these are few more than asked.
        query = select(_node.level, _node.place, _node.hash).where(
            _node.log == log, _node.level.in_(levels), _node.place.in_(places)
        )
        for node in codec.read_all(connection.execute(query), codec.node):
            found[node.level, node.index] = node.hash
    for id in ids:
        if id not in found:
            raise IntegrityError("a node of the log tree is missing", got=f"level {id[0]}, index {id[1]}")
    return [found[id] for id in ids]


def pages(
    run: Callable[[AnyQuery], Sequence[AnyRow]],
    query: AnyQuery,
    key: Sequence[ColumnElement[Any]],
    size: int = AT_ONCE,
) -> Iterator[AnyRow]:
    """All rows of a query, a page at a time, so that neither memory nor a transaction is held for long.

    `key` are columns that the query selects and that order it, each row at a place of its own.
    """
    ordered = query.order_by(*key).limit(size)
    after: list[ColumnElement[Any]] = []
    while True:
        rows = run(ordered.where(tuple_(*key) > tuple_(*after)) if after else ordered)
        yield from rows
        if len(rows) < size:
            return
        last = rows[-1]._asdict()
        after = [literal(last[str(column.key)], column.type) for column in key]


def within(since: int | None, until: int | None) -> list[ColumnElement[bool]]:
    """Events of a span of time, `until` excluded."""
    where: list[ColumnElement[bool]] = []
    if since is not None:
        where.append(event.time >= clip(since))
    if until is not None:
        where.append(event.time < clip(until))
    return where
