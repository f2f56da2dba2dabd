"""The databases of the store's suites: a SQLite file, and a real PostgreSQL with a fresh database per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import running_postgres
from support.stores import fresh_database, register

from ledger.adapters.sql import open_store
from ledger.ports import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        with fresh_database(request.getfixturevalue("postgres")) as fresh:
            yield fresh


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store with one party and one empty log."""
    opened = open_store(url)
    register(opened)
    yield opened
    opened.close()
