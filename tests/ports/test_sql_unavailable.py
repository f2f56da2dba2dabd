"""A database that is away, locked, read-only, full or no database is `StoreUnavailable`, and nothing was changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from support.postgres import running_postgres
from support.stores import ACME, ORIGIN, append_some, event, receipt_of, register, seal

from ledger.adapters.sql import SqlStore, open_store
from ledger.errors import StoreUnavailable
from ledger.types import PartyId, Position


@pytest.fixture
def file_store(sqlite_url: str) -> Iterator[SqlStore]:
    store = open_store(sqlite_url, patience=0.2)
    register(store)
    append_some(store, 3)
    yield store
    store.close()


def _path(url: str) -> str:
    return str(sa.make_url(url).database)


def test_a_read_only_file_can_be_read_and_not_written(sqlite_url: str, file_store: SqlStore) -> None:
    store = open_store(f"sqlite:///file:{_path(sqlite_url)}?mode=ro&uri=true")
    assert store.head(ORIGIN).size == 3
    assert list(store.self_check()) == []
    with pytest.raises(StoreUnavailable, match="check their permissions"):
        append_some(store, 1)
    with pytest.raises(StoreUnavailable, match="check their permissions"):
        store.add_party(replace(ACME, id=PartyId("new")))
    store.close()


@pytest.mark.parametrize("path", ["/proc/no/such/folder/ledger.db", "/dev/null/ledger.db", "{folder}"])
def test_a_file_that_cannot_be_made_is_unavailable(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"[Cc]heck that"):
        open_store(f"sqlite:///{path.format(folder=tmp_path)}")


@pytest.mark.parametrize(
    "content",
    [b"no database at all, " * 100, b"SQLite format 3\x00" + b"\xff" * 4000, b"SQLite format 3\x00"],
)
def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="the database file is damaged"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_file_that_is_cut_short_is_unavailable_or_has_problems(
    sqlite_url: str, file_store: SqlStore
) -> None:
    file_store.close()
    path = Path(_path(sqlite_url))
    whole = path.read_bytes()
    for length in (len(whole) // 2, 8192 * 3, 5000, 100):
        path.write_bytes(whole[:length])
        try:
            store = open_store(sqlite_url)
        except StoreUnavailable:
            continue
        assert list(store.self_check())
        store.close()


def test_a_file_that_another_process_holds_is_unavailable_after_a_while(
    sqlite_url: str, file_store: SqlStore
) -> None:
    other = sqlite3.connect(_path(sqlite_url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="Another process is writing for too long"):
        append_some(file_store, 1)
    assert file_store.head(ORIGIN).size == 3
    other.execute("ROLLBACK")
    append_some(file_store, 1)
    other.close()


def test_a_thread_that_holds_the_log_makes_others_unavailable_after_a_while(file_store: SqlStore) -> None:
    with (
        file_store.writing(ORIGIN),
        pytest.raises(StoreUnavailable, match="another thread is writing for too long"),
    ):
        append_some(file_store, 1)
    append_some(file_store, 1)


def test_a_full_disk_is_unavailable_and_changes_nothing(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    register(store)
    append_some(store, 1)
    engine = store._database._engine

    @sa.event.listens_for(engine, "checkout")
    def limit(driver: sqlite3.Connection, _record: object, _proxy: object) -> None:
        (pages,) = driver.execute("PRAGMA page_count").fetchone()
        driver.execute(f"PRAGMA max_page_count={pages + 3}")

    big = [event(n, entry=Random(n).randbytes(10**5)) for n in range(1, 4)]
    with pytest.raises(StoreUnavailable, match="Free some disk space"), store.writing(ORIGIN) as transaction:
        transaction.append(big, receipt_of(big))
    sa.event.remove(engine, "checkout", limit)
    assert store.head(ORIGIN).size == 1
    engine.dispose()
    append_some(store, 1)
    assert list(store.self_check()) == []
    store.close()


def test_a_session_that_postgresql_ends_is_told_as_what_ended_it() -> None:
    with running_postgres() as url:
        store = open_store(url, patience=2)
        register(store)
        for count in (1, 3):  # one row is inserted, more are copied
            events = [event(number) for number in range(count)]
            with (
                pytest.raises(StoreUnavailable, match="The server is stopping or starting"),
                store.writing(ORIGIN) as transaction,
            ):
                _terminate_others(url)
                transaction.append(events, receipt_of(events))
        append_some(store, 2)
        assert store.head(ORIGIN).size == 2
        store.close()


def test_postgresql_that_stops_is_unavailable() -> None:
    with running_postgres() as url:
        store = open_store(url, patience=2)
        register(store)
        with pytest.raises(StoreUnavailable), store.writing(ORIGIN) as transaction:
            transaction.append([event(0)], receipt_of([event(0)]))
            _terminate_others(url)
        assert store.head(ORIGIN).size == 0
        _terminate_others(url)
        assert store.party(ACME.id) == ACME, "a connection that was lost between calls is made anew"
    for call in (
        lambda: store.head(ORIGIN),
        lambda: append_some(store, 1),
        lambda: list(store.scan(ORIGIN, Position(0), Position(1))),
        lambda: list(store.self_check()),
        lambda: open_store(url, patience=2),
    ):
        with pytest.raises(StoreUnavailable, match="Check that PostgreSQL runs"):
            call()
    store.close()


def test_postgresql_that_stops_before_rows_are_sent_is_unavailable() -> None:
    with running_postgres() as url:
        store = open_store(url, patience=2)
        register(store)
        with pytest.raises(StoreUnavailable), store.writing(ORIGIN) as transaction:
            _terminate_others(url)
            transaction.append([event(0)], receipt_of([event(0)]))
        append_some(store, 1)
        assert store.head(ORIGIN).size == 1
        store.close()


def _terminate_others(url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    engine.dispose()


def test_postgresql_locks_that_are_held_too_long_are_unavailable(postgres_url: str) -> None:
    store, other = open_store(postgres_url, patience=0.3), open_store(postgres_url)
    register(store)
    with (
        other.writing(ORIGIN),
        pytest.raises(StoreUnavailable, match="Another process is writing for too long"),
    ):
        append_some(store, 1)
    append_some(store, 1)
    other.close()
    store.close()


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"database": "nowhere"}, "Create the database"),
        ({"username": "nobody-known"}, "Check the user and password"),
    ],
)
def test_a_wrong_postgresql_url_is_unavailable(postgres: str, change: dict[str, str], advice: str) -> None:
    url = sa.make_url(postgres).set(**change)
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url.render_as_string(hide_password=False))
    assert advice in str(caught.value) or "Check that" in str(caught.value)


def test_a_read_only_postgresql_is_unavailable_for_writing(postgres_url: str) -> None:
    store = open_store(postgres_url)
    register(store)
    seal(store, 1)
    store.close()
    name = sa.make_url(postgres_url).database
    engine = sa.create_engine(postgres_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    engine.dispose()
    store = open_store(postgres_url)
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        append_some(store, 1)
    assert store.head(ORIGIN).size == 1
    store.close()
