"""The anchoring of a log: a state machine kept in the store.

::

    sealed ──► intended ──► sent ──► mined ──► final ──► (checkpoint signed)
      ▲            │          │         │         │
      │            └──────────┴─► failed┘ reorged ┘
      └──────────────────────────────┴─────────┘       intended again, as a further attempt

The intent, with the signed transaction, is durable before the transaction is sent; before anything is retried the chain
is asked. Whatever two workers or two transactions do, the contract takes each batch once and in order, so the worst
case is a transaction that reverts.

A log has ever more attempts, so only the newest are read (`_Live`): what lies below one that is final and stands on the
chain is final and stands, too. Only where the newest do not stand is looked further back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from ledger.anchor import Anchor
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import ChainUnavailable
from ledger.guard import HistoryGuard
from ledger.merkle import log_root
from ledger.policy import Policy
from ledger.ports import (
    Anchorer,
    Chain,
    ChainSize,
    Clock,
    Keyring,
    SignedTransaction,
    Store,
    TransactionOutcome,
)
from ledger.records import Anchoring, AnchorState, StoredCheckpoint
from ledger.telemetry import NO_METER, NO_TRACER, Meter, Tracer
from ledger.types import BatchNo, Digest, Origin, log_id

log = structlog.get_logger(__name__)


NEWEST = 64
"""Attempts that are read at first."""
FURTHER = 8
"""How many times as many are read next, where these are not enough."""


@dataclass(frozen=True, slots=True)
class _Live:
    """Attempts that live, by first batch: all from batch `start` on. What lies below is final."""

    attempts: tuple[Anchoring, ...]
    start: BatchNo
    is_all: bool

    def end(self, states: set[AnchorState]) -> int:
        """The first batch that no attempt in one of these states covers."""
        end: int = self.start
        for attempt in self.attempts:
            if attempt.first <= end and attempt.state in states:
                end = max(end, attempt.end)
        return end


class AnchorMachine:
    """Advances logs through the states above. `anchorer` is None in a process that only pushes and reads."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        anchorer: Anchorer | None,
        keyring: Keyring,
        clock: Clock,
        guard: HistoryGuard,
        policy: Policy,
        meter: Meter = NO_METER,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._store = store
        self._chain = chain
        self._anchorer = anchorer
        self._keyring = keyring
        self._clock = clock
        self._guard = guard
        self._policy = policy
        self._meter = meter
        self._tracer = tracer

    def advance(self, origin: Origin) -> list[Anchoring]:
        """Take a log as far as it goes now, and answer the newest attempts that live, by first batch.

        Raises:
            HistoryForked: the store is not the chain's history (I6); nothing was sent or signed.
            AnchorRefuted: the contract would refuse the next batches, for instance for a wrong operator.
            ChainUnavailable: no answer; call again.
        """
        live, size = self._look_back(origin)
        self._give_up(origin, live.attempts, size)
        for attempt in self._live(origin).attempts:
            if attempt.state is not AnchorState.FINAL:
                self._advance(origin, attempt)
        self._adopt(origin, self._guard.hold(origin))
        if intent := self._intend(origin):
            self._advance(origin, intent)
        self._sign_checkpoint(origin, self._guard.hold(origin))
        return list(self._live(origin).attempts)

    def _advance(self, origin: Origin, attempt: Anchoring) -> None:
        if attempt.state in (AnchorState.INTENDED, AnchorState.SENT):
            with self._tracer.span("anchor", {"log": origin, "batches": attempt.count}):
                attempt = self._send(origin, attempt)
        if attempt.state is AnchorState.MINED:
            self._confirm(origin, attempt)

    def _look_back(self, origin: Origin) -> tuple[_Live, ChainSize]:
        """What lived before a look at the chain, and what that holds.

        Anchors that the chain does not hold (any more) are reorged; those in another block are mined there. Noted from
        the oldest up, so that whoever dies in between leaves the newest for the next look.
        """
        newest = NEWEST
        while True:
            # The store is read before the chain: what it calls mined, a later look at the chain must find.
            live = self._live(origin, newest)
            size = self._guard.hold(origin)
            changed, stands = self._changed(live.attempts, size)
            if stands or live.is_all:
                break
            newest *= FURTHER
        for attempt, outcome in reversed(changed):
            if outcome is None or not outcome.succeeded:
                self._lose(origin, attempt)
            else:
                self._save_mined(origin, attempt, AnchorState.MINED, outcome)
        return live, size

    def _changed(
        self, live: Iterable[Anchoring], size: ChainSize
    ) -> tuple[list[tuple[Anchoring, TransactionOutcome | None]], bool]:
        """Those that are not where the store says, from the newest block down; and whether what lies below stands.

        It does where two stand.
        """
        changed: list[tuple[Anchoring, TransactionOutcome | None]] = []
        standing = 0
        for attempt in sorted((a for a in live if a.block_number is not None), key=_place, reverse=True):
            outcome = None if attempt.end > size.batches else self._chain.outcome(attempt.tx_hash)
            if outcome is None or _place_of(outcome) != (attempt.block_number, attempt.block_hash):
                changed.append((attempt, outcome))
            elif (standing := standing + 1) == 2:
                return changed, True
        return changed, False

    def _give_up(self, origin: Origin, live: Iterable[Anchoring], size: ChainSize) -> None:
        """What waits behind batches that the chain has lost again would revert, if it ever ran: it makes way."""
        for attempt in live:
            waiting = attempt.state in (AnchorState.INTENDED, AnchorState.SENT)
            if waiting and attempt.first > size.batches and self._chain.outcome(attempt.tx_hash) is None:
                self._save(origin, attempt, state=AnchorState.FAILED)

    def _send(self, origin: Origin, attempt: Anchoring) -> Anchoring:
        """From intended or sent to mined, if the chain says so; sends only what the chain does not hold."""
        outcome = self._chain.outcome(attempt.tx_hash)
        if outcome is None:
            possible = self._require_anchorer().send(SignedTransaction(attempt.tx_hash, attempt.raw_tx))
            outcome = self._chain.outcome(attempt.tx_hash)
            if outcome is None:
                return self._save(origin, attempt, state=AnchorState.SENT if possible else AnchorState.FAILED)
        if not outcome.succeeded:
            return self._save(origin, attempt, state=AnchorState.FAILED)
        return self._save_mined(origin, attempt, AnchorState.MINED, outcome)

    def _confirm(self, origin: Origin, attempt: Anchoring) -> None:
        """From mined to final once enough blocks lie on top; to reorged if the chain has dropped it."""
        outcome = self._chain.outcome(attempt.tx_hash)
        if outcome is None or not outcome.succeeded:
            self._lose(origin, attempt)
            return
        deep = self._chain.block_number() - outcome.block_number >= self._policy.confirmations
        self._save_mined(origin, attempt, AnchorState.FINAL if deep else AnchorState.MINED, outcome)

    def _adopt(self, origin: Origin, size: ChainSize) -> None:
        """Batches that the chain holds without a live attempt were anchored by one given up too early: find them."""
        for number in range(self._live(origin).end(set(AnchorState)), size.batches):
            anchor = self._chain.find_anchor(log_id(origin), BatchNo(number))
            if anchor is not None and not self._covers(origin, number):
                self._save(origin, self._adopted(origin, BatchNo(number), anchor))

    def _covers(self, origin: Origin, number: int) -> bool:
        return any(attempt.first <= number < attempt.end for attempt in self._live(origin).attempts)

    def _adopted(self, origin: Origin, number: BatchNo, anchor: Anchor) -> Anchoring:
        return Anchoring(
            first=number,
            count=1,
            attempt=self._next_attempt(origin, number),
            state=AnchorState.MINED,
            tx_hash=anchor.tx_hash,
            raw_tx=b"",
            updated=0,
            block_number=anchor.block_number,
            block_hash=anchor.block_hash,
        )

    def _intend(self, origin: Origin) -> Anchoring | None:
        """Persist the intent to anchor the next batches, unless an earlier one is still under way."""
        live = self._live(origin)
        if any(a.state in (AnchorState.INTENDED, AnchorState.SENT) for a in live.attempts):
            return None
        first = BatchNo(live.end(set(AnchorState)))
        stop = BatchNo(min(self._store.head(origin).batches, first + self._policy.batches_per_transaction))
        headers = [sealed.header for sealed in self._store.batches(origin, first, stop)]
        if not headers:
            return None
        transaction = self._require_anchorer().sign_anchor(headers)
        intent = Anchoring(
            first=first,
            count=len(headers),
            attempt=self._next_attempt(origin, first),
            state=AnchorState.INTENDED,
            tx_hash=transaction.hash,
            raw_tx=transaction.raw,
            updated=self._clock.now(),
        )
        with self._store.writing(origin) as work:
            # Under the lock: another worker may have intended the same batches meanwhile.
            if self._live(origin) != live:
                return None
            work.save_anchoring(intent)
        self._tell(origin, intent)
        return intent

    def _sign_checkpoint(self, origin: Origin, size: ChainSize) -> None:
        """Sign the head as far as it is final; its tree was just held against the contract's (I6)."""
        final = min(self._live(origin).end({AnchorState.FINAL}), size.batches)
        newest = self._store.checkpoint(origin)
        if final == 0 or (newest is not None and newest.size >= final):
            return
        signer = self._keyring.signer(origin)
        root = log_root(final, lambda ids: self._store.nodes(origin, ids))
        note = sign_checkpoint(Checkpoint(origin, final, root), signer.key, signer.sign)
        with self._store.writing(origin) as work:
            work.add_checkpoint(StoredCheckpoint(final, note))
        log.info("checkpoint signed", log=origin, size=final)

    def _live(self, origin: Origin, newest: int | None = None) -> _Live:
        """The attempts that live: of the `newest`, or more, until one is final or there are no more."""
        newest = newest or NEWEST
        while True:
            found = self._store.newest_anchorings(origin, newest)
            final = [a.first for a in found if a.state is AnchorState.FINAL]
            if len(found) < newest:
                return _Live(tuple(a for a in found if not a.state.ended), BatchNo(0), is_all=True)
            if final:
                start = min(final)
                since = self._store.anchorings(origin, (start, -1))
                return _Live(tuple(a for a in since if not a.state.ended), start, is_all=False)
            newest *= FURTHER

    def _next_attempt(self, origin: Origin, first: BatchNo) -> int:
        return 1 + max((a.attempt for a in self._store.attempts(origin, first)), default=-1)

    def _lose(self, origin: Origin, attempt: Anchoring) -> None:
        self._save(origin, attempt, state=AnchorState.REORGED, block_number=None, block_hash=None)

    def _save_mined(
        self, origin: Origin, attempt: Anchoring, state: AnchorState, outcome: TransactionOutcome
    ) -> Anchoring:
        block = {"block_number": outcome.block_number, "block_hash": outcome.block_hash}
        return self._save(origin, attempt, state=state, **block)

    def _save(self, origin: Origin, anchoring: Anchoring, **changes: Any) -> Anchoring:
        changed = replace(anchoring, **changes)
        if changed == anchoring and changed.updated:
            return anchoring
        changed = replace(changed, updated=self._clock.now())
        with self._store.writing(origin) as work:
            work.save_anchoring(changed)
        self._tell(origin, changed)
        return changed

    def _tell(self, origin: Origin, anchoring: Anchoring) -> None:
        self._meter.anchoring(origin, anchoring.state, anchoring.count)
        batches = f"{anchoring.first}..{anchoring.end - 1}"
        log.info(f"anchor {anchoring.state}", log=origin, batches=batches, tx=anchoring.tx_hash.hex0x)

    def _require_anchorer(self) -> Anchorer:
        if self._anchorer is None:
            raise ChainUnavailable(
                "this process holds no anchoring key", advice="Run `transfer-ledger worker`."
            )
        return self._anchorer


def _place(attempt: Anchoring) -> tuple[int, int]:
    return attempt.block_number or 0, attempt.first


def _place_of(outcome: TransactionOutcome) -> tuple[int, Digest]:
    return outcome.block_number, outcome.block_hash
