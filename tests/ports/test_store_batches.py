"""What every `Store` promises of batches, anchorings, checkpoints and projections, on each database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.stores import ORIGIN, START, append_some, attempt, event, next_batch, save, seal

from ledger.errors import IntegrityError
from ledger.merkle import Node
from ledger.ports import Store
from ledger.records import AccessRecord, AnchorState, SnapshotRecord, StoredCheckpoint, ViewFilter
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


# --- Projections ---------------------------------------------------------------------------------------------------


def _access(position: int, **changes: object) -> AccessRecord:
    it = event(position)
    made = AccessRecord(
        position=it.position,
        phase=it.phase,
        time=it.time,
        subject=it.subject,
        principal=f"user {position % 2}",
        action="read",
        resource="a\x00b\\c",
        outcome="allowed",
        country="SG",
        source_address=None,
        tls_version="1.3",
        bytes=2**53 - 1,
        source_system=None,
        completeness=None,
    )
    return replace(made, **changes)


def _snapshot(position: int, public: bool | None) -> SnapshotRecord:
    it = event(position)
    people = ("艾", "b\x00") if public else ()
    return SnapshotRecord(
        it.position, it.phase, it.time, it.subject, "bucket", public, people, '{"grants":[]}', "aws-s3"
    )


def test_projections_come_back_as_they_were(store: Store) -> None:
    append_some(store, 8)
    accesses = [_access(n) for n in range(4)] + [_access(7, principal=None, bytes=None, resource=None)]
    snapshots = [_snapshot(4, True), _snapshot(5, False), _snapshot(6, None)]
    store.project(ORIGIN, Position(0), Position(8), accesses, snapshots)
    assert store.projected(ORIGIN) == 8
    assert store.accesses(ORIGIN, ViewFilter({}), None, 99) == accesses
    assert store.snapshots(ORIGIN, ViewFilter({}), None, 99) == snapshots
    assert store.accesses(ORIGIN, ViewFilter({}), Position(1), 2) == accesses[2:4]
    assert list(store.self_check()) == []


def test_projections_are_listed_by_equal_values_and_time(store: Store) -> None:
    append_some(store, 8)
    accesses = [_access(n, principal="x" * 9000 if n == 5 else f"user {n % 2}") for n in range(6)]
    snapshots = [_snapshot(6, True), _snapshot(7, False)]
    store.project(ORIGIN, Position(0), Position(8), accesses, snapshots)

    def listed(since: int | None = None, until: int | None = None, **equal: str) -> list[int]:
        return [it.position for it in store.accesses(ORIGIN, ViewFilter(equal, since, until), None, 99)]

    assert listed(principal="user 1") == [1, 3]
    assert listed(principal="x" * 9000) == [5]
    assert listed(principal="user 0", outcome="denied") == []
    assert listed(resource="a\x00b\\c", subject="live-1", phase="storage") == list(range(6))
    assert listed(since=accesses[2].time, until=accesses[4].time) == [2, 3]
    assert listed(phase="transit") == []
    public = ViewFilter({"public": True, "source_system": "aws-s3"})
    assert store.snapshots(ORIGIN, public, None, 99) == snapshots[:1]
    with pytest.raises(ValueError, match="bytes"):
        listed(bytes="1")


def test_only_the_first_of_two_workers_projects(store: Store) -> None:
    append_some(store, 4)
    store.project(ORIGIN, Position(0), Position(2), [_access(0)], [])
    store.project(ORIGIN, Position(0), Position(2), [_access(0), _access(1)], [])
    store.project(ORIGIN, Position(3), Position(4), [_access(3)], [])
    assert store.projected(ORIGIN) == 2
    assert [it.position for it in store.accesses(ORIGIN, ViewFilter({}), None, 9)] == [0]


def test_dropped_projections_are_gone_and_can_be_made_again(store: Store) -> None:
    append_some(store, 2)
    for _ in range(2):
        store.project(ORIGIN, Position(0), Position(2), [_access(0)], [_snapshot(1, False)])
        store.drop_projections(ORIGIN)
        assert store.projected(ORIGIN) == 0
        assert (
            store.accesses(ORIGIN, ViewFilter({}), None, 9)
            == store.snapshots(ORIGIN, ViewFilter({}), None, 9)
            == []
        )
