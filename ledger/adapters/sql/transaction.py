"""Exclusive work on one log: `ledger.ports.LogTransaction` over one database transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ledger.adapters.sql import bundles, codec, driver, names, reading
from ledger.adapters.sql.faults import translated
from ledger.adapters.sql.packing import joined
from ledger.adapters.sql.rows import (
    AnchoringRow,
    BatchRow,
    CheckpointRow,
    ConflictRow,
    EventRow,
    HeadRow,
    NodeRow,
    ReceiptRow,
    SignatureRow,
)
from ledger.batch import BatchHeader
from ledger.errors import IntegrityError, LedgerError, NotFound
from ledger.merkle import Node, NodeId
from ledger.records import (
    Anchoring,
    Committed,
    ConflictAttempt,
    LogHead,
    PushSignature,
    StoredCheckpoint,
    StoredReceipt,
)
from ledger.types import BatchNo, Digest, Origin, Position, log_id

_event = EventRow.table().c
_conflict = ConflictRow.table().c
_anchoring = AnchoringRow.table().c
_batch = BatchRow.table().c
_checkpoint = CheckpointRow.table().c

_PLACES = ", ".join(f"{name} = ?" for name in LogHead.__slots__)
_MOVE_HEAD = f"UPDATE {HeadRow.__tablename__} SET {_PLACES} WHERE log = ?"  # noqa: S608
# SQLAlchemy takes longer over a statement that it sees for the first time than the database takes to run it.
_into = cache(insert)


class SqlLogTransaction:
    """Made by `SqlStore.writing` inside a database transaction; `finish` is its last act.

    A write that fails may have stored half of its rows, so from then on the block cannot end well: `finish` raises
    the same error again, even if the block has caught it.
    """

    def __init__(self, connection: Connection, log: int, origin: Origin) -> None:
        self._connection = connection
        self._log = log
        self._id = log_id(origin)
        self._head = self._now = reading.head(connection, log, lock=True)
        self._appended: tuple[StoredReceipt, ...] = ()
        self._failure: LedgerError | None = None

    @property
    def head(self) -> LogHead:
        return self._head

    def find(self, keys: Sequence[Digest]) -> dict[Digest, Committed]:
        # Positions first: nearly always there are none, and the index alone says so.
        known: list[int] = []
        events: list[Committed] = []
        with translated():
            for some in reading.portions(keys):
                known += driver.positions(self._connection, self._log, some)
            for positions in reading.portions(known):
                where = [_event.position.in_(positions)]
                events += reading.events(self._connection, self._log, where, limit=len(positions))
        return {event.key: event for event in events}

    def append(self, events: Sequence[Committed], *receipts: StoredReceipt) -> None:
        with self._write():
            self._check_positions(events)
            firsts = self.append_entries(
                [it.leaf for it in events],
                [it.entry for it in events],
                [joined(it.disclosures) for it in events],
                *receipts,
            )
            self._index(events, firsts)
            self._now = replace(self._now, last_received=events[-1].received)

    def append_entries(
        self,
        leaves: Sequence[bytes],
        entries: Sequence[bytes],
        disclosures: Sequence[bytes],
        *receipts: StoredReceipt,
    ) -> list[int]:
        """Append to the log itself, and to nothing that events are found by: entries by position, and their receipts.

        Takes and answers what `bundles.append` does, `append` does the rest.
        """
        with self._write():
            if self._appended:
                raise IntegrityError("a second append in one block")
            self._appended = receipts
            size = self._now.size
            self._check_receipts(len(entries), receipts)
            firsts = bundles.append(self._connection, self._log, size, leaves, entries, disclosures)
            rows = (codec.receipt_values(receipt, self._log) for receipt in receipts)
            driver.insert_rows(self._connection, ReceiptRow.table(), rows)
            self._now = replace(self._now, size=Position(size + len(entries)))
            return firsts

    def keep_signature(self, signature: PushSignature) -> None:
        with self._write():
            appended = [(receipt.first, receipt.count) for receipt in self._appended]
            if (signature.first, signature.count) not in appended:
                raise IntegrityError(
                    "a signature over another push than was appended",
                    expected=", ".join(f"{count} events from position {first}" for first, count in appended),
                    got=f"{signature.count} from position {signature.first}",
                )
            self._insert(SignatureRow, [codec.signature_row(signature, self._log)])

    def keep_conflicts(self, attempts: Sequence[ConflictAttempt]) -> None:
        with self._write():
            start = self._next(ConflictRow)
            self._insert(
                ConflictRow,
                [codec.conflict_row(it, self._log, number) for number, it in enumerate(attempts, start)],
            )

    def leaves(self, start: Position, stop: Position) -> list[bytes]:
        with translated():
            return bundles.leaves(self._connection, self._log, start, stop)

    def received(self, position: Position) -> int:
        query = select(_event.received).where(_event.log == self._log, _event.position == position)
        with translated():
            found: int | None = self._connection.scalar(query)
        if found is None:
            raise NotFound("no such event", got=f"position {position}")
        return found

    def nodes(self, ids: Sequence[NodeId]) -> list[Digest]:
        with translated():
            return reading.nodes(self._connection, self._log, ids)

    def add_batch(self, header: BatchHeader, nodes: Sequence[Node]) -> None:
        with self._write():
            now = self._now
            expected = (self._id, now.batches, now.sealed)
            got = (header.log_id, header.batch_no, header.first_leaf)
            if got != expected or header.end > now.size:
                raise IntegrityError(
                    "not the next batch of the log",
                    expected=f"batch {now.batches} of positions {now.sealed} to {now.size} at most",
                    got=f"batch {header.batch_no} of positions {header.first_leaf} to {header.end}",
                )
            self._insert(BatchRow, [codec.batch_row(header, self._log)])
            self._insert(
                NodeRow,
                [
                    {"log": self._log, "level": node.level, "place": node.index, "hash": node.hash}
                    for node in nodes
                ],
            )
            self._now = replace(
                now, batches=BatchNo(now.batches + 1), sealed=header.end, last_closed=header.closed_at
            )

    def save_anchoring(self, anchoring: Anchoring) -> None:
        with self._write():
            if not 0 <= anchoring.first < anchoring.end <= self._now.batches:
                raise IntegrityError(
                    "an anchoring of batches that are not there",
                    expected=f"some of the first {self._now.batches}",
                    got=f"{anchoring.first} to {anchoring.end}",
                )
            known = self._connection.scalar(
                select(_anchoring.number).where(
                    _anchoring.log == self._log,
                    _anchoring.first == anchoring.first,
                    _anchoring.attempt == anchoring.attempt,
                )
            )
            if known is None:
                self._insert_anchoring(anchoring)
            else:
                self._update_anchoring(anchoring, known)

    def add_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        with self._write():
            note = self._connection.scalar(
                select(_checkpoint.note).where(
                    _checkpoint.log == self._log, _checkpoint.size == checkpoint.size
                )
            )
            if note is None:
                self._insert(CheckpointRow, [codec.checkpoint_row(checkpoint, self._log)])
            elif note != checkpoint.note:
                raise IntegrityError(f"another checkpoint of size {checkpoint.size} is kept already")

    def finish(self) -> None:
        """Move the head. To be called at the end of the block."""
        if self._failure is not None:
            raise self._failure
        if self._now != self._head:
            values = [getattr(self._now, name) for name in LogHead.__slots__]
            driver.execute(self._connection, _MOVE_HEAD, (*values, self._log))

    @contextmanager
    def _write(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except LedgerError as error:
            self._failure = error
            raise

    def _check_positions(self, events: Sequence[Committed]) -> None:
        for position, event in enumerate(events, self._now.size):
            if event.position != position:
                raise IntegrityError("a gap or repeat of positions", expected=position, got=event.position)

    def _check_receipts(self, count: int, receipts: Sequence[StoredReceipt]) -> None:
        size = self._now.size
        if not count:
            raise IntegrityError("an append of no events")
        end = size
        for receipt in receipts:
            if receipt.first != end or receipt.count < 1:
                raise IntegrityError(
                    "a receipt for other events than are appended",
                    expected=f"one from position {end}",
                    got=f"{receipt.count} from position {receipt.first}",
                )
            end = Position(end + receipt.count)
        if end != size + count:
            raise IntegrityError(
                "receipts for other events than are appended", expected=count, got=end - size
            )

    def _index(self, events: Sequence[Committed], firsts: Sequence[int]) -> None:
        connection, log = self._connection, self._log
        words = {it.phase.value for it in events}.union(*({it.type, it.subject, it.party} for it in events))
        number = names.numbers(connection, log, words)
        rows: Iterator[driver.Values] = (
            (
                log,
                it.position,
                bytearray(it.key),
                number[it.type],
                number[it.phase],
                number[it.subject],
                it.time,
                number[it.party],
                it.received,
                first,
            )
            for it, first in zip(events, firsts, strict=True)
        )
        driver.insert_rows(connection, EventRow.table(), rows)

    def _insert_anchoring(self, anchoring: Anchoring) -> None:
        number = self._next(AnchoringRow)
        self._insert(AnchoringRow, [codec.anchoring_row(anchoring, self._log, number)])
        self._connection.execute(
            update(BatchRow.table())
            .where(_batch.log == self._log, _batch.number >= anchoring.first, _batch.number < anchoring.end)
            .values(anchoring=number)
        )

    def _update_anchoring(self, anchoring: Anchoring, number: int) -> None:
        count = self._connection.scalar(
            select(_anchoring.count).where(_anchoring.log == self._log, _anchoring.number == number)
        )
        if count != anchoring.count:
            raise IntegrityError(
                "an attempt to anchor other batches than before", expected=count, got=anchoring.count
            )
        self._connection.execute(
            update(AnchoringRow.table())
            .where(_anchoring.log == self._log, _anchoring.number == number)
            .values(codec.anchoring_row(anchoring, self._log, number))
        )

    def _next(self, row: type[ConflictRow | AnchoringRow]) -> int:
        """The number of the log's next row in a table that counts them."""
        table = row.table()
        query = select(func.coalesce(func.max(table.c.number) + 1, 0)).where(table.c.log == self._log)
        return int(self._connection.execute(query).scalar_one())

    def _insert(self, row: Any, rows: list[codec.Stored]) -> None:
        if rows:
            self._connection.execute(_into(row.table()), rows)
