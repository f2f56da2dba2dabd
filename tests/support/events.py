"""Events of the catalogue to test projections with, as a store keeps them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from support.stores import ACME, ORIGIN, append

from ledger import catalogue
from ledger.canonical import Object
from ledger.entry import parse_event
from ledger.merkle import leaf_hash
from ledger.ports import Store
from ledger.projections import project
from ledger.records import Committed
from ledger.statement import commit_event, make_entry
from ledger.types import Position


def committed(
    events: Iterable[Object], *, opaque: bool = False, start: int = 0, received: int | None = None
) -> list[Committed]:
    """Events as a store keeps them from position `start` on, all disclosed; received at their own time if not told."""
    salts = (n.to_bytes(16, "big") for n in itertools.count(start << 32))
    found = []
    for position, value in enumerate(events, start):
        event = parse_event(value)
        visible = catalogue.check_event(event, allow_opaque=opaque).visible
        statement = commit_event(event, visible, lambda: next(salts))
        at = event.time if received is None else received
        entry = make_entry(statement, ORIGIN, ACME.id, at)
        found.append(
            Committed(
                position=Position(position),
                leaf=leaf_hash(entry),
                entry=entry,
                disclosures=tuple(d.text for d in statement.disclosures),
                key=event.key,
                type=event.type,
                phase=event.phase,
                subject=event.subject,
                time=event.time,
                party=ACME.id,
                received=at,
            )
        )
    return found


def event(kind: str, data: Object, *, subject: str = "live-1", at: int = 0, phase: str = "before") -> Object:
    types = {type_.kind: type_.name for type_ in catalogue.newest_types()}
    return {
        "specversion": "1.0",
        "id": f"{kind}-{subject}-{at}",
        "source": "/unit",
        "type": types.get(kind, kind),
        "subject": subject,
        "time": f"2026-03-01T12:{at // 60:02}:{at % 60:02}Z",
        "phase": phase,
        "data": data,
    }


def take_in(store: Store, events: Iterable[Object], *, step: int = 1000) -> list[Committed]:
    """Append events to the log and project them, `step` at once."""
    origin = ORIGIN
    start = store.head(origin).size
    added = committed(events, start=start)
    append(store, *added)
    for at in range(0, len(added), step):
        some = added[at : at + step]
        stop = Position(some[-1].position + 1)
        store.project(origin, some[0].position, stop, project(some))
    return added


DECLARED: dict[str, Any] = {
    "declaration_id": "d-1",
    "version": "1",
    "parties": [
        {"party": "acme", "role": "platform", "country": "CN", "capacity": "data-exporter"},
        {"party": "cdn-one", "role": "cdn", "country": "SG", "capacity": "data-processor"},
        {"party": "acme-jp", "role": "recipient", "country": "JP", "capacity": "data-importer"},
    ],
    "purposes": ["live-commerce"],
    "data_categories": [{"category": "interaction", "tier": 2}],
    "recipient_countries": ["JP"],
    "persons_countries": ["CN"],
    "declared_path": ["CN", "HK", "JP"],
    "planned_start": "2026-03-01T12:00:00Z",
    "persons": 2000,
}


ASSESSED: dict[str, Any] = {
    "assessment_id": "pia-1",
    "version": "1",
    "recipient_countries": ["JP"],
    "conclusion": "approved",
}
STORED: dict[str, Any] = {"object_id": "o", "kind": "replay", "country": "JP"}
