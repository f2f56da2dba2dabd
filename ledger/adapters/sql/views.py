"""Projections, which can be dropped and made again: accesses (`accesses`), permission snapshots, transfers."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, case, delete, insert, select, union_all, update

from ledger.adapters.sql import accesses, codec, reading
from ledger.adapters.sql.columns import AnyQuery, AnyRow, clip
from ledger.adapters.sql.packing import row_digest
from ledger.adapters.sql.registers import Registers
from ledger.adapters.sql.rows import (
    PROJECTIONS,
    ApiKeyRow,
    EventRow,
    FactRow,
    LogRow,
    PaperRow,
    PartyRow,
    ProjectionRow,
    SnapshotRow,
)
from ledger.entry import Phase
from ledger.errors import IntegrityError, NotFound, StoreUnavailable
from ledger.permissions import resource_key
from ledger.records import (
    LOG_WIDE,
    SNAPSHOT_FILTERS,
    AccessRecord,
    Committed,
    Paper,
    Party,
    Projected,
    SnapshotPlace,
    SnapshotRecord,
    TransferFact,
    ViewFilter,
)
from ledger.types import Digest, Origin, PartyId, Position

T = TypeVar("T")

_snapshot = SnapshotRow.table().c
_projection = ProjectionRow.table().c
_fact = FactRow.table().c
_paper = PaperRow.table().c
_event = EventRow.table().c
_party = PartyRow.table().c
_log = LogRow.table().c
_api_key = ApiKeyRow.table().c

_COLUMNS = tuple(SnapshotRecord.__slots__)
_SNAPSHOTS = select(*(_snapshot[name] for name in _COLUMNS))


class Views(Registers):
    """The part of the store that keeps projections."""

    def projected(self, origin: Origin) -> Position:
        log = self._number_of(origin)
        with self._database.reading() as connection:
            found = connection.scalar(select(_projection.projected).where(_projection.log == log))
        if found is None:
            raise IntegrityError("a log without its projections' row")
        return Position(found)

    def project(self, origin: Origin, start: Position, stop: Position, projected: Projected) -> None:
        log = self._number_of(origin)
        move = (
            update(ProjectionRow.table())
            .where(_projection.log == log, _projection.projected == start)
            .values(projected=stop, dropped=case((_projection.dropped > stop, _projection.dropped), else_=0))
        )
        with self._database.writing() as connection:
            if connection.execute(move).rowcount == 0:
                return
            accesses.keep(connection, log, projected.accesses)
            if projected.snapshots:
                rows = [_snapshot_row(it, log) for it in projected.snapshots]
                connection.execute(insert(SnapshotRow.table()), rows)
            _keep_facts(connection, log, projected.facts)
            if projected.papers:
                connection.execute(
                    insert(PaperRow.table()),
                    [
                        {"log": log, "subject": it.subject, "kind": it.kind, "position": it.position}
                        for it in projected.papers
                    ],
                )

    def drop_projections(self, origin: Origin) -> None:
        log = self._number_of(origin)
        # Once more while they are being made again, they still want as many events as at first.
        most = case(
            (_projection.dropped > _projection.projected, _projection.dropped), else_=_projection.projected
        )
        with self._database.writing() as connection:
            connection.execute(
                update(ProjectionRow.table()).where(_projection.log == log).values(dropped=most, projected=0)
            )
            for row in PROJECTIONS:
                table = row.table()
                connection.execute(delete(table).where(table.c.log == log))

    def projections_digest(self, origin: Origin) -> Digest:
        log, digest = self._number_of(origin), hashlib.sha256()
        for row in PROJECTIONS:
            table = row.table()
            keys = [column for column in table.primary_key.columns if column.name != "log"]
            columns = [column for column in table.columns if column.name != "log"]
            query = select(*columns).where(table.c.log == log)
            for found in reading.pages(partial(self._view, origin), query, keys, size=5000):
                digest.update(row_digest(table.name, found))
        return Digest(digest.digest())

    @contextmanager
    def _whole(self, log: int) -> Iterator[Connection]:
        """One state of the projections. Raises StoreUnavailable while they are made again: they lack events then."""
        with self._database.seeing_one_state() as connection:
            query = select(_projection.projected, _projection.dropped).where(_projection.log == log)
            row = connection.execute(query).one_or_none()
            if row is not None and row.projected < row.dropped:
                raise StoreUnavailable(
                    "the projections are being made again",
                    expected=f"{row.dropped} events taken in",
                    got=row.projected,
                    advice="Ask again later; `transfer-ledger worker` or `rebuild` makes them.",
                )
            yield connection

    # Accesses.

    def accesses(
        self, origin: Origin, which: ViewFilter, after: Position | None, limit: int
    ) -> list[AccessRecord]:
        log = self._number_of(origin)
        with self._whole(log) as connection:
            return accesses.list_records(connection, log, which, after, limit)

    def accesses_by_time(
        self, origin: Origin, which: ViewFilter, after: tuple[int, Position] | None, limit: int
    ) -> list[AccessRecord]:
        log = self._number_of(origin)
        with self._whole(log) as connection:
            return accesses.list_by_time(connection, log, which, after, limit)

    # Permission snapshots.

    def snapshots(
        self, origin: Origin, which: ViewFilter, after: Position | None, limit: int
    ) -> list[SnapshotRecord]:
        where = _snapshots_asked(self._number_of(origin), which)
        if after is not None:
            where.append(_snapshot.position > clip(after))
        query = _SNAPSHOTS.where(*where).order_by(_snapshot.position).limit(clip(limit))
        return codec.read_all(self._view(origin, query), snapshot_record)

    def newest_snapshot(self, origin: Origin, which: ViewFilter) -> Position | None:
        query = select(_snapshot.position).where(*_snapshots_asked(self._number_of(origin), which))
        newest = query.order_by(_snapshot.captured.desc(), _snapshot.position.desc()).limit(1)
        return next((Position(row.position) for row in self._view(origin, newest)), None)

    def snapshots_by_capture(
        self, origin: Origin, after: tuple[int, Position] | None, limit: int
    ) -> list[SnapshotRecord]:
        query = _SNAPSHOTS.where(_snapshot.log == self._number_of(origin))
        if after is not None:
            captured, position = map(clip, after)
            query = query.where(
                _snapshot.captured >= captured,
                (_snapshot.captured > captured) | (_snapshot.position > position),
            )
        query = query.order_by(_snapshot.captured, _snapshot.position).limit(clip(limit))
        return codec.read_all(self._view(origin, query), snapshot_record)

    def snapshots_of(self, origin: Origin, resource: str) -> list[SnapshotPlace]:
        query = select(*(_snapshot[name] for name in SnapshotPlace.__slots__)).where(
            _snapshot.log == self._number_of(origin), _snapshot.resource_tag == resource_tag(resource)
        )
        places = codec.read_all(self._view(origin, query), snapshot_place)
        return sorted(places, key=lambda place: (place.captured, place.position))

    # Transfers.

    def transfers(self, origin: Origin, after: str | None, limit: int) -> list[str]:
        query = select(_fact.subject).where(_fact.log == self._number_of(origin), _fact.subject != LOG_WIDE)
        if after is not None:
            query = query.where(_fact.subject > after)
        rows = self._view(origin, query.distinct().order_by(_fact.subject).limit(clip(limit)))
        return [row.subject for row in rows]

    def facts(self, origin: Origin, subjects: Sequence[str]) -> list[TransferFact]:
        log, found = self._number_of(origin), list[TransferFact]()
        for some in reading.portions(subjects):
            query = select(FactRow.table()).where(_fact.log == log, _fact.subject.in_(some))
            rows = self._view(origin, query.order_by(_fact.subject, _fact.phase, _fact.name, _fact.value))
            found += codec.read_all(rows, transfer_fact)
        return found

    def papers(self, origin: Origin, subject: str, kinds: Iterable[str], each: int) -> list[Position]:
        log = self._number_of(origin)
        # One seek of the key for each kind: a transfer that has thousands of one costs no more.
        newest = [
            select(_paper.position)
            .where(_paper.log == log, _paper.subject == subject, _paper.kind == kind)
            .order_by(_paper.position.desc())
            .limit(clip(each))
            .subquery(f"newest_{number}")
            for number, kind in enumerate(sorted(set(kinds)))
        ]
        every = union_all(*(select(some.c.position) for some in newest)).subquery("newest")
        return sorted(Position(row.position) for row in self._view(origin, select(every.c.position)))

    def parties_of(self, origin: Origin, after: PartyId | None, limit: int) -> list[Party]:
        query = _parties_of(self._number_of(origin))
        if after is not None:
            query = query.where(_party.id > after)
        return codec.read_all(self._view(origin, query.order_by(_party.id).limit(clip(limit))), codec.party)

    def party_of(self, origin: Origin, id: PartyId) -> Party:
        query = _parties_of(self._number_of(origin)).where(_party.id == id)
        for row in self._view(origin, query):
            return codec.read(row, codec.party)
        raise NotFound("no such party")

    def scan_papers(self, origin: Origin) -> Iterator[Paper]:
        query = select(PaperRow.table()).where(_paper.log == self._number_of(origin))
        key = [_paper.subject, _paper.kind, _paper.position]
        return (codec.read(row, paper) for row in reading.pages(partial(self._view, origin), query, key))

    def timeline(
        self,
        origin: Origin,
        subject: str,
        phase: Phase | None,
        types: Sequence[str],
        after: tuple[int, Position] | None,
        limit: int,
    ) -> list[Committed]:
        log = self._number_of(origin)
        where: list[ColumnElement[bool]] = [_event.subject == reading.named(log, subject)]
        if phase is not None:
            where.append(_event.phase == reading.named(log, phase))
        if types:
            where.append(_event.type.in_([reading.named(log, name) for name in types]))
        if after is not None:
            time, position = after
            where += [
                _event.time >= clip(time),
                (_event.time > clip(time)) | (_event.position > clip(position)),
            ]
        with self._database.reading() as connection:
            found = reading.events(connection, log, where, limit, [_event.time, _event.position])
        return sorted(found, key=lambda it: (it.time, it.position))

    def _view(self, origin: Origin, query: AnyQuery) -> Sequence[AnyRow]:
        """Rows of projections."""
        with self._whole(self._number_of(origin)) as connection:
            return connection.execute(query).all()

    def _rows(self, query: AnyQuery) -> Sequence[AnyRow]:
        with self._database.reading() as connection:
            return connection.execute(query).all()


def _parties_of(log: int) -> AnyQuery:
    ids = union_all(
        select(_log.party).where(_log.id == log),
        select(_api_key.party).where(_api_key.log == log),
        select(_fact.value).where(_fact.log == log, _fact.subject == LOG_WIDE, _fact.name == "party"),
    )
    return select(PartyRow.table()).where(_party.id.in_(ids))


def _keep_facts(connection: Connection, log: int, facts: Sequence[TransferFact]) -> None:
    """Add facts to those that are kept: transfer by transfer, of which one paper may name thousands."""
    by_subject: defaultdict[str, list[TransferFact]] = defaultdict(list)
    for fact in facts:
        by_subject[fact.subject].append(fact)
    for some in reading.portions(sorted(by_subject)):
        added = [fact for subject in some for fact in by_subject[subject]]
        names = sorted({fact.name for fact in added})
        query = select(FactRow.table()).where(
            _fact.log == log, _fact.subject.in_(some), _fact.name.in_(names)
        )
        kept = codec.read_all(connection.execute(query).all(), transfer_fact)
        known = {fact.key: fact for fact in kept}
        values = [
            _fact_row(known[fact.key].merged(fact) if fact.key in known else fact, log) for fact in added
        ]
        accesses.put(connection, FactRow, values)


def _snapshots_asked(log: int, which: ViewFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [_snapshot.log == log]
    for name, value in which.equal.items():
        if name not in SNAPSHOT_FILTERS:
            raise ValueError(f"snapshots cannot be listed by {name!r}")
        if name == "resource":
            # By the tag, which has the index; the text, since a role has one tag under several paths.
            where += [_snapshot.resource_tag == resource_tag(str(value)), _snapshot.resource == value]
        else:
            where.append(_snapshot[name] == (int(value) if isinstance(value, bool) else value))
    if which.since is not None:
        where.append(_snapshot.time >= clip(which.since))
    if which.until is not None:
        where.append(_snapshot.time < clip(which.until))
    return where


def resource_tag(resource: str) -> bytes:
    """What the snapshots of a resource are found by (`ledger.permissions.resource_key`)."""
    return accesses.term_tag("resource", resource_key(resource))


def snapshot_record(row: AnyRow) -> SnapshotRecord:
    values = row._asdict()
    return SnapshotRecord(
        **{
            **values,
            "position": Position(row.position),
            "phase": Phase(row.phase),
            "party": PartyId(row.party),
            "public": None if row.public is None else bool(row.public),
            "external_principals": tuple(json.loads(row.external_principals)),
        }
    )


def snapshot_place(row: AnyRow) -> SnapshotPlace:
    return SnapshotPlace(
        captured=row.captured,
        position=Position(row.position),
        source_system=row.source_system,
        phase=Phase(row.phase),
        subject=row.subject,
        party=PartyId(row.party),
    )


def _snapshot_row(record: SnapshotRecord, log: int) -> codec.Stored:
    return {
        **{name: getattr(record, name) for name in _COLUMNS},
        "log": log,
        "phase": record.phase.value,
        "resource_tag": None if record.resource is None else resource_tag(record.resource),
        "public": None if record.public is None else int(record.public),
        "external_principals": json.dumps(record.external_principals),
    }


def paper(row: AnyRow) -> Paper:
    return Paper(row.subject, row.kind, Position(row.position))


_FACT_COLUMNS = tuple(TransferFact.__slots__)


def transfer_fact(row: AnyRow) -> TransferFact:
    values = row._asdict()
    named = {name: values[name] for name in _FACT_COLUMNS}
    return TransferFact(
        **{
            **named,
            "phase": Phase(named["phase"]),
            "first": Position(named["first"]),
            "last": Position(named["last"]),
        }
    )


def _fact_row(fact: TransferFact, log: int) -> codec.Stored:
    values = {name: getattr(fact, name) for name in _FACT_COLUMNS}
    return {**values, "log": log, "phase": fact.phase.value}
