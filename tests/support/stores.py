"""Events, logs and stores to test with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import make_url

from ledger import canonical
from ledger.adapters.sql import open_store
from ledger.anchor import ContractRef
from ledger.batch import BatchHeader, close_batch
from ledger.disclosure import disclose
from ledger.entry import Phase, event_key
from ledger.merkle import Node, append_nodes, leaf_hash
from ledger.pipeline import Pipeline
from ledger.ports import LogTransaction, Store
from ledger.records import Anchoring, AnchorState, Committed, Log, Party, Role, StoredReceipt
from ledger.types import BatchNo, Digest, Origin, PartyId, Position, log_id

ACME = Party(PartyId("acme"), "Acme Live Commerce 艾克美", Role.PLATFORM, "CN")
ORIGIN = Origin("ledger.example/acme-live")
LOG = Log(
    ORIGIN,
    ACME.id,
    "ledger.example/acme-live+0000+AQ",
    ContractRef(31337, "0x" + "1" * 40),
    1_790_000_000_000,
)
OTHER = replace(LOG, origin=Origin("ledger.example/other"))
START = 1_790_000_000_000


@contextmanager
def fresh_database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a new database on a PostgreSQL server, a copy of the template, dropped at the end."""
    url, name = make_url(server), f"test_{uuid4().hex}"
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def register(store: Store, *logs: Log) -> None:
    store.add_party(ACME)
    for log in logs or (LOG,):
        store.add_log(log)


def event(position: int, **changes: Any) -> Committed:
    """An event at a position, with two disclosures; the store asks no more of an entry than that it is bytes."""
    entry = canonical.encode({"event": {"id": f"e-{position}", "subject": "live-1"}, "position": position})
    salt = position.to_bytes(16, "big")
    shown = (disclose(salt, "principal", f"user {position}"), disclose(salt[::-1], "名", {"a": [1, None]}))
    made = Committed(
        position=Position(position),
        leaf=leaf_hash(entry),
        entry=entry,
        disclosures=tuple(it.text for it in shown),
        key=event_key("/test", f"e-{position}"),
        type="transfer-ledger.access.v1",
        phase=Phase.STORAGE,
        subject="live-1",
        time=START - 5000 + position,
        party=ACME.id,
        received=START + position,
    )
    return made._replace(**changes)


def receipt_of(events: Sequence[Committed]) -> StoredReceipt:
    return StoredReceipt(events[0].position, len(events), f"receipt from {events[0].position}\n\n— sig\n")


def append(store: Store, *events: Committed, origin: Origin = ORIGIN) -> None:
    with store.writing(origin) as transaction:
        transaction.append(events, receipt_of(events))


def append_some(store: Store, count: int, origin: Origin = ORIGIN) -> list[Committed]:
    """Append `count` events in one push."""
    size = store.head(origin).size
    events = [event(position) for position in range(size, size + count)]
    append(store, *events, origin=origin)
    return events


def next_batch(
    transaction: LogTransaction, count: int, origin: Origin = ORIGIN
) -> tuple[BatchHeader, list[Node]]:
    """The header and nodes of the batch of the next `count` leaves."""
    head = transaction.head
    leaves = transaction.leaves(head.sealed, Position(head.sealed + count))
    header = close_batch(log_id(origin), head.batches, head.sealed, leaves, START // 1000 + head.batches)
    return header, append_nodes(header.batch_no, header.leaf, transaction.nodes)


def seal(store: Store, *counts: int, origin: Origin = ORIGIN) -> list[BatchHeader]:
    """Seal batches of these many events, appending them first."""
    headers = []
    for count in counts:
        append_some(store, count, origin)
        with store.writing(origin) as transaction:
            header, nodes = next_batch(transaction, count, origin)
            transaction.add_batch(header, nodes)
        headers.append(header)
    return headers


def attempt(first: int, count: int = 1, number: int = 0, **changes: Any) -> Anchoring:
    """An anchoring that was intended."""
    made = Anchoring(
        first=BatchNo(first),
        count=count,
        attempt=number,
        state=AnchorState.INTENDED,
        tx_hash=Digest.of(b"tx %d %d %d" % (first, count, number)),
        raw_tx=b"\x02raw",
        updated=START,
    )
    return replace(made, **changes)


def save(store: Store, *anchorings: Anchoring, origin: Origin = ORIGIN) -> None:
    with store.writing(origin) as transaction:
        for anchoring in anchorings:
            transaction.save_anchoring(anchoring)


def push_many(url: str, pushes: int, worker: int) -> None:
    """What a process of its own does: push events of its own, one at a time, each after looking it up."""
    store = open_store(url, patience=60)
    try:
        for number in range(pushes):
            key = event_key("/worker", f"{worker}-{number}")
            with store.writing(ORIGIN) as transaction:
                assert transaction.find([key]) == {}
                mine = event(transaction.head.size, key=key, subject=f"worker-{worker}")
                transaction.append([mine], receipt_of([mine]))
    finally:
        store.close()


def open_and_close(url: str) -> None:
    """What a process of its own does: start."""
    open_store(url, patience=60).close()


def pipeline_on(store: Store) -> Pipeline:
    """A pipeline that can project, and nothing else."""
    nothing: Any = None
    return Pipeline(
        store=store,
        chain=nothing,
        anchorer=None,
        keyring=nothing,
        clock=nothing,
        random_bytes=nothing,
        policy=nothing,
    )


def project_all(url: str, step: int) -> None:
    """What a process of its own does: project the log, so many events at once."""
    store = open_store(url, patience=60)
    try:
        pipeline_on(store).project(ORIGIN, step=step)
    finally:
        store.close()
