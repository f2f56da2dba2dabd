"""How far behind a log is: what waits for its batch, its anchor and its projection, and for how long."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from ledger.note import parse_note
from ledger.policy import Policy
from ledger.ports import Store
from ledger.receipt import Receipt
from ledger.records import AnchorState, LogHead
from ledger.types import BatchNo, Origin, Position

_STEP = 64
_IN_A_BLOCK = (AnchorState.MINED, AnchorState.FINAL)


@dataclass(frozen=True, slots=True)
class Vitals:
    """Counts, and ages in milliseconds (0 where nothing waits).

    A batch is `unanchored` until its anchor is final. A receipt's promise is kept by a block that holds its batch:
    `promise_left` is the time until the next one falls due, negative if it is broken, or None if none is open; `broken`
    and `near` are how many events such receipts promise.
    """

    origin: Origin
    events: int
    batches: int
    unsealed: int
    unsealed_age: int
    unanchored: int
    unanchored_age: int
    unprojected: int
    promise_left: int | None
    broken: int
    near: int


def vitals_of(store: Store, origin: Origin, now: int, policy: Policy) -> Vitals:
    """The vitals of a log at `now` (Unix milliseconds). Near is a promise with less than a quarter of its time left.

    Costs a few reads, however long the log is. Raises as the store does.
    """
    head = store.head(origin)
    checkpoint = store.checkpoint(origin)
    final = BatchNo(checkpoint.size if checkpoint else 0)
    waiting = store.batches(origin, final, BatchNo(final + 1))
    unsealed_since = store.event(origin, head.sealed).received if head.size > head.sealed else now
    open_from = _first_in_no_block(store, origin, final, head)
    promises = range(open_from, head.size)

    def due(position: int) -> int:
        note = store.receipt(origin, Position(position)).note
        return Receipt.parse(parse_note(note).text).include_by

    # Positions are promised in their order, so the first that is not due yet ends those that are.
    broken = bisect_right(promises, now, key=due)
    return Vitals(
        origin=origin,
        events=head.size,
        batches=head.batches,
        unsealed=head.size - head.sealed,
        unsealed_age=max(0, now - unsealed_since),
        unanchored=max(0, head.batches - final),
        unanchored_age=max(0, now - waiting[0].header.closed_at * 1000) if waiting else 0,
        unprojected=max(0, head.size - store.projected(origin)),
        promise_left=due(open_from) - now if promises else None,
        broken=broken,
        near=bisect_right(promises, now + policy.include_within // 4, key=due) - broken,
    )


def _first_in_no_block(store: Store, origin: Origin, start: BatchNo, head: LogHead) -> Position:
    """The first event that no block of the chain holds, looking from batch `start` on."""
    while found := store.batches(origin, start, BatchNo(start + _STEP)):
        for sealed in found:
            if sealed.anchoring is None or sealed.anchoring.state not in _IN_A_BLOCK:
                return Position(sealed.header.first_leaf)
        start = BatchNo(start + len(found))
    return head.sealed
