"""Projections: access records and permission snapshots, which can be dropped and made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, delete, insert, select, update

from ledger.adapters.sql import codec, reading
from ledger.adapters.sql.columns import AnyQuery, AnyRow, clip
from ledger.adapters.sql.registers import Registers
from ledger.adapters.sql.rows import AccessRow, EventRow, NameRow, ProjectionRow, SnapshotRow
from ledger.adapters.sql.rows import Row as TableRow
from ledger.entry import Phase
from ledger.errors import IntegrityError
from ledger.records import ACCESS_FILTERS, SNAPSHOT_FILTERS, AccessRecord, SnapshotRecord, ViewFilter
from ledger.types import Origin, Position

T = TypeVar("T")

_access = AccessRow.table().c
_snapshot = SnapshotRow.table().c
_projection = ProjectionRow.table().c
_event = EventRow.table().c
_phase = NameRow.table().alias("phase_name")
_subject = NameRow.table().alias("subject_name")

_ACCESS_COLUMNS = (
    *("principal", "action", "resource", "outcome", "country", "source_address", "tls_version"),
    *("bytes", "source_system", "completeness"),
)
_SNAPSHOT_COLUMNS = ("resource", "public", "external_principals", "grants", "source_system")


def _view(row: type[TableRow], columns: Sequence[str]) -> AnyQuery:
    """The row's columns after position, phase, time and subject, which its event's row gives."""
    table = row.table()
    return (
        select(
            table.c.position,
            _phase.c.text.label("phase"),
            _event.time,
            _subject.c.text.label("subject"),
            *(table.c[name] for name in columns),
        )
        .select_from(table)
        .outerjoin(EventRow.table(), (_event.log == table.c.log) & (_event.position == table.c.position))
        .outerjoin(_phase, (_phase.c.log == _event.log) & (_phase.c.id == _event.phase))
        .outerjoin(_subject, (_subject.c.log == _event.log) & (_subject.c.id == _event.subject))
    )


_ACCESSES = _view(AccessRow, _ACCESS_COLUMNS)
_SNAPSHOTS = _view(SnapshotRow, _SNAPSHOT_COLUMNS)


class Views(Registers):
    """The part of the store that keeps projections."""

    def projected(self, origin: Origin) -> Position:
        log = self._number_of(origin)
        with self._database.reading() as connection:
            found = connection.scalar(select(_projection.projected).where(_projection.log == log))
        if found is None:
            raise IntegrityError("a log without its projections' row")
        return Position(found)

    def project(
        self,
        origin: Origin,
        start: Position,
        stop: Position,
        accesses: Sequence[AccessRecord],
        snapshots: Sequence[SnapshotRecord],
    ) -> None:
        log = self._number_of(origin)
        move = (
            update(ProjectionRow.table())
            .where(_projection.log == log, _projection.projected == start)
            .values(projected=stop)
        )
        with self._database.writing() as connection:
            if connection.execute(move).rowcount == 0:
                return
            if accesses:
                connection.execute(insert(AccessRow.table()), [_access_row(it, log) for it in accesses])
            if snapshots:
                connection.execute(insert(SnapshotRow.table()), [_snapshot_row(it, log) for it in snapshots])

    def drop_projections(self, origin: Origin) -> None:
        log = self._number_of(origin)
        with self._database.writing() as connection:
            connection.execute(
                update(ProjectionRow.table()).where(_projection.log == log).values(projected=0)
            )
            connection.execute(delete(AccessRow.table()).where(_access.log == log))
            connection.execute(delete(SnapshotRow.table()).where(_snapshot.log == log))

    def accesses(
        self, origin: Origin, which: ViewFilter, after: Position | None, limit: int
    ) -> list[AccessRecord]:
        equal = _equal(self._number_of(origin), AccessRow, which, ACCESS_FILTERS)
        if isinstance(principal := which.equal.get("principal"), str):
            equal.append(_access.principal_tag == principal_tag(principal))
        return self._list(_ACCESSES, AccessRow, equal, which, after, limit, access_record)

    def snapshots(
        self, origin: Origin, which: ViewFilter, after: Position | None, limit: int
    ) -> list[SnapshotRecord]:
        equal = _equal(self._number_of(origin), SnapshotRow, which, SNAPSHOT_FILTERS)
        return self._list(_SNAPSHOTS, SnapshotRow, equal, which, after, limit, snapshot_record)

    def _list(
        self,
        query: AnyQuery,
        row: type[TableRow],
        where: list[ColumnElement[bool]],
        which: ViewFilter,
        after: Position | None,
        limit: int,
        make: Callable[[AnyRow], T],
    ) -> list[T]:
        position = row.table().c.position
        if after is not None:
            where.append(position > clip(after))
        where += reading.within(which.since, which.until)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(*where).order_by(position).limit(clip(limit)))
            return codec.read_all(rows, make)


def _equal(
    log: int, row: type[TableRow], which: ViewFilter, allowed: Sequence[str]
) -> list[ColumnElement[bool]]:
    table = row.table()
    where: list[ColumnElement[bool]] = [table.c.log == log]
    for name, value in which.equal.items():
        if name not in allowed:
            raise ValueError(f"{table.name} cannot be listed by {name!r}")
        if name in ("phase", "subject"):
            where.append(_event[name] == reading.named(log, str(value)))
        else:
            where.append(table.c[name] == (int(value) if isinstance(value, bool) else value))
    return where


def principal_tag(principal: str | None) -> int | None:
    if principal is None:
        return None
    digest = hashlib.sha256(principal.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big")


def access_record(row: AnyRow) -> AccessRecord:
    return AccessRecord(
        position=Position(row.position),
        phase=Phase(row.phase),
        time=row.time,
        subject=row.subject,
        **{name: getattr(row, name) for name in _ACCESS_COLUMNS},
    )


def _access_row(record: AccessRecord, log: int) -> codec.Stored:
    return {
        "log": log,
        "position": record.position,
        "principal_tag": principal_tag(record.principal),
        **{name: getattr(record, name) for name in _ACCESS_COLUMNS},
    }


def snapshot_record(row: AnyRow) -> SnapshotRecord:
    return SnapshotRecord(
        position=Position(row.position),
        phase=Phase(row.phase),
        time=row.time,
        subject=row.subject,
        resource=row.resource,
        public=None if row.public is None else bool(row.public),
        external_principals=tuple(json.loads(row.external_principals)),
        grants=row.grants,
        source_system=row.source_system,
    )


def _snapshot_row(record: SnapshotRecord, log: int) -> codec.Stored:
    return {
        "log": log,
        "position": record.position,
        "resource": record.resource,
        "public": None if record.public is None else int(record.public),
        "external_principals": json.dumps(record.external_principals),
        "grants": record.grants,
        "source_system": record.source_system,
    }
