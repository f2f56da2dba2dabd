"""Views that are made from the entries and their disclosures alone, and can be dropped and made again.

    access.py      access records              one row for each access
    snapshots.py   snapshot records            one row for each permission snapshot
    facts.py       transfer facts and papers   what events say of the transfer that they belong to, counted
    transfers.py   transfers                   who, where, which phases: read from facts and papers
    completeness.py                            transfer × phase × evidence: what is there, what is missing

`project` is pure and knows no order: the same committed event always gives the same, so whoever keeps it may compute it
again at any time, in any order, and after an erasure.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger import catalogue
from ledger.disclosure import check_disclosures, parse_disclosures
from ledger.entry import Event, parse_entry
from ledger.errors import DisclosureRefuted, IntegrityError, MalformedInput
from ledger.projections.access import access_record
from ledger.projections.facts import facts_of, papers_of, weight
from ledger.projections.snapshots import snapshot_record
from ledger.records import AccessRecord, Committed, Paper, Projected, SnapshotRecord, TransferFact

__all__ = ["access_record", "open_event", "project", "snapshot_record", "weight"]


def project(events: Iterable[Committed]) -> Projected:
    """What these events add to the projections: rows in the order of the events, facts and papers by key.

    A member that is not disclosed, or no longer, is None in a row, and gives no fact.

    Raises:
        IntegrityError: as `open_event`.
    """
    accesses: list[AccessRecord] = []
    snapshots: list[SnapshotRecord] = []
    papers: list[Paper] = []
    facts: dict[object, TransferFact] = {}
    for committed in events:
        event = open_event(committed)
        if committed.type == catalogue.ACCESS.name:
            accesses.append(access_record(committed, event))
        elif committed.type == catalogue.PERMISSION_SNAPSHOT.name:
            snapshots.append(snapshot_record(committed, event))
        papers += papers_of(committed, event)
        for fact in facts_of(committed, event):
            known = facts.get(fact.key)
            facts[fact.key] = fact if known is None else known.merged(fact)
    return Projected(accesses, snapshots, sorted(facts.values(), key=lambda f: f.key), papers)


def open_event(committed: Committed) -> Event:
    """The event as far as its disclosures open it, each of them held against the entry.

    Raises:
        IntegrityError: naming the position, for an entry or a disclosure that was changed where it is stored.
    """
    try:
        entry = parse_entry(committed.entry)
        disclosures = parse_disclosures(committed.disclosures)
        check_disclosures(disclosures, entry.sd, entry.visible)
    except (MalformedInput, DisclosureRefuted) as error:
        raise IntegrityError(
            f"the event at position {committed.position} is not what was committed", got=error.message
        ) from None
    return entry.event(disclosures)
