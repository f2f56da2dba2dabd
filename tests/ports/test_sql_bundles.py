"""Entries in bundles: what is written together is read apart, whatever its size, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from support.stores import ORIGIN, append, append_some, event, receipt_of

from ledger.adapters.sql import SqlStore, bundles
from ledger.adapters.sql.bundles import BYTES, MOST, _spans
from ledger.adapters.sql.packing import pack, unpack
from ledger.errors import IntegrityError
from ledger.merkle import leaf_hash, leaf_hashes
from ledger.records import Committed, EventFilter, StoredReceipt
from ledger.types import Position

PUSHES = (1, MOST - 1, MOST, MOST + 1, 3, 3 * MOST + 5)


def run(store: SqlStore, statement: str, **values: object) -> None:
    with store._database.writing() as connection:
        connection.execute(sa.text(statement), values)


def rows(store: SqlStore, statement: str) -> list[tuple[object, ...]]:
    with store._database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement))]


def large(position: int, size: int) -> Committed:
    entry = Random(position).randbytes(size)
    return event(position, entry=entry, leaf=leaf_hash(entry))


@given(st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2 * BYTES)), max_size=3 * MOST))
def test_bundles_tile_what_is_appended_and_stay_small(sizes: list[int]) -> None:
    spans = list(_spans(sizes))
    assert [n for start, stop in spans for n in range(start, stop)] == list(range(len(sizes)))
    for start, stop in spans:
        assert 0 < stop - start <= MOST
        assert stop - start == 1 or sum(sizes[start:stop]) <= BYTES
    for start, stop in spans[:-1]:
        assert stop - start == MOST or sum(sizes[start : stop + 1]) > BYTES, "one more would have had room"


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_packed_items_come_back(items: list[bytes]) -> None:
    assert unpack(pack(items), len(items)) == items


@pytest.mark.parametrize("count", [0, 1, 3])
def test_packed_items_are_as_many_as_is_said(count: int) -> None:
    with pytest.raises(ValueError, match="packed items"):
        unpack(pack([b"one", b"two"]), count)


def test_events_come_back_whatever_they_were_bundled_with(store: SqlStore) -> None:
    events = [one for count in PUSHES for one in append_some(store, count)]
    sizes = [100, BYTES // 2, BYTES // 2 + 1, BYTES + 1, 200, 3 * BYTES]
    more = [large(position, size) for position, size in enumerate(sizes, len(events))]
    append(store, *more)
    events += more
    size = len(events)
    assert list(store.scan(ORIGIN, Position(0), Position(size))) == events
    assert store.events(ORIGIN, EventFilter(), Position(MOST // 2), size) == events[MOST // 2 + 1 :]
    for position in (0, 1, MOST - 1, MOST, size - 1, size - 3):
        assert store.event(ORIGIN, Position(position)) == events[position]
    some = [Position(n) for n in Random(1).sample(range(size), 40)]
    assert store.events_at(ORIGIN, some) == [events[n] for n in sorted(some)]
    with store.writing(ORIGIN) as transaction:
        assert transaction.find([events[MOST].key, events[3].key]) == {
            it.key: it for it in (events[MOST], events[3])
        }
    assert list(store.self_check()) == []


def test_leaves_of_any_positions(store: SqlStore) -> None:
    leaves = [bytes(one.leaf) for count in PUSHES for one in append_some(store, count)]
    draw = Random(2)
    for _ in range(60):
        start, stop = sorted(draw.choices(range(len(leaves) + 1), k=2))
        assert store.leaves(ORIGIN, Position(start), Position(stop)) == leaves[start:stop]
    with pytest.raises(IntegrityError, match="leaves are missing"):
        store.leaves(ORIGIN, Position(0), Position(len(leaves) + 1))


def test_a_push_is_a_few_rows(store: SqlStore) -> None:
    append_some(store, 1000)
    [(count, most)] = rows(store, "SELECT count(*), max(count) FROM bundles")
    assert (count, most) == (-(-1000 // MOST), MOST)
    assert rows(store, "SELECT count(*) FROM bundle_disclosures") == [(count,)]


def test_entries_alone_are_found_by_their_position_only(store: SqlStore) -> None:
    entries = [b"opaque %d" % n for n in range(MOST + 1)]
    leaves = leaf_hashes(entries)
    with store.writing(ORIGIN) as transaction:
        receipt = StoredReceipt(Position(0), len(entries), "receipt\n")
        firsts = transaction.append_entries(leaves, entries, [b""] * len(entries), receipt)
    assert firsts == [0] * MOST + [MOST]
    assert store.leaves(ORIGIN, Position(0), Position(len(entries))) == leaves
    assert store.head(ORIGIN).size == len(entries)
    assert rows(store, "SELECT count(*) FROM events") == [(0,)]
    with store._database.reading() as connection:
        found = {n.first: list(n.entries) for n in bundles.read(connection, 1, [0, MOST, 5])}
    assert found == {0: entries[:MOST], MOST: entries[MOST:]}


def test_disclosures_of_one_event_are_erased_from_among_others(store: SqlStore) -> None:
    events = append_some(store, 5)
    [(packed,)] = rows(store, "SELECT packed FROM bundle_disclosures")
    assert isinstance(packed, bytes)
    left = unpack(packed, 5)
    left[2] = b""
    run(store, "UPDATE bundle_disclosures SET packed = :packed", packed=pack(left))
    events[2] = replace(events[2], disclosures=())
    assert list(store.scan(ORIGIN, Position(0), Position(5))) == events
    run(store, "DELETE FROM bundle_disclosures")
    assert [one.disclosures for one in store.scan(ORIGIN, Position(0), Position(5))] == [()] * 5


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE bundles SET count = 4 WHERE first = 5", "the bundle of position 5 is not the next one"),
        ("UPDATE bundles SET count = 6 WHERE first = 5", "the bundle of position 5 is not the next one"),
        ("UPDATE bundles SET leaves = :none WHERE first = 5", "the bundle of position 5 is not the next"),
        ("UPDATE bundles SET first = 6 WHERE first = 5", "the bundle of position 6 is not the next one"),
        ("DELETE FROM bundles WHERE first = 10", "its bundles end before position 10"),
        ("UPDATE events SET bundle = 0 WHERE position = 7", "the event at position 7 lacks its entry"),
        ("UPDATE events SET bundle = 10 WHERE position = 7", "the event at position 7 lacks its entry"),
        ("UPDATE events SET log = 2 WHERE position = 7", "log 2: the event at position 7 lacks its entry"),
    ],
)
def test_bundles_that_do_not_tile_the_log_are_noticed(store: SqlStore, change: str, problem: str) -> None:
    for _ in range(3):
        append_some(store, 5)
    run(store, "DELETE FROM bundle_disclosures")
    run(store, change, **({"none": b""} if ":none" in change else {}))
    found = list(store.self_check())
    assert any(problem in line for line in found), found


@pytest.mark.parametrize(
    ("change", "values"),
    [
        ("UPDATE bundles SET leaves = :it WHERE first = 5", {"it": b"short"}),
        ("UPDATE bundles SET count = 4 WHERE first = 5", {}),
        ("UPDATE bundles SET entries = :it WHERE first = 5", {"it": pack([b"one"])}),
        ("UPDATE bundles SET entries = :it WHERE first = 5", {"it": b"\x00\x00"}),
        ("UPDATE bundle_disclosures SET packed = :it WHERE bundle = 5", {"it": b"\x05"}),
        ("UPDATE bundle_disclosures SET packed = :it WHERE bundle = 5", {"it": pack([b""] * 6)}),
    ],
)
def test_a_bundle_that_cannot_be_read_is_an_error_of_ours(
    store: SqlStore, change: str, values: dict[str, bytes]
) -> None:
    append_some(store, 5)
    append_some(store, 5)
    run(store, change, **values)
    with pytest.raises(IntegrityError, match="stored events cannot be read: got the bundle of 5"):
        store.event(ORIGIN, Position(7))
    assert store.event(ORIGIN, Position(4)) == event(4)


def test_an_event_of_no_bundle_is_not_passed_over(store: SqlStore) -> None:
    append_some(store, 5)
    run(store, "UPDATE events SET bundle = 3 WHERE position = 2")
    with pytest.raises(IntegrityError, match="a stored event cannot be read: got the row of 2"):
        store.events(ORIGIN, EventFilter(), None, 10)


def test_a_second_append_in_one_block_is_refused(store: SqlStore) -> None:
    first, second = event(0), event(1)
    with pytest.raises(IntegrityError, match="a second append"), store.writing(ORIGIN) as transaction:
        transaction.append([first], receipt_of([first]))
        transaction.append([second], receipt_of([second]))
    assert store.head(ORIGIN).size == 0
