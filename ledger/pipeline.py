"""The one place that sequences stages and ports: push, seal, anchor, project.

Every operation is idempotent and resumes after a crash at any point by being called again: recovery runs the same
functions as the happy path. What a push has acknowledged is durable (I1); what is sealed is decided by the store's head
under its lock (I2); what is anchored is decided by the contract, which takes only the next batch (I6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial

import structlog

from ledger.accept import accept
from ledger.admission import check_signature
from ledger.anchoring import AnchorMachine
from ledger.batch import BatchHeader, close_batch
from ledger.canonical import Value
from ledger.commit import Group, Prepared, Pushed, PushResult, PushWork
from ledger.errors import (
    LedgerError,
    Unavailable,
)
from ledger.guard import HistoryGuard
from ledger.merkle import append_nodes, tree_root
from ledger.policy import Policy
from ledger.ports import Anchorer, Chain, Clock, Keyring, LogTransaction, Signer, Store
from ledger.projections import project as project_events
from ledger.projections import weight
from ledger.receipt import Receipt, sign_receipt
from ledger.records import (
    Anchoring,
    Committed,
    Log,
    StoredReceipt,
)
from ledger.statement import Statement
from ledger.telemetry import NO_METER, NO_TRACER, Meter, Tracer, tell_pushed
from ledger.types import Origin, PartyId, Position, log_id

logger = structlog.get_logger(__name__)


def never() -> bool:
    return False


class Pipeline:
    """Stages and ports, wired. Safe to use from several threads.

    Args:
        random_bytes: answers that many bytes of a cryptographic source, for salts; such as `os.urandom`.
        anchorer: None in a process that only pushes and reads.
        meter, tracer: what is told of the work (`ledger.telemetry`).
    """

    def __init__(
        self,
        *,
        store: Store,
        chain: Chain,
        anchorer: Anchorer | None,
        keyring: Keyring,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        policy: Policy,
        meter: Meter = NO_METER,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self.store = store
        self.chain = chain
        self.keyring = keyring
        self.clock = clock
        self.policy = policy
        self.meter = meter
        self.tracer = tracer
        self.random_bytes = random_bytes
        self._logs: dict[Origin, Log] = {}
        self.guard = HistoryGuard(store, chain)
        self._anchoring = AnchorMachine(
            store, chain, anchorer, keyring, clock, self.guard, policy, meter, tracer
        )

    # --- push → accept → commit → receipt ---------------------------------------------------------------------------

    def push(
        self, origin: Origin, party: PartyId, values: Sequence[Value], signature: str | None = None
    ) -> PushResult:
        """Take events of one party, all or none, durably, and give the receipt.

        Events that are there already with the same content are answered with their first receipt (I3).

        Args:
            values: events; with a signature, statements as the party salted them (`ledger.salted`).
            signature: the party's signed note over its statements (`ledger.push`).

        Raises:
            InvalidEvent: one or more events are refused; `details["problems"]` places each.
            NotSigned: the log takes signed pushes only, or the signature does not hold.
            TooLarge: too many events, or one that is too large.
            Conflict: a known `(source, id)` with other content; nothing of the push was taken, the attempts were kept.
            HistoryForked: this store is not the history that the chain holds (I6).
            Unavailable: store or chain do not answer; see `commit`.
        """
        with self.tracer.span("push", {"log": origin, "events": len(values)}):
            (outcome,) = self.commit(origin, [self.prepare(origin, party, values, signature)])
            if isinstance(outcome, LedgerError):
                raise outcome
            return outcome

    def prepare(
        self, origin: Origin, party: PartyId, values: Sequence[Value], signature: str | None = None
    ) -> Prepared:
        """All of a push that needs no lock: checked and salted, ready for `commit`. Raises as `push`."""
        signed = signature is not None
        try:
            statements = accept(
                values,
                self.random_bytes,
                self.policy.max_push,
                opaque=self.log(origin).opaque,
                signed=signed,
            )
        except LedgerError as error:
            tell_pushed(self.meter, origin, error, len(values))
            raise
        return self.admit(origin, party, statements, signature)

    def admit(
        self, origin: Origin, party: PartyId, statements: Sequence[Statement], signature: str | None = None
    ) -> Prepared:
        """As `prepare`, of events that are accepted already (`ledger.accept`). Raises NotSigned."""
        try:
            keys = () if signature is None else self.store.party_keys(party)
            signed = check_signature(self.log(origin), party, statements, signature, keys)
        except LedgerError as error:
            tell_pushed(self.meter, origin, error, len(statements))
            raise
        return Prepared(party, statements, signed)

    def commit(self, origin: Origin, pushes: Sequence[Prepared]) -> list[PushResult | LedgerError]:
        """Take pushes into one durable commit, each all or none and with a receipt of its own, in this order.

        Answers for each what became of it: its result, or a `Conflict`, which keeps no other from being taken.

        Raises:
            HistoryForked: this store is not the history that the chain holds (I6).
            Unavailable: store or chain do not answer. If it was the commit that failed, or what follows it, all may be
                taken nonetheless: repeated, they are answered with what stands (I3).
        """
        now = self.clock.now()
        self.guard.require_held(origin)
        size = sum(len(push.statements) for push in pushes)
        with (
            self.tracer.span("commit", {"log": origin, "pushes": len(pushes), "events": size}),
            self.meter.committing(origin),
            self.store.writing(origin) as transaction,
        ):
            # Read with the first receipt of a group, not with each: the thread waits for its turn after each file.
            signer = cache(self.keyring.signer)
            receipt = partial(self._receipt, signer)
            group = Group(origin, self._received(now, transaction), transaction, receipt)
            group.find(pushes)
            for push in pushes:
                group.take(push)
            group.write()
        outcomes = [work.error or self._result(origin, work) for work in group.works]
        for push, outcome in zip(pushes, outcomes, strict=True):
            tell_pushed(self.meter, origin, outcome, len(push.statements))
        return outcomes

    def log(self, origin: Origin) -> Log:
        """The log as it was created, which never changes. Raises NotFound."""
        return self.known_log(origin) or self._logs.setdefault(origin, self.store.log(origin))

    def known_log(self, origin: Origin) -> Log | None:
        """As `log`, without asking the store: None if it was not asked before."""
        return self._logs.get(origin)

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

    def _receipt(self, signer_of: Callable[[Origin], Signer], work: PushWork) -> StoredReceipt:
        receipt = Receipt(
            origin=work.origin,
            first=work.fresh[0].position,
            count=len(work.fresh),
            root=tree_root([event.leaf for event in work.fresh]),
            received=work.received,
            include_by=work.received + self.policy.include_within,
        )
        signer = signer_of(work.origin)
        return StoredReceipt(receipt.first, receipt.count, sign_receipt(receipt, signer.key, signer.sign))

    def _result(self, origin: Origin, work: PushWork) -> PushResult:
        receipts = self._receipts(origin, work)
        firsts = [receipt.first for receipt in receipts]
        pushed = tuple(
            Pushed(
                statement,
                status,
                committed.position,
                committed.leaf,
                bisect_right(firsts, committed.position) - 1,
            )
            for statement, status, committed in work.placed
        )
        return PushResult(pushed, tuple(receipt.note for receipt in receipts))

    def _receipts(self, origin: Origin, work: PushWork) -> list[StoredReceipt]:
        """The receipts that cover a push's events, in order: those of duplicates, and the push's own."""
        receipts: list[StoredReceipt] = []
        for position in sorted(work.standing):
            if not receipts or position >= receipts[-1].first + receipts[-1].count:
                receipts.append(self.store.receipt(origin, position))
        return receipts if work.receipt is None else [*receipts, work.receipt]

    # --- batch -------------------------------------------------------------------------------------------------------

    def seal(
        self, origin: Origin, *, force: bool = False, stop: Callable[[], bool] = never
    ) -> list[BatchHeader]:
        """Close the batches that are due, by count or age; with `force`, all that waits. `stop` ends it between two."""
        sealed = []
        while not stop() and (header := self._seal_one(origin, force=force)):
            sealed.append(header)
            self.meter.sealed(origin, header.leaf_count)
            logger.info(
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
        with self.tracer.span("seal", {"log": origin}), self.store.writing(origin) as transaction:
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
        most_bytes: int = 32 * 2**20,
        progress: Callable[[float, float | None], None] | None = None,
        stop: Callable[[], bool] = never,
    ) -> int:
        """Take new events into the projections; answers how many. `progress` is told how many of how many.

        At once are taken `step` events, or fewer if they weigh more than `most_bytes` (`ledger.projections.weight`):
        whatever a party pushes, and however many transfers a paper names, it is not all in memory. `stop` ends it
        between two portions.
        """
        start = self.store.projected(origin)
        size = self.store.head(origin).size
        done = 0
        for events in _portions(self.store.scan(origin, start, size), step, most_bytes):
            if stop():
                break
            end = Position(events[-1].position + 1)
            with self.tracer.span("project", {"log": origin, "events": end - start}):
                self.store.project(origin, start, end, project_events(events))
            done += end - start
            start = end
            if progress:
                progress(start, size)
        return done

    def rebuild(
        self, origin: Origin, *, progress: Callable[[float, float | None], None] | None = None
    ) -> int:
        """Drop the projections and make them again; answers how many events they were made from."""
        self.store.drop_projections(origin)
        return self.project(origin, progress=progress)


def _portions(events: Iterable[Committed], most: int, most_bytes: int) -> Iterator[list[Committed]]:
    """The events in order, `most` at once, or as many as it takes to weigh `most_bytes`."""
    portion: list[Committed] = []
    size = 0
    for event in events:
        portion.append(event)
        size += weight(event)
        if len(portion) == most or size >= most_bytes:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
