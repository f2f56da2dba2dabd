"""Parties' signatures over their pushes, as every `Store` keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic import command
from support.stores import LOG, ORIGIN, OTHER, START, append_some, event, receipt_of, register

from ledger.adapters.sql import open_store
from ledger.adapters.sql import store as store_module
from ledger.adapters.sql.engine import Database
from ledger.adapters.sql.migrate import _config, migrate
from ledger.errors import IntegrityError, NotFound
from ledger.ports import Store
from ledger.records import PushSignature
from ledger.types import Digest, Origin, Position


def signature(first: int, count: int, leaves: int | None = None) -> PushSignature:
    digests = tuple(Digest.of(b"%d %d" % (first, n)) for n in range(count if leaves is None else leaves))
    return PushSignature(Position(first), count, f"push from {first}\n\n— acme sig\n", digests)


def append_signed(store: Store, count: int, leaves: int | None = None) -> PushSignature:
    size = store.head(ORIGIN).size
    events = [event(position) for position in range(size, size + count)]
    kept = signature(size, count, leaves)
    with store.writing(ORIGIN) as transaction:
        transaction.append(events, receipt_of(events))
        transaction.keep_signature(kept)
    return kept


def positions(store: Store, start: int, stop: int) -> list[int]:
    return [kept.first for kept in store.signatures(ORIGIN, Position(start), Position(stop))]


def test_a_signature_is_found_by_every_event_of_its_push_and_by_no_other(store: Store) -> None:
    append_some(store, 2)
    first = append_signed(store, 3, leaves=7)
    append_some(store, 1)
    second = append_signed(store, 1)
    found = [store.signature(ORIGIN, Position(position)) for position in range(9)]
    assert found == [None, None, first, first, first, None, second, None, None]
    assert store.signature(ORIGIN, Position(2**62)) is None
    assert list(store.self_check()) == []


def test_signatures_of_a_span_are_those_that_reach_into_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SIGNATURES_AT_ONCE", 2)
    for count in (3, 1, 2, 3, 1):
        append_signed(store, count)
    append_some(store, 1)
    assert positions(store, 0, 11) == [0, 3, 4, 6, 9]
    assert positions(store, 1, 4) == [0, 3]
    assert positions(store, 3, 4) == [3]
    assert positions(store, 5, 7) == [4, 6]
    assert positions(store, 10, 99) == []
    assert positions(store, 4, 4) == positions(store, 5, 5) == []


def test_a_signature_is_for_the_push_that_was_appended(store: Store) -> None:
    for wrong in (signature(1, 2), signature(0, 3), signature(5, 2)):
        with pytest.raises(IntegrityError), store.writing(ORIGIN) as transaction:
            events = [event(0), event(1)]
            transaction.append(events, receipt_of(events))
            transaction.keep_signature(wrong)
    with pytest.raises(IntegrityError), store.writing(ORIGIN) as transaction:
        transaction.keep_signature(signature(0, 1))
    assert store.head(ORIGIN).size == 0, "nothing of it was kept"


def test_a_log_without_signatures_and_a_log_that_is_not_there(store: Store) -> None:
    store.add_log(OTHER)
    append_signed(store, 1)
    assert store.signature(OTHER.origin, Position(0)) is None
    assert list(store.signatures(OTHER.origin, Position(0), Position(9))) == []
    with pytest.raises(NotFound):
        store.signature(Origin("ledger.example/nowhere"), Position(0))


def test_a_log_that_asks_for_signatures_stays_one(store: Store) -> None:
    strict = replace(OTHER, require_signature=True)
    store.add_log(strict)
    assert store.log(strict.origin) == strict
    assert store.log(ORIGIN) == LOG


def test_a_database_of_before_signatures_is_brought_along(empty_url: str) -> None:
    migrate(empty_url)
    database, config = Database(empty_url), _config()
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    database.close()
    engine = sa.create_engine(empty_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        assert "push_signatures" not in sa.inspect(connection).get_table_names()
    engine.dispose()
    store = open_store(empty_url)
    register(store)
    append_signed(store, 2)
    store.close()
    database = Database(empty_url)
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
    database.close()
    store = open_store(empty_url)
    assert store.log(ORIGIN) == LOG
    assert store.head(ORIGIN).size == 2
    assert list(store.self_check()) == [], "the logs carry the digests of their new rows"
    assert store.event(ORIGIN, Position(1)).received == START + 1
    store.close()
