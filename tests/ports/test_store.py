"""What every `Store` promises (`ledger.ports`), on each database."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from support.stores import (
    ACME,
    LOG,
    ORIGIN,
    OTHER,
    START,
    append,
    append_some,
    attempt,
    event,
    next_batch,
    push_many,
    receipt_of,
    register,
    seal,
)

from ledger.adapters.sql import open_store
from ledger.entry import Phase
from ledger.errors import AlreadyExists, IntegrityError, NotFound
from ledger.ports import Store
from ledger.records import (
    ApiKey,
    ConflictAttempt,
    EventFilter,
    LogHead,
    Scope,
    StoredCheckpoint,
    StoredReceipt,
)
from ledger.types import BatchNo, Digest, Origin, PartyId, Position

NOWHERE = Origin("ledger.example/nowhere")
KEY = ApiKey("k1", Digest.of(b"secret"), ACME.id, ORIGIN, frozenset({Scope.PUSH, Scope.READ}), START)


# --- Registers -----------------------------------------------------------------------------------------------------


def test_what_is_registered_is_found_and_listed(store: Store) -> None:
    store.add_log(OTHER)
    store.add_api_key(KEY)
    assert store.party(ACME.id) == ACME
    assert store.log(ORIGIN) == LOG
    assert store.api_key("k1") == KEY
    assert (store.parties(), store.logs(), store.api_keys()) == ([ACME], [LOG, OTHER], [KEY])


def test_registering_the_same_again_changes_nothing(store: Store) -> None:
    append_some(store, 2)
    for _ in range(2):
        store.add_party(ACME)
        store.add_log(LOG)
        store.add_api_key(KEY)
    assert (store.parties(), store.logs(), store.api_keys()) == ([ACME], [LOG], [KEY])
    assert store.head(ORIGIN).size == 2


def test_registering_another_under_the_same_name_is_refused(store: Store) -> None:
    store.add_api_key(KEY)
    with pytest.raises(AlreadyExists):
        store.add_party(replace(ACME, country="SG"))
    with pytest.raises(AlreadyExists):
        store.add_log(replace(LOG, verifier_key="another"))
    with pytest.raises(AlreadyExists):
        store.add_api_key(replace(KEY, scopes=frozenset({Scope.DISCLOSE})))
    assert (store.party(ACME.id), store.log(ORIGIN), store.api_key("k1")) == (ACME, LOG, KEY)


def test_what_was_never_registered_is_not_found(store: Store) -> None:
    nobody = PartyId("nobody")
    for ask in (
        lambda: store.party(nobody),
        lambda: store.log(NOWHERE),
        lambda: store.api_key("x\x00\ud800\\"),
        lambda: store.revoke_api_key("k9", START),
        lambda: store.add_log(replace(LOG, origin=NOWHERE, party=nobody)),
        lambda: store.add_api_key(replace(KEY, party=nobody)),
        lambda: store.add_api_key(replace(KEY, origin=NOWHERE)),
        lambda: store.head(NOWHERE),
        lambda: list(store.scan(NOWHERE, Position(0), Position(1))),
        lambda: store.writing(NOWHERE).__enter__(),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_name_may_hold_any_character(store: Store) -> None:
    odd = replace(ACME, id=PartyId("odd"), name="a\x00b\\0000 \\ 'quoted' 名")
    store.add_party(odd)
    store.add_party(odd)
    assert store.party(odd.id) == odd


def test_an_api_key_is_revoked_once(store: Store) -> None:
    store.add_api_key(KEY)
    store.revoke_api_key("k1", START + 1)
    store.revoke_api_key("k1", START + 2)
    assert store.api_key("k1") == replace(KEY, revoked=START + 1)
    assert list(store.self_check()) == []


# --- Appending -----------------------------------------------------------------------------------------------------


def test_a_new_log_is_empty(store: Store) -> None:
    assert store.head(ORIGIN) == LogHead(Position(0), 0, BatchNo(0), Position(0), 0)
    assert store.events(ORIGIN, EventFilter(), None, 10) == []
    assert store.checkpoint(ORIGIN) is None
    assert store.batch_at(ORIGIN, Position(0)) is None
    assert list(store.receipts(ORIGIN)) == list(store.scan_nodes(ORIGIN)) == []


def test_an_appended_event_comes_back_as_it_was(store: Store) -> None:
    event_ = event(0, entry=b"\xff\xfe\x00 not even text", time=-1)
    bare = event(1, disclosures=())
    append(store, event_, bare)
    assert store.event(ORIGIN, Position(0)) == event_
    assert list(store.scan(ORIGIN, Position(0), Position(2))) == [event_, bare]
    with store.writing(ORIGIN) as transaction:
        assert transaction.find([bare.key, Digest.of(b"no event"), event_.key]) == {
            event_.key: event_,
            bare.key: bare,
        }
        assert transaction.received(Position(1)) == bare.received
        with pytest.raises(NotFound):
            transaction.received(Position(2))


@pytest.mark.parametrize("position", [-1, 1, 2**63, 2**70])
def test_an_event_that_is_not_there_is_not_found(store: Store, position: int) -> None:
    append_some(store, 1)
    with pytest.raises(NotFound):
        store.event(ORIGIN, Position(position))
    with pytest.raises(NotFound):
        store.receipt(ORIGIN, Position(position))


def test_the_head_follows_what_is_appended(store: Store) -> None:
    append_some(store, 3)
    last = append_some(store, 2)[-1]
    with store.writing(ORIGIN) as transaction:
        assert (
            transaction.head
            == store.head(ORIGIN)
            == LogHead(Position(5), last.received, BatchNo(0), Position(0), 0)
        )
    store.add_log(OTHER)
    assert store.head(OTHER.origin).size == 0


def test_a_transaction_sees_what_it_wrote_and_others_do_not_before_its_end(store: Store) -> None:
    with store.writing(ORIGIN) as transaction:
        mine = event(0)
        transaction.append([mine], receipt_of([mine]))
        assert transaction.find([mine.key]) == {mine.key: mine}
        assert transaction.leaves(Position(0), Position(1)) == [mine.leaf]
        assert transaction.head.size == store.head(ORIGIN).size == 0
        assert store.events(ORIGIN, EventFilter(), None, 1) == []
    assert store.head(ORIGIN).size == 1


def test_an_exception_rolls_everything_back(store: Store) -> None:
    append_some(store, 1)
    before = store.head(ORIGIN)
    with pytest.raises(KeyError), store.writing(ORIGIN) as transaction:
        transaction.append([event(1)], receipt_of([event(1)]))
        transaction.keep_conflicts([ConflictAttempt(Position(0), b"x", (), START)])
        transaction.add_batch(*next_batch(transaction, 1))
        transaction.save_anchoring(attempt(0))
        transaction.add_checkpoint(StoredCheckpoint(1, "note"))
        raise KeyError
    assert store.head(ORIGIN) == before
    assert [it.position for it in store.scan(ORIGIN, Position(0), Position(9))] == [0]
    assert store.conflicts(ORIGIN) == store.anchorings(ORIGIN) == store.checkpoints(ORIGIN) == []
    assert store.batches(ORIGIN, BatchNo(0), BatchNo(9)) == list(store.scan_nodes(ORIGIN)) == []
    assert len(list(store.receipts(ORIGIN))) == 1
    append_some(store, 1)
    assert list(store.self_check()) == []


@pytest.mark.parametrize("positions", [[1], [0, 2], [0, 0], [1, 0]])
def test_positions_that_do_not_follow_are_refused(store: Store, positions: list[int]) -> None:
    events = [event(position, key=Digest.of(b"%d" % n)) for n, position in enumerate(positions)]
    with pytest.raises(IntegrityError, match="gap or repeat"):
        append(store, *events)
    assert store.head(ORIGIN).size == 0


def test_a_receipt_for_other_events_is_refused(store: Store) -> None:
    for receipt in (StoredReceipt(Position(1), 1, "n"), StoredReceipt(Position(0), 2, "n")):
        with pytest.raises(IntegrityError, match="receipt"), store.writing(ORIGIN) as transaction:
            transaction.append([event(0)], receipt)


def test_a_key_that_is_there_is_refused_in_this_log_only(store: Store) -> None:
    store.add_log(OTHER)
    append_some(store, 1)
    append_some(store, 1, OTHER.origin)
    with pytest.raises(IntegrityError):
        append(store, event(1), event(2, key=event(0).key))
    assert store.head(ORIGIN).size == 1


def test_a_block_that_swallows_a_failed_write_still_does_not_commit(store: Store) -> None:
    append_some(store, 1)
    events = [event(1), event(2, key=event(0).key)]
    with pytest.raises(IntegrityError), store.writing(ORIGIN) as transaction, suppress(IntegrityError):
        transaction.append(events, receipt_of(events))
    assert list(store.scan(ORIGIN, Position(1), Position(3))) == []
    assert list(store.self_check()) == []


def test_a_second_append_in_one_block_is_refused(store: Store) -> None:
    with pytest.raises(IntegrityError), store.writing(ORIGIN) as transaction:
        for position in range(2):
            transaction.append([event(position)], receipt_of([event(position)]))
    assert store.head(ORIGIN).size == 0


def test_positions_have_no_gaps_when_several_processes_push(url: str, store: Store) -> None:
    workers, pushes = 4, 25
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=push_many, args=(url, pushes, worker)) for worker in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * workers
    events = list(store.scan(ORIGIN, Position(0), Position(10**6)))
    assert [it.position for it in events] == list(range(workers * pushes))
    assert len({it.key for it in events}) == workers * pushes
    for worker in range(workers):
        assert len(store.events(ORIGIN, EventFilter(subject=f"worker-{worker}"), None, 1000)) == pushes
    assert list(store.self_check()) == []


def test_positions_have_no_gaps_when_several_threads_push_to_several_logs(url: str, store: Store) -> None:
    store.add_log(OTHER)
    with ThreadPoolExecutor(8) as pool:
        for origin in (ORIGIN, OTHER.origin) * 20:
            pool.submit(_push_one, store, origin)
    for origin in (ORIGIN, OTHER.origin):
        assert [it.position for it in store.scan(origin, Position(0), Position(99))] == list(range(20))


def _push_one(store: Store, origin: Origin) -> None:
    with store.writing(origin) as transaction:
        mine = event(transaction.head.size)
        transaction.append([mine], receipt_of([mine]))


def test_reading_does_not_wait_for_a_writer(store: Store) -> None:
    append_some(store, 1)
    with store.writing(ORIGIN), ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.head, ORIGIN).result(timeout=5).size == 1


def test_a_writer_waits_for_the_writer_before_it(store: Store) -> None:
    entered, order = threading.Event(), []

    def second() -> None:
        with store.writing(ORIGIN) as transaction:
            order.append(transaction.head.size)

    with ThreadPoolExecutor(1) as pool:
        with store.writing(ORIGIN) as transaction:
            waiting = pool.submit(lambda: (entered.set(), second()))
            entered.wait()
            transaction.append([event(0)], receipt_of([event(0)]))
        waiting.result(timeout=10)
    assert order == [1]


# --- Reading -------------------------------------------------------------------------------------------------------


def _mixed(store: Store) -> None:
    phases = list(Phase)
    append(
        store,
        *(
            event(
                n,
                type=f"transfer-ledger.{'hop' if n % 2 else 'access'}.v1",
                phase=phases[n % 3],
                subject=f"live-{n % 4}",
                party=PartyId("cdn" if n % 5 == 0 else "acme"),
                time=START + n * 100,
            )
            for n in range(60)
        ),
    )


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (EventFilter(), list(range(60))),
        (EventFilter(type="transfer-ledger.hop.v1"), list(range(1, 60, 2))),
        (EventFilter(phase=Phase.STORAGE), list(range(2, 60, 3))),
        (EventFilter(subject="live-3"), list(range(3, 60, 4))),
        (EventFilter(party=PartyId("cdn")), list(range(0, 60, 5))),
        (EventFilter(since=START + 5500), [55, 56, 57, 58, 59]),
        (EventFilter(until=START + 200), [0, 1]),
        (
            EventFilter(type="transfer-ledger.hop.v1", phase=Phase.BEFORE, subject="live-1"),
            [9, 21, 33, 45, 57],
        ),
        (EventFilter(subject="live-0", since=START + 1000, until=START + 2000), [12, 16]),
        (EventFilter(subject="no such\x00subject"), []),
        (EventFilter(since=-(2**70), until=2**70), list(range(60))),
    ],
)
def test_events_are_listed_by_what_they_are(store: Store, which: EventFilter, expected: list[int]) -> None:
    _mixed(store)
    assert [it.position for it in store.events(ORIGIN, which, None, 1000)] == expected


def test_events_are_listed_page_by_page(store: Store) -> None:
    _mixed(store)
    which, after, seen = EventFilter(phase=Phase.TRANSIT), None, []
    while page := store.events(ORIGIN, which, after, 7):
        assert len(page) <= 7
        seen += [it.position for it in page]
        after = page[-1].position
    assert seen == list(range(1, 60, 3))
    assert store.events(ORIGIN, which, None, 0) == store.events(ORIGIN, which, Position(2**70), 5) == []


def test_a_scan_is_in_order_and_whole(store: Store) -> None:
    events = append_some(store, 450) + append_some(store, 1)
    assert list(store.scan(ORIGIN, Position(0), Position(451))) == events
    assert list(store.scan(ORIGIN, Position(199), Position(402))) == events[199:402]
    assert list(store.scan(ORIGIN, Position(5), Position(5))) == []
    assert store.leaves(ORIGIN, Position(449), Position(451)) == [it.leaf for it in events[449:]]


def test_a_scan_may_be_left_and_written_beside(store: Store) -> None:
    append_some(store, 450)
    scan = store.scan(ORIGIN, Position(0), Position(450))
    assert next(scan).position == 0
    append_some(store, 1)
    assert next(scan).position == 1


def test_leaves_that_are_not_there_are_not_passed_over(store: Store) -> None:
    append_some(store, 2)
    with pytest.raises(IntegrityError):
        store.leaves(ORIGIN, Position(0), Position(3))


def test_each_position_has_its_receipt(store: Store) -> None:
    pushes = [append_some(store, count) for count in (1, 3, 2)]
    receipts = [receipt_of(push) for push in pushes]
    assert list(store.receipts(ORIGIN)) == receipts
    assert [store.receipt(ORIGIN, Position(n)) for n in range(6)] == [receipts[n] for n in (0, 1, 1, 1, 2, 2)]


def test_conflicts_are_kept_in_the_order_they_came(store: Store) -> None:
    append_some(store, 2)
    attempts = [
        ConflictAttempt(Position(n % 2), b'{"other":%d}' % n, event(n).disclosures[: n % 3], START + n)
        for n in range(5)
    ]
    for some in (attempts[:2], [], attempts[2:]):
        with store.writing(ORIGIN) as transaction:
            transaction.keep_conflicts(some)
    assert store.conflicts(ORIGIN) == attempts


# --- The whole -----------------------------------------------------------------------------------------------------


def test_a_store_that_is_opened_again_is_the_same(url: str, store: Store) -> None:
    seal(store, 2)
    again = open_store(url)
    try:
        register(again)
        assert again.head(ORIGIN) == store.head(ORIGIN)
        assert list(again.scan(ORIGIN, Position(0), Position(2))) == list(
            store.scan(ORIGIN, Position(0), Position(2))
        )
        assert list(again.self_check()) == []
    finally:
        again.close()
