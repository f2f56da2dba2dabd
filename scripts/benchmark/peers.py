"""What a user could pick instead of the ledger's core, and the core itself, behind one small interface.

Each appends opaque entries, durably: when an append returns, its entries are on the disk. How each does that is its
`durability`. A root speaks for all entries so far; a proof shows that an entry is under it.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from pymerkle import SqliteTree, verify_inclusion  # type: ignore[import-untyped]  # it has no types

from benchmark.bulk import committed
from benchmark.place import Home
from benchmark.processes import BenchFailed, failed, line_of, started, tell
from ledger.adapters.node import node
from ledger.adapters.sql.transaction import SqlLogTransaction
from ledger.batch import close_batch
from ledger.bootstrap import Wired
from ledger.merkle import BatchTree, append_nodes, check_inclusion, leaf_hashes, log_inclusion, log_root
from ledger.ports import LogTransaction
from ledger.records import StoredReceipt
from ledger.types import Digest, Position, log_id

ENTRY_BYTES = 200
BATCH = 8192
"""Leaves of a batch of what was appended without asking for a root: as many as the ledger puts into one."""
HYPERCORE = Path(__file__).with_name("hypercore")

Entries: TypeAlias = Sequence[bytes]


class Peer(Protocol):
    """One system."""

    name: str
    durability: str

    def append(self, pushes: Sequence[Entries], *, root: bool) -> float:
        """Seconds to append these, one after the other, with a root after each if asked for."""
        ...

    def prove(self, count: int) -> list[float]:
        """Seconds of each of so many proofs of random entries."""
        ...


class Core:
    """The ledger's own, on SQLite: the log itself, which finds entries by their positions, as its peers do.

    A root seals what was appended as a batch.
    """

    name = "ledger"
    durability = "SQLite, WAL, synchronous=FULL: a commit is flushed"

    def __init__(self, ledger: Wired, home: Home) -> None:
        self._store = ledger.store
        self._origin = home.origin
        self._random = random.Random(1)

    def append(self, pushes: Sequence[Entries], *, root: bool) -> float:
        if root:
            self._seal_what_waits()
        began = time.perf_counter()
        for entries in pushes:
            with self._store.writing(self._origin) as transaction:
                leaves = self._append(transaction, entries)
                if root:
                    self._seal(transaction, leaves)
            if root:
                self._root()
        return time.perf_counter() - began

    def _append(self, transaction: LogTransaction, entries: Entries) -> Sequence[bytes]:
        """Their leaf hashes."""
        assert isinstance(transaction, SqlLogTransaction)
        leaves, none = leaf_hashes(entries), [b""] * len(entries)
        receipt = StoredReceipt(transaction.head.size, len(entries), "receipt\n")
        transaction.append_entries(leaves, entries, none, receipt)
        return leaves

    def _seal(self, transaction: LogTransaction, leaves: Sequence[bytes]) -> None:
        head = transaction.head
        header = close_batch(log_id(self._origin), head.batches, head.sealed, leaves, 0)
        transaction.add_batch(header, append_nodes(header.batch_no, header.leaf, transaction.nodes))

    def _seal_what_waits(self) -> None:
        while (head := self._store.head(self._origin)).sealed < head.size:
            stop = Position(min(head.size, head.sealed + BATCH))
            with self._store.writing(self._origin) as transaction:
                self._seal(transaction, transaction.leaves(head.sealed, stop))

    def _nodes(self, ids: Any) -> Sequence[Digest]:
        return self._store.nodes(self._origin, ids)

    def _root(self) -> Digest:
        return log_root(self._store.head(self._origin).batches, self._nodes)

    def prove(self, count: int) -> list[float]:
        self._seal_what_waits()
        size, root = self._store.head(self._origin).batches, self._root()
        seconds = []
        for _ in range(count):
            position = Position(self._random.randrange(self._store.head(self._origin).sealed))
            began = time.perf_counter()
            sealed = self._store.batch_at(self._origin, position)
            assert sealed is not None
            header = sealed.header
            index = position - header.first_leaf
            leaves = self._store.leaves(self._origin, header.first_leaf, header.end)
            path = BatchTree(leaves).path(index)
            way = log_inclusion(header.batch_no, size, self._nodes)
            seconds.append(time.perf_counter() - began)
            check_inclusion(leaves[index], index, header.leaf_count, path, header.root)
            check_inclusion(header.leaf, header.batch_no, size, way, root)
        return seconds


class IndexedCore(Core):
    """The same, with what the ledger finds an event by: its key, type, phase, subject and time. No peer has that."""

    name = "ledger, indexed"

    def _append(self, transaction: LogTransaction, entries: Entries) -> Sequence[bytes]:
        size = transaction.head.size
        events = [committed(n, entry) for n, entry in enumerate(entries, size)]
        transaction.append(events, StoredReceipt(size, len(events), "receipt\n"))
        return [event.leaf for event in events]


class Pymerkle:
    """pymerkle's `SqliteTree`, as it comes."""

    name = "pymerkle"
    durability = "SQLite, rollback journal, synchronous=FULL: a commit is flushed"

    def __init__(self, file: Path) -> None:
        self._tree = SqliteTree(str(file))
        self._random = random.Random(1)

    def append(self, pushes: Sequence[Entries], *, root: bool) -> float:
        began = time.perf_counter()
        for entries in pushes:
            self._tree.append_entries(entries)
            if root:
                self._tree.get_root()
        return time.perf_counter() - began

    def prove(self, count: int) -> list[float]:
        root, seconds = self._tree.get_root(), []
        for _ in range(count):
            index = 1 + self._random.randrange(self._tree.get_size())
            began = time.perf_counter()
            proof = self._tree.prove_inclusion(index)
            seconds.append(time.perf_counter() - began)
            verify_inclusion(self._tree.get_leaf(index), root, proof)
        return seconds

    def close(self) -> None:
        self._tree.close()


class HashChain:
    """A plain table, each row's hash over the one before and its entry. A proof is the rest of the chain, hashed."""

    name = "hash chain"
    durability = "SQLite, WAL, synchronous=FULL: a commit is flushed"

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE chain (number INTEGER PRIMARY KEY, entry BLOB, hash BLOB)")
        self._head = bytes(32)
        self._random = random.Random(1)

    def append(self, pushes: Sequence[Entries], *, root: bool) -> float:
        began = time.perf_counter()
        for entries in pushes:
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO chain (entry, hash) VALUES (?, ?)", self._linked(entries)
                )
        return time.perf_counter() - began

    def _linked(self, entries: Entries) -> Iterator[tuple[bytes, bytes]]:
        for entry in entries:
            self._head = hashlib.sha256(self._head + entry).digest()
            yield entry, self._head

    def prove(self, count: int) -> list[float]:
        (size,) = self._connection.execute("SELECT max(number) FROM chain").fetchone()
        seconds = []
        for _ in range(count):
            number = 1 + self._random.randrange(size)
            began = time.perf_counter()
            rows = self._connection.execute("SELECT entry, hash FROM chain WHERE number >= ?", (number,))
            _, head = rows.fetchone()
            for entry, hash_ in rows:
                head = hashlib.sha256(head + entry).digest()
                if head != hash_:
                    raise BenchFailed("the hash chain is broken")
            seconds.append(time.perf_counter() - began)
        return seconds

    def close(self) -> None:
        self._connection.close()


class HypercoreProcess:
    """hypercore, in a Node of its own (`hypercore/driver.mjs`). It signs every head that an append makes."""

    def __init__(self, process: subprocess.Popen[str], log: Path, *, durable: bool) -> None:
        self.name = "hypercore" if durable else "hypercore, as it ships"
        self.durability = (
            "RocksDB's write-ahead log, flushed by us after each append"
            if durable
            else "RocksDB's write-ahead log, not flushed: what was appended last is lost with the machine"
        )
        self._process = process
        self._log = log
        self._ask()

    def append(self, pushes: Sequence[Entries], *, root: bool) -> float:
        tell(self._process, json.dumps({"append": len(pushes[0]), "count": len(pushes), "root": root}))
        return float(self._ask()["seconds"])

    def prove(self, count: int) -> list[float]:
        tell(self._process, json.dumps({"prove": count}))
        return [float(seconds) for seconds in self._ask()["seconds"]]

    def _ask(self) -> Any:
        if not (line := line_of(self._process.stdout)):
            raise failed("hypercore ended", self._log)
        return json.loads(line)


def install_hypercore(log: Path) -> None:
    """Have npm install what `hypercore/package-lock.json` pins, unless it is there."""
    lock, stamp = HYPERCORE / "package-lock.json", HYPERCORE / "node_modules" / ".stamp"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    with log.open("a") as out:
        done = subprocess.run(argv, cwd=HYPERCORE, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        raise failed("npm could not install hypercore; a registry must be reachable", log)
    stamp.write_text(wanted)


@contextmanager
def hypercore(folder: Path, log: Path, *, durable: bool) -> Iterator[HypercoreProcess]:
    argv = [str(node()), str(HYPERCORE / "driver.mjs"), str(folder), "durable" if durable else "shipped"]
    with started(argv, log, piped=True) as process:
        yield HypercoreProcess(process, log, durable=durable)
