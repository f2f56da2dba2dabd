"""The floor does what a user would have it do: it takes what the ledger takes, on both databases, and loses nothing."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from benchmark.events import Events, batches
from benchmark.ingest import send
from benchmark.place import driver_url
from benchmark.processes import serving
from support.ledgers import access
from support.postgres import running_postgres
from support.stores import fresh_database

EVENTS = Events(2000)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/floor.db"
    else:
        with fresh_database(request.getfixturevalue("server")) as url:
            yield url


def rows(database: str) -> list[tuple[Any, ...]]:
    query = "SELECT source, id, type, subject, phase, data FROM events ORDER BY id"
    if database.startswith("sqlite"):
        with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
            return [(*row[:5], json.loads(row[5])) for row in connection.execute(query)]
    with psycopg.connect(driver_url(database)) as plain:
        return plain.execute(query).fetchall()


@contextmanager
def floor(database: str, folder: Path) -> Iterator[httpx.Client]:
    """The floor as the benchmark runs it."""
    argv = [sys.executable, "-m", "benchmark.floor", "--database", database]
    with (
        serving(lambda port: [*argv, "--port", port], "/healthz", folder / "log") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        yield client


def test_every_type_of_the_scenario_is_taken_and_kept(database: str, tmp_path: Path) -> None:
    lines = EVENTS.fresh(1)
    with floor(database, tmp_path) as client:
        for body in batches(lines, 1000):
            assert client.post(
                "/events", content=body, headers={"Content-Type": "application/json"}
            ).is_success
        values = [json.loads(line) for line in lines]
        names = ("source", "id", "type", "subject", "phase", "data")
        expected = sorted((tuple(value[name] for name in names) for value in values), key=lambda row: row[1])
        assert rows(database) == expected


@pytest.mark.parametrize(
    "change",
    [{"type": "com.example.other"}, {"phase": "later"}, {"time": "noon"}, {"data": {"principal": "a"}}],
    ids=lambda change: next(iter(change)),
)
def test_what_the_models_refuse_is_not_kept(database: str, tmp_path: Path, change: dict[str, Any]) -> None:
    with floor(database, tmp_path) as client:
        assert client.post("/events", json=[access(1), access(2, **change)]).status_code == 422
        assert client.post("/event", json=access(2, **change)).status_code == 422
        assert rows(database) == []
        assert client.post("/event", json=access(1)).json() == {"taken": 1}
        assert len(rows(database)) == 1


def test_ids_differ_from_turn_to_turn_and_nothing_else_is_lost() -> None:
    first, second = EVENTS.fresh(1), EVENTS.fresh(2)
    assert not {json.loads(line)["id"] for line in first} & {json.loads(line)["id"] for line in second}
    assert [len(line) for line in first] == [len(line) for line in second]


@pytest.mark.parametrize(("path", "connections"), [("/event", 64), ("/events", 3)])
def test_the_client_counts_what_was_answered(tmp_path: Path, path: str, connections: int) -> None:
    database, lines = f"sqlite:///{tmp_path}/floor.db", EVENTS.fresh(1)
    bodies = lines[:200] if path == "/event" else batches(lines, 500)
    (tmp_path / "bodies").write_bytes(b"\n".join(bodies))
    with floor(database, tmp_path) as client:
        spec = {
            "url": str(client.base_url),
            "path": path,
            "headers": {"Content-Type": "application/json"},
            "connections": connections,
            "bodies": str(tmp_path / "bodies"),
        }
        told = send({**spec, "limit_s": 60}, tmp_path / "log")
        assert told["statuses"] == {"201": len(bodies)}
        assert len(rows(database)) == (200 if path == "/event" else 2000)
        astray = send({**spec, "path": "/nowhere", "limit_s": 60}, tmp_path / "log")
        assert astray["statuses"] == {"404": len(bodies)}
        short = send({**spec, "limit_s": 0}, tmp_path / "log")
        assert short["requests"] <= connections, "after its time the client sends no more"
