"""The one place that sequences stages and ports: push, seal, anchor, project.

Every operation is idempotent and resumes after a crash at any point by being called again: recovery runs the same
functions as the happy path. What a push has acknowledged is durable (I1); what is sealed is decided by the store's head
under its lock (I2); what is anchored is decided by the contract, which takes only the next batch (I6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from ledger import catalogue
from ledger.admission import check_signature
from ledger.anchoring import AnchorMachine
from ledger.batch import BatchHeader, close_batch
from ledger.canonical import Value
from ledger.disclosure import parse_disclosure
from ledger.entry import Event, Statement, commit_event, make_entry, parse_entry, parse_event, same_content
from ledger.errors import (
    Conflict,
    InvalidEvent,
    LedgerError,
    TooLarge,
    Unavailable,
)
from ledger.guard import HistoryGuard
from ledger.merkle import append_nodes, leaf_hash, tree_root
from ledger.policy import Policy
from ledger.ports import Anchorer, Chain, Clock, Keyring, LogTransaction, Store
from ledger.projections import project as project_events
from ledger.receipt import Receipt, sign_receipt
from ledger.records import (
    Anchoring,
    Committed,
    ConflictAttempt,
    Log,
    PartyKey,
    StoredReceipt,
)
from ledger.statement import StatementReader, VisibleMembers
from ledger.types import Digest, Origin, PartyId, Position, log_id

log = structlog.get_logger(__name__)


class PushStatus(StrEnum):
    """What became of one pushed event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Pushed:
    """One pushed event: where it stands, and which of the push's receipts covers it."""

    event: Event
    status: PushStatus
    position: Position
    leaf: Digest
    receipt: int


@dataclass(frozen=True, slots=True)
class PushResult:
    """All events of a push in the order given, and the receipts that cover them (signed notes)."""

    events: tuple[Pushed, ...]
    receipts: tuple[str, ...]


class Pipeline:
    """Stages and ports, wired. Safe to use from several threads.

    Args:
        salt: answers 16 fresh random bytes at each call.
        anchorer: None in a process that only pushes and reads.
    """

    def __init__(
        self,
        *,
        store: Store,
        chain: Chain,
        anchorer: Anchorer | None,
        keyring: Keyring,
        clock: Clock,
        salt: Callable[[], bytes],
        policy: Policy,
    ) -> None:
        self.store = store
        self.chain = chain
        self.keyring = keyring
        self.clock = clock
        self.policy = policy
        self._salt = salt
        self._logs: dict[Origin, Log] = {}
        self.guard = HistoryGuard(store, chain)
        self._anchoring = AnchorMachine(store, chain, anchorer, keyring, clock, self.guard, policy)

    # --- push → accept → commit → receipt ---------------------------------------------------------------------------

    def push(
        self, origin: Origin, party: PartyId, values: Sequence[Value], signature: str | None = None
    ) -> PushResult:
        """Take events of one party, all or none, durably, and give the receipt.

        Events that are there already with the same content are answered with their first receipt (I3).

        Args:
            values: events; with a signature, statements as the party salted them (`ledger.statement`).
            signature: the party's signed note over its statements (`ledger.push`).

        Raises:
            InvalidEvent: one or more events are refused; `details["problems"]` places each.
            NotSigned: the log takes signed pushes only, or the signature does not hold.
            TooLarge: too many events, or one that is too large.
            Conflict: a known `(source, id)` with other content; nothing of the push was taken, the attempts were kept.
            HistoryForked: this store is not the history that the chain holds (I6).
            Unavailable: store or chain do not answer; nothing was taken.
        """
        now = self.clock.now()
        self.guard.require_held(origin)
        this = self._log(origin)
        statements = self.accept(values, opaque=this.opaque, signed=signature is not None)
        signed = check_signature(this, party, statements, signature, self._keys(party, signature))
        with self.store.writing(origin) as transaction:
            work = _Push(origin, party, self._received(now, transaction), transaction)
            work.sort(statements)
            if work.conflicts:
                transaction.keep_conflicts(work.attempts)
            elif work.fresh:
                receipt = self._receipt(origin, work)
                kept = signed.kept(receipt.first, receipt.count, work.received) if signed else None
                transaction.append(work.fresh, receipt)
                if kept:
                    transaction.keep_signature(kept)
        if work.conflicts:
            raise work.conflict_error()
        return self._result(origin, work)

    def _log(self, origin: Origin) -> Log:
        """The log as it was created, which never changes."""
        if origin not in self._logs:
            self._logs[origin] = self.store.log(origin)
        return self._logs[origin]

    def _keys(self, party: PartyId, signature: str | None) -> Sequence[PartyKey]:
        return () if signature is None else self.store.party_keys(party)

    def accept(
        self, values: Sequence[Value], *, opaque: bool = False, signed: bool = False
    ) -> list[Statement]:
        """Hold events against the envelope and their types, and salt them. Pure but for the salts.

        With `opaque`, types that the catalogue does not know are taken too (`ledger.catalogue.OpaqueType`). With
        `signed`, the values are statements, which their party has salted.
        """
        if not values:
            raise InvalidEvent("nothing to push", expected="at least one event")
        if len(values) > self.policy.max_push:
            raise TooLarge(
                "too many events at once", expected=f"at most {self.policy.max_push}", got=len(values)
            )
        problems: list[dict[str, str]] = []
        statements = []
        read = StatementReader().read if signed else self._salted
        for number, value in enumerate(values):
            try:
                statements.append(read(value, lambda event: _visible(event, opaque=opaque)))
            except InvalidEvent as error:
                problems += [
                    {"at": f"[{number}].{problem['at']}".rstrip("."), "problem": problem["problem"]}
                    for problem in error.details.get("problems", [{"at": "", "problem": error.message}])
                ]
            except TooLarge as error:
                raise TooLarge(
                    f"event {number}: {error.message}", expected=error.expected, got=error.got
                ) from None
        if problems:
            first = problems[0]
            raise InvalidEvent(
                f"{len(problems)} problem(s), the first at {first['at']}: {first['problem']}",
                advice="Nothing of this push was taken; correct it and push it whole again.",
                details={"problems": problems[:100]},
            )
        return statements

    def _salted(self, value: Value, visible: VisibleMembers) -> Statement:
        event = parse_event(value)
        return commit_event(event, visible(event), self._salt)

    def _received(self, now: int, transaction: LogTransaction) -> int:
        """The push's time in the log, which never runs backwards."""
        last = transaction.head.last_received
        if last - now > self.policy.clock_tolerance:
            raise Unavailable(
                "the clock is behind the log",
                expected="a time after the last event's",
                got=f"{last - now} ms before it",
                advice="Set the clock right; the same push can then be repeated.",
            )
        return max(now, last)

    def _receipt(self, origin: Origin, work: _Push) -> StoredReceipt:
        receipt = Receipt(
            origin=origin,
            first=work.fresh[0].position,
            count=len(work.fresh),
            root=tree_root([event.leaf for event in work.fresh]),
            received=work.received,
            include_by=work.received + self.policy.include_within,
        )
        signer = self.keyring.signer(origin)
        return StoredReceipt(receipt.first, receipt.count, sign_receipt(receipt, signer.key, signer.sign))

    def _result(self, origin: Origin, work: _Push) -> PushResult:
        receipts: dict[Position, StoredReceipt] = {}
        for position in sorted(committed.position for _, _, committed in work.placed):
            newest = next(reversed(receipts.values()), None)
            if newest is None or position >= newest.first + newest.count:
                found = self.store.receipt(origin, position)
                receipts[found.first] = found
        firsts = list(receipts)
        pushed = tuple(
            Pushed(
                event,
                status,
                committed.position,
                committed.leaf,
                bisect_right(firsts, committed.position) - 1,
            )
            for event, status, committed in work.placed
        )
        return PushResult(pushed, tuple(receipt.note for receipt in receipts.values()))

    # --- batch -------------------------------------------------------------------------------------------------------

    def seal(self, origin: Origin, *, force: bool = False) -> list[BatchHeader]:
        """Close the batches that are due, by count or age; with `force`, all that waits."""
        sealed = []
        while header := self._seal_one(origin, force=force):
            sealed.append(header)
            log.info(
                "sealed", log=origin, batch=header.batch_no, first=header.first_leaf, leaves=header.leaf_count
            )
        return sealed

    def _seal_one(self, origin: Origin, *, force: bool) -> BatchHeader | None:
        now = self.clock.now()
        head = self.store.head(origin)
        waiting = head.size - head.sealed
        if not waiting:
            return None
        if not force and waiting < self.policy.seal_leaves:
            oldest = self.store.event(origin, head.sealed).received
            if now - oldest < self.policy.seal_age:
                return None
        with self.store.writing(origin) as transaction:
            head = transaction.head
            stop = Position(min(head.size, head.sealed + self.policy.batch_leaves))
            if stop == head.sealed:
                return None
            header = close_batch(
                log_id(origin),
                head.batches,
                head.sealed,
                transaction.leaves(head.sealed, stop),
                max(now // 1000, head.last_closed, transaction.received(Position(stop - 1)) // 1000),
            )
            transaction.add_batch(header, append_nodes(header.batch_no, header.leaf, transaction.nodes))
        return header

    # --- anchor ------------------------------------------------------------------------------------------------------

    def anchor(self, origin: Origin) -> list[Anchoring]:
        """Take the anchoring of a log as far as it goes now (`ledger.anchoring`); answers the attempts that live."""
        return self._anchoring.advance(origin)

    # --- project -----------------------------------------------------------------------------------------------------

    def project(
        self,
        origin: Origin,
        *,
        step: int = 8192,
        progress: Callable[[float, float | None], None] | None = None,
    ) -> int:
        """Take new events into the projections; answers how many. `progress` is told how many of how many."""
        start = self.store.projected(origin)
        size = self.store.head(origin).size
        done = 0
        while start < size:
            stop = Position(min(size, start + step))
            self.store.project(origin, start, stop, project_events(self.store.scan(origin, start, stop)))
            done += stop - start
            start = stop
            if progress:
                progress(start, size)
        return done

    def rebuild(
        self, origin: Origin, *, progress: Callable[[float, float | None], None] | None = None
    ) -> int:
        """Drop the projections and make them again; answers how many events they were made from."""
        self.store.drop_projections(origin)
        return self.project(origin, progress=progress)


def _visible(event: Event, *, opaque: bool) -> frozenset[str]:
    """The members that the event's type keeps visible. Raises InvalidEvent unless it is a good event of its type."""
    return catalogue.check_event(event, allow_opaque=opaque).visible


class _Push:
    """One push under the log's lock: sorts statements into fresh events, duplicates and conflicts (I3)."""

    def __init__(self, origin: Origin, party: PartyId, received: int, transaction: LogTransaction) -> None:
        self.origin = origin
        self.party = party
        self.received = received
        self.transaction = transaction
        self.fresh: list[Committed] = []
        self.conflicts: list[ConflictAttempt] = []
        self.placed: list[tuple[Event, PushStatus, Committed]] = []

    def sort(self, statements: Sequence[Statement]) -> None:
        known = self.transaction.find([statement.event.key for statement in statements])
        for statement in statements:
            event = statement.event
            if (standing := known.get(event.key)) is None:
                known[event.key] = committed = self._committed(statement)
                self.fresh.append(committed)
                self.placed.append((event, PushStatus.ACCEPTED, committed))
            elif standing.party == self.party and is_same_event(event, standing):
                self.placed.append((event, PushStatus.DUPLICATE, standing))
            else:
                committed = self._committed(statement)
                self.conflicts.append(
                    ConflictAttempt(standing.position, committed.entry, committed.disclosures, self.received)
                )

    def _committed(self, statement: Statement) -> Committed:
        event = statement.event
        entry = make_entry(statement, self.origin, self.party, self.received)
        return Committed(
            position=Position(self.transaction.head.size + len(self.fresh)),
            leaf=leaf_hash(entry),
            entry=entry,
            disclosures=tuple(d.text for d in statement.disclosures),
            key=event.key,
            type=event.type,
            phase=event.phase,
            subject=event.subject,
            time=event.time,
            party=self.party,
            received=self.received,
        )

    @property
    def attempts(self) -> list[ConflictAttempt]:
        """Those with events that stand; of a push that conflicts with itself nothing is taken, so nothing stands."""
        return [conflict for conflict in self.conflicts if self._stands(conflict)]

    def _stands(self, conflict: ConflictAttempt) -> bool:
        return conflict.position < self.transaction.head.size

    def conflict_error(self) -> LedgerError:
        first = self.conflicts[0]
        stands = (
            f"the content of position {first.position}" if self._stands(first) else "one content in a push"
        )
        return Conflict(
            f"{len(self.conflicts)} event(s) with a known source and id but other content",
            expected=stands,
            got=f"other content under id {parse_entry(first.entry).attributes['id']!r}",
            details={
                "conflicts": [
                    {
                        "source": attributes["source"],
                        "id": attributes["id"],
                        "position": conflict.position if self._stands(conflict) else None,
                    }
                    for conflict in self.conflicts[:100]
                    for attributes in [parse_entry(conflict.entry).attributes]
                ]
            },
        )


def is_same_event(event: Event, standing: Committed) -> bool:
    """Whether `event` is what stands committed (I3)."""
    return same_content(
        event, parse_entry(standing.entry), [parse_disclosure(text) for text in standing.disclosures]
    )
