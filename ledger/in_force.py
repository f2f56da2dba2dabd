"""The permission snapshots in force at any time, read out of a store as they are needed.

The sibling of `ledger.permissions.reconcile`, which takes all snapshots and accesses in the order of time: here
accesses come in any order, a page of them, and only what speaks of these is read. Both judge alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ledger.errors import MalformedInput
from ledger.permissions import Judgement, Snapshot, enclosing, judge, names_of, resource_key
from ledger.permissions.judging import MOST_IN_FORCE
from ledger.ports import Store
from ledger.records import AccessRecord, SnapshotPlace, SnapshotRecord, ViewFilter
from ledger.types import Origin, Position


@dataclass(slots=True)
class InForce:
    """Each resource is asked about once, and each snapshot read once.

    `work` are the characters of grants that accesses were held against; read for the first time, they take ten times
    as long.
    """

    store: Store
    origin: Origin
    work: int = 0
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
            for place in self.store.snapshots_of(self.origin, key):
                systems.setdefault(place.source_system, []).append(place)
        return self._systems[key]

    def _snapshot(self, position: Position) -> Snapshot:
        if position not in self._read:
            (record,) = self.store.snapshots(self.origin, ViewFilter({}), Position(position - 1), 1)
            size = len(record.grants or "")
            self._read[position] = legible(record) or _unread(position), size
            self.work += 10 * size
        snapshot, size = self._read[position]
        self.work += size
        return snapshot


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
