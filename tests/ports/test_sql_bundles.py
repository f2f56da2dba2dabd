"""Entries in bundles: what is written together is read apart, whatever its size, and nothing else is taken for it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from random import Random
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from support.events import committed
from support.stores import ORIGIN, START, append, append_some, event, receipt_of

from ledger.adapters.sql import SqlStore, bundles
from ledger.adapters.sql.bundles import BYTES, MOST, _spans
from ledger.adapters.sql.packing import pack, unpack
from ledger.adapters.sql.squeeze import MOST as LIMIT
from ledger.adapters.sql.squeeze import squeeze, unsqueeze
from ledger.doctor import Doctor
from ledger.entry import event_time
from ledger.errors import IntegrityError
from ledger.merkle import leaf_hash, leaf_hashes
from ledger.records import Committed, EventFilter, StoredReceipt
from ledger.scenario import scenario
from ledger.types import Origin, Position

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
    events[2] = events[2]._replace(disclosures=())
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


@pytest.mark.parametrize(
    ("count", "leaves", "entries", "packed"),
    [
        (1, b"l" * 32, 5, None),
        (1, b"l" * 32, None, None),
        (1, b"l" * 32, pack([b"e"]), "text"),
        (1, None, pack([b"e"]), None),
        ("1", b"l" * 32, pack([b"e"]), None),
        (10**12, b"l" * 32, pack([b"e"]), None),
        (1.0, b"l" * 32, pack([b"e"]), None),
    ],
)
def test_values_of_other_types_are_an_error_of_ours(
    count: Any, leaves: Any, entries: Any, packed: Any
) -> None:
    with pytest.raises(IntegrityError, match="stored events cannot be read: got the bundle of 0"):
        bundles._read(cast(Any, (0, count, leaves, entries, packed)))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE bundles SET leaves = (SELECT leaves FROM bundles WHERE first = 0) WHERE first = 64",
        "UPDATE bundles SET leaves = :short WHERE first = 0",
        "UPDATE bundles SET count = 63 WHERE first = 0",
        "UPDATE bundles SET count = 63, leaves = :less WHERE first = 0",
        "UPDATE bundles SET count = 65, leaves = :more WHERE first = 0",
        "UPDATE bundles SET count = 0, leaves = :none WHERE first = 0",
    ],
    ids=["twice as many", "short of a byte", "a smaller count", "one less", "one more", "none"],
)
def test_leaves_of_bundles_that_do_not_tile_are_never_sealed(store: SqlStore, change: str) -> None:
    append_some(store, MOST)
    append_some(store, MOST // 2)
    values = {
        "short": bytes(32 * MOST - 1),
        "less": bytes(32 * (MOST - 1)),
        "more": bytes(32 * (MOST + 1)),
        "none": b"",
    }
    run(store, "DELETE FROM bundle_disclosures")
    run(store, change, **{name: value for name, value in values.items() if f":{name}" in change})
    with pytest.raises(IntegrityError, match=r"stored leaf hashes cannot be read|leaves are missing"):
        store.leaves(ORIGIN, Position(0), Position(MOST + MOST // 2))


def test_what_would_not_fit_into_memory_is_not_unpacked() -> None:
    small = squeeze(bytes(LIMIT + 1))
    assert len(small) < LIMIT // 1000
    with pytest.raises(ValueError, match="too many"):
        unsqueeze(small)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    with pytest.raises(ValueError, match="cut short"):
        unsqueeze(b"\x01" + deflate.compress(bytes(LIMIT + 1)) + deflate.flush())


def test_other_numbers_of_parts_than_of_events_are_refused(store: SqlStore) -> None:
    receipt = StoredReceipt(Position(0), 2, "receipt\n")
    with pytest.raises(ValueError, match="than events"), store.writing(ORIGIN) as transaction:
        transaction.append_entries([bytes(32)], [b"one", b"two"], [b"", b""], receipt)
    assert store.head(ORIGIN).size == 0


# --- What the doctor says ----------------------------------------------------------------------------------------


@pytest.fixture
def real(store: SqlStore) -> list[Committed]:
    """Three bundles of events whose entries are entries."""
    times = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
    events = committed(scenario(1, 3 * MOST, *times), received=START)[: 3 * MOST]
    append(store, *events)
    assert of_entries(store) == []
    return events


def of_entries(store: SqlStore) -> list[tuple[str, str]]:
    return [
        (it.place.removeprefix(f"{ORIGIN} "), it.problem)
        for it in Doctor(store, None).examine()
        if it.check == "entries"
    ]


@pytest.mark.parametrize(
    "table, column, key", [("bundles", "entries", "first"), ("bundle_disclosures", "packed", "bundle")]
)
def test_events_of_a_damaged_bundle_are_named_and_what_follows_is_read(
    store: SqlStore, real: list[Committed], table: str, column: str, key: str
) -> None:
    firsts = sorted(int(str(first)) for (first,) in rows(store, "SELECT first FROM bundles"))
    start, stop = firsts[1], firsts[2]
    run(store, f"UPDATE {table} SET {column} = :junk WHERE {key} = :first", junk=b"\x05", first=start)
    run(store, "UPDATE events SET received = received + 1 WHERE position = :at", at=len(real) - 1)
    assert of_entries(store) == [
        (f"positions {start} to {stop - 1}", "stored events cannot be read"),
        (f"position {len(real) - 1}", "the columns are not what the entry says"),
    ]


@pytest.mark.parametrize("size", [3 * MOST + 1, 10**15])
def test_events_that_a_head_only_says_to_be_there_are_missing(
    store: SqlStore, real: list[Committed], size: int
) -> None:
    run(store, "UPDATE heads SET size = :size", size=size)
    span = f"position {len(real)}" if size == len(real) + 1 else f"positions {len(real)} to {size - 1}"
    found = of_entries(store)
    assert found[-1][1] == "missing, though the log's head counts it"
    assert found[0][0].split()[1] == span.split()[1]
    assert found[-1][0].split()[-1] == span.split()[-1]


def test_an_event_that_is_gone_is_missing(store: SqlStore, real: list[Committed]) -> None:
    run(store, "DELETE FROM events WHERE position IN (3, 4, 9)")
    assert of_entries(store) == [
        ("positions 3 to 4", "missing, though the log's head counts it"),
        ("position 9", "missing, though the log's head counts it"),
    ]


def test_a_row_that_is_found_at_a_place_of_an_earlier_one_does_not_send_the_doctor_back(
    store: SqlStore, real: list[Committed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a damaged tree of pages, where what follows a position may be before it."""
    scan, size = store.scan, 1000

    def scattered(origin: Origin, start: Position, stop: Position) -> Iterator[Committed]:
        return iter(real[4:5]) if start > len(real) else scan(origin, start, stop)

    run(store, "UPDATE heads SET size = :size", size=size)
    monkeypatch.setattr(store, "scan", scattered)
    spans = [place.split()[1:] for place, _ in of_entries(store)]
    assert spans[0][0] == str(len(real))
    assert spans[-1][-1] == str(size - 1)
    assert [int(one[-1]) + 1 for one in spans[:-1]] == [int(one[0]) for one in spans[1:]]


def test_what_is_wrong_is_told_in_order_of_position(store: SqlStore, real: list[Committed]) -> None:
    run(store, "UPDATE events SET received = received + 1 WHERE position IN (5, 7)")
    run(store, "DELETE FROM events WHERE position = 6")
    places = [place for place, _ in of_entries(store)]
    assert places == sorted(places, key=lambda place: int(place.split()[1]))
    assert {"position 5", "position 6", "position 7"} <= {*places}
