"""What every `Store` promises of batches, anchorings, checkpoints and projections, on each database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.stores import ORIGIN, START, append_some, attempt, next_batch, save, seal

from ledger.errors import IntegrityError
from ledger.merkle import Node
from ledger.ports import Store
from ledger.records import AnchorState, StoredCheckpoint
from ledger.types import BatchNo, Digest, Position

# --- Batches, nodes, anchorings, checkpoints -------------------------------------------------------------------------


def test_batches_tile_the_log(store: Store) -> None:
    headers = seal(store, 1, 4, 2)
    append_some(store, 1)
    assert [sealed.header for sealed in store.batches(ORIGIN, BatchNo(0), BatchNo(99))] == headers
    assert [sealed.header.batch_no for sealed in store.batches(ORIGIN, BatchNo(1), BatchNo(2))] == [1]
    found = [store.batch_at(ORIGIN, Position(n)) for n in range(9)]
    assert [it and it.header.batch_no for it in found] == [0, 1, 1, 1, 1, 2, 2, None, None]
    head = store.head(ORIGIN)
    assert (head.size, head.batches, head.sealed, head.last_closed) == (8, 3, 7, headers[-1].closed_at)


def test_only_the_next_batch_is_added(store: Store) -> None:
    (first,) = seal(store, 3)
    append_some(store, 3)
    with store.writing(ORIGIN) as transaction:
        header, nodes = next_batch(transaction, 2)
    for wrong in (
        first,
        replace(header, batch_no=BatchNo(2)),
        replace(header, first_leaf=Position(4)),
        replace(header, first_leaf=Position(2)),
        replace(header, leaf_count=4),
        replace(header, log_id=Digest.of(b"another log")),
    ):
        with pytest.raises(IntegrityError, match="next batch"), store.writing(ORIGIN) as transaction:
            transaction.add_batch(wrong, nodes)
    assert store.head(ORIGIN).batches == 1


def test_nodes_are_read_in_the_order_asked(store: Store) -> None:
    seal(store, 1, 1, 1, 1, 1)
    nodes = list(store.scan_nodes(ORIGIN))
    assert [(node.level, node.index) for node in nodes] == [(0, n) for n in range(5)] + [
        (1, 0),
        (1, 1),
        (2, 0),
    ]
    ids = [(1, 1), (0, 4), (2, 0), (0, 0), (1, 1)]
    by_id = {(node.level, node.index): node.hash for node in nodes}
    assert store.nodes(ORIGIN, ids) == [by_id[id] for id in ids]
    assert store.nodes(ORIGIN, []) == []


@pytest.mark.parametrize("id", [(0, 1), (1, 0), (0, -1), (0, 2**70)])
def test_a_node_that_is_not_there_is_an_integrity_error(store: Store, id: tuple[int, int]) -> None:
    seal(store, 2)
    with pytest.raises(IntegrityError, match="node"):
        store.nodes(ORIGIN, [(0, 0), id])


def test_a_node_is_never_stored_twice(store: Store) -> None:
    seal(store, 1)
    append_some(store, 1)
    with pytest.raises(IntegrityError), store.writing(ORIGIN) as transaction:
        header, _ = next_batch(transaction, 1)
        transaction.add_batch(header, [Node(0, 0, header.leaf)])
    assert store.head(ORIGIN).batches == 1


def test_an_attempt_is_kept_and_then_updated(store: Store) -> None:
    seal(store, 1, 1, 1)
    save(store, attempt(0, 2), attempt(2))
    mined = attempt(
        0, 2, state=AnchorState.MINED, updated=START + 9, block_number=7, block_hash=Digest.of(b"block")
    )
    save(store, mined)
    assert store.anchorings(ORIGIN) == [mined, attempt(2)]
    sealed = store.batches(ORIGIN, BatchNo(0), BatchNo(3))
    assert [it.anchoring for it in sealed] == [mined, mined, attempt(2)]
    assert list(store.self_check()) == []


def test_a_batch_has_its_newest_attempt_whichever_batches_it_began_with(store: Store) -> None:
    seal(store, 1, 1, 1)
    save(store, attempt(1, 1, 0), attempt(1, 1, 1), attempt(0, 3, 0))
    save(store, attempt(2, 1, 0))
    save(store, attempt(1, 1, 0, state=AnchorState.FAILED))
    found = [it.anchoring for it in store.batches(ORIGIN, BatchNo(0), BatchNo(3))]
    assert found == [attempt(0, 3, 0), attempt(0, 3, 0), attempt(2, 1, 0)]
    assert [(it.first, it.attempt) for it in store.anchorings(ORIGIN)] == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert store.anchorings(ORIGIN, (BatchNo(1), 0), 1) == [attempt(1, 1, 1)]
    assert store.anchorings(ORIGIN, (BatchNo(0), -1), 2) == store.anchorings(ORIGIN)[:2]
    assert store.anchorings(ORIGIN, (BatchNo(2), 0)) == []
    assert store.newest_anchorings(ORIGIN, 2) == [attempt(0, 3, 0), attempt(2, 1, 0)]
    assert store.newest_anchorings(ORIGIN, 9) == store.anchorings(ORIGIN)
    assert [it.attempt for it in store.attempts(ORIGIN, BatchNo(1))] == [0, 1]
    assert store.attempts(ORIGIN, BatchNo(3)) == []
    assert store.batch_at(ORIGIN, Position(2)) == store.batches(ORIGIN, BatchNo(2), BatchNo(3))[0]


def test_batches_that_are_not_there_cannot_be_anchored(store: Store) -> None:
    seal(store, 1)
    for wrong in (attempt(1), attempt(0, 2), attempt(0, 0)):
        with pytest.raises(IntegrityError):
            save(store, wrong)
    save(store, attempt(0))
    assert store.anchorings(ORIGIN) == [attempt(0)]


def test_checkpoints_are_kept_and_never_replaced(store: Store) -> None:
    kept = [StoredCheckpoint(size, f"origin\n{size}\nroot\n\n— sig\n") for size in (1, 2, 10)]
    for checkpoint in (kept[2], kept[0], kept[1], kept[1]):
        with store.writing(ORIGIN) as transaction:
            transaction.add_checkpoint(checkpoint)
    assert store.checkpoint(ORIGIN) == kept[2]
    assert store.checkpoints(ORIGIN) == kept
    with pytest.raises(IntegrityError), store.writing(ORIGIN) as transaction:
        transaction.add_checkpoint(StoredCheckpoint(2, "another"))
    assert store.checkpoints(ORIGIN) == kept
