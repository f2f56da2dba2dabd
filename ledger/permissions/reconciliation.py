"""Accesses against the snapshots in force at their time, and grants against their use.

Both streams come in the order of time; at one moment a snapshot comes before an access. `reconcile` merges them::

    for found in reconcile(snapshots, accesses, Owner(frozenset({"111122223333"}))):
        match found:
            case Judgement(verdict=Verdict.NOT_PERMITTED, access=access): …    # an access that no grant explains
            case GrantUse(uses=0, grant=grant): …                              # granted and never used

How one access is judged, `judging` says. In memory are, for each resource, the snapshot in force and the counts of its
grants, and nothing of what is past.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ledger.permissions import grants as forms
from ledger.permissions.grants import Effect, Grant, Kind
from ledger.permissions.judging import (
    Judgement,
    Snapshot,
    Verdict,
    enclosing,
    judge,
    names_of,
    resource_key,
)
from ledger.permissions.reach import Owner
from ledger.records import AccessRecord


@dataclass(frozen=True, slots=True)
class GrantUse:
    """An allowance, from the snapshot that first showed it to the one that no longer did (None: it still stands).

    Times are Unix milliseconds. `uses` are the accesses done, not refused, that it permitted, if only by condition.
    `resource` is its snapshot's, as the snapshot that first showed it names it.
    """

    grant: Grant
    resource: str
    source_system: str | None
    since: int
    until: int | None
    uses: int
    last_used: int | None


@dataclass(slots=True)
class _Use:
    resource: str
    since: int
    uses: int = 0
    last_used: int | None = None


@dataclass(slots=True)
class _InForce:
    snapshot: Snapshot
    uses: dict[Grant, _Use] = field(default_factory=dict)


_CARRIED = frozenset({Kind.POLICY, Kind.GROUP})
"""Grants that others carry: their use is counted where they are attached."""


def allowances(snapshot: Snapshot) -> frozenset[Grant]:
    """The grants of a snapshot whose use is counted."""
    return frozenset(
        grant
        for grant in snapshot.grants or ()
        if grant.effect is Effect.ALLOW and grant.kind not in _CARRIED
    )


@dataclass(slots=True)
class Reconciliation:
    """The state between two events. Call `snapshot` and `access` in the order of time, then `finish` once.

    `ValueError` for a snapshot or access that is older than the last.
    """

    owner: Owner = field(default_factory=Owner)
    _in_force: dict[str, dict[str, _InForce]] = field(default_factory=dict)
    """By resource and source system."""
    _now: int | None = None

    def snapshot(self, snapshot: Snapshot) -> tuple[GrantUse, ...]:
        """Put a snapshot into force; the uses of the grants that thereby ended."""
        self._advance(snapshot.time)
        systems = self._in_force.setdefault(resource_key(snapshot.resource), {})
        system = snapshot.source_system or ""
        former = systems[system].uses if system in systems else {}
        uses = {
            grant: former.pop(grant) if grant in former else _Use(snapshot.resource, snapshot.time)
            for grant in forms.in_order(allowances(snapshot))
        }
        systems[system] = _InForce(snapshot, uses)
        return tuple(_use_of(grant, snapshot, use, snapshot.time) for grant, use in former.items())

    def access(self, access: AccessRecord) -> Judgement:
        """Judge an access by what is in force, and count the grants that it used."""
        self._advance(access.time)
        resources = list(dict.fromkeys(map(resource_key, enclosing(access.resource))))
        about = self._found(resources)
        own = self._found({*map(resource_key, names_of(access.principal))}.difference(resources))
        judgement = judge(access, [it.snapshot for it in about], [it.snapshot for it in own], self.owner)
        if access.outcome == "allowed":
            for state in (*about, *own):
                _count(state, judgement)
        return judgement

    def finish(self) -> Iterator[GrantUse]:
        """The uses of the grants that are still in force, by resource."""
        for _, systems in sorted(self._in_force.items()):
            for _, state in sorted(systems.items()):
                for grant, use in state.uses.items():
                    yield _use_of(grant, state.snapshot, use, None)

    def _advance(self, time: int) -> None:
        if self._now is not None and time < self._now:
            raise ValueError("snapshots and accesses come in the order of time")
        self._now = time

    def _found(self, resources: Iterable[str]) -> list[_InForce]:
        return [it for key in resources for it in self._in_force.get(key, {}).values()]


def reconcile(
    snapshots: Iterable[Snapshot], accesses: Iterable[AccessRecord], owner: Owner | None = None
) -> Iterator[Judgement | GrantUse]:
    """Judge every access, and tell of every allowance how it was used when it ends, or at the end.

    Raises:
        ValueError: for a stream that is not in the order of time.
    """
    state = Reconciliation(owner or Owner())
    ranked_snapshots = ((s.time, 0, n, s) for n, s in enumerate(snapshots))
    ranked_accesses = ((a.time, 1, n, a) for n, a in enumerate(accesses))
    ranked: Iterable[tuple[int, int, int, Snapshot | AccessRecord]] = heapq.merge(
        ranked_snapshots, ranked_accesses
    )
    for *_, one in ranked:
        if isinstance(one, Snapshot):
            yield from state.snapshot(one)
        else:
            yield state.access(one)
    yield from state.finish()


def _count(state: _InForce, judgement: Judgement) -> None:
    if judgement.verdict not in {Verdict.PERMITTED, Verdict.CONDITIONAL}:
        return
    for grant in judgement.grants:
        if use := state.uses.get(grant):
            use.uses += 1
            use.last_used = judgement.access.time


def _use_of(grant: Grant, snapshot: Snapshot, use: _Use, until: int | None) -> GrantUse:
    return GrantUse(grant, use.resource, snapshot.source_system, use.since, until, use.uses, use.last_used)
