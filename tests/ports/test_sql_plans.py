"""Lists are answered by indexes: the plans of the statements that they run, on both databases, when there is much."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from support.records import access_record, snapshot_record, transfer_fact
from support.stores import ORIGIN, START, append, event, fresh_database, register

from ledger.adapters.sql import SqlStore, open_store
from ledger.adapters.sql.bits import BLOCK
from ledger.entry import Phase
from ledger.records import EventFilter, Paper, Projected, ViewFilter
from ledger.types import PartyId, Position

SIZE = 3 * BLOCK
TRANSFERS = 40


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    """A store with many accesses of many transfers, which the database has looked at as it does by itself."""
    with _database(request, tmp_path_factory) as url:
        store = open_store(url)
        register(store)
        draw = random.Random(3)
        for start in range(0, SIZE, 4096):
            stop = min(start + 4096, SIZE)
            events = [event(n, subject=f"live-{n % TRANSFERS}", time=START + n) for n in range(start, stop)]
            append(store, *events)
            accesses = [
                access_record(
                    n,
                    time=START + n,
                    subject=f"live-{n % TRANSFERS}",
                    principal=f"user {draw.randrange(500)}",
                    resource=f"object {n}",
                    outcome="refused" if draw.random() < 0.01 else "allowed",
                    country=draw.choice(("JP", "SG", "DE")),
                )
                for n in range(start, stop)
                if n % 10
            ]
            snapshots = [
                snapshot_record(n, time=START + n, resource=f"bucket {n % 100}", grants="[]")
                for n in range(start, stop)
                if n % 10 == 0
            ]
            facts = [transfer_fact(f"live-{n}", "event", f"t{start}", at=n) for n in range(TRANSFERS)]
            papers = [Paper("live-0", "route", Position(n)) for n in range(start, start + 3)]
            store.project(
                ORIGIN, Position(start), Position(stop), Projected(accesses, snapshots, facts, papers)
            )
        if url.startswith("postgresql"):
            with store._database.writing() as connection:
                connection.exec_driver_sql("ANALYZE")
        yield store
        store.close()


@contextmanager
def _database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('plans')}/ledger.db"
        return
    with fresh_database(request.getfixturevalue("postgres")) as url:
        yield url


@contextmanager
def explained(store: SqlStore) -> Iterator[list[str]]:
    """The plans of all statements that are run inside, a line for each step."""
    plans: list[str] = []
    prefix = "EXPLAIN QUERY PLAN" if store._database.dialect == "sqlite" else "EXPLAIN"

    def explain(
        connection: sa.Connection, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            driver: Any = connection.connection.driver_connection
            plans.extend(str(row[-1]) for row in driver.execute(f"{prefix} {statement}", parameters))

    engine = store._database._engine
    sa.event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        sa.event.remove(engine, "before_cursor_execute", explain)


def reads_a_whole_table(step: str) -> bool:
    """Whether a step of a plan looks at every row of a table that grows with the log, or sorts what it found."""
    growing = (
        r"access_records|access_postings|access_terms|events|snapshot_records|bundles|bundle_disclosures"
    )
    if re.search(rf"Seq Scan on ({growing})\b", step):
        return True
    # `newest` and `some` are parts of a statement with limits of their own.
    return (step.startswith("SCAN") and not re.search("newest|some", step)) or "TEMP B-TREE" in step


MIDDLE = START + SIZE // 2

QUESTIONS: dict[str, Callable[[SqlStore], object]] = {
    **{
        f"accesses by {'+'.join(equal) or 'nothing'} {span} after {after}": (
            lambda store, equal=equal, span=span, after=after: store.accesses(
                ORIGIN, ViewFilter(equal, *span), after, 100
            )
        )
        for equal in (
            {},
            {"principal": "user 7"},
            {"outcome": "refused"},
            {"outcome": "refused", "country": "JP"},
            {"subject": "live-3", "phase": "storage", "principal": "user 9", "outcome": "allowed"},
            {"principal": "nobody"},
        )
        for span in ((None, None), (MIDDLE, MIDDLE + 500), (START + 100, None))
        for after in (None, Position(SIZE // 2))
    },
    "snapshots of a resource": lambda store: store.snapshots(
        ORIGIN, ViewFilter({"resource": "bucket 30"}), None, 100
    ),
    "snapshots of a transfer": lambda store: store.snapshots(
        ORIGIN, ViewFilter({"subject": "live-10"}), Position(500), 100
    ),
    "public snapshots": lambda store: store.snapshots(ORIGIN, ViewFilter({"public": True}), None, 100),
    **{
        f"{what} by time {where}": lambda store, read=read, after=after: read(store, after)
        for where, after in (("from the first", None), ("further on", (MIDDLE, Position(5))))
        for what, read in (
            ("snapshots", lambda store, after: store.snapshots_by_capture(ORIGIN, after, 100)),
            ("accesses", lambda store, after: store.accesses_by_time(ORIGIN, ViewFilter({}), after, 100)),
        )
    },
    "snapshots in force": lambda store: store.snapshots_of(ORIGIN, "bucket 30"),
    "parties": lambda store: store.parties_of(ORIGIN, PartyId("a"), 10),
    "one snapshot": lambda store: store.snapshots(ORIGIN, ViewFilter({}), Position(SIZE // 2), 1),
    "facts": lambda store: store.facts(ORIGIN, ["live-7", "live-8"]),
    "transfers": lambda store: store.transfers(ORIGIN, "live-2", 10),
    "papers": lambda store: store.papers(ORIGIN, "live-0", ["route", "sign-off"], 200),
    "events further on": lambda store: store.events(ORIGIN, EventFilter(), Position(SIZE * 3 // 4), 100),
    "timeline": lambda store: store.timeline(ORIGIN, "live-7", None, (), None, 100),
    "timeline, further on": lambda store: store.timeline(
        ORIGIN, "live-7", Phase.STORAGE, (), (MIDDLE, Position(5)), 100
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_whole_table(filled: SqlStore, question: str) -> None:
    with explained(filled) as plans:
        QUESTIONS[question](filled)
    assert plans
    assert [step for step in plans if reads_a_whole_table(step)] == []


def test_a_plan_that_reads_a_whole_table_would_be_seen(filled: SqlStore) -> None:
    with explained(filled) as plans, filled._database.reading() as connection:
        connection.execute(sa.text("SELECT count(*) FROM access_records WHERE transferred = 5")).all()
    assert any(reads_a_whole_table(step) for step in plans)


OF_EVENTS: dict[str, Callable[[SqlStore], object]] = {
    "list": QUESTIONS["events further on"],
    "timeline": QUESTIONS["timeline, further on"],
    "scan": lambda store: next(iter(store.scan(ORIGIN, Position(SIZE * 3 // 4), Position(SIZE)))),
}


@pytest.mark.parametrize("question", OF_EVENTS)
def test_events_are_found_before_anything_is_joined_to_them(filled: SqlStore, question: str) -> None:
    """Limited after the join, PostgreSQL may merge with the names of all events before: the later, the slower."""
    with explained(filled) as plans:
        OF_EVENTS[question](filled)
    of_events = [at for at, step in enumerate(plans) if "_name" in step]
    limits = [
        at for at, step in enumerate(plans) if re.search(r"\bLimit\b|CO-ROUTINE some|MATERIALIZE some", step)
    ]
    assert of_events
    if filled._database.dialect == "sqlite":
        assert min(limits) < min(of_events)
    else:  # indented below the joins, not above them
        joined = next(at for at, step in enumerate(plans) if "Join" in step or "Nested Loop" in step)
        assert min(at for at in limits if at >= joined - 1) > joined
