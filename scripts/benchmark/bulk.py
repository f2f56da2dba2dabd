"""Logs that are written past the pipeline, through `Store` alone: large ones in short time.

What `multiply` commits looks like what the pipeline commits, but nothing was pushed: all events of such a log are one
event under different ids. Those of `fill` say nothing at all. Keys ascend, so that a database fills its index as fast
as it can; nothing that is measured on these logs reads a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.events import START
from benchmark.meters import Figures
from benchmark.place import PARTY, Home
from benchmark.show import Tell
from ledger.canonical import Object
from ledger.entry import Phase
from ledger.merkle import leaf_hash
from ledger.pipeline import Pipeline
from ledger.ports import Store
from ledger.records import Committed, StoredReceipt
from ledger.types import Digest, Origin, Position

AT_ONCE = 8192
_ID = "event-0000000000"

EVENT: Object = {
    "specversion": "1.0",
    "id": _ID,
    "source": "/s3/ap-northeast-1",
    "type": "transfer-ledger.access.v1",
    "subject": "live-2026-07-01-tokyo",
    "time": "2026-07-01T12:00:00Z",
    "phase": "storage",
    "datacontenttype": "application/json",
    "data": {
        "principal": "arn:aws:iam::111122223333:role/replay-editor",
        "action": "s3:GetObject",
        "resource": "arn:aws:s3:::acme-replays-tokyo/live-2026-07-01-tokyo/replay",
        "outcome": "allowed",
        "source_system": "aws.s3",
        "completeness": "best-effort",
    },
}


def committed(position: int, entry: bytes, disclosures: Sequence[str] = ()) -> Committed:
    """An event at a position, with whatever for an entry."""
    return Committed(
        position=Position(position),
        leaf=leaf_hash(entry),
        entry=entry,
        disclosures=disclosures,
        key=Digest(position.to_bytes(32)),
        type=str(EVENT["type"]),
        phase=Phase.STORAGE,
        subject=str(EVENT["subject"]),
        time=START,
        party=PARTY.id,
        received=START,
    )


def append(store: Store, origin: Origin, events: Sequence[Committed]) -> None:
    """Append them in one transaction, under no receipt worth the name."""
    with store.writing(origin) as transaction:
        transaction.append(events, StoredReceipt(events[0].position, len(events), "no receipt\n"))


def fill(home: dict[str, Any], accesses: int, tell: Tell) -> Figures:
    """Fill a bare ledger (`filling`). Runs apart."""
    opened = Home.of(**home)
    with opened.open() as ledger:
        for start in range(0, accesses, AT_ONCE):
            stop = min(start + AT_ONCE, accesses)
            append(ledger.store, opened.origin, [committed(n, b"%d" % n) for n in range(start, stop)])
            tell(stop, accesses)
    return {"events": accesses}


def multiply(pipeline: Pipeline, origin: Origin, count: int, tell: Tell) -> None:
    """Push one event to an empty log, and append copies of it under other ids until there are `count` events."""
    pipeline.push(origin, PARTY.id, [EVENT])
    (first,) = pipeline.store.scan(origin, Position(0), Position(1))
    before, _, after = first.entry.partition(_ID.encode())
    for start in range(1, count, AT_ONCE):
        stop = min(start + AT_ONCE, count)
        events = [
            committed(n, b"%sevent-%010d%s" % (before, n, after), first.disclosures)._replace(
                received=first.received
            )
            for n in range(start, stop)
        ]
        append(pipeline.store, origin, events)
        tell(stop, count)
