"""What an auditor asks of a log: transfers, completeness, timelines, permissions before and after, reconciliation.

Each question reads projections and events out of a store, and answers a value; nothing is written. The answers are as
good as the projections are new (`Store.projected`), and every row names the position that its proof is for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ledger.entry import Event, Phase
from ledger.errors import MalformedInput, NotFound
from ledger.permissions import (
    Difference,
    GrantUse,
    Judgement,
    Owner,
    Reach,
    Snapshot,
    Verdict,
    difference,
    enclosing,
    judge,
    names_of,
    reach,
    reconcile,
    resource_key,
)
from ledger.ports import Store
from ledger.projections import open_event
from ledger.projections.completeness import Matrix, completeness
from ledger.projections.facts import PAPERS
from ledger.projections.transfers import PaperEvent, TransferView, transfer_view
from ledger.records import (
    LOG_WIDE,
    AccessRecord,
    Committed,
    EventFilter,
    Log,
    Party,
    SnapshotPlace,
    SnapshotRecord,
    TransferFact,
    ViewFilter,
)
from ledger.types import Origin, PartyId, Position

T = TypeVar("T")

MOST_OF_A_KIND = 10
"""Papers of each kind that are read of a transfer, the newest; a transfer has one or two."""
PAPER_BYTES = 4 * 2**20
"""Bytes of papers after which a page of transfers ends; a paper has two or three thousand."""
EXAMINED = 2000
"""Accesses that one page of a reconciliation examines at most."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """The questions, of one log.

    Args:
        now: Unix milliseconds; what is not due yet is not missing.
    """

    store: Store
    log: Log
    now: int

    # --- Transfers ---------------------------------------------------------------------------------------------------

    def transfers(self, after: str | None, limit: int) -> TransferPage:
        """Transfers by name, those after `after` only, at most `limit`; fewer if their papers are long."""
        subjects = self.store.transfers(self.log.origin, after, limit)
        facts, views = self._facts([*subjects, LOG_WIDE]), list[TransferView]()
        parties, papers = _Parties(self.store), _Papers(self.store, self.log.origin)
        for subject in subjects:
            if papers.bytes >= PAPER_BYTES:
                break
            views.append(self._view(subject, facts, parties, papers))
        is_last = len(views) == len(subjects) < limit
        return TransferPage(views, None if is_last else views[-1].subject)

    def transfer(self, subject: str) -> TransferView:
        """One transfer. Raises NotFound."""
        facts, papers = self._facts_of(subject), _Papers(self.store, self.log.origin)
        return self._view(subject, facts, _Parties(self.store), papers)

    def completeness(self, subject: str) -> Matrix:
        """What is there and what is missing of one transfer. Raises NotFound."""
        return self._matrix(subject, self._facts_of(subject))

    def matrices(self, after: str | None, limit: int) -> list[Matrix]:
        """The completeness of transfers by name, those after `after` only, at most `limit`."""
        subjects = self.store.transfers(self.log.origin, after, limit)
        facts = self._facts([*subjects, LOG_WIDE])
        return [self._matrix(subject, facts) for subject in subjects]

    def timeline(
        self,
        subject: str,
        phase: Phase | None,
        types: Sequence[str],
        after: tuple[int, Position] | None,
        limit: int,
    ) -> list[Committed]:
        """Events of a transfer in order of time and position. Raises NotFound for a transfer without any event."""
        found = self.store.timeline(self.log.origin, subject, phase, types, after, limit)
        # Events are asked, not facts: these come of members, too, that whoever asks may not see.
        if not found and not self.store.events(self.log.origin, EventFilter(subject=subject), None, 1):
            raise _no_transfer(subject)
        return found

    def _facts(self, subjects: Sequence[str]) -> dict[str, list[TransferFact]]:
        facts: dict[str, list[TransferFact]] = {subject: [] for subject in subjects}
        for fact in self.store.facts(self.log.origin, subjects):
            facts[fact.subject].append(fact)
        return facts

    def _facts_of(self, subject: str) -> dict[str, list[TransferFact]]:
        facts = self._facts([subject, LOG_WIDE])
        if subject == LOG_WIDE or not facts[subject]:
            raise _no_transfer(subject)
        return facts

    def _view(
        self, subject: str, facts: dict[str, list[TransferFact]], parties: _Parties, papers: _Papers
    ) -> TransferView:
        platform, read = parties.find(self.log.party), papers.of(subject)
        return transfer_view(subject, facts[subject], facts[LOG_WIDE], read, parties.find, platform, self.now)

    def _matrix(self, subject: str, facts: dict[str, list[TransferFact]]) -> Matrix:
        return completeness(subject, facts[subject], facts[LOG_WIDE], self.now)

    # --- Permissions -------------------------------------------------------------------------------------------------

    def compare(self, before: Position, after: Position) -> Comparison:
        """What changed between two snapshots of one resource, whichever was captured first.

        Raises:
            NotFound: there is no snapshot at one of the positions.
            MalformedInput: they are of different resources, or their grants are not disclosed.
        """
        earlier, later = (self.snapshot(position) for position in (before, after))
        known = [_required(snapshot) for snapshot in (earlier, later)]
        if resource_key(known[0].resource) != resource_key(known[1].resource):
            raise MalformedInput(
                "snapshots of different resources",
                expected=f"two of {known[0].resource[:200]!r}",
                got=f"one of {known[1].resource[:200]!r}",
            )
        grants = [snapshot.grants or () for snapshot in known]
        owners = [_owner_of(snapshot) for snapshot in (earlier, later)]
        return Comparison(
            before=earlier,
            after=later,
            difference=difference(*grants),
            reach_before=reach(grants[0], owners[0]),
            reach_after=reach(grants[1], owners[1]),
        )

    def newest_in_phase(self, which: ViewFilter, phase: Phase) -> Position:
        """The newest snapshot in a phase of those that match, such as those of one resource. Raises NotFound."""
        which = replace(which, equal={**which.equal, "phase": phase.value})
        newest = max(
            self.store.scan_snapshots(self.log.origin, which),
            key=lambda record: (record.captured, record.position),
            default=None,
        )
        if newest is None:
            resource = str(which.equal.get("resource"))
            raise NotFound(
                f"no snapshot of that resource in the phase {phase.value}", got=repr(resource[:200])
            )
        return newest.position

    def snapshot(self, position: Position) -> SnapshotRecord:
        """The snapshot at a position. Raises NotFound."""
        found = self.store.snapshots(self.log.origin, ViewFilter({}), Position(position - 1), 1)
        if not found or found[0].position != position:
            raise NotFound("no permission snapshot there", got=f"position {position}")
        return found[0]

    # --- Reconciliation ----------------------------------------------------------------------------------------------

    def judge_accesses(
        self,
        which: ViewFilter,
        verdicts: frozenset[Verdict],
        after: Position | None,
        limit: int,
        examined: int = EXAMINED,
    ) -> JudgedPage:
        """Accesses that match, each held against the snapshots in force at its time.

        Args:
            verdicts: which to list; none for all.
            examined: accesses that are looked at, at most. A page may therefore be short, or empty, and still not be
                the last: `JudgedPage.next` says.
        """
        in_force = _InForce(self.store, self.log.origin)
        found: list[Judgement] = []
        seen = 0
        while seen < examined and len(found) < limit:
            step = min(limit if not verdicts else 500, examined - seen)
            accesses = self.store.accesses(self.log.origin, which, after, step)
            for access in accesses:
                seen, after = seen + 1, access.position
                judgement = in_force.judge(access)
                if not verdicts or judgement.verdict in verdicts:
                    found.append(judgement)
                    if len(found) == limit:
                        break
            else:
                if len(accesses) < step:
                    return JudgedPage(found, seen, None)
        return JudgedPage(found, seen, after)

    def reconcile(
        self, which: ViewFilter, progress: Callable[[int], None] = lambda done: None
    ) -> ReconciliationReport:
        """Hold accesses against the snapshots, and grants against their use, in one pass over a span of time.

        The accesses that match are counted by verdict. Grants are told of those that snapshots of the same transfer,
        phase and party showed, and their use is that by all accesses of the span, whichever was asked about: what
        somebody else used is not unused. Memory grows with the grants, not with the accesses.

        Args:
            progress: told how many accesses were judged.
        """
        origin, report, shown = self.log.origin, ReconciliationReport(), set[str]()
        judged = 0
        accesses = self.store.scan_accesses(origin, ViewFilter({}, which.since, which.until))
        for found in reconcile(self._told(which, shown), accesses):
            match found:
                case Judgement():
                    judged += 1
                    progress(judged)
                    if _matches(found.access, which):
                        report.count(found)
                case GrantUse() if resource_key(found.resource) in shown:
                    report.uses.append(found)
        return report

    def _told(self, which: ViewFilter, shown: set[str]) -> Iterator[Snapshot]:
        """All snapshots in order; `shown` takes in the resources of those that match."""
        for record in self.store.scan_snapshots(self.log.origin, ViewFilter({})):
            if (snapshot := _legible(record)) is not None:
                if _matches(record, which):
                    shown.add(resource_key(snapshot.resource))
                yield snapshot


@dataclass(frozen=True, slots=True)
class TransferPage:
    """Transfers by name, and after which one to go on (None: no more)."""

    views: Sequence[TransferView]
    next: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two snapshots of one resource, what changed between them, and how far each reaches."""

    before: SnapshotRecord
    after: SnapshotRecord
    difference: Difference
    reach_before: Reach
    reach_after: Reach

    @property
    def is_of_one_system(self) -> bool:
        """Whether one system told both. What only another system tells of seems to come and go."""
        return self.before.source_system == self.after.source_system


@dataclass(frozen=True, slots=True)
class JudgedPage:
    """Judgements in order of position, how many accesses were examined, and where to go on (None: no more)."""

    judgements: Sequence[Judgement]
    examined: int
    next: Position | None


MOST_UNEXPLAINED = 1000


@dataclass(slots=True)
class ReconciliationReport:
    """Verdicts counted; the first accesses that were done and that nothing permitted; grants with their use."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    unexplained: list[Judgement] = field(default_factory=list)
    unexplained_count: int = 0
    uses: list[GrantUse] = field(default_factory=list)

    @property
    def accesses(self) -> int:
        return self.verdicts.total()

    @property
    def unused(self) -> list[GrantUse]:
        return [use for use in self.uses if use.uses == 0]

    def count(self, judgement: Judgement) -> None:
        self.verdicts[judgement.verdict] += 1
        if judgement.is_unexplained:
            self.unexplained_count += 1
            if len(self.unexplained) < MOST_UNEXPLAINED:
                self.unexplained.append(judgement)


@dataclass(slots=True)
class _Parties:
    """The party register, each party asked for once."""

    store: Store
    known: dict[str, Party | None] = field(default_factory=dict)

    def find(self, id: str) -> Party | None:
        if id not in self.known:
            try:
                self.known[id] = self.store.party(PartyId(id))
            except NotFound:
                self.known[id] = None
        return self.known[id]


@dataclass(slots=True)
class _Papers:
    """The papers of transfers, each read once: one may cover thousands. `bytes` is how much was read."""

    store: Store
    origin: Origin
    read: dict[Position, Event] = field(default_factory=dict)
    bytes: int = 0

    def of(self, subject: str) -> list[PaperEvent]:
        positions = self.store.papers(self.origin, subject, PAPERS, MOST_OF_A_KIND)
        if new := [position for position in positions if position not in self.read]:
            for committed in self.store.events_at(self.origin, new):
                self.bytes += committed.size
                self.read[committed.position] = open_event(committed)
        return [(position, self.read[position]) for position in positions if position in self.read]


@dataclass(slots=True)
class _InForce:
    """The snapshots in force at any time, read as they are needed: of a resource once, each snapshot once."""

    store: Store
    origin: Origin
    times: dict[str, list[SnapshotPlace]] = field(default_factory=dict)
    snapshots: dict[Position, Snapshot | None] = field(default_factory=dict)

    def judge(self, access: AccessRecord) -> Judgement:
        resources = list(dict.fromkeys(map(resource_key, enclosing(access.resource))))
        names = {*map(resource_key, names_of(access.principal))}.difference(resources)
        return judge(access, self._at(access.time, resources), self._at(access.time, names))

    def _at(self, time: int, resources: Iterable[str]) -> list[Snapshot]:
        positions = (position for key in resources for position in self._newest(key, time))
        return [snapshot for position in positions if (snapshot := self._read(position)) is not None]

    def _newest(self, key: str, time: int) -> Iterable[Position]:
        """The newest snapshot of each system that tells of the resource."""
        if key not in self.times:
            self.times[key] = self.store.snapshots_of(self.origin, key)
        places = self.times[key]
        end = bisect_right(places, time, key=lambda place: place.captured)
        # Of each system the last one stays.
        return {place.source_system: place.position for place in places[:end]}.values()

    def _read(self, position: Position) -> Snapshot | None:
        if position not in self.snapshots:
            (record,) = self.store.snapshots(self.origin, ViewFilter({}), Position(position - 1), 1)
            self.snapshots[position] = _legible(record)
        return self.snapshots[position]


def _no_transfer(subject: str) -> NotFound:
    return NotFound("no such transfer", got=repr(subject[:100]), advice="`transfer list` lists them.")


_SHARED = ("phase", "subject", "party")
"""What accesses and snapshots can both be asked for by."""


def _matches(record: AccessRecord | SnapshotRecord, which: ViewFilter) -> bool:
    names = which.equal if isinstance(record, AccessRecord) else which.equal.keys() & set(_SHARED)
    return all(getattr(record, name) == which.equal[name] for name in names)


def _legible(record: SnapshotRecord) -> Snapshot | None:
    """The snapshot. One whose grants cannot be read must not keep all the others from being judged by."""
    try:
        return Snapshot.of(record)
    except MalformedInput:
        return Snapshot.of(replace(record, grants=None))


def _required(record: SnapshotRecord) -> Snapshot:
    snapshot = Snapshot.of(record)
    if snapshot is None or snapshot.grants is None:
        raise MalformedInput(
            "a snapshot that is not disclosed",
            expected="its resource and grants",
            got=f"position {record.position}",
        )
    return snapshot


def _owner_of(record: SnapshotRecord) -> Owner:
    return Owner(frozenset({record.owner} if record.owner else ()))
