"""How a database comes to its schema, and what it promises to keep."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from support.stores import ORIGIN, append_some, open_and_close, register

from ledger.adapters.sql import migrate, open_store
from ledger.adapters.sql.engine import Database
from ledger.adapters.sql.migrate import HEAD, MIGRATIONS, _config
from ledger.adapters.sql.rows import METADATA
from ledger.entry import Phase
from ledger.errors import MalformedInput, StoreUnavailable
from ledger.records import EventFilter
from ledger.types import Position


def _run(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_the_migrations_make_the_tables_that_the_rows_describe(empty_url: str) -> None:
    migrate(empty_url)
    database = Database(empty_url)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    database.close()


def test_migrating_back_leaves_nothing(empty_url: str) -> None:
    migrate(empty_url)
    database, config = Database(empty_url), _config()
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    database.close()


def test_migrating_again_changes_nothing(empty_url: str) -> None:
    store = open_store(empty_url)
    register(store)
    append_some(store, 1)
    migrate(empty_url)
    assert store.head(ORIGIN).size == 1
    store.close()


def test_of_processes_that_start_at_once_one_migrates(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=open_and_close, args=(empty_url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    store = open_store(empty_url)
    assert list(store.self_check()) == []
    store.close()


def test_a_database_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    _run(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match=f"expected {HEAD}, got 9999. Run the newer version"):
        open_store(empty_url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://root:secret@host/db",
        "nonsense+driver://host/secret",
    ],
)
def test_what_is_not_the_url_of_such_a_database_is_refused(url: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_new_sqlite_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data" / "ledger.db"
    store = open_store(f"sqlite:///{path}")
    register(store)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()


def test_sqlite_commits_are_on_disk_and_its_references_hold(sqlite_url: str) -> None:
    migrate(sqlite_url)
    database = Database(sqlite_url, patience=7)
    for way in (database.reading, database.writing):
        with way() as connection:
            values = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            assert values == {
                "journal_mode": "wal",
                "synchronous": 2,
                "foreign_keys": 1,
                "busy_timeout": 7000,
            }
    database.close()


def test_a_sqlite_writer_takes_the_writers_place_before_it_reads(sqlite_url: str) -> None:
    migrate(sqlite_url)
    database = Database(sqlite_url)
    other = sqlite3.connect(sa.make_url(sqlite_url).database or "", timeout=0, isolation_level=None)
    with database.reading():
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    with database.writing(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    database.close()


def test_postgresql_commits_are_durable_even_where_the_database_says_otherwise(postgres_url: str) -> None:
    name = sa.make_url(postgres_url).database
    _run(postgres_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    database = Database(postgres_url)
    for way in (database.reading, database.writing):
        with way() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    database.close()


@pytest.mark.parametrize(
    ("which", "after", "plan"),
    [
        (EventFilter(), 5, "SEARCH events USING PRIMARY KEY (log=? AND position>?)"),
        (EventFilter(since=1), None, "SEARCH events USING PRIMARY KEY (log=?)"),
        (EventFilter(type="t"), None, "events_log_type_position_idx (log=? AND type=?)"),
        (
            EventFilter(phase=Phase.BEFORE),
            5,
            "events_log_phase_position_idx (log=? AND phase=? AND position>?)",
        ),
        (EventFilter(subject="s", type="t"), None, "events_log_subject_position_idx (log=? AND subject=?)"),
    ],
)
def test_sqlite_lists_events_by_an_index(
    sqlite_url: str, which: EventFilter, after: int | None, plan: str
) -> None:
    store = open_store(sqlite_url)
    register(store)
    append_some(store, 1)
    store.head(ORIGIN)
    plans: list[str] = []

    @sa.event.listens_for(store._database._engine, "before_cursor_execute")
    def explain(
        connection: sa.Connection, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        plans.extend(row[-1] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    store.events(ORIGIN, which, None if after is None else Position(after), 10)
    assert plans[0] == "CO-ROUTINE some", "the events that match are found first"
    steps = [step for step in plans[1:] if step != "SCAN some"]
    assert plan in steps[0]
    assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step]
    store.close()


def test_the_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD
