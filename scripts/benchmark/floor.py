"""The floor: what a user would write instead of a ledger. A program of its own, `python -m benchmark.floor`.

A FastAPI application that takes the same JSON, validates it with the same models (`ledger.catalogue`), and inserts it
in bulk and durably into one indexed table of the same kind of database. It has no evidence: no salts, hashes, receipts,
batches or proofs; and no keys of callers. It is written to be fast:

* one model for each type of event, told apart by `type`, so that pydantic validates a push in one call
* SQLite in WAL with `synchronous=FULL`, as the ledger has it, and one `executemany` a push
* PostgreSQL with its defaults, where a commit is durable, a pool of connections, and COPY
* the table has its key, `(source, id)`, and an index by transfer and time
"""

from __future__ import annotations

import argparse
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias, Union

import psycopg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

from ledger import catalogue
from ledger.catalogue import EventType
from ledger.entry import Phase

Row: TypeAlias = tuple[str, str, str, str, str, datetime, str]
Insert: TypeAlias = Callable[[Sequence[Row]], None]

COLUMNS = "source, id, type, subject, phase, time, data"
CONNECTIONS = 10


class Envelope(BaseModel):
    """The attributes of a CloudEvent that the ledger takes, too."""

    specversion: Literal["1.0"]
    id: str
    source: str
    subject: str
    time: datetime
    phase: Phase
    datacontenttype: Literal["application/json"] | None = None


def _model(type_: EventType) -> type[Envelope]:
    name = type_.kind.title().replace("-", "") + f"V{type_.version}"
    members: dict[str, Any] = {"type": (Literal[type_.name], ...), "data": (type_.model, ...)}
    return create_model(name, __base__=Envelope, **members)


_MODELS = tuple(_model(type_) for type_ in catalogue.all_types())
AnyEvent = Annotated[Union[_MODELS], Field(discriminator="type")]  # type: ignore[valid-type]  # noqa: UP007


class Taken(BaseModel):
    taken: int


def create_app(insert: Insert) -> FastAPI:
    """Two ways in, as the ledger has them: one event, or an array."""
    app = FastAPI(title="Floor")

    @app.get("/healthz")
    def health() -> str:
        return "ok"

    @app.post("/event", status_code=201)
    def push_one(event: AnyEvent) -> Taken:
        insert([_row(event)])
        return Taken(taken=1)

    @app.post("/events", status_code=201)
    def push(events: list[AnyEvent]) -> Taken:
        insert([_row(event) for event in events])
        return Taken(taken=len(events))

    return app


def _row(event: Any) -> Row:
    data = event.data.model_dump_json(exclude_unset=True, by_alias=True)
    return (event.source, event.id, event.type, event.subject, event.phase.value, event.time, data)


@contextmanager
def inserting(url: str) -> Iterator[Insert]:
    """The way into the database at a URL of SQLAlchemy's."""
    opened = _sqlite(url) if url.startswith("sqlite") else _postgresql(url)
    with opened as insert:
        yield insert


@contextmanager
def _sqlite(url: str) -> Iterator[Insert]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(
        "CREATE TABLE IF NOT EXISTS events (source TEXT, id TEXT, type TEXT, subject TEXT, phase TEXT, time INTEGER,"
        " data TEXT, PRIMARY KEY (source, id)); CREATE INDEX IF NOT EXISTS by_time ON events (subject, time);"
    )
    statement = f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
    turn = threading.Lock()

    def insert(rows: Sequence[Row]) -> None:
        values = [(*row[:5], round(row[5].timestamp() * 1000), row[6]) for row in rows]
        with turn, connection:
            connection.executemany(statement, values)

    try:
        yield insert
    finally:
        connection.close()


@contextmanager
def _postgresql(url: str) -> Iterator[Insert]:
    url = url.replace("postgresql+psycopg://", "postgresql://")
    pool: queue.SimpleQueue[psycopg.Connection[Any]] = queue.SimpleQueue()
    for _ in range(CONNECTIONS):
        pool.put(psycopg.connect(url))
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS events (source text, id text, type text, subject text, phase text,"
            " time timestamptz, data jsonb, PRIMARY KEY (source, id))"
        )
        connection.execute("CREATE INDEX IF NOT EXISTS by_time ON events (subject, time)")

    def insert(rows: Sequence[Row]) -> None:
        connection = pool.get()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                if len(rows) == 1:
                    cursor.execute(
                        f"INSERT INTO events ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)", rows[0]
                    )
                else:
                    with cursor.copy(f"COPY events ({COLUMNS}) FROM STDIN") as copy:
                        for row in rows:
                            copy.write_row(row)
        finally:
            pool.put(connection)

    try:
        yield insert
    finally:
        while not pool.empty():
            pool.get().close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    with inserting(given.database) as insert:
        # As `transfer-ledger serve` sets it.
        uvicorn.run(
            create_app(insert), host="127.0.0.1", port=given.port, log_level="warning", access_log=False
        )


if __name__ == "__main__":
    main()
