"""Commit: pushes become entries, under the log's lock.

Several pushes go into one durable commit, which costs little more than that of one (*group commit*). Each stays a push
of its own: it is taken whole or not at all, has a receipt of its own, and conflicts for itself alone. What an earlier
push of the group brought is there for the later ones, as if it had been committed before them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ledger.admission import CheckedSignature
from ledger.disclosure import parse_disclosures
from ledger.entry import parse_entry, same_content
from ledger.errors import Conflict, LedgerError, NotSigned
from ledger.merkle import leaf_hash
from ledger.ports import LogTransaction
from ledger.records import Committed, ConflictAttempt, PushSignature, StoredReceipt
from ledger.statement import Statement, make_entry
from ledger.types import Digest, Origin, PartyId, Position


class PushStatus(StrEnum):
    """What became of one pushed event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


class Pushed(NamedTuple):
    """One pushed event: where it stands, and which of the push's receipts covers it."""

    statement: Statement
    status: PushStatus
    position: Position
    leaf: Digest
    receipt: int


@dataclass(frozen=True, slots=True)
class PushResult:
    """All events of a push in the order given, and the receipts that cover them (signed notes)."""

    events: tuple[Pushed, ...]
    receipts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A push that was checked and salted, and waits for its commit."""

    party: PartyId
    statements: Sequence[Statement]
    signed: CheckedSignature | None = None


class Group:
    """Pushes on their way into one commit. `take` them in order, then `write` once.

    Args:
        received: Unix milliseconds; one time for all, which is not before the log's last event.
        sign: makes the receipt of a push that brings something new.
    """

    def __init__(
        self,
        origin: Origin,
        received: int,
        transaction: LogTransaction,
        sign: Callable[[PushWork], StoredReceipt],
    ) -> None:
        self.works: list[PushWork] = []
        self._origin = origin
        self._received = received
        self._transaction = transaction
        self._sign = sign
        self._known: dict[Digest, Committed] = {}
        self._size = transaction.head.size

    def find(self, pushes: Sequence[Prepared]) -> None:
        """Look for what these pushes bring, all at once; `take` goes by it."""
        keys = {statement.key for push in pushes for statement in push.statements}
        self._known |= self._transaction.find(list(keys))

    def take(self, push: Prepared) -> None:
        """Sort one push into what is new, what is there, and what conflicts."""
        work = PushWork(self._origin, push.party, self._received, self._size)
        self.works.append(work)
        work.sort(push.statements, self._known)
        if work.error is not None or not work.fresh:
            return
        try:
            if push.signed is not None:
                work.signature = push.signed.kept(work.fresh[0].position, len(work.fresh), self._received)
        except NotSigned as error:
            work.error = error
            return
        work.receipt = self._sign(work)
        self._known |= {committed.key: committed for committed in work.fresh}
        self._size = Position(self._size + len(work.fresh))

    def write(self) -> None:
        """Write what was taken."""
        taken = [(work, work.receipt) for work in self.works if work.receipt is not None]
        events = [committed for work, _ in taken for committed in work.fresh]
        if events:
            self._transaction.append(events, *(receipt for _, receipt in taken))
        for work, _ in taken:
            if work.signature is not None:
                self._transaction.keep_signature(work.signature)
        attempts = [conflict for work in self.works for conflict in work.attempts]
        if attempts:
            self._transaction.keep_conflicts(attempts)


class PushWork:
    """One push: its statements sorted into fresh events, duplicates and conflicts (I3).

    `error` is why nothing of it is taken; `receipt` is that of its fresh events, if it has some.
    """

    def __init__(self, origin: Origin, party: PartyId, received: int, size: Position) -> None:
        self.origin = origin
        self.party = party
        self.received = received
        self.fresh: list[Committed] = []
        self.placed: list[tuple[Statement, PushStatus, Committed]] = []
        self.standing: set[Position] = set()
        """Where its duplicates stand that were there before it."""
        self.error: LedgerError | None = None
        self.receipt: StoredReceipt | None = None
        self.signature: PushSignature | None = None
        self._size = size
        self._conflicts: list[ConflictAttempt] = []

    def sort(self, statements: Sequence[Statement], known: dict[Digest, Committed]) -> None:
        own: dict[Digest, Committed] = {}
        for statement in statements:
            key = statement.key
            standing = own.get(key) or known.get(key)
            if standing is None:
                own[key] = committed = self._committed(statement)
                self.fresh.append(committed)
                self.placed.append((statement, PushStatus.ACCEPTED, committed))
            elif standing.party == self.party and is_same_event(statement, standing):
                self.placed.append((statement, PushStatus.DUPLICATE, standing))
                if self._stands(standing):
                    self.standing.add(standing.position)
            else:
                committed = self._committed(statement)
                self._conflicts.append(
                    ConflictAttempt(standing.position, committed.entry, committed.disclosures, self.received)
                )
        if self._conflicts:
            self.error = self._conflict()

    def _committed(self, statement: Statement) -> Committed:
        entry = make_entry(statement, self.origin, self.party, self.received)
        return Committed(
            Position(self._size + len(self.fresh)),
            leaf_hash(entry),
            entry,
            statement.texts,
            statement.key,
            statement.type,
            statement.phase,
            statement.subject,
            statement.time,
            self.party,
            self.received,
        )

    @property
    def attempts(self) -> list[ConflictAttempt]:
        """Those with events that stand; of a push that conflicts with itself nothing is taken, so nothing stands."""
        return [conflict for conflict in self._conflicts if self._stands(conflict)]

    def _stands(self, event: Committed | ConflictAttempt) -> bool:
        """Whether it is, or is about, an event that was there before this push."""
        return event.position < self._size

    def _conflict(self) -> LedgerError:
        first = self._conflicts[0]
        stands = (
            f"the content of position {first.position}" if self._stands(first) else "one content in a push"
        )
        return Conflict(
            f"{len(self._conflicts)} event(s) with a known source and id but other content",
            expected=stands,
            got=f"other content under id {parse_entry(first.entry).attributes['id']!r}",
            events=[
                {
                    "source": attributes["source"],
                    "id": attributes["id"],
                    "position": conflict.position if self._stands(conflict) else None,
                }
                for conflict in self._conflicts
                for attributes in [parse_entry(conflict.entry).attributes]
            ],
        )


def is_same_event(statement: Statement, standing: Committed) -> bool:
    """Whether `statement` is of the event that stands committed (I3)."""
    return same_content(statement.event, parse_entry(standing.entry), parse_disclosures(standing.disclosures))
