"""The permission snapshots in force at any time, read out of a store as they are needed.

The sibling of `ledger.permissions.reconcile`, which takes all snapshots and accesses in the order of time: here
accesses come in any order, a page of them, and only what speaks of these is read. Both judge alike.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ledger.errors import MalformedInput
from ledger.permissions import Judgement, Snapshot, enclosing, judge, names_of, resource_key
from ledger.permissions.judging import MOST_IN_FORCE
from ledger.ports import Store
from ledger.records import AccessRecord, SnapshotPlace, SnapshotRecord, ViewFilter
from ledger.types import Origin, Position

MOST_WORK = 32 * 2**20
"""`InForce.work` after which a page ends, about a second's: an access may be held against thousands of grants."""
_LOOK_UP = 500
"""What it takes to look a resource up, in `InForce.work`: of a long name some thirty resources are looked up."""


@dataclass(slots=True)
class InForce:
    """Each resource is asked about once, and each snapshot read once.

    `work` are the characters of grants that accesses were held against; read for the first time, they take ten times
    as long. `held` are those that are in memory. Of snapshots at `stop` and behind nothing is known.
    """

    store: Store
    origin: Origin
    stop: Position | None = None
    work: int = 0
    held: int = 0
    _systems: dict[str, dict[str | None, list[SnapshotPlace]]] = field(default_factory=dict)
    _read: dict[Position, tuple[Snapshot, int]] = field(default_factory=dict)

    def judge(self, access: AccessRecord) -> Judgement:
        """Hold an access against the snapshots in force at its time."""
        resources = list(dict.fromkeys(map(resource_key, enclosing(access.resource))))
        names = {*map(resource_key, names_of(access.principal))}.difference(resources)
        about, own = (self._newest(keys, access.time) for keys in (resources, sorted(names)))
        if len(about) + len(own) > MOST_IN_FORCE:
            return judge(access, [*map(_unread, about)], [*map(_unread, own)])
        return judge(access, [*map(self._snapshot, about)], [*map(self._snapshot, own)])

    def places(self, key: str) -> list[SnapshotPlace]:
        """The snapshots of a resource, by its `resource_key`."""
        return [place for places in self._of(key).values() for place in places]

    def read_before(self, positions: Iterable[Position]) -> list[Snapshot]:
        """Those of these snapshots that an access was held against."""
        return [self._read[position][0] for position in positions if position in self._read]

    def with_former(self, record: SnapshotRecord) -> tuple[Snapshot | None, Snapshot | None]:
        """The snapshot of a record, and the one that was in force before it; None for what is not there.

        Its resource is None if that is not disclosed, so then there is none.
        """
        if record.resource is None:
            return None, None
        if record.position not in self._read:
            self._keep(record)
        places = self._of(resource_key(record.resource)).get(record.source_system, [])
        at = bisect_left(places, (record.captured, record.position), key=_place)
        former = self._snapshot(places[at - 1].position) if at else None
        return self._snapshot(record.position), former

    def _newest(self, keys: Iterable[str], time: int) -> list[Position]:
        """The newest snapshot at a time of each system that tells of any of these resources."""
        return [
            places[end - 1].position
            for key in keys
            for places in self._of(key).values()
            if (end := bisect_right(places, time, key=_captured))
        ]

    def _of(self, key: str) -> dict[str | None, list[SnapshotPlace]]:
        """The snapshots of a resource by system, each in order of capture and position."""
        if key not in self._systems:
            systems = self._systems[key] = {}
            self.work += _LOOK_UP
            for place in self.store.snapshots_of(self.origin, key):
                if self.stop is None or place.position < self.stop:
                    systems.setdefault(place.source_system, []).append(place)
                self.work += _LOOK_UP // 10
        return self._systems[key]

    def _snapshot(self, position: Position) -> Snapshot:
        if position not in self._read:
            (record,) = self.store.snapshots(self.origin, ViewFilter({}), Position(position - 1), 1)
            self._keep(record)
        snapshot, size = self._read[position]
        self.work += size
        return snapshot

    def _keep(self, record: SnapshotRecord) -> None:
        size = len(record.grants or "")
        self._read[record.position] = legible(record) or _unread(record.position), size
        self.work += 10 * size
        self.held += size


def legible(record: SnapshotRecord) -> Snapshot | None:
    """The snapshot; None if its resource is not disclosed.

    One whose grants cannot be read must not keep all the others from being judged by.
    """
    try:
        return Snapshot.of(record)
    except MalformedInput:
        return Snapshot.of(replace(record, grants=None))


def _unread(position: Position) -> Snapshot:
    return Snapshot(position, time=0, resource="", grants=None)


def _captured(place: SnapshotPlace) -> int:
    return place.captured


def _place(place: SnapshotPlace) -> tuple[int, Position]:
    return place.captured, place.position
