"""Views that are made from the entries and their disclosures alone, and can be dropped and made again.

`project` is pure and knows no order: the same committed event always gives the same record, so whoever keeps the
records may compute them again at any time, in any order, and after an erasure.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger import catalogue
from ledger.disclosure import check_disclosures, parse_disclosure
from ledger.entry import Event, parse_entry
from ledger.projections.access import access_record
from ledger.projections.snapshots import snapshot_record
from ledger.records import AccessRecord, Committed, SnapshotRecord

__all__ = ["access_record", "open_event", "project", "snapshot_record"]

_VIEWS: dict[str, Callable[[Committed, Event], AccessRecord | SnapshotRecord]] = {
    catalogue.ACCESS.name: access_record,
    catalogue.PERMISSION_SNAPSHOT.name: snapshot_record,
}


def project(committed: Committed) -> AccessRecord | SnapshotRecord | None:
    """What an auditor's lists show of this event; None where its type has no list.

    A member that is not disclosed, or no longer, is None.

    Raises:
        MalformedInput: for an entry or a disclosure out of form.
        DisclosureRefuted: for a disclosure that the entry does not commit to.
    """
    view = _VIEWS.get(committed.type)
    return None if view is None else view(committed, open_event(committed))


def open_event(committed: Committed) -> Event:
    """The event as far as its disclosures open it, each of them held against the entry. Raises as `project`."""
    entry = parse_entry(committed.entry)
    disclosures = [parse_disclosure(text) for text in committed.disclosures]
    check_disclosures(disclosures, entry.sd, entry.visible)
    return entry.event(disclosures)
