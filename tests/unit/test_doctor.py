"""The doctor on a real file and a real chain: a sound store is sound, and no change to it goes unseen."""

from __future__ import annotations

import shutil
import sqlite3
import traceback
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard
from support.chains import wired
from support.ledgers import OTHER_PARTY, PARTY, Bed, LedgerMaker, access, anchor_all, copy_database, policy
from support.signing import party_signer, register_key, signed_push

from ledger.adapters.evm import EvmChain
from ledger.adapters.sql import open_store
from ledger.adapters.sql.squeeze import unsqueeze
from ledger.doctor import Difference, Doctor
from ledger.entry import event_time
from ledger.errors import ChainUnavailable, Conflict, LedgerError
from ledger.ports import Chain
from ledger.records import Scope
from ledger.scenario import scenario
from ledger.types import Origin, Position

FLIPS = 120
SIGNER = party_signer()


@dataclass(frozen=True)
class Sound:
    """A whole ledger's database file, closed, and what is in it."""

    file: Path
    bed: Bed
    origin: Origin
    content: Any

    def copy(self, folder: Path) -> Path:
        target = folder / "copy.db"
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        shutil.copy(self.file, target)
        return target


@pytest.fixture(scope="module")
def sound(ledgers: LedgerMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sound]:
    """Something in every table: three logs, two parties, keys (one revoked), signed pushes, conflicts, lost and final
    anchorings.
    """
    folder = tmp_path_factory.mktemp("sound")
    with ledgers(folder / "ledger", policy=policy(seal_leaves=8, batch_leaves=8)) as bed:
        other, origin = bed.create_log(), bed.create_log()
        bed.push(other, 1, 2, 3)
        bed.settle(other)
        values = list(scenario(2, 40, event_time("2026-01-01T00:00:00Z"), event_time("2026-07-01T00:00:00Z")))
        bed.pipeline.push(origin, PARTY, values[:24])
        with bed.node.undone():
            bed.settle(origin)
        bed.clock.move(2000)
        bed.pipeline.push(origin, OTHER_PARTY, values[24:])
        bed.settle(origin)
        bed.push(origin, 1)
        with pytest.raises(Conflict):
            bed.pipeline.push(
                origin, PARTY, [access(1, subject="other"), access(1, time="2026-01-01T00:00:00Z")]
            )
        register_key(bed, SIGNER)
        strict = bed.create_log(require_signature=True)
        for numbers in (range(3), range(2, 5)):
            push_signed(bed, strict, numbers)
        bed.settle(strict)
        push_signed(bed, origin, [4, 5])
        bed.api_key(origin, Scope.READ, Scope.PUSH)
        bed.store.revoke_api_key(bed.api_key(other, Scope.PUSH)[3:15], bed.clock.now())
        bed.settle(origin)
        bed.push(origin, 2, 3)
        bed.pipeline.project(origin)
        file = folder / "sound.db"
        copy_database(folder / "ledger" / "ledger.db", file)
        content = read_all(file)
        assert all(content["tables"].values()), "every table has rows"
        yield Sound(file, bed, origin, content)


def push_signed(bed: Bed, origin: Origin, numbers: Iterable[int]) -> None:
    made = signed_push(origin, [access(number) for number in numbers], SIGNER)
    bed.pipeline.push(origin, PARTY, made.values, made.note)


def read_all(file: Path) -> Any:
    """The schema and every row of every table, or the error that reading ends with."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as database:
            # A word of the schema that is no UTF-8 any more keeps nobody from reading the rows.
            database.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            schema = database.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
            ).fetchall()
            names = [
                name for kind, name, _, _ in schema if kind == "table" and not name.startswith("sqlite_")
            ]
            rows = {
                name: sorted(
                    map(repr, map(unsqueezed, database.execute(f"SELECT * FROM {name} NOT INDEXED")))
                )
                for name in names
            }
            return {"schema": schema, "tables": rows}
    except (sqlite3.Error, UnicodeError) as error:
        return repr(error)


def unsqueezed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a row holds: a frame of Zstandard has bits that mean nothing."""
    frames = [type(value) is bytes and value.startswith(zstandard.FRAME_HEADER) for value in row]
    try:
        return tuple(unsqueeze(value) if frame else value for value, frame in zip(row, frames, strict=True))
    except ValueError:
        return row


def rows_of(content: Any) -> Any:
    """The content without the words of the schema, which may change without meaning anything else."""
    return content["tables"] if isinstance(content, dict) else content


def examine(file: Path, chain: Chain | None, most: int | None = None) -> list[Difference | LedgerError]:
    """All differences, or so many; an error of ours counts as one, as the command then exits with its code."""
    try:
        store = open_store(f"sqlite:///{file}")
    except LedgerError as error:
        return [error]
    found: list[Difference | LedgerError] = []
    try:
        found.extend(islice(Doctor(store, chain).examine(), most))
    except LedgerError as error:
        found.append(error)
    finally:
        store.close()
    return found


def unseen(file: Path, chain: Chain, most: int | None = None) -> str | None:
    """What is wrong with the doctor's answer to a damaged file; None if it saw the damage."""
    try:
        return None if examine(file, chain, most) else "not seen"
    except Exception:  # noqa: BLE001  # a traceback is what this is looking for
        return traceback.format_exc(limit=-3)


def test_a_sound_store_has_no_difference(sound: Sound, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{sound.copy(tmp_path)}")
    doctor = Doctor(store, sound.bed.chain)
    assert list(doctor.examine()) == []
    summary = doctor.summaries[sound.origin]
    assert (summary.events, summary.batches, summary.anchored) == (45, 6, 6)
    store.close()


def test_progress_is_told_in_every_long_check(sound: Sound, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{sound.copy(tmp_path)}")
    told: dict[str, tuple[int, int]] = {}
    assert (
        list(Doctor(store, sound.bed.chain, lambda c, done, of: told.update({c: (done, of)})).examine()) == []
    )
    assert {check for check, (done, of) in told.items() if done == of} == {
        "entries",
        "batches",
        "views",
        "anchors",
    }
    store.close()


def test_no_flipped_bit_that_changes_content_goes_unseen(sound: Sound, tmp_path: Path) -> None:
    dice = Random(2026)
    whole = sound.file.read_bytes()
    missed, changed = [], 0
    used = [offset for offset, byte in enumerate(whole) if byte]
    for offset in sorted(dice.sample(used, FLIPS)):
        file = sound.copy(tmp_path)
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << dice.randrange(8)
        file.write_bytes(damaged)
        if rows_of(read_all(file)) == rows_of(sound.content):
            continue
        changed += 1
        if verdict := unseen(file, sound.bed.chain):
            missed.append((offset, verdict, describe(sound, file)))
    assert missed == [], "\n".join(map(str, missed))
    assert changed > FLIPS // 3, "the sample hit what is used"


def describe(sound: Sound, file: Path) -> Any:
    now = read_all(file)
    if isinstance(now, str):
        return now
    tables = sound.content["tables"]
    return {
        name: set(now["tables"][name]) ^ set(rows)
        for name, rows in tables.items()
        if now["tables"][name] != rows
    }


def columns(file: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(file)) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        return [(t, row[1]) for t in tables for row in database.execute(f"PRAGMA table_info({t})")]


def other_values(value: Any) -> list[Any]:
    """What might stand there instead: near, far, and nothing."""
    match value:
        case int():
            return [value + 1, value - 1, -value - 7, None, 2**60]
        case str():
            return [value + "x", value[:-1], value.swapcase(), "", None]
        case bytes():
            return [value[:-1] + bytes([value[-1] ^ 1]), value[:-1], value + b"\0", b"", None]
        case None:
            return [0, "", b"", 1]
    raise TypeError(value)


def test_no_changed_cell_goes_unseen(sound: Sound, tmp_path: Path) -> None:
    """The first and last row of each table, every column, several other values; the first difference will do."""
    missed = []
    tried = 0
    for table, column in columns(sound.file):
        for which, numbers in (("min", (1, 4)), ("max", (0, 3))):
            done: set[Any] = set()
            for number in numbers:
                file = sound.copy(tmp_path)
                if not change_cell(file, table, column, which, number, done):
                    continue
                tried += 1
                if read_all(file) != sound.content and (verdict := unseen(file, sound.bed.chain, most=1)):
                    missed.append((table, column, which, number, verdict, describe(sound, file)))
    assert missed == [], "\n".join(map(str, missed))
    assert tried > 200


def change_cell(file: Path, table: str, column: str, which: str, number: int, done: set[Any]) -> bool:
    """Write another value into one row; False if the database's own rules refuse it."""
    with closing(sqlite3.connect(file)) as database:
        keys = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]] or ["rowid"]
        order = ", ".join(f'"{key}" {"ASC" if which == "min" else "DESC"}' for key in keys)
        row = database.execute(
            f'SELECT {", ".join(keys)}, "{column}" FROM {table} ORDER BY {order}'
        ).fetchone()
        values = other_values(row[-1])
        if number >= len(values) or repr(values[number]) in done:
            return False
        done.add(repr(values[number]))
        where = " AND ".join(f'"{key}" = ?' for key in keys)
        try:
            database.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', (values[number], *row[:-1]))
            database.commit()
        except (sqlite3.IntegrityError, OverflowError):
            return False
    return True


@pytest.mark.parametrize(
    "table",
    [
        *(
            "alembic_version",
            "logs",
            "heads",
            "projections",
            "names",
            "events",
            "bundles",
            "receipts",
            "push_signatures",
            "party_keys",
        ),
        *("batches", "nodes", "anchorings", "access_records", "snapshot_records"),
        *("access_terms", "access_postings", "access_blocks", "transfer_facts", "papers"),
    ],
)
def test_a_row_that_is_gone_is_missed(sound: Sound, tmp_path: Path, table: str) -> None:
    file = sound.copy(tmp_path)
    with closing(sqlite3.connect(file)) as database:
        keys = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]] or ["rowid"]
        found = database.execute(f"SELECT {', '.join(keys)} FROM {table}").fetchall()
        where = " AND ".join(f'"{key}" = ?' for key in keys)
        database.execute(f"DELETE FROM {table} WHERE {where}", found[len(found) // 2])
        database.commit()
    assert examine(file, sound.bed.chain)


OTHER = "(SELECT position FROM events AS e WHERE e.log = {0}.log EXCEPT SELECT position FROM {1} WHERE log = {0}.log)"
"""Positions of the log whose events have no row in this table."""

MADE_UP = {
    "access_records": f"position = (SELECT max(position) FROM {OTHER.format('r', 'access_records')})",
    "snapshot_records": f"position = (SELECT max(position) FROM {OTHER.format('r', 'snapshot_records')})",
    "access_terms": "id = id + 99999, tag = X'00'",
    "access_postings": "term = term + 99999",
    "access_blocks": "block = block + 1",
    "transfer_facts": "subject = 'ghost'",
    "papers": "subject = 'ghost'",
    "party_keys": "verifier_key = 'acme+11111111+AQ=='",
}
"""What is changed in a copy of a row, so that it may stand beside it."""


@pytest.mark.parametrize("table", MADE_UP)
def test_a_row_that_was_made_up_is_noticed(sound: Sound, tmp_path: Path, table: str) -> None:
    file = sound.copy(tmp_path)
    with closing(sqlite3.connect(file)) as database:
        room = f"WHERE EXISTS {OTHER.format('t', table)}" if table.endswith("_records") else ""
        database.execute(f"CREATE TEMP TABLE r AS SELECT * FROM {table} AS t {room} ORDER BY 1 DESC LIMIT 1")
        database.execute(f"UPDATE r SET {MADE_UP[table]}")
        database.execute(f"INSERT INTO {table} SELECT * FROM r")
        database.commit()
    assert examine(file, None)


def test_an_erased_disclosure_is_no_difference(sound: Sound, tmp_path: Path) -> None:
    """I5, and the views follow what is left."""
    file = sound.copy(tmp_path)
    with closing(sqlite3.connect(file)) as database:
        database.execute("DELETE FROM bundle_disclosures WHERE bundle = 0")
        database.commit()
    store = open_store(f"sqlite:///{file}")
    pipeline = sound.bed.restarted(store=store)
    for log in store.logs():
        pipeline.rebuild(log.origin)
    assert list(Doctor(store, sound.bed.chain).examine()) == []
    store.close()


def test_differences_name_their_check_and_place(sound: Sound, tmp_path: Path) -> None:
    file = sound.copy(tmp_path)
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE events SET time = time + 1 WHERE position = 17")
        database.execute("UPDATE batches SET closed_at = closed_at + 1 WHERE number = 2")
        database.commit()
    found = [str(difference) for difference in examine(file, sound.bed.chain)]
    assert found[0] == f"entries: {sound.origin} position 17: the columns are not what the entry says"
    assert any(line.startswith(f"log: {sound.origin} node 0/2") for line in found)
    assert any(line.startswith("anchors") and "batch 2" in line for line in found)


def test_the_chain_is_held_against_the_store(sound: Sound, tmp_path: Path) -> None:
    """A store that was put back to before its last anchoring is seen on the chain alone."""
    store = open_store(f"sqlite:///{sound.copy(tmp_path)}")
    pipeline = sound.bed.restarted(store=store)
    pipeline.seal(sound.origin, force=True)
    with sound.bed.node.undone():
        pipeline.anchor(sound.origin)
        store.close()
        found = examine(sound.copy(tmp_path), sound.bed.chain)
        assert any("the chain holds 7 batches, the store 6 (I6)" in str(difference) for difference in found)
    assert examine(sound.copy(tmp_path), None) == []


def test_a_chain_that_lost_its_batches_is_a_difference(sound: Sound, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{sound.copy(tmp_path)}")
    pipeline = sound.bed.restarted(store=store)
    pipeline.seal(sound.origin, force=True)
    with sound.bed.node.undone():
        anchor_all(pipeline, sound.origin)
    found = [str(difference) for difference in Doctor(store, sound.bed.chain).examine()]
    assert any("batch 6: said to be anchored, but the contract does not hold it" in line for line in found)
    store.close()


def test_a_chain_that_is_away_is_no_difference_but_an_error(sound: Sound, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{sound.copy(tmp_path)}")
    with wired(sound.bed.node.url) as wire:
        wire.lose.add("eth_chainId")
        chain = EvmChain(wire.url, sound.bed.chain.contract, timeout=5)
        with pytest.raises(ChainUnavailable):
            list(Doctor(store, chain).examine())
        chain.close()
    store.close()


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_an_error_of_ours(sound: Sound, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.db"
    file.write_bytes(content)
    found = examine(file, None)
    assert found or not content, "an empty file is an empty database"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_seen(sound: Sound, tmp_path: Path, share: float) -> None:
    file = sound.copy(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    assert examine(file, sound.bed.chain)


def test_the_position_of_the_first_difference_is_the_first_told(sound: Sound, tmp_path: Path) -> None:
    file = sound.copy(tmp_path)
    with closing(sqlite3.connect(file)) as database:
        for position in (9, 4, 30):
            database.execute("UPDATE events SET time = time + 1 WHERE position = ?", (Position(position),))
        database.commit()
    assert " position 4: " in str(examine(file, sound.bed.chain)[0])


@pytest.mark.parametrize("column", ["leaves", "entries"])
def test_a_bundle_that_holds_something_else_is_noticed(sound: Sound, tmp_path: Path, column: str) -> None:
    file = sound.copy(tmp_path)
    with closing(sqlite3.connect(file)) as database:
        [(first, other)] = database.execute(
            f"SELECT a.first, b.{column} FROM bundles AS a JOIN bundles AS b USING (log, count)"
            " WHERE a.first < b.first LIMIT 1"
        ).fetchall()
        database.execute(f"UPDATE bundles SET {column} = ? WHERE first = ?", (other, first))
        database.commit()
    assert examine(file, None)


def test_names_that_come_again_and_again_are_told(
    sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a flipped bit in an index leads back to a name before."""
    store = open_store(f"sqlite:///{sound.copy(tmp_path)}")
    monkeypatch.setattr(store, "transfers", lambda origin, after, limit: ["again"])
    with closing(store):
        found = [one.problem for one in Doctor(store, None).examine() if one.check == "views"]
    assert any("not in order" in problem for problem in found)
