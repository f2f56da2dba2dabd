"""What the store says of a database that somebody or something has changed behind its back."""

from __future__ import annotations

import itertools
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from support.records import access_record, snapshot_record, transfer_fact
from support.stores import ACME, ORIGIN, START, append_some, attempt, event, register, save, seal

from ledger.adapters.sql import open_store
from ledger.errors import LedgerError
from ledger.ports import Store
from ledger.records import (
    ApiKey,
    ConflictAttempt,
    EventFilter,
    Paper,
    PartyKey,
    Projected,
    Scope,
    StoredCheckpoint,
    ViewFilter,
)
from ledger.types import BatchNo, Digest, Position

FLIPS = 40


def fill(store: Store) -> None:
    """A row or more in every table."""
    register(store)
    store.add_party_key(PartyKey(ACME.id, "acme+00000000+AQ==", START))
    store.add_api_key(ApiKey("k1", Digest.of(b"s"), ACME.id, ORIGIN, frozenset(Scope), START))
    seal(store, 3, 2)
    append_some(store, 30)
    save(store, attempt(0), attempt(0, 2, 1))
    with store.writing(ORIGIN) as transaction:
        transaction.keep_conflicts(
            [ConflictAttempt(Position(1), b'{"other":1}', event(1).disclosures, START)]
        )
        transaction.add_checkpoint(StoredCheckpoint(1, "ledger.example/acme-live\n1\nroot\n\n— sig\n"))
    access = access_record(2, principal="p", action="a", outcome="x", bytes=1, raw_sha256="0a" * 32)
    snapshot = snapshot_record(3, resource="r", public=True, external_principals=("e",), grants="[]")
    facts, papers = [transfer_fact("live-1", "event", "t")], [Paper("live-1", "route", Position(4))]
    store.project(ORIGIN, Position(0), Position(5), Projected([access], [snapshot], facts, papers))


def change(url: str, *statements: str) -> None:
    """Change the database as somebody with a SQL prompt would."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def filled(url: str) -> Iterator[Store]:
    store = open_store(url)
    fill(store)
    yield store
    store.close()


def test_a_sound_store_has_no_problems(filled: Store) -> None:
    assert list(filled.self_check()) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE parties SET name = 'Acme'", "parties: the row of acme is not what was written"),
        ("UPDATE parties SET role = 'nonsense'", "parties: the row of acme"),
        ("UPDATE logs SET verifier_key = 'mine'", "logs: the row of 1"),
        ("UPDATE api_keys SET scopes = 'disclose'", "api_keys: the row of k1"),
        ("UPDATE api_keys SET revoked = 5", "api_keys: the row of k1"),
        ("UPDATE receipts SET note = 'x' WHERE first = 3", "receipts: the row of 1, 3"),
        ("UPDATE conflicts SET received = 5", "conflicts: the row of 1, 0"),
        ("UPDATE anchorings SET state = 'final' WHERE number = 0", "anchorings: the row of 1, 0"),
        ("UPDATE checkpoints SET note = 'x'", "checkpoints: the row of 1, 1"),
        ("UPDATE heads SET size = 36", "the head says size 36, the rows say 35"),
        ("UPDATE heads SET last_received = 1", "the head says last_received 1"),
        ("UPDATE heads SET sealed = 4", "the head says sealed 4, the rows say 5"),
        ("UPDATE heads SET last_closed = 4", "the head says last_closed 4"),
        ("DELETE FROM heads", "no head"),
        ("DELETE FROM events WHERE position = 34", "the head says size 35, the rows say 34"),
        ("DELETE FROM events WHERE position = 20", "34 events, but the newest is at position 34"),
        ("DELETE FROM batches WHERE number = 1", "the head says batches 2, the rows say 1"),
        ("UPDATE batches SET anchoring = 0", "batch 1 does not name its newest anchoring"),
        ("UPDATE batches SET anchoring = NULL", "batch 0 does not name its newest anchoring"),
        ("DELETE FROM bundles WHERE first = 5", "the event at position 7 lacks its entry or a name"),
        ("DELETE FROM names WHERE text = 'live-1'", "the event at position 0 lacks its entry or a name"),
        ("UPDATE projections SET projected = 36", "the projections say they took in other events"),
        ("UPDATE projections SET projected = 3", "snapshot_records has rows of events"),
        ("DROP INDEX events_log_subject_position_idx", "add index would be needed"),
        ("ALTER TABLE bundles ADD COLUMN more INTEGER", "remove column would be needed"),
        ("DROP TABLE checkpoints", "add table would be needed"),
        ("UPDATE alembic_version SET version_num = '0000'", "the schema is at revision 0000"),
        ("DELETE FROM alembic_version", "the schema is at revision None"),
    ],
)
def test_a_change_behind_its_back_is_noticed(url: str, filled: Store, statement: str, problem: str) -> None:
    change(url, statement)
    found = list(filled.self_check())
    assert any(problem in line for line in found), found


def test_a_row_that_refers_to_nothing_is_noticed_on_sqlite(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    fill(store)
    change(sqlite_url, "DELETE FROM events WHERE position = 2")
    assert any("a row refers to one in events that is not there" in line for line in store.self_check())
    store.close()


@contextmanager
def not_strict(file: Path) -> Iterator[sqlite3.Connection]:
    """The database, its tables taking anything inside."""

    def write(schema: list[tuple[str, str]]) -> None:
        with closing(sqlite3.connect(file)) as database, database:
            database.execute("PRAGMA writable_schema = ON")
            database.executemany("UPDATE sqlite_schema SET sql = ? WHERE name = ?", schema)

    with closing(sqlite3.connect(file)) as database:
        schema = database.execute("SELECT sql, name FROM sqlite_schema WHERE sql LIKE '%STRICT%'").fetchall()
    write([(re.sub(r",?\s*STRICT\b", "", sql), name) for sql, name in schema])
    with closing(sqlite3.connect(file)) as database, database:
        yield database
    write(schema)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE snapshot_records SET resource = X'ff00'",
        "UPDATE bundles SET count = X'ff00' WHERE first = 5",
        "UPDATE anchorings SET first = X'ff00'",
        "UPDATE heads SET size = X'ff00'",
    ],
)
def test_a_value_of_another_type_is_noticed_and_never_a_traceback(sqlite_url: str, change: str) -> None:
    """As a flipped bit in the head of a row gives one, past the strictness of its table."""
    store = open_store(sqlite_url)
    fill(store)
    store.close()
    with not_strict(Path(sqlite_url.removeprefix("sqlite:///"))) as database:
        database.execute(change)
    store = open_store(sqlite_url)
    assert list(store.self_check())
    store.close()


def test_an_entry_that_cannot_be_read_is_an_integrity_error(url: str, filled: Store) -> None:
    for squeezed in ("00", "01", "05ff", "01ffffff"):
        literal = f"X'{squeezed}'" if url.startswith("sqlite") else f"'\\x{squeezed}'"
        change(url, f"UPDATE bundle_disclosures SET packed = {literal} WHERE bundle = 5")
        if squeezed != "00":
            with pytest.raises(LedgerError, match="stored events cannot be read: got the bundle of 5"):
                filled.event(ORIGIN, Position(7))


def read_all(store: Store) -> dict[str, Any]:
    """Everything that the store answers, or the ledger's own error in its place. Anything else is raised."""
    every = ViewFilter({})
    reads: dict[str, Callable[[], Any]] = {
        "parties": store.parties,
        "party": lambda: store.party(ACME.id),
        "logs": store.logs,
        "api_keys": store.api_keys,
        "api_key": lambda: store.api_key("k1"),
        "head": lambda: store.head(ORIGIN),
        "projected": lambda: store.projected(ORIGIN),
        "conflicts": lambda: store.conflicts(ORIGIN),
        "receipts": lambda: list(store.receipts(ORIGIN)),
        "anchorings": lambda: store.anchorings(ORIGIN),
        "checkpoints": lambda: store.checkpoints(ORIGIN),
        "newest": lambda: [it.anchoring for it in store.batches(ORIGIN, BatchNo(0), BatchNo(9))],
        "events": lambda: list(store.scan(ORIGIN, Position(0), Position(99))),
        "by subject": lambda: store.events(ORIGIN, EventFilter(subject="live-1"), None, 99),
        "batches": lambda: store.batches(ORIGIN, BatchNo(0), BatchNo(9)),
        "nodes": lambda: list(store.scan_nodes(ORIGIN)),
        "accesses": lambda: store.accesses(ORIGIN, every, None, 99),
        "snapshots": lambda: store.snapshots(ORIGIN, every, None, 99),
        "accesses by time": lambda: store.accesses_by_time(ORIGIN, ViewFilter({"action": "a"}), None, 9),
        "snapshots by capture": lambda: store.snapshots_by_capture(ORIGIN, None, 9),
        "snapshots of": lambda: store.snapshots_of(ORIGIN, "r"),
        "transfers": lambda: store.transfers(ORIGIN, None, 99),
        "facts": lambda: store.facts(ORIGIN, ["live-1"]),
        "papers": lambda: store.papers(ORIGIN, "live-1", ["route"], 99),
        "timeline": lambda: store.timeline(ORIGIN, "live-1", None, (), None, 99),
        "party keys": lambda: store.party_keys(ACME.id),
    }
    found: dict[str, Any] = {}
    for name, read in reads.items():
        try:
            found[name] = read()
        except LedgerError as error:
            found[name] = type(error)
    return found


CHECKED_ELSEWHERE = {
    *("events", "by subject", "timeline", "batches", "nodes"),
    *("accesses", "accesses by time", "snapshots", "snapshots of", "transfers", "facts", "papers"),
}
"""What Merkle trees cover, or a projection of the events can be compared with: `ledger.doctor` does that."""


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_byte_is_noticed_and_never_a_traceback(tmp_path: Path, seed: int) -> None:
    sound = tmp_path / "sound.db"
    store = open_store(f"sqlite:///{sound}")
    fill(store)
    expected = read_all(store)
    store.close()
    random, size, noticed = Random(seed), sound.stat().st_size, 0
    used = [place for place, byte in enumerate(sound.read_bytes()) if byte]
    for number in range(FLIPS):
        place = random.choice(used)
        path = _flipped(sound, tmp_path / f"{number}.db", place, random.randrange(1, 256))
        problems, found = _examine(path)
        differs = {name for name in expected if found.get(name) != expected[name]}
        assert problems or differs <= CHECKED_ELSEWHERE, f"byte {place} of {size}: {differs}"
        noticed += bool(problems or differs)
    assert noticed > FLIPS / 2


def _flipped(sound: Path, path: Path, place: int, mask: int) -> Path:
    shutil.copy(sound, path)
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ mask]))
    return path


def _examine(path: Path) -> tuple[list[str], dict[str, Any]]:
    try:
        store = open_store(f"sqlite:///{path}")
    except LedgerError as error:
        return [str(error)], {}
    try:
        return list(itertools.islice(store.self_check(), 1000)), read_all(store)
    finally:
        store.close()
        path.unlink()
