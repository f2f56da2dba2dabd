"""A database that the first schema was filled on comes to this one with everything that was in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.events import committed
from support.logs import logging_put_back
from support.stores import ACME, LOG, ORIGIN, START

from ledger.adapters.sql import SqlStore, open_store
from ledger.adapters.sql.engine import Database
from ledger.adapters.sql.migrate import HEAD, _config, migrate, revision
from ledger.adapters.sql.packing import pack_disclosures, row_digest
from ledger.adapters.sql.squeeze import squeeze
from ledger.doctor import Doctor
from ledger.entry import event_time
from ledger.errors import IntegrityError, StoreUnavailable
from ledger.logs import set_up
from ledger.merkle import tree_root
from ledger.note import VerifierKey
from ledger.projections import project
from ledger.receipt import Receipt, sign_receipt
from ledger.records import Committed, EventFilter, ViewFilter
from ledger.scenario import scenario
from ledger.types import Position, parse_origin

SIZE = 300
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = parse_origin("ledger.example/a.b~c")
KEY, OTHER_KEY = (VerifierKey(name, SECRET.public_key().public_bytes_raw()) for name in (ORIGIN, OTHER))
NUMBER, OTHER_NUMBER = 7, 9
LOGS = {
    NUMBER: replace(LOG, verifier_key=str(KEY)),
    OTHER_NUMBER: replace(LOG, origin=OTHER, verifier_key=str(OTHER_KEY), created=5),
}
EVERY = ViewFilter({})


@pytest.fixture
def events() -> list[Committed]:
    times = event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")
    return committed(scenario(1, SIZE, *times), received=START)


@pytest.fixture
def first(empty_url: str, events: list[Committed]) -> str:
    """The URL of a database as the version of the first schema left it."""
    database = Database(empty_url)
    _migrate(database, "0001")
    with database.writing() as connection:
        for table, rows in _rows(events):
            known = sa.Table(table, sa.MetaData(), autoload_with=connection)
            connection.execute(sa.insert(known), rows)
    database.close()
    return empty_url


def _migrate(database: Database, target: str) -> None:
    config = _config()
    with database.writing() as connection:
        config.attributes["connection"] = connection
        step = command.upgrade if (revision(connection) or "") < target else command.downgrade
        step(config, target)


def _rows(events: list[Committed]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Tables and their rows. Written out, since what the ledger writes today may be something else."""
    yield (
        "parties",
        [_digested("parties", id=ACME.id, name=ACME.name, role=ACME.role.value, country=ACME.country)],
    )
    yield (
        "logs",
        [
            {"id": number}
            | _digested(
                "logs",
                origin=log.origin,
                party=log.party,
                verifier_key=log.verifier_key,
                chain_id=log.contract.chain_id,
                contract=log.contract.address,
                created=log.created,
            )
            for number, log in LOGS.items()
        ],
    )
    none = {"size": 0, "last_received": 0, "batches": 0, "sealed": 0, "last_closed": 0}
    yield (
        "heads",
        [
            {"log": NUMBER, **none, "size": len(events), "last_received": events[-1].received},
            {"log": OTHER_NUMBER, **none},
        ],
    )
    words = sorted({word for e in events for word in (e.type, e.phase.value, e.subject, e.party)})
    number = {word: n for n, word in enumerate(words, 1)}
    yield "names", [{"log": NUMBER, "id": n, "text": word} for word, n in number.items()]
    yield (
        "events",
        [
            {
                "log": NUMBER,
                "position": e.position,
                "leaf": bytes(e.leaf),
                "key": bytes(e.key),
                "type": number[e.type],
                "phase": number[e.phase.value],
                "subject": number[e.subject],
                "time": e.time,
                "party": number[e.party],
                "received": e.received,
            }
            for e in events
        ],
    )
    yield "entries", [{"log": NUMBER, "position": e.position, "entry": squeeze(e.entry)} for e in events]
    yield (
        "disclosures",
        [
            {"log": NUMBER, "position": e.position, "packed": pack_disclosures(e.disclosures)}
            for e in events
            if e.disclosures
        ],
    )
    receipt = Receipt(ORIGIN, Position(0), len(events), tree_root([e.leaf for e in events]), START, START + 1)
    note = sign_receipt(receipt, KEY, SECRET.sign)
    yield "receipts", [_digested("receipts", log=NUMBER, first=0, count=len(events), note=note)]
    yield from _projections(events)


def _projections(events: list[Committed]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    projected = project(events)
    yield "projections", [{"log": NUMBER, "projected": len(events)}, {"log": OTHER_NUMBER, "projected": 0}]
    yield (
        "access_records",
        [
            {
                "log": NUMBER,
                "position": it.position,
                "principal": it.principal,
                "action": it.action,
                "bytes": it.bytes,
            }
            for it in projected.accesses
        ],
    )
    yield (
        "snapshot_records",
        [
            {"log": NUMBER, "position": it.position, "resource": it.resource, "external_principals": "[]"}
            for it in projected.snapshots
        ],
    )


def _digested(table: str, **values: Any) -> dict[str, Any]:
    return {**values, "digest": bytes(row_digest(table, values.values()))}


def _project(store: SqlStore) -> None:
    scanned = store.scan(ORIGIN, Position(0), Position(SIZE))
    store.project(ORIGIN, Position(0), Position(SIZE), project(scanned))


def test_logs_and_events_of_the_first_schema_are_as_they_were(first: str, events: list[Committed]) -> None:
    store = open_store(first)
    assert list(store.self_check()) == []
    assert store.logs() == sorted(LOGS.values(), key=lambda log: log.origin)
    assert [log.opaque for log in store.logs()] == [False, False]
    assert store.events(ORIGIN, EventFilter(), None, SIZE + 1) == events
    assert store.party_keys(ACME.id) == []
    store.close()


def test_it_is_said_once_that_a_database_is_migrated(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    with logging_put_back():
        set_up("info")
        open_store(first).close()
        open_store(first).close()
    (line,) = capsys.readouterr().err.splitlines()
    assert f"level=info event=migrating schema=0001 to={HEAD}" in line


def test_a_new_database_is_made_without_a_word(empty_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with logging_put_back():
        set_up("info")
        open_store(empty_url).close()
    assert capsys.readouterr().err == ""


def test_projections_of_the_first_schema_are_told_to_lack_events_until_they_are_made_again(
    first: str, events: list[Committed]
) -> None:
    store = open_store(first)
    assert store.projected(ORIGIN) == 0
    with pytest.raises(StoreUnavailable, match=f"expected {SIZE} events taken in, got 0"):
        store.accesses(ORIGIN, EVERY, None, 1)
    assert store.accesses(OTHER, EVERY, None, 1) == []
    _project(store)
    expected = project(events)
    assert store.accesses(ORIGIN, EVERY, None, SIZE) == expected.accesses
    assert store.snapshots(ORIGIN, EVERY, None, SIZE) == expected.snapshots
    assert list(store.scan_papers(ORIGIN)) == sorted(
        expected.papers, key=lambda p: (p.subject, p.kind, p.position)
    )
    assert list(Doctor(store, None).examine()) == []
    store.close()


def test_a_database_goes_back_to_the_first_schema_and_comes_again(
    first: str, events: list[Committed]
) -> None:
    store = open_store(first)
    _project(store)
    store.close()
    database = Database(first)
    _migrate(database, "0001")
    with database.reading() as connection:
        for table, rows in _rows(events):
            if table in ("parties", "logs", "events", "receipts"):
                known = sa.Table(table, sa.MetaData(), autoload_with=connection)
                kept = {tuple(row) for row in connection.execute(sa.select(known))}
                assert kept == {tuple(row[column.name] for column in known.columns) for row in rows}
    database.close()
    store = open_store(first)
    _project(store)
    assert list(Doctor(store, None).examine()) == []
    store.close()


def test_projections_that_are_there_get_the_parties_that_making_them_again_gives(
    first: str, events: list[Committed]
) -> None:
    """Of the events that they have taken in, and of no others."""
    store, half = open_store(first), Position(SIZE // 2)
    store.project(ORIGIN, Position(0), half, project(store.scan(ORIGIN, Position(0), half)))
    store.close()
    database = Database(first)
    made = _facts(database)
    _migrate(database, "0003")
    without = _facts(database)
    database.close()
    store = open_store(first)
    assert _facts(store._database) == made > without
    store.project(ORIGIN, half, Position(SIZE), project(store.scan(ORIGIN, half, Position(SIZE))))
    assert list(Doctor(store, None).examine()) == []
    assert [party.id for party in store.parties_of(ORIGIN, None, 9)] == [ACME.id]
    store.close()


def _facts(database: Database) -> set[tuple[Any, ...]]:
    with database.reading() as connection:
        return {tuple(row) for row in connection.execute(sa.text("SELECT * FROM transfer_facts"))}


# --- What was not whole before ------------------------------------------------------------------------------------

DAMAGE = {
    "an entry is gone": "DELETE FROM entries WHERE position = 5",
    "an entry is another's": """UPDATE entries SET entry = (SELECT entry FROM entries WHERE position = 9)
        WHERE position = 5""",
    "an entry is nothing that was written": "UPDATE entries SET entry = :junk WHERE position = 5",
    "a leaf is another's": "UPDATE events SET leaf = :leaf WHERE position = 5",
    "disclosures are nothing that was written": "UPDATE disclosures SET packed = :junk WHERE position = 5",
    "so many entries are gone that a page of them is empty": "DELETE FROM entries WHERE position BETWEEN 5 AND 200",
}


def _change(url: str, *statements: str, **values: object) -> None:
    database = Database(url)
    with database.writing() as connection:
        for statement in statements:
            connection.execute(sa.text(statement), values)
    database.close()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_database_is_left_as_it_is_and_said_to_be(first: str, damage: str) -> None:
    values = {"junk": b"\x05junk", "leaf": bytes(32)}
    _change(first, damage, **{name: value for name, value in values.items() if f":{name}" in damage})
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"left as it is: got log 7: the event at position 5"):
            open_store(first)
    database = Database(first)
    with database.reading() as connection:
        assert revision(connection) == "0001"
        assert connection.scalar(sa.text("SELECT count(*) FROM events")) == SIZE
        assert (connection.scalar(sa.text("SELECT count(*) FROM entries")) or 0) > 0
    database.close()


@pytest.mark.parametrize("missing", [SIZE - 1, SIZE + 1], ids=["too few", "too many"])
def test_a_head_that_counts_other_events_than_there_are_is_damage(first: str, missing: int) -> None:
    _change(first, f"UPDATE heads SET size = {missing} WHERE log = {NUMBER}")
    with pytest.raises(
        IntegrityError, match=r"left as it is: got log 7: not as many events as its head says"
    ):
        open_store(first)


def test_a_gap_between_events_is_damage(first: str) -> None:
    tables = ("access_records", "snapshot_records", "disclosures", "entries", "events")
    _change(first, *(f"DELETE FROM {table} WHERE position = 70" for table in tables))
    with pytest.raises(IntegrityError, match=r"left as it is: got log 7: the event at position 70"):
        open_store(first)


def test_what_an_older_version_is_writing_is_not_lost(first: str) -> None:
    """A version before may still run: its push is waited for, and none of its pushes comes in between."""
    database = Database(first)
    with database.writing() as old:
        old.execute(
            sa.text("SELECT size FROM heads WHERE log = :log" + _FOR_UPDATE[database.dialect]),
            {"log": NUMBER},
        )
        with pytest.raises(StoreUnavailable, match="locked"):
            migrate(first, patience=0.5)
    migrate(first)
    with pytest.raises((sa.exc.SQLAlchemyError, StoreUnavailable)), database.writing() as old:
        old.execute(sa.text("INSERT INTO entries VALUES (7, 300, :entry)"), {"entry": b""})
    database.close()


_FOR_UPDATE = {"sqlite": "", "postgresql": " FOR UPDATE"}


def test_indexes_that_only_migrating_needs_go_again(first: str) -> None:
    store = open_store(first)
    _project(store)
    store.close()
    database = Database(first)
    _migrate(database, "0004")
    _migrate(database, HEAD)
    with database.reading() as connection:
        indexes = {
            index["name"]
            for table in ("papers", "conflicts")
            for index in sa.inspect(connection).get_indexes(table)
        }
    assert not any(name and "meanwhile" in name for name in indexes)
    database.close()
