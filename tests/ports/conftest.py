"""The databases of the store's suites: a SQLite file, and a real PostgreSQL with a fresh database per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from support.postgres import running_postgres
from support.stores import fresh_database, register

from ledger.adapters.sql import migrate, open_store
from ledger.ports import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(postgres: str) -> Iterator[str]:
    """The name of a database with the schema and nothing else."""
    with fresh_database(postgres) as url:
        migrate(url)
        yield str(make_url(url).database)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that is not there, in a folder that is not there."""
    return f"sqlite:///{tmp_path}/data/ledger.db"


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """An empty database."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without a schema."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without rows."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        server, template = (request.getfixturevalue(name) for name in ("postgres", "migrated"))
        with fresh_database(server, template) as fresh:
            yield fresh


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with one party and one empty log."""
    opened = open_store(url)
    register(opened)
    yield opened
    opened.close()
