"""Push, seal and project on real parts: what is acknowledged, what is refused, and what stops when history forks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.chains import wired
from support.ledgers import (
    OTHER_PARTY,
    PARTY,
    START,
    Bed,
    LedgerMaker,
    access,
    accesses,
    anchor_all,
    assert_settled,
    copy_database,
    policy,
)

from ledger.adapters.evm import EvmAnchorer, EvmChain
from ledger.adapters.sql import open_store
from ledger.checkpoint import open_checkpoint
from ledger.commit import PushStatus
from ledger.entry import parse_entry
from ledger.errors import (
    ChainUnavailable,
    Conflict,
    HistoryForked,
    IntegrityError,
    InvalidEvent,
    NotFound,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)
from ledger.merkle import tree_root
from ledger.pipeline import Pipeline
from ledger.receipt import open_receipt
from ledger.records import EventFilter, ViewFilter
from ledger.types import Origin, Position, format_time, log_id
from ledger.workers import Worker

ACCEPTED, DUPLICATE = PushStatus


def positions(result: Any) -> list[int]:
    return [pushed.position for pushed in result.events]


# --- push -----------------------------------------------------------------------------------------------


def test_a_push_is_answered_with_positions_and_one_signed_receipt_over_its_entries(
    bed: Bed, origin: Origin
) -> None:
    result = bed.push(origin, 1, 2, 3)
    assert positions(result) == [0, 1, 2]
    assert {pushed.status for pushed in result.events} == {ACCEPTED}
    [note] = result.receipts
    receipt = open_receipt(note, bed.key(origin))
    assert (receipt.first, receipt.count, receipt.received) == (0, 3, bed.clock.now())
    assert receipt.include_by == receipt.received + bed.pipeline.policy.include_within
    assert receipt.root == tree_root(bed.store.leaves(origin, Position(0), Position(3)))


def test_the_same_push_again_is_answered_with_the_first_receipt_byte_for_byte(
    bed: Bed, origin: Origin
) -> None:
    first = bed.push(origin, 1, 2, 3)
    bed.clock.move(60_000)
    again = bed.push(origin, 1, 2, 3)
    assert again.receipts == first.receipts
    assert positions(again) == positions(first)
    assert [p.leaf for p in again.events] == [p.leaf for p in first.events]
    assert {pushed.status for pushed in again.events} == {DUPLICATE}
    assert bed.store.head(origin).size == 3


def test_a_push_of_old_and_new_events_names_the_receipt_of_each(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1, 2)
    bed.push(origin, 3)
    bed.push(origin, 4, 5)
    result = bed.push(origin, 5, 6, 1, 4)
    assert positions(result) == [4, 5, 0, 3]
    assert [pushed.status for pushed in result.events] == [DUPLICATE, ACCEPTED, DUPLICATE, DUPLICATE]
    receipts = [open_receipt(note, bed.key(origin)) for note in result.receipts]
    assert [(r.first, r.count) for r in receipts] == [(0, 2), (3, 2), (5, 1)]
    for pushed in result.events:
        covering = receipts[pushed.receipt]
        assert covering.first <= pushed.position < covering.first + covering.count


def test_an_event_that_stands_twice_in_a_push_is_taken_once(bed: Bed, origin: Origin) -> None:
    result = bed.push(origin, 1, 1, 2, 1)
    assert positions(result) == [0, 0, 1, 0]
    assert [pushed.status for pushed in result.events] == [ACCEPTED, DUPLICATE, ACCEPTED, DUPLICATE]


def test_members_in_another_order_are_the_same_content(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    value = access(1)
    turned = dict(reversed(value.items())) | {"data": dict(reversed(value["data"].items()))}
    [pushed] = bed.pipeline.push(origin, PARTY, [turned]).events
    assert pushed.status is DUPLICATE


def change(n: int, **data: Any) -> dict[str, Any]:
    value = access(n)
    return {**value, "data": {**value["data"], **data}}


@pytest.mark.parametrize(
    "other",
    [
        change(1, principal="somebody else"),
        change(1, bytes=1),
        access(1, subject="another-transfer"),
        access(1, time="2026-07-01T12:00:00Z"),
        access(1, data={k: v for k, v in access(1)["data"].items() if k != "resource"}),
    ],
    ids=["member", "more members", "subject", "time", "fewer members"],
)
def test_other_content_under_a_known_id_is_a_conflict_and_is_kept(
    bed: Bed, origin: Origin, other: dict[str, Any]
) -> None:
    bed.push(origin, 1)
    with pytest.raises(Conflict) as caught:
        bed.pipeline.push(origin, PARTY, [access(7), other, access(8)])
    assert caught.value.details["conflicts"] == [
        {"source": other["source"], "id": other["id"], "position": 0}
    ]
    assert bed.store.head(origin).size == 1, "nothing of the push was taken"
    [kept] = bed.store.conflicts(origin)
    assert kept.position == 0
    assert parse_entry(kept.entry).attributes["subject"] == other["subject"]


def test_a_push_that_conflicts_with_itself_takes_nothing_and_can_be_corrected(
    bed: Bed, origin: Origin
) -> None:
    bed.push(origin, 1)
    with pytest.raises(Conflict, match="one content in a push") as caught:
        bed.pipeline.push(origin, PARTY, [access(2), change(2, action="other"), change(1, action="other")])
    assert [conflict["position"] for conflict in caught.value.details["conflicts"]] == [None, 0]
    assert bed.store.head(origin).size == 1
    assert [attempt.position for attempt in bed.store.conflicts(origin)] == [0], (
        "kept is what is about an event"
    )
    assert positions(bed.push(origin, 2)) == [1]
    bed.settle(origin)
    assert_settled(bed.store, bed.chain, origin)


def test_a_conflict_is_told_without_its_content(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    with pytest.raises(Conflict) as caught:
        bed.pipeline.push(origin, PARTY, [change(1, principal="zhang.wei@example.org")])
    assert "zhang" not in str(caught.value) + str(caught.value.details)


def test_events_of_several_parties_share_the_log_and_keep_their_party(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    bed.pipeline.push(origin, OTHER_PARTY, [access(2)])
    parties = [event.party for event in bed.store.events(origin, EventFilter(), None, 10)]
    assert parties == [PARTY, OTHER_PARTY]


def test_invalid_events_take_nothing_and_every_place_is_named(bed: Bed, origin: Origin) -> None:
    bad = [access(1), access(2, phase="later"), change(3, outcome="perhaps", nonsense=1)]
    with pytest.raises(InvalidEvent) as caught:
        bed.pipeline.push(origin, PARTY, bad)
    places = [problem["at"] for problem in caught.value.details["problems"]]
    assert places == ["[1].phase", "[2].data.outcome", "[2].data.nonsense"]
    assert bed.store.head(origin).size == 0


def test_nothing_and_too_much_are_refused(bed: Bed, origin: Origin) -> None:
    with pytest.raises(InvalidEvent, match="nothing to push"):
        bed.pipeline.push(origin, PARTY, [])
    small = bed.restarted(policy=policy(max_push=2))
    with pytest.raises(TooLarge, match="too many events"):
        small.push(origin, PARTY, accesses(range(3)))
    with pytest.raises(TooLarge, match="event 1"):
        bed.pipeline.push(origin, PARTY, [access(1), change(2, reason="x" * 8000, resource="y" * 8000) | {
            "data": {f"m{n}": "x" * 8000 for n in range(40)}}])  # fmt: skip
    assert bed.store.head(origin).size == 0


def test_a_log_that_is_not_there_is_named(bed: Bed) -> None:
    with pytest.raises(NotFound):
        bed.pipeline.push(Origin("ledger.example/nobody"), PARTY, [access(1)])


def test_pushes_from_many_threads_get_positions_without_gap_or_repeat(bed: Bed, origin: Origin) -> None:
    def push(n: int) -> list[int]:
        return positions(bed.push(origin, *range(n * 5, n * 5 + 5)))

    with ThreadPoolExecutor(8) as pool:
        got = [position for result in pool.map(push, range(12)) for position in result]
    assert sorted(got) == list(range(60))
    bed.settle(origin)
    assert_settled(bed.store, bed.chain, origin)


def test_the_same_events_from_many_threads_are_taken_once(bed: Bed, origin: Origin) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: bed.push(origin, 1, 2, 3), range(12)))
    assert bed.store.head(origin).size == 3
    assert len({result.receipts for result in results}) == 1


# --- time -----------------------------------------------------------------------------------------------


def test_a_clock_that_steps_back_a_little_is_held_at_the_logs_time(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    before = bed.clock.now()
    bed.clock.move(-bed.pipeline.policy.clock_tolerance)
    try:
        bed.push(origin, 2)
    finally:
        bed.clock.time = before
    received = [event.received for event in bed.store.scan(origin, Position(0), Position(2))]
    assert received == [before, before]


def test_a_clock_that_steps_back_far_stops_pushes_until_it_is_set_right(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    before = bed.clock.now()
    bed.clock.move(-bed.pipeline.policy.clock_tolerance - 1)
    try:
        with pytest.raises(Unavailable, match="clock is behind"):
            bed.push(origin, 2)
    finally:
        bed.clock.time = before
    assert positions(bed.push(origin, 2)) == [1]


def test_times_of_receipt_and_of_closing_never_run_backwards(bed: Bed, origin: Origin) -> None:
    before = bed.clock.now()
    for n, step in enumerate((0, 1500, -4000, 2500, -1, 700)):
        bed.clock.move(step)
        bed.push(origin, 2 * n, 2 * n + 1)
        bed.pipeline.seal(origin, force=True)
    bed.clock.time = max(before, bed.clock.now())
    received = [event.received for event in bed.store.scan(origin, Position(0), Position(100))]
    assert received == sorted(received)
    headers = [sealed.header for sealed in bed.store.batches(origin, 0, 100)]  # type: ignore[arg-type]
    closed = [header.closed_at for header in headers]
    assert closed == sorted(closed)
    for header in headers:
        assert header.closed_at >= bed.store.event(origin, Position(header.end - 1)).received // 1000
    anchor_all(bed.pipeline, origin)
    assert_settled(bed.store, bed.chain, origin)


# --- batches --------------------------------------------------------------------------------------------


def test_fewer_events_than_a_batch_wait_for_their_age(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1, 2, 3)
    assert bed.pipeline.seal(origin) == []
    bed.clock.move(bed.pipeline.policy.seal_age - 1)
    assert bed.pipeline.seal(origin) == []
    bed.clock.move(1)
    [header] = bed.pipeline.seal(origin)
    assert (header.batch_no, header.first_leaf, header.leaf_count) == (0, 0, 3)


def test_enough_events_are_sealed_at_once_and_the_rest_waits(bed: Bed, origin: Origin) -> None:
    bed.push(origin, *range(10))
    headers = bed.pipeline.seal(origin)
    assert [(h.first_leaf, h.leaf_count) for h in headers] == [(0, 4), (4, 4)]
    assert bed.pipeline.seal(origin) == []
    [last] = bed.pipeline.seal(origin, force=True)
    assert (last.first_leaf, last.leaf_count) == (8, 2)


def test_a_batch_holds_no_more_than_its_cap(bed: Bed, origin: Origin) -> None:
    pipeline = bed.restarted(policy=policy(seal_leaves=2, batch_leaves=5))
    bed.push(origin, *range(12))
    assert [header.leaf_count for header in pipeline.seal(origin)] == [5, 5, 2]


def test_two_that_seal_at_once_close_every_batch_once(bed: Bed, origin: Origin) -> None:
    bed.push(origin, *range(40))
    with ThreadPoolExecutor(4) as pool:
        sealed = [
            h.batch_no
            for headers in pool.map(lambda _: bed.restarted().seal(origin), range(4))
            for h in headers
        ]
    assert sorted(sealed) == list(range(10))
    headers = [sealed.header for sealed in bed.store.batches(origin, 0, 100)]  # type: ignore[arg-type]
    assert [header.first_leaf for header in headers] == list(range(0, 40, 4))


# --- projections ----------------------------------------------------------------------------------------


def test_projections_take_in_what_is_new_and_can_be_made_again(bed: Bed, origin: Origin) -> None:
    bed.push(origin, *range(5))
    assert bed.pipeline.project(origin, step=2) == 5
    assert bed.pipeline.project(origin) == 0
    bed.push(origin, 5, 6)
    assert bed.pipeline.project(origin) == 2
    rows = bed.store.accesses(origin, ViewFilter({}), None, 100)
    assert [row.position for row in rows] == list(range(7))
    assert bed.pipeline.rebuild(origin) == 7
    assert bed.store.accesses(origin, ViewFilter({}), None, 100) == rows


# --- the chain is away ----------------------------------------------------------------------------------


def test_a_chain_that_goes_away_after_the_log_was_held_stops_no_push(bed: Bed, origin: Origin) -> None:
    with wired(bed.node.url) as wire:
        chain = EvmChain(wire.url, bed.chain.contract, timeout=5)
        pipeline = bed.restarted(chain=chain, anchorer=EvmAnchorer(chain, bed.operator_key))
        assert positions(pipeline.push(origin, PARTY, [access(1)])) == [0]
        wire.lose.update({"eth_call", "eth_chainId", "eth_getCode", "eth_estimateGas"})
        assert positions(pipeline.push(origin, PARTY, [access(2)])) == [1]
        pipeline.seal(origin, force=True)
        with pytest.raises(ChainUnavailable):
            pipeline.anchor(origin)
        assert positions(pipeline.push(origin, PARTY, [access(3)])) == [2]
        wire.lose.clear()
        anchor_all(pipeline, origin)
        chain.close()
    assert bed.store.checkpoint(origin) is not None


def test_a_chain_that_was_never_there_takes_no_push(bed: Bed, origin: Origin) -> None:
    with wired(bed.node.url) as wire:
        chain = EvmChain(wire.url, bed.chain.contract, timeout=5)
        wire.lose.add("eth_chainId")
        pipeline = bed.restarted(chain=chain, anchorer=None)
        with pytest.raises(ChainUnavailable):
            pipeline.push(origin, PARTY, [access(1)])
        chain.close()
    assert bed.store.head(origin).size == 0


# --- I6: a store that is not the chain's history --------------------------------------------------------


@pytest.fixture
def restored(ledgers: LedgerMaker, tmp_path: Path) -> Any:
    """A ledger that went on after its backup was taken, and the pipeline of its restored store."""
    with ledgers(tmp_path / "ledger") as bed:
        origin = bed.create_log()
        bed.push(origin, *range(6))
        bed.settle(origin)
        backup = tmp_path / "backup.db"
        copy_database(tmp_path / "ledger" / "ledger.db", backup)
        bed.push(origin, *range(6, 9))
        bed.settle(origin)
        store = open_store(f"sqlite:///{backup}")
        yield bed, origin, bed.restarted(store=store)
        store.close()


FORKS: dict[str, Callable[[Pipeline, Origin], object]] = {
    "push": lambda pipeline, origin: pipeline.push(origin, PARTY, [access(50)]),
    "push of what is there": lambda pipeline, origin: pipeline.push(origin, PARTY, [access(0)]),
    "anchor": lambda pipeline, origin: pipeline.anchor(origin),
}


@pytest.mark.parametrize("what", FORKS)
def test_a_restored_backup_refuses_and_says_so(restored: Any, what: str) -> None:
    _bed, origin, pipeline = restored
    with pytest.raises(
        HistoryForked, match=r"behind the chain.*expected 3 batches.*got 2.*Restore the newest"
    ):
        FORKS[what](pipeline, origin)
    assert pipeline.store.head(origin).size == 6


def test_a_restored_backup_that_grew_as_far_is_still_another_history(restored: Any) -> None:
    """Even a process that never looked, and took other events, cannot get a checkpoint or an anchor for them."""
    bed, origin, pipeline = restored
    pipeline.guard._held.add(origin)
    pipeline.push(origin, PARTY, accesses(range(100, 103)))
    pipeline.seal(origin, force=True)
    signed, anchored = pipeline.store.checkpoints(origin), bed.chain.size_of(log_id(origin))
    with pytest.raises(HistoryForked, match="different batches"):
        pipeline.anchor(origin)
    with pytest.raises(HistoryForked):
        pipeline.push(origin, PARTY, [access(104)])
    assert pipeline.store.checkpoints(origin) == signed
    assert bed.chain.size_of(log_id(origin)) == anchored


def test_the_worker_of_a_restored_backup_says_so_and_goes_on_with_other_logs(restored: Any) -> None:
    _bed, origin, pipeline = restored
    worker = Worker(pipeline, 0.01)
    assert worker.once(force=True) is False
    assert "behind the chain" in worker.failures[f"{origin} anchor"]


def test_the_newest_copy_goes_on(restored: Any) -> None:
    bed, origin, _ = restored
    again = bed.restarted()
    again.push(origin, PARTY, [access(20)])
    again.seal(origin, force=True)
    anchor_all(again, origin)
    assert_settled(bed.store, bed.chain, origin)


# --- the worker -----------------------------------------------------------------------------------------


def test_the_worker_seals_anchors_and_projects_until_it_is_stopped(
    ledgers: LedgerMaker, tmp_path: Path
) -> None:
    with ledgers(tmp_path / "ledger") as bed:
        origin = bed.create_log()
        worker = Worker(bed.pipeline, 0.01)
        worker.start()
        done = threading.Event()
        bed.push(origin, *range(8))
        for _ in range(1500):
            checkpoint = bed.store.checkpoint(origin)
            if checkpoint and checkpoint.size == 2 and bed.store.projected(origin) == 8:
                break
            done.wait(0.02)
        worker.stop()
        worker.stop()
        assert_settled(bed.store, bed.chain, origin)
        assert open_checkpoint(bed.store.checkpoint(origin).note, bed.key(origin)).size == 2  # type: ignore[union-attr]
        assert worker.failures == {}


def test_a_failure_of_one_log_does_not_hold_up_the_others(ledgers: LedgerMaker, tmp_path: Path) -> None:
    with ledgers(tmp_path / "ledger") as bed:
        good, bad = bed.create_log(), bed.create_log()
        for origin in (good, bad):
            bed.push(origin, 1)
        stranger = bed.restarted()
        hold = stranger.guard.hold

        def forked(origin: Origin) -> Any:
            if origin == bad:
                raise HistoryForked("made up")
            return hold(origin)

        stranger.guard.hold = forked  # type: ignore[method-assign]
        worker = Worker(stranger, 0.01)
        assert worker.once(force=True) is False
        assert set(worker.failures) == {f"{bad} anchor"}
        assert bed.store.anchorings(good), "the good one went on"
        assert not bed.store.anchorings(bad)
        stranger.guard.hold = hold  # type: ignore[method-assign]
        assert worker.settle(60) is True
        assert worker.failures == {}
        for origin in (good, bad):
            assert_settled(bed.store, bed.chain, origin)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("gone"), IntegrityError("damaged"), ValueError("a defect")]
)
def test_a_worker_that_could_not_ask_for_the_logs_asks_again_and_forgets_it(
    ledgers: LedgerMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> Any:
        raise error

    with ledgers(tmp_path / "ledger") as bed:
        origin = bed.create_log()
        bed.push(origin, 1)
        worker = Worker(bed.pipeline, 0.01)
        with monkeypatch.context() as patch:
            patch.setattr(bed.store, "logs", fail)
            assert worker.once(force=True) is False
        assert worker.settle(60) is True
        assert worker.failures == {}


def test_settling_waits_for_blocks_but_not_for_ever(ledgers: LedgerMaker, tmp_path: Path) -> None:
    with ledgers(tmp_path / "ledger") as bed:
        origin = bed.create_log()
        bed.push(origin, 1, 2)
        worker = Worker(bed.restarted(), 0.01)
        with bed.node.paused():
            assert worker.settle(0.2) is False
            assert "not finally anchored" in worker.failures[f"{origin} anchor"]
        assert worker.settle(60) is True
        assert_settled(bed.store, bed.chain, origin)
        assert worker.failures == {}


def test_times_of_receipt_stand_in_the_entries(bed: Bed, origin: Origin) -> None:
    bed.push(origin, 1)
    event = bed.store.event(origin, Position(0))
    assert format_time(parse_entry(event.entry).received) == format_time(bed.clock.now())
    assert bed.clock.now() >= START
