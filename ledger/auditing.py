"""What an auditor asks of a log: transfers, completeness, timelines, permissions before and after, reconciliation.

Each question reads projections and events out of a store, and answers a value; nothing is written. The answers are as
good as the projections are new (`Store.projected`), and every row names the position that its proof is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ledger.entry import Event, Phase
from ledger.errors import MalformedInput, NotFound
from ledger.grant_use import Cursor, UsePage, UsePages
from ledger.in_force import MOST_WORK, InForce
from ledger.paging import Page, all_rows, read_page
from ledger.permissions import (
    Difference,
    Judgement,
    Owner,
    Reach,
    Snapshot,
    Verdict,
    difference,
    reach,
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
MOST_ROWS = 1000
"""Rows of a page, where nobody says how many."""
EXAMINED = 2000
"""Accesses that one page of a reconciliation examines at most."""
MOST_HELD = 16 * 2**20
"""Characters of grants that are kept in memory from one page to the next."""


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

    def transfers(self, after: str | None, limit: int) -> Page[TransferView, str]:
        """Transfers by name, those after `after` only, at most `limit`; fewer if their papers are long."""
        subjects = self.store.transfers(self.log.origin, after, limit)
        facts, views = self._facts([*subjects, LOG_WIDE]), list[TransferView]()
        parties, papers = _Parties(self.store), _Papers(self.store, self.log.origin)
        for subject in subjects:
            if papers.bytes >= PAPER_BYTES:
                break
            views.append(self._view(subject, facts, parties, papers))
        is_last = len(views) == len(subjects) < limit
        return Page(views, None if is_last else views[-1].subject)

    def transfer(self, subject: str) -> TransferView:
        """One transfer. Raises NotFound."""
        facts, papers = self._facts_of(subject), _Papers(self.store, self.log.origin)
        return self._view(subject, facts, _Parties(self.store), papers)

    def completeness(self, subject: str) -> Matrix:
        """What is there and what is missing of one transfer. Raises NotFound."""
        return self._matrix(subject, self._facts_of(subject))

    def matrices(self, after: str | None, limit: int) -> Page[Matrix, str]:
        """The completeness of transfers by name, those after `after` only, at most `limit`."""
        subjects = self.store.transfers(self.log.origin, after, limit)
        facts = self._facts([*subjects, LOG_WIDE])
        matrices = [self._matrix(subject, facts) for subject in subjects]
        return Page(matrices, subjects[-1] if len(subjects) == limit else None)

    def timeline(
        self,
        subject: str,
        phase: Phase | None,
        types: Sequence[str],
        after: tuple[int, Position] | None,
        limit: int,
    ) -> Page[Committed, tuple[int, Position]]:
        """Events of a transfer in order of time and position. Raises NotFound for a transfer without any event."""
        page = read_page(
            lambda after, limit: self.store.timeline(self.log.origin, subject, phase, types, after, limit),
            after,
            limit,
            size=lambda event: event.size,
            cursor=lambda event: (event.time, event.position),
        )
        # Events are asked, not facts: these come of members, too, that whoever asks may not see.
        if not page.rows and not self.store.events(self.log.origin, EventFilter(subject=subject), None, 1):
            raise _no_transfer(subject)
        return page

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

    # --- Accesses ----------------------------------------------------------------------------------------------------

    def accesses(self, which: ViewFilter, after: Position | None, limit: int) -> Page[AccessRecord, Position]:
        """Accesses that match, in order of position, those after `after` only, at most `limit`."""
        return read_page(
            lambda after, limit: self.store.accesses(self.log.origin, which, after, limit),
            after,
            limit,
            size=lambda record: record.size,
            cursor=lambda record: record.position,
        )

    def every_access(self, which: ViewFilter) -> Iterator[AccessRecord]:
        """All accesses that match, in order of position, streamed."""
        return all_rows(lambda after: self.accesses(which, after, MOST_ROWS))

    # --- Permissions -------------------------------------------------------------------------------------------------

    def snapshots(
        self, which: ViewFilter, after: Position | None, limit: int
    ) -> Page[SnapshotRecord, Position]:
        """Permission snapshots that match, in order of position, those after `after` only, at most `limit`."""
        return read_page(
            lambda after, limit: self.store.snapshots(self.log.origin, which, after, limit),
            after,
            limit,
            size=lambda record: record.size,
            cursor=lambda record: record.position,
        )

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
        newest = self.store.newest_snapshot(self.log.origin, which)
        if newest is None:
            resource = str(which.equal.get("resource"))
            raise NotFound(
                f"no snapshot of that resource in the phase {phase.value}", got=repr(resource[:200])
            )
        return newest

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
            examined: accesses that are looked at, at most, and fewer where snapshots are long. A page may therefore be
                short, or empty, and still not be the last: `JudgedPage.next` says.
        """
        in_force = InForce(self.store, self.log.origin)
        found: list[Judgement] = []
        seen = 0
        while seen < examined:
            step = min(limit if not verdicts else 500, examined - seen)
            accesses = self.store.accesses(self.log.origin, which, after, step)
            for access in accesses:
                seen, after = seen + 1, access.position
                judgement = in_force.judge(access)
                if not verdicts or judgement.verdict in verdicts:
                    found.append(judgement)
                if len(found) == limit or in_force.work >= MOST_WORK:
                    return JudgedPage(found, after, seen)
            if len(accesses) < step:
                return JudgedPage(found, None, seen)
        return JudgedPage(found, after, seen)

    def grant_uses(self, which: ViewFilter, after: Cursor | None = None) -> UsePage:
        """A page of the grants against their use, and of the accesses by verdict (`ledger.grant_use`).

        Raises:
            MalformedInput: the cursor is of more events than there are.
        """
        projected = self.store.projected(self.log.origin)
        events = projected if after is None else after.events
        if events > projected:
            raise MalformedInput(
                "a cursor of another log",
                expected=f"one of at most {projected} events",
                got=f"one of {events}",
                advice="Leave it out to begin at the beginning.",
            )
        return UsePages(InForce(self.store, self.log.origin, events), which, events).read(after)

    def all_grant_uses(self, which: ViewFilter) -> Iterator[UsePage]:
        """All its pages, one after the other; what was read for one is kept for the next, as far as it is not much."""
        events = self.store.projected(self.log.origin)
        in_force = InForce(self.store, self.log.origin, events)
        after: Cursor | None = None
        while True:
            page = UsePages(in_force, which, events).read(after)
            yield page
            if (after := page.next) is None:
                return
            if in_force.held > MOST_HELD:
                in_force = InForce(self.store, self.log.origin, events)


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
class JudgedPage(Page[Judgement, Position]):
    """Judgements in order of position, and how many accesses were examined."""

    examined: int


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


def _no_transfer(subject: str) -> NotFound:
    return NotFound("no such transfer", got=repr(subject[:100]), advice="`transfer list` lists them.")


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
