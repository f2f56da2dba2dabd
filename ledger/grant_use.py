"""Grants against their use, page by page: which were granted and never used.

All snapshots and the accesses of a span of time are gone through in the order of time, a snapshot before an access of
the same moment, as `ledger.permissions.reconcile` does; but a page takes only so many of them, and the next goes on
where it ended. What stood before a page is looked up (`InForce`), so nothing is kept between two pages but the cursor::

    1200.1790000000000.1.841

of the first 1200 events of the log, everything up to the access (1; a snapshot is 0) at that time and position. Events
that come in meanwhile are left out of all pages, so together they tell of one state of the log.

A page tells of an allowance what happened to it within the page: a `Stretch`. How often it was used is the sum over its
stretches; that it was *never* used is known of one stretch alone only if it holds the whole life of the allowance.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ledger.errors import MalformedInput
from ledger.in_force import MOST_WORK, InForce
from ledger.paging import PAGE_SIZE, Page, all_rows, read_page
from ledger.permissions import Grant, Judgement, Snapshot, Verdict, allowances, resource_key
from ledger.records import AccessRecord, SnapshotPlace, SnapshotRecord, ViewFilter
from ledger.types import Position

EXAMINED = 2000
"""Accesses and snapshots that one page examines at most."""
MOST_UNEXPLAINED = 500
"""Accesses that nothing explains after which a page ends: they are listed."""
ROWS_AT_ONCE = 500

_END = Position(2**53)
"""Behind every position."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: of the first `events` events, behind this access or snapshot."""

    events: Position
    time: int
    is_access: bool
    position: Position

    def __str__(self) -> str:
        return f"{self.events}.{self.time}.{int(self.is_access)}.{self.position}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises MalformedInput for anything but the text of a cursor."""
        number, time = r"(0|[1-9][0-9]{0,15})", r"(0|-?[1-9][0-9]{0,15})"
        match = re.fullmatch(rf"{number}\.{time}\.([01])\.{number}", text, re.ASCII)
        if match is None:
            raise MalformedInput(
                "not a cursor of a reconciliation",
                expected="the `next` of the page before, such as 1200.1790000000000.1.841",
                got=repr(text[:100]),
                advice="Leave it out to begin at the beginning.",
            )
        events, at, kind, position = match.groups()
        return cls(Position(int(events)), int(at), kind == "1", Position(int(position)))

    @property
    def last_snapshot(self) -> tuple[int, Position]:
        """Time and position after which the snapshots go on: at one moment they all come before the accesses."""
        return self.time, _END if self.is_access else self.position

    @property
    def last_access(self) -> tuple[int, Position]:
        return self.time, self.position if self.is_access else Position(-1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a page tells of one allowance.

    `since` is None if it stood before the page already, `until` None if it still did at its end. `resource` is its
    snapshot's, as the snapshot that first showed it in this page names it.
    """

    resource: str
    source_system: str | None
    grant: Grant
    since: int | None
    until: int | None
    uses: int
    last_used: int | None


@dataclass(slots=True)
class UsePage:
    """One page. `next` is None on the last.

    Args:
        events: how many events of the log it takes into account: those at positions below.
        is_first: whether it began at the beginning.
        examined: accesses that were judged, whether they were asked about or not.
        verdicts: of the accesses that were asked about.
        stretches: of one allowance in the order of time; of all those that ended first.
    """

    events: Position
    is_first: bool
    examined: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    unexplained: list[Judgement] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    next: Cursor | None = None


_Place = tuple[int, Position]
"""Time, and position."""
_Row = tuple[int, bool, Position, SnapshotRecord | AccessRecord]
"""Time, whether it is an access, position: rows come in this order."""
_Key = tuple[str, str | None, Grant]
"""An allowance: the key of its resource, the system that tells of it, the grant."""


@dataclass(slots=True)
class _Life:
    resource: str
    since: int | None
    uses: int = 0
    last_used: int | None = None


@dataclass(slots=True)
class UsePages:
    """Makes pages of one log as its first `events` events tell it.

    Args:
        in_force: of those events. Whoever makes many pages hands the same on, and is to watch what it holds.
        which: the accesses that are counted by verdict; and by transfer, phase and party the snapshots whose resources
            are told of. A use is that by all accesses of the span: what somebody else used is not unused.
    """

    in_force: InForce
    which: ViewFilter
    events: Position
    examined: int = EXAMINED
    work: int = MOST_WORK
    _told: dict[str, bool] = field(default_factory=dict)

    def read(self, after: Cursor | None) -> UsePage:
        """The page after a cursor. It takes one access or snapshot at least, and so always gets on."""
        page = UsePage(self.events, is_first=after is None)
        open_lives: dict[_Key, _Life] = {}
        begun, seen, size = self.in_force.work, 0, 0
        rows = self._rows(after)
        for seen, (time, is_access, position, row) in enumerate(rows, 1):
            if position < self.events:  # what came in later is left out, but takes its time
                if isinstance(row, SnapshotRecord):
                    self._snapshot(row, page, open_lives)
                elif (judgement := self._access(row, page, open_lives)).is_unexplained:
                    size += judgement.access.size
            is_full = seen >= self.examined or self.in_force.work - begun >= self.work
            if is_full or len(page.unexplained) >= MOST_UNEXPLAINED or size >= PAGE_SIZE:
                if next(rows, None) is not None:
                    page.next = Cursor(self.events, time, is_access, position)
                break
        for key, life in sorted(open_lives.items(), key=_in_order):
            page.stretches.append(_stretch(key, life, None))
        return page

    def _rows(self, after: Cursor | None) -> Iterator[_Row]:
        """Snapshots and accesses after a cursor, in order of time."""
        first_snapshot, first_access = (after.last_snapshot, after.last_access) if after else (None, None)
        snapshots = all_rows(lambda at: self._snapshots(at or first_snapshot))
        accesses = all_rows(lambda at: self._accesses(at or first_access))
        rows: list[Iterator[_Row]] = [
            ((it.captured, False, it.position, it) for it in snapshots),
            ((it.time, True, it.position, it) for it in accesses),
        ]
        yield from heapq.merge(*rows, key=lambda row: row[:3])

    def _snapshots(self, after: _Place | None) -> Page[SnapshotRecord, _Place]:
        store, origin = self.in_force.store, self.in_force.origin
        return read_page(
            lambda after, limit: store.snapshots_by_capture(origin, after, limit),
            after,
            ROWS_AT_ONCE,
            size=lambda it: it.size,
            cursor=lambda it: (it.captured, it.position),
        )

    def _accesses(self, after: _Place | None) -> Page[AccessRecord, _Place]:
        store, origin = self.in_force.store, self.in_force.origin
        span = ViewFilter({}, self.which.since, self.which.until)
        return read_page(
            lambda after, limit: store.accesses_by_time(origin, span, after, limit),
            after,
            ROWS_AT_ONCE,
            size=lambda it: it.size,
            cursor=lambda it: (it.time, it.position),
        )

    def _snapshot(self, record: SnapshotRecord, page: UsePage, lives: dict[_Key, _Life]) -> None:
        """End the allowances that this snapshot no longer shows, and begin those that it shows first."""
        if record.resource is None or not self._is_told(resource_key(record.resource)):
            return
        snapshot, former = self.in_force.with_former(record)
        if snapshot is None:
            return
        shown, was = allowances(snapshot), allowances(former) if former else frozenset[Grant]()
        for grant in sorted(was - shown, key=_grant_key):
            key = _key(snapshot, grant)
            life = lives.pop(key, None) or _Life(former.resource if former else snapshot.resource, None)
            page.stretches.append(_stretch(key, life, snapshot.time))
        for grant in shown - was:
            lives[_key(snapshot, grant)] = _Life(snapshot.resource, snapshot.time)

    def _access(self, access: AccessRecord, page: UsePage, lives: dict[_Key, _Life]) -> Judgement:
        """Judge an access, and count the allowances that it used."""
        judgement = self.in_force.judge(access)
        page.examined += 1
        if matches(access, self.which):
            page.verdicts[judgement.verdict] += 1
            if judgement.is_unexplained:
                page.unexplained.append(judgement)
        if access.outcome == "allowed" and judgement.verdict in (Verdict.PERMITTED, Verdict.CONDITIONAL):
            for snapshot in self.in_force.read_before(judgement.positions):
                if not self._is_told(resource_key(snapshot.resource)):
                    continue
                for grant in allowances(snapshot).intersection(judgement.grants):
                    life = lives.setdefault(_key(snapshot, grant), _Life(snapshot.resource, None))
                    life.uses, life.last_used = life.uses + 1, access.time
        return judgement

    def _is_told(self, key: str) -> bool:
        """Whether a snapshot that matches, of whatever time, is of this resource."""
        if not self.which.equal.keys() & set(SHARED):
            return True
        if key not in self._told:
            self._told[key] = any(matches(place, self.which) for place in self.in_force.places(key))
        return self._told[key]


SHARED = ("phase", "subject", "party")
"""What accesses and snapshots can both be asked for by."""


def matches(record: AccessRecord | SnapshotPlace, which: ViewFilter) -> bool:
    """Whether a record is one that is asked for, its time aside."""
    names = which.equal if isinstance(record, AccessRecord) else which.equal.keys() & set(SHARED)
    return all(getattr(record, name) == which.equal[name] for name in names)


def _key(snapshot: Snapshot, grant: Grant) -> _Key:
    return resource_key(snapshot.resource), snapshot.source_system, grant


def _grant_key(grant: Grant) -> tuple[str, ...]:
    return grant.key


def _in_order(item: tuple[_Key, _Life]) -> tuple[object, ...]:
    (resource, system, grant), _ = item
    return resource, system or "", grant.key


def _stretch(key: _Key, life: _Life, until: int | None) -> Stretch:
    return Stretch(life.resource, key[1], key[2], life.since, until, life.uses, life.last_used)
