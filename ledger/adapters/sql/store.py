"""`ledger.ports.Store` on a SQL database: opening, writing to a log, reading it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import and_, or_, select

from ledger.adapters.sql import bundles, codec, reading
from ledger.adapters.sql.columns import MAX_BIG, AnyQuery, AnyRow, clip
from ledger.adapters.sql.engine import PATIENCE, Database
from ledger.adapters.sql.migrate import upgrade
from ledger.adapters.sql.rows import (
    AnchoringRow,
    BatchRow,
    CheckpointRow,
    ConflictRow,
    NodeRow,
    ReceiptRow,
    SignatureRow,
)
from ledger.adapters.sql.transaction import SqlLogTransaction
from ledger.adapters.sql.views import Views
from ledger.errors import NotFound
from ledger.merkle import Node, NodeId
from ledger.records import (
    Anchoring,
    Committed,
    ConflictAttempt,
    EventFilter,
    LogHead,
    PushSignature,
    SealedBatch,
    StoredCheckpoint,
    StoredReceipt,
)
from ledger.types import BatchNo, Digest, Origin, Position, log_id

T = TypeVar("T")

SCAN_AT_ONCE = 200
"""Events of one statement of a scan: an event may hold half a megabyte."""

SIGNATURES_AT_ONCE = 8
"""Signatures of one statement: each holds a digest for every event of its push."""

_anchoring = AnchoringRow.table().c
_batch = BatchRow.table().c
_checkpoint = CheckpointRow.table().c
_conflict = ConflictRow.table().c
_node = NodeRow.table().c
_receipt = ReceiptRow.table().c
_signature = SignatureRow.table().c

_CHECKPOINTS = select(_checkpoint.size, _checkpoint.note)
_CONFLICTS = select(_conflict.position, _conflict.entry, _conflict.packed, _conflict.received)
_SIGNATURES = select(_signature.first, _signature.count.label("count_"), _signature.note, _signature.leaves)
_NODES = select(_node.level, _node.place, _node.hash)


def open_store(url: str, patience: float = PATIENCE) -> SqlStore:
    """Open the store at a database URL, bringing its schema to this version first.

    Args:
        url: `sqlite:////folder/ledger.db`, made (for this user only) if it is not there, or
            `postgresql+psycopg://user@host/name`.
        patience: seconds to wait for a lock, a connection or the server.

    Raises:
        MalformedInput: not the URL of such a database.
        StoreUnavailable: it cannot be reached or read, or a newer version of the ledger wrote it.
        IntegrityError: as `migrate`.
    """
    database = Database(url, patience)
    try:
        upgrade(database)
    except BaseException:
        database.close()
        raise
    return SqlStore(database)


class SqlStore(Views):
    """The store. Use `open_store`."""

    @contextmanager
    def writing(self, origin: Origin) -> Iterator[SqlLogTransaction]:
        log = self._number_of(origin)
        with self._database.writing() as connection:
            transaction = SqlLogTransaction(connection, log, origin)
            yield transaction
            transaction.finish()

    def head(self, origin: Origin) -> LogHead:
        log = self._number_of(origin)
        with self._database.reading() as connection:
            return reading.head(connection, log)

    # Events.

    def event(self, origin: Origin, position: Position) -> Committed:
        log = self._number_of(origin)
        if 0 <= position <= MAX_BIG:
            with self._database.reading() as connection:
                for event in reading.events(connection, log, [reading.event.position == position], limit=1):
                    return event
        raise NotFound("no such event", got=f"position {position}")

    def events(
        self, origin: Origin, which: EventFilter, after: Position | None, limit: int
    ) -> list[Committed]:
        log = self._number_of(origin)
        where = reading.within(which.since, which.until)
        for name in ("type", "phase", "subject", "party"):
            if (word := getattr(which, name)) is not None:
                where.append(reading.event[name] == reading.named(log, str(word)))
        if after is not None:
            where.append(reading.event.position > clip(after))
        with self._database.reading() as connection:
            return reading.events(connection, log, where, limit)

    def events_at(self, origin: Origin, positions: Sequence[Position]) -> list[Committed]:
        log, found = self._number_of(origin), list[Committed]()
        with self._database.reading() as connection:
            for some in reading.portions(sorted(set(positions))):
                where = [reading.event.position.in_(some)]
                found += reading.events(connection, log, where, limit=len(some))
        return found

    def scan(self, origin: Origin, start: Position, stop: Position) -> Iterator[Committed]:
        log, position = self._number_of(origin), reading.event.position
        while start < stop:
            where = [position >= clip(start), position < clip(stop)]
            with self._database.reading() as connection:
                events = reading.events(connection, log, where, limit=SCAN_AT_ONCE)
            yield from events
            if len(events) < SCAN_AT_ONCE:
                return
            start = Position(events[-1].position + 1)

    def leaves(self, origin: Origin, start: Position, stop: Position) -> list[bytes]:
        log = self._number_of(origin)
        with self._database.reading() as connection:
            return bundles.leaves(connection, log, start, stop)

    def receipt(self, origin: Origin, position: Position) -> StoredReceipt:
        log = self._number_of(origin)
        query = reading.RECEIPTS.where(_receipt.log == log, _receipt.first <= clip(position))
        for receipt in self._read(query.order_by(_receipt.first.desc()).limit(1), codec.receipt):
            if receipt.first <= position < receipt.first + receipt.count:
                return receipt
        raise NotFound("no such receipt", got=f"position {position}")

    def receipts(self, origin: Origin) -> Iterator[StoredReceipt]:
        query = reading.RECEIPTS.where(_receipt.log == self._number_of(origin))
        for row in reading.pages(self._rows, query, [_receipt.first]):
            yield codec.read(row, codec.receipt)

    def signature(self, origin: Origin, position: Position) -> PushSignature | None:
        query = _SIGNATURES.where(
            _signature.log == self._number_of(origin), _signature.first <= clip(position)
        )
        for found in self._read(query.order_by(_signature.first.desc()).limit(1), codec.signature):
            if position < found.first + found.count:
                return found
        return None

    def signatures(self, origin: Origin, start: Position, stop: Position) -> Iterator[PushSignature]:
        if (before := self.signature(origin, start)) is not None and before.first < start < stop:
            yield before
        query = _SIGNATURES.where(
            _signature.log == self._number_of(origin),
            _signature.first >= clip(start),
            _signature.first < clip(stop),
        )
        for row in reading.pages(self._rows, query, [_signature.first], SIGNATURES_AT_ONCE):
            yield codec.read(row, codec.signature)

    def conflicts(self, origin: Origin) -> list[ConflictAttempt]:
        query = _CONFLICTS.where(_conflict.log == self._number_of(origin)).order_by(_conflict.number)
        return self._read(query, codec.conflict)

    # Batches.

    def batches(self, origin: Origin, start: BatchNo, stop: BatchNo) -> list[SealedBatch]:
        query = reading.BATCHES.where(
            _batch.log == self._number_of(origin), _batch.number >= clip(start), _batch.number < clip(stop)
        )
        return self._read(query.order_by(_batch.number), _batch_of(origin))

    def batch_at(self, origin: Origin, position: Position) -> SealedBatch | None:
        query = reading.BATCHES.where(
            _batch.log == self._number_of(origin), _batch.first_leaf <= clip(position)
        )
        for batch in self._read(query.order_by(_batch.first_leaf.desc()).limit(1), _batch_of(origin)):
            if position < batch.header.end:
                return batch
        return None

    def nodes(self, origin: Origin, ids: Sequence[NodeId]) -> list[Digest]:
        log = self._number_of(origin)
        with self._database.reading() as connection:
            return reading.nodes(connection, log, ids)

    def scan_nodes(self, origin: Origin) -> Iterator[Node]:
        query = _NODES.where(_node.log == self._number_of(origin))
        for row in reading.pages(self._rows, query, [_node.level, _node.place]):
            yield codec.read(row, codec.node)

    def anchorings(
        self, origin: Origin, after: tuple[BatchNo, int] | None = None, limit: int | None = None
    ) -> list[Anchoring]:
        query = reading.ANCHORINGS.where(_anchoring.log == self._number_of(origin))
        if after is not None:
            first, attempt = map(clip, after)
            behind = and_(_anchoring.first == first, _anchoring.attempt > attempt)
            query = query.where(_anchoring.first >= first, or_(_anchoring.first > first, behind))
        ordered = query.order_by(_anchoring.first, _anchoring.attempt).limit(limit)
        return self._read(ordered, codec.anchoring)

    def newest_anchorings(self, origin: Origin, limit: int) -> list[Anchoring]:
        query = reading.ANCHORINGS.where(_anchoring.log == self._number_of(origin))
        found = self._read(query.order_by(_anchoring.number.desc()).limit(limit), codec.anchoring)
        return sorted(found, key=lambda it: (it.first, it.attempt))

    def attempts(self, origin: Origin, first: BatchNo) -> list[Anchoring]:
        query = reading.ANCHORINGS.where(
            _anchoring.log == self._number_of(origin), _anchoring.first == clip(first)
        )
        return self._read(query.order_by(_anchoring.attempt), codec.anchoring)

    def checkpoint(self, origin: Origin) -> StoredCheckpoint | None:
        query = _CHECKPOINTS.where(_checkpoint.log == self._number_of(origin))
        found = self._read(query.order_by(_checkpoint.size.desc()).limit(1), codec.checkpoint)
        return found[0] if found else None

    def checkpoints(self, origin: Origin) -> list[StoredCheckpoint]:
        query = _CHECKPOINTS.where(_checkpoint.log == self._number_of(origin))
        return self._read(query.order_by(_checkpoint.size), codec.checkpoint)

    def self_check(self) -> Iterator[str]:
        from ledger.adapters.sql import selfcheck  # loads Alembic, which nothing else needs

        return selfcheck.problems(self._database)

    def close(self) -> None:
        self._database.close()

    def _read(self, query: AnyQuery, make: Callable[[AnyRow], T]) -> list[T]:
        return codec.read_all(self._rows(query), make)


def _batch_of(origin: Origin) -> Callable[[AnyRow], SealedBatch]:
    id = log_id(origin)

    def batch(row: AnyRow) -> SealedBatch:
        return codec.batch(row, id)

    return batch
